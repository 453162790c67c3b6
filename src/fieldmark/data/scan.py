"""The first pass over a set of photos: every file is opened once, before hours of training rest on it.

The files are decoded by worker processes with a time limit a file, so that one that crashes or hangs a decoder is a
finding and not the end of the run. The workers are started afresh (never forked) and import nothing of the caller's
program, so no ``if __name__ == "__main__"`` is needed.
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
# A file that takes longer is a finding; the slowest honest ones (100 megapixels) take a few seconds.
FILE_SECONDS = 60.0
# A worker takes about 0.3 s to start: as long as some hundred photos.
PHOTOS_A_WORKER = 200
WORKER_PROGRAM = "from fieldmark.data.scan import serve; serve()"

Progress = Callable[[int, int], object]
Task = tuple[int, Photo]


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What the first pass found out about one photo; ``damage`` is the reason it cannot be used, else "".

    ``bytes`` and ``mtime_ns`` are the file's size and time; ``width`` and ``height`` the upright image's, in pixels;
    ``taken`` is the camera's clock in seconds; ``sha`` digests the file; ``look`` is the perceptual hash, "" where too
    flat; ``thumb`` the thumbnail that tells copies from look-alikes, "" in a scan of an earlier version.
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
    """The facts of all photos, in their order; ``limits`` says which limits of the decoder they were found under."""

    facts: tuple[PhotoFacts, ...]
    limits: str = ""

    @property
    def damaged(self) -> tuple[PhotoFacts, ...]:
        """The photos that cannot be used."""
        return tuple(facts for facts in self.facts if facts.damage)

    @property
    def sound(self) -> "Scan":
        """The facts of the other photos alone: known by these, damaged ones are tried again."""
        return replace(self, facts=tuple(facts for facts in self.facts if not facts.damage))

    def by_name(self) -> dict[str, PhotoFacts]:
        """The facts under the photo's name."""
        return {found.name: found for found in self.facts}

    def save(self, path: Path) -> None:
        """Writes the facts as JSON, for ``scan_photos(known=Scan.load(path))``."""
        photos = [asdict(found) for found in self.facts]
        write_text(path, json.dumps({"format_version": FORMAT_VERSION, "limits": self.limits, "photos": photos}))

    @staticmethod
    def load(path: Path) -> "Scan":
        """Reads what ``save`` wrote, no facts where there is no file; raises ``UserError`` for anything else."""
        if not path.exists():
            return Scan(())
        try:
            text = json.loads(path.read_text(encoding="ascii"))
            if text["format_version"] != FORMAT_VERSION:
                raise ValueError("another format version")
            return Scan(tuple(_from_json(found) for found in text["photos"]), text["limits"])
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
    """Looks into every photo once and returns the facts in the order of ``photos``.

    ``workers`` processes share the work (default: one a core, fewer for few photos; 0: this process, without a time
    limit). ``progress(more, total)`` is told in this thread how many more photos are done, and how many there are.
    ``pixels`` is the uint8 ``(N, H, W, 3)`` of sets that pack their images. Photos whose name, size and time are as in
    ``known`` are not opened again. A damaged file is a finding (``PhotoFacts.damage``), never an exception.
    """
    before = known.by_name() if known is not None and known.limits == repr(limits) else {}
    facts = [_without_opening(photo, before.get(photo.name), pixels) for photo in photos]
    pending = [index for index, found in enumerate(facts) if not found.sha and not found.damage]
    done = len(photos) - len(pending)
    if workers is None:
        workers = min(_cores(), -(-len(pending) // PHOTOS_A_WORKER))
    if progress and done:
        progress(done, len(photos))
    tasks = [(index, photos[index]) for index in pending]
    answers = _from_workers(tasks, workers, limits) if workers and tasks else _from_here(tasks, limits)
    for index, found in answers:
        # The size and time are those of before the file was opened: if it changes meanwhile, it is opened again.
        facts[index] = replace(found, bytes=facts[index].bytes, mtime_ns=facts[index].mtime_ns)
        if progress:
            progress(1, len(photos))
    return Scan(tuple(facts), repr(limits))


def recognised(photos: Iterable[Photo], known: Scan) -> Scan:
    """The facts of ``known`` about those photos whose files are as they were then; no file is opened."""
    facts = known.by_name()
    same = (facts[photo.name] for photo in photos if photo.name in facts and _is_unchanged(photo, facts[photo.name]))
    return Scan(tuple(same), known.limits)


def serve() -> None:
    """What a worker process runs: a request a line on standard input, an answer a line on standard output."""
    # What a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    limits = Limits(**json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        path, name, trim = json.loads(line)
        print(json.dumps(asdict(_examine(Path(path), name, trim, limits))), file=answers, flush=True)


def _examine(path: Path, name: str, trim_bottom: int, limits: Limits) -> PhotoFacts:
    try:
        seen = inspect_image(path, name=name, limits=limits)
    except UnreadableImage as error:
        return PhotoFacts(name, damage=error.reason)
    small = seen.image
    if trim_bottom:  # a banner that many photos share would make them alike
        rows = max(1, small.height - round(trim_bottom * small.height / seen.height))
        small = small.crop((0, 0, small.width, rows))
    return PhotoFacts(
        name=name,
        width=seen.width,
        height=seen.height,
        format=seen.format,
        mode=seen.mode,
        frames=seen.frames,
        taken=seen.taken,
        camera=seen.camera,
        remarks=seen.remarks,
        sha=seen.sha,
        look=perceptual_hash(small),
        thumb=thumbnail(seen.thumb),
    )


def _without_opening(photo: Photo, before: PhotoFacts | None, pixels: np.ndarray | None) -> PhotoFacts:
    """All facts, where they are at hand; else those of the directory alone, ``sha`` and ``damage`` being ""."""
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
    if before and (before.damage or before.thumb) and _is_unchanged(photo, before):
        return before
    size, time = _stat(photo) or (0, 0)  # of a file that cannot be asked the decoder finds the words
    return PhotoFacts(photo.name, bytes=size, mtime_ns=time)


def is_other_file(photo: Photo, known: PhotoFacts) -> bool:
    """Whether a photo's file has another size in bytes than the first pass found; False for one that has gone."""
    stat = _stat(photo)
    return stat is not None and stat[0] != known.bytes


def _is_unchanged(photo: Photo, known: PhotoFacts) -> bool:
    return _stat(photo) == (known.bytes, known.mtime_ns)


def _stat(photo: Photo) -> tuple[int, int] | None:
    """Size in bytes and time of a photo's file, None where it cannot be asked."""
    try:
        stat = photo.path.stat()
    except (OSError, ValueError):
        return None
    return stat.st_size, stat.st_mtime_ns


def _from_here(tasks: Sequence[Task], limits: Limits) -> Iterator[tuple[int, PhotoFacts]]:
    for index, photo in tasks:
        yield index, _examine(photo.path, photo.name, photo.trim_bottom, limits)


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
