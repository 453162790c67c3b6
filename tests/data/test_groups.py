"""What belongs together: groups, bursts, copies and what they chain; not what only looks alike."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
from synthetic import dataset_of, facts_of

from fieldmark.data.dataset import Dataset
from fieldmark.data.groups import units_of
from fieldmark.data.scan import Scan
from fieldmark.data.split import cut


def units(dataset: Dataset, scan: Scan) -> list[list[int]]:
    found = defaultdict(list)
    for at, root in enumerate(units_of(dataset.photos, scan)[0].tolist()):
        found[root].append(at)
    return [members for members in found.values() if len(members) > 1]


def test_bursts_chain_within_two_seconds_of_one_camera_and_class() -> None:
    dataset = dataset_of([6, 2])
    shots = {"p0": (0.0, "A"), "p1": (3.9, "A"), "p2": (2.0, "A"), "p3": (6.5, "A"), "p4": (2.0, "B"), "p6": (2.0, "A")}
    scan = facts_of(dataset, **{key: {"taken": taken, "camera": camera} for key, (taken, camera) in shots.items()})
    assert units(dataset, scan) == [[0, 1, 2]]
    unknown = facts_of(dataset, p0={"taken": 1.0}, p1={"taken": 1.0})
    assert units(dataset, unknown) == []


def test_a_clock_that_was_never_set_makes_no_burst() -> None:
    dataset = dataset_of([60])
    scan = facts_of(dataset, **{f"p{at}": {"taken": 0.0, "camera": "A"} for at in range(60)})
    assert units(dataset, scan) == []


def test_groups_bursts_and_copies_chain() -> None:
    dataset = dataset_of([8])
    photos = [replace(photo, group="g") if at in (0, 1) else photo for at, photo in enumerate(dataset.photos)]
    dataset = dataset.with_photos(photos)
    look = np.random.default_rng(0).integers(0, 256, 32, dtype=np.uint8).tobytes().hex()
    scan = facts_of(
        dataset,
        p1={"sha": "same"},
        p2={"sha": "same", "look": look},
        p3={"look": look, "taken": 5.0, "camera": "A"},
        p4={"taken": 6.0, "camera": "A"},
    )
    assert units(dataset, scan) == [[0, 1, 2, 3, 4]]
    for seed in range(5):
        found = [photo.split for photo in cut(dataset, scan, seed=seed).photos]
        assert len(set(found[:5])) == 1


def test_look_alikes_are_parted_and_told_but_exact_copies_are_not() -> None:
    dataset = dataset_of([8, 8])
    same = {f"p{at}": {"look": "ab" * 32} for at in range(16)}
    same |= {"p3": {"look": "ab" * 32, "sha": "x"}, "p12": {"look": "ab" * 32, "sha": "x"}}
    scan = facts_of(dataset, **same)
    assert units(dataset, scan) == [[3, 12]]
    (line,) = units_of(dataset.photos, scan)[1]
    assert line.startswith("16 photos of 2 classes look alike, as under a fixed camera, such as 0/0.jpg and 0/1.jpg")
    assert "(15 units)" in line
    few = facts_of(dataset, **{f"p{at}": {"look": "ab" * 32} for at in (0, 1, 2, 9)})
    assert units(dataset, few) == [[0, 1, 2, 9]]
    assert units_of(dataset.photos, few)[1] == ()
