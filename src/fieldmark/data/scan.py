"""Scans a set of photos: the first pass opens every file once, before hours of training depend on it.

Worker processes decode the files with a time limit per file, so that a file that crashes or hangs a decoder is reported
and does not end the run. Workers are fresh processes (never forked) and import nothing of the caller's program, so no
``if __name__ == "__main__"`` is needed.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fieldmark.data.dataset import Photo
from fieldmark.data.duplicates import perceptual_hash
from fieldmark.data.lookalikes import thumbnail
from fieldmark.data.workers import ask
from fieldmark.errors import UnreadableImage, UserError, printable
from fieldmark.files import write_text
from fieldmark.images.decode import DEFAULT, Limits, inspect_image

FORMAT_VERSION = 1
# A file that takes longer counts as damaged; the slowest sound files (100 megapixels) take a few seconds.
FILE_SECONDS = 60.0
# A worker takes about 0.3 s to start, as long as a hundred photos or so.
PHOTOS_PER_WORKER = 200
WORKER_PROGRAM = "from fieldmark.data.scan import serve; serve()"

Progress = Callable[[int, int], object]
Task = tuple[int, Photo]


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What the scan found out about one photo; ``damage`` is the reason it cannot be used, else "".

    ``bytes`` and ``mtime_ns`` are the file's size and time; ``width`` and ``height`` the upright image's, in pixels;
    ``taken`` is the camera's clock in seconds; ``sha`` is the digest of the file; ``look`` is the perceptual hash, ""
    where the photo is too flat; ``thumb`` the thumbnail that tells copies from look-alikes, "" in a scan by an earlier
    version.
    """

    name: str
    bytes: int = 0
    mtime_ns: int = 0
    damage: str = ""
    width: int = 0
    height: int = 0
    format: str = ""
    mode: str = ""
    frames: int = 1
    taken: float | None = None
    camera: str = ""
    remarks: tuple[str, ...] = ()
    sha: str = ""
    look: str = ""
    thumb: str = ""


