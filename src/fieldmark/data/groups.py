"""Which photos must share a split: groups, bursts of a camera, copies, and whatever these link together."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from fieldmark.data.dataset import Photo
from fieldmark.data.duplicates import exact_duplicates, join_all, positions_by
from fieldmark.data.lookalikes import near_copies
from fieldmark.data.scan import PhotoFacts, Scan
from fieldmark.errors import printable

# Photos of one class by one camera that follow each other within this time are a burst.
BURST_SECONDS = 2.0
# With more photos than this in one second, the camera's clock was never set and its times are ignored.
_CLOCK_NOT_SET = 40
BY_OBJECT = "put photos of one object into a sub-folder of its class, or give them the same value in a column group."


def units_of(photos: Sequence[Photo], scan: Scan | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The unit ``(N,)`` of each photo, as the smallest position of the photos in it, and a note for the user or none.

    A unit holds the photos of a group, or of a burst outside groups, exact and near duplicates, and whatever these
    link together. The note reports scenes whose photos are too many and too alike to be copies (``lookalikes.py``),
    which are separated.
    """
    groups = positions_by(photo.group for photo in photos)
    roots = join_all(np.arange(len(photos)), (members for group, members in groups.items() if group))
    if scan is None:
        return roots, ()
    by_name = scan.by_name()
    facts = [by_name.get(photo.name, PhotoFacts(photo.name)) for photo in photos]
    exact = exact_duplicates([known.sha for known in facts])
    labels = [photo.label for photo in photos]
    near = near_copies([known.look for known in facts], [known.thumb for known in facts], labels)
    for together in (_bursts(photos, facts), exact, near.copies):
        roots = join_all(roots, together)
    return roots, _look_alike_note(photos, near.alike, roots)


def _look_alike_note(photos: Sequence[Photo], alike: Sequence[Sequence[int]], roots: np.ndarray) -> tuple[str, ...]:
    if not alike:
        return ()
    members = [at for cluster in alike for at in cluster]
    classes = len({photos[at].label for at in members})
    units = len(set(roots[members].tolist()))
    first, second = (printable(photos[at].name) for at in members[:2])
    return (
        f"{len(members):,} photos of {classes:,} classes look alike, as under a fixed camera, such as {first} and "
        f"{second}: the cut keeps only copies of one photo together ({units:,} units); {BY_OBJECT}",
    )


def _bursts(photos: Sequence[Photo], facts: Sequence[PhotoFacts]) -> list[list[int]]:
    shots: dict[tuple[int | None, str], list[tuple[float, int]]] = defaultdict(list)
    for at, (photo, known) in enumerate(zip(photos, facts, strict=True)):
        if known.taken is not None and known.camera and not photo.group:
            shots[photo.label, known.camera].append((known.taken, at))
    bursts: list[list[int]] = []
    for taken in shots.values():
        per_second = Counter(int(time) for time, _ in taken)
        last = -np.inf
        for time, at in sorted(shot for shot in taken if per_second[int(shot[0])] <= _CLOCK_NOT_SET):
            if time - last > BURST_SECONDS:
                bursts.append([])
            bursts[-1].append(at)
            last = time
    return bursts