@dataclass(frozen=True)
class Scan:
    """The facts of all photos, in their order; ``limits`` are those of the decoder that was used."""

    facts: tuple[PhotoFacts, ...]
    limits: str = ""

    @property
    def damaged(self) -> tuple[PhotoFacts, ...]:
        """The photos that cannot be used."""
        return tuple(facts for facts in self.facts if facts.damage)

    @property
    def sound(self) -> "Scan":
        """The facts of the sound photos alone: passed as ``known``, so that damaged photos are tried again."""
        return replace(self, facts=tuple(facts for facts in self.facts if not facts.damage))

    def by_name(self) -> dict[str, PhotoFacts]:
        """The facts by the photo's name."""
        return {facts.name: facts for facts in self.facts}

    def save(self, path: Path) -> None:
        """Writes the facts as JSON, for ``scan_photos(known=Scan.load(path))``."""
        photos = [asdict(facts) for facts in self.facts]
        write_text(path, json.dumps({"format_version": FORMAT_VERSION, "limits": self.limits, "photos": photos}))

    @staticmethod
    def load(path: Path) -> "Scan":
        """Reads what ``save`` wrote; empty without the file; raises ``UserError`` for any other file."""
        if not path.exists():
            return Scan(())
        try:
            text = json.loads(path.read_text(encoding="ascii"))
            if text["format_version"] != FORMAT_VERSION:
                raise ValueError("another format version")
            return Scan(tuple(_from_json(photo) for photo in text["photos"]), text["limits"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            place = printable(str(path))
            raise UserError(f"{place}: not a scan that this version can read ({error}). Delete it.") from None


def scan_photos(
    photos: Sequence[Photo],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    pixels: np.ndarray | None = None,
    known: Scan | None = None,
    limits: Limits = DEFAULT,
) -> Scan:
    """Opens every photo once and returns the facts in the order of ``photos``.

    ``workers`` processes share the work (default: one per core, fewer for few photos; 0: this process, without a
    time limit). ``progress(more, total)`` is called in this thread with the number of photos just done, and of all
    photos. ``pixels`` is uint8 ``(N, H, W, 3)`` for datasets that pack their images. Photos whose name, size and time
    are as in ``known`` are not opened again. A damaged file is noted in ``PhotoFacts.damage``, never an exception.
    """
    earlier = known.by_name() if known is not None and known.limits == repr(limits) else {}
    facts = [_without_opening(photo, earlier.get(photo.name), pixels) for photo in photos]
    pending = [index for index, photo_facts in enumerate(facts) if not photo_facts.sha and not photo_facts.damage]
    done = len(photos) - len(pending)
    if workers is None:
        workers = min(_cores(), -(-len(pending) // PHOTOS_PER_WORKER))
    if progress and done:
        progress(done, len(photos))
    tasks = [(index, photos[index]) for index in pending]
    here = ((index, _examine(photo.path, photo.name, photo.trim_bottom, limits)) for index, photo in tasks)
    answers = _from_workers(tasks, workers, limits) if workers and tasks else here
    for index, new_facts in answers:
        # Size and time are from before the file was opened: if it changes meanwhile, the next scan opens it again.
        facts[index] = replace(new_facts, bytes=facts[index].bytes, mtime_ns=facts[index].mtime_ns)
        if progress:
            progress(1, len(photos))
    return Scan(tuple(facts), repr(limits))


def recognised(photos: Iterable[Photo], known: Scan) -> Scan:
    """The facts in ``known`` about the photos whose files have not changed since; no file is opened."""
    facts = known.by_name()
    same = (facts[photo.name] for photo in photos if photo.name in facts and _is_unchanged(photo, facts[photo.name]))
    return Scan(tuple(same), known.limits)


def serve() -> None:
    """What a worker process runs: one request per line of standard input, one answer per line of standard output."""
    # Output of libraries must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    limits = Limits(**json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        path, name, trim = json.loads(line)
        print(json.dumps(asdict(_examine(Path(path), name, trim, limits))), file=answers, flush=True)


def _examine(path: Path, name: str, trim_bottom: int, limits: Limits) -> PhotoFacts:
    try:
        content = inspect_image(path, name=name, limits=limits)
    except UnreadableImage as error:
        return PhotoFacts(name, damage=error.reason)
    small = content.image
    if trim_bottom:  # a banner that many photos share would make them look alike
        rows = max(1, small.height - round(trim_bottom * small.height / content.height))
        small = small.crop((0, 0, small.width, rows))
    return PhotoFacts(
        name=name,
        width=content.width,
        height=content.height,
        format=content.format,
        mode=content.mode,
        frames=content.frames,
        taken=content.taken,
        camera=content.camera,
        remarks=content.remarks,
        sha=content.sha,
        look=perceptual_hash(small),
        thumb=thumbnail(content.thumb),
    )


def _without_opening(photo: Photo, earlier: PhotoFacts | None, pixels: np.ndarray | None) -> PhotoFacts:
    """The facts that need no file to be opened: all of them, or, with ``sha`` and ``damage`` "", its size and time."""
    if photo.row >= 0 and pixels is not None:
        image = np.ascontiguousarray(pixels[photo.row])
        height, width = image.shape[:2]
        picture = Image.fromarray(image)
        return PhotoFacts(
            photo.name,
            bytes=image.nbytes,
            width=width,
            height=height,
            format="packed",
            mode="RGB",
            sha=hashlib.sha256(image.tobytes()).hexdigest(),
            look=perceptual_hash(picture),
            thumb=thumbnail(picture),
        )
    if earlier and (earlier.damage or earlier.thumb) and _is_unchanged(photo, earlier):
        return earlier
    size, time = _stat(photo) or (0, 0)  # the decoder reports files that cannot be read
    return PhotoFacts(photo.name, bytes=size, mtime_ns=time)


def is_other_file(photo: Photo, known: PhotoFacts) -> bool:
    """Whether a photo's file has another size in bytes than in the scan; False for a missing file."""
    stat = _stat(photo)
    return stat is not None and stat[0] != known.bytes


def _is_unchanged(photo: Photo, known: PhotoFacts) -> bool:
    return _stat(photo) == (known.bytes, known.mtime_ns)


def _stat(photo: Photo) -> tuple[int, int] | None:
    """Size in bytes and time of a photo's file, None where they cannot be read."""
    try:
        stat = photo.path.stat()
    except (OSError, ValueError):
        return None
    return stat.st_size, stat.st_mtime_ns


def _from_workers(tasks: Sequence[Task], workers: int, limits: Limits) -> Iterator[tuple[int, PhotoFacts]]:
    requests = [(os.fspath(photo.path), photo.name, photo.trim_bottom) for _, photo in tasks]
    greeting = asdict(limits)
    for answer in ask(requests, program=WORKER_PROGRAM, greeting=greeting, workers=workers, seconds=FILE_SECONDS):
        index, photo = tasks[answer.at]
        yield index, PhotoFacts(photo.name, damage=answer.failure) if answer.failure else _from_json(answer.value)


def _from_json(value: Any) -> PhotoFacts:
    return PhotoFacts(**{**value, "remarks": tuple(value["remarks"])})


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
