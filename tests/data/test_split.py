"""The cut: nothing that belongs together is parted, nothing old moves, shares and classes are kept."""

import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from synthetic import ROOT, dataset_of, facts_of

from bolts import write_bolts
from fieldmark.data.dataset import SPLITS, Dataset, Photo
from fieldmark.data.duplicates import near_duplicates
from fieldmark.data.groups import units_of
from fieldmark.data.lookalikes import near_copies
from fieldmark.data.reading import read_dataset
from fieldmark.data.scan import scan_photos
from fieldmark.data.split import cut, digest, read_splits, refuse_untrained, with_splits, write_splits
from fieldmark.errors import UserError


def splits_of(dataset: Dataset) -> dict[str, str]:
    return {photo.name: photo.split for photo in dataset.photos}


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [name for name in before if before[name] != after[name]]


def test_shares_hold_in_every_class() -> None:
    done = cut(dataset_of([10, 50, 100, 33]), None, seed=0)
    assert done.counts("train") == (8, 40, 80, 27)
    assert done.counts("val") == (1, 5, 10, 3)
    assert done.counts("test") == (1, 5, 10, 3)


def test_small_classes_train_first_then_test_then_val() -> None:
    done = cut(dataset_of([1, 2, 3, 4]), None, seed=0)
    assert done.counts("train") == (1, 1, 1, 2)
    assert done.counts("test") == (0, 1, 1, 1)
    assert done.counts("val") == (0, 0, 1, 1)


def test_cut_depends_on_seed_and_not_on_order() -> None:
    dataset = dataset_of([40, 40])
    first = splits_of(cut(dataset, None, seed=0))
    assert splits_of(cut(dataset.with_photos(dataset.photos[::-1]), None, seed=0)) == first
    assert splits_of(cut(dataset, None, seed=1)) != first


def test_a_class_is_cut_alike_whatever_other_classes_there_are() -> None:
    first, second = splits_of(cut(dataset_of([30]), None, seed=0)), splits_of(cut(dataset_of([30, 12]), None, seed=0))
    assert moved(first, second) == []


def test_without_pins_one_more_photo_moves_few() -> None:
    before, after = splits_of(cut(dataset_of([99]), None, seed=3)), splits_of(cut(dataset_of([100]), None, seed=3))
    assert len(moved(before, after)) <= 4


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    added=st.lists(st.integers(0, 15), min_size=5, max_size=5),
    groups=st.lists(st.sampled_from("abcdefgh"), min_size=0, max_size=30),
    seed=st.integers(0, 99),
)
def test_no_group_straddles_and_nothing_old_moves(
    counts: list[int], added: list[int], groups: list[str], seed: int
) -> None:
    named = [group if group > "c" else "" for group in groups] or None
    dataset = dataset_of(counts, groups=named)
    done = cut(dataset, None, seed=seed)
    assert all(photo.split in SPLITS for photo in done.photos)
    assert all(done.counts("train"))
    places = defaultdict(set)
    for photo in done.photos:
        places[photo.group or photo.name].add(photo.split)
    assert all(len(found) == 1 for found in places.values())
    units, _ = units_of(dataset.photos, None)
    if not named:
        for label, count in enumerate(counts):
            if count >= 3:
                assert all(done.counts(split)[label] for split in SPLITS)
            assert abs(done.counts("test")[label] - count / 10) <= 1
    assert len(set(units.tolist())) == len(places)
    more = dataset_of(added[: len(counts)], start=1000)
    grown = replace(dataset, photos=(*more.photos, *dataset.photos))
    again = cut(grown, None, seed=seed + 1, previous=splits_of(done))
    assert moved(splits_of(done), splits_of(again)) == []
    assert again.notes == ()


def test_whole_shares_hold_with_groups_across_classes() -> None:
    # Ten days in the field, every class on each of them.
    done = cut(dataset_of([50] * 6, groups=[f"day {day}" for day in range(10)]), None, seed=0)
    assert Counter(photo.split for photo in done.photos) == {"train": 240, "val": 30, "test": 30}


def test_a_class_in_one_group_is_trained_on() -> None:
    assert set(splits_of(cut(dataset_of([9], groups=["only"]), None, seed=0)).values()) == {"train"}


def test_units_that_the_earlier_cut_divided_are_cut_anew_if_that_is_asked_for() -> None:
    dataset = dataset_of([60, 60])
    previous = splits_of(cut(dataset, None, seed=0))
    names = [f"object {at % 15}" if at % 60 < 45 else "" for at in range(120)]
    grouped = dataset.with_photos(replace(p, group=name) for p, name in zip(dataset.photos, names, strict=True))
    done = cut(grouped, None, seed=1, previous=previous, mend=True)
    splits = {name: {p.split for p in done.photos if p.group == name} for name in names if name}
    assert all(len(found) == 1 for found in splits.values())
    assert set().union(*splits.values()) == set(SPLITS)  # so that val and test have their shares again
    assert {p.split for p in done.photos if not p.group and previous[p.name] != p.split} == set()
    (note,) = done.notes
    assert "separated by the earlier cut, and cut anew now: 11, such as 1/30.jpg (train), 1/15.jpg (val)" in note


def test_a_new_photo_joins_its_copy_and_torn_pins_are_told() -> None:
    dataset = dataset_of([30])
    previous = splits_of(cut(dataset, None, seed=0))
    test = next(at for at, photo in enumerate(dataset.photos) if previous[photo.name] == "test")
    train = next(at for at, photo in enumerate(dataset.photos) if previous[photo.name] == "train")
    new = Photo("0/new.jpg", ROOT / "0/new.jpg", 0)
    grown = dataset.with_photos((*dataset.photos, new))
    scan = facts_of(grown, **{f"p{test}": {"sha": "x"}, "p30": {"sha": "x"}})
    done = cut(grown, scan, seed=5, previous=previous)
    assert splits_of(done)["0/new.jpg"] == "test"
    scan = facts_of(grown, **{f"p{test}": {"sha": "x"}, f"p{train}": {"sha": "x"}})
    done = cut(grown, scan, seed=5, previous=previous)
    assert moved(previous, splits_of(done)) == []
    assert len(done.notes) == 1
    assert dataset.photos[test].name in done.notes[0]
    assert "(train)" in done.notes[0]


def test_official_splits_are_left_alone() -> None:
    dataset = dataset_of([20, 20])
    halves = dataset.with_photos(
        replace(photo, split="train" if at % 2 else "test") for at, photo in enumerate(dataset.photos)
    )
    assert cut(halves, None, seed=0) is halves
    held = cut(halves, None, seed=0, val_fraction=0.2)
    assert (held.counts("train"), held.counts("val"), held.counts("test")) == ((8, 8), (2, 2), (10, 10))
    assert [photo for photo in held.photos if photo.split == "test"] == [
        photo for photo in halves.photos if photo.split == "test"
    ]
    assert cut(held, None, seed=1, val_fraction=0.5) is held


def test_unlabelled_photos_belong_to_no_split() -> None:
    dataset = dataset_of([10])
    done = cut(dataset.with_photos((*dataset.photos, Photo("x.jpg", ROOT / "x.jpg"))), None, seed=0)
    assert splits_of(done)["x.jpg"] == ""


def test_a_class_without_training_photos_is_refused_by_name() -> None:
    dataset = dataset_of([4, 2])
    previous = {"1/0.jpg": "test", "1/1.jpg": "val"}
    with pytest.raises(UserError, match=r"1 of 2 classes have no training photo: class 1\."):
        cut(dataset, None, seed=0, previous=previous)
    nowhere = replace(dataset_of([4]), classes=("class 0", "nowhere"))
    refuse_untrained(cut(nowhere, None, seed=0))


NAMES = ["a.jpg", "line\nbreak.jpg", "vögel, 鳥.jpg", '"q"', "undecodable \udcff", " blank ", "=1", ""]


@pytest.mark.parametrize("names", [NAMES, [*NAMES, "carriage\r.jpg"]])
def test_splits_round_trip(tmp_path: Path, names: list[str]) -> None:
    photos = tuple(Photo(name, ROOT / name, 0, SPLITS[at % 3]) for at, name in enumerate(names))
    dataset = Dataset(ROOT, "folder", ("crow, \n fish",), (*photos, Photo("none", ROOT / "none")))
    write_splits(tmp_path / "splits.csv", dataset)
    splits = read_splits(tmp_path / "splits.csv")
    assert splits == splits_of(dataset)
    assert with_splits(dataset.with_photos(replace(p, split="") for p in dataset.photos), splits) == dataset
    if names is NAMES:
        assert (tmp_path / "splits.csv").read_bytes().startswith(b"name,label,split\na.jpg,")
    assert read_splits(tmp_path) == splits  # a run's folder
    assert not with_splits(dataset, {"other": "train"}).is_split


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("", "first line"),
        ("name,label,split\na,b,dev\n", "row 2"),
        ("name,label,split\na,b\n", "row 2"),
        ("name,label,split\na,b,val\na,b,val\n", "second time"),
        ('name,label,split\n"a,b,val\n', "row 2: not readable as CSV"),
    ],
)
def test_bad_splits_are_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_splits(tmp_path / "splits.csv")


def test_digest_sees_every_change_but_the_order(tmp_path: Path) -> None:
    photos = [Photo(f"{at}.jpg", tmp_path / f"{at}.jpg", at % 2, "train") for at in range(4)]
    for photo in photos:
        photo.path.write_bytes(b"x" * 10)
    dataset = Dataset(tmp_path, "folder", ("a", "b"), tuple(photos))
    first = digest(dataset)
    assert len(first) == 64
    assert digest(dataset.with_photos(photos[::-1])) == first
    changed = [
        dataset.with_photos(photos[1:]),
        dataset.with_photos([replace(photos[0], split="val"), *photos[1:]]),
        dataset.with_photos([replace(photos[0], label=1), *photos[1:]]),
        replace(dataset, classes=("a", "c")),
    ]
    assert len({first, *map(digest, changed)}) == 5
    photos[0].path.write_bytes(b"x" * 11)
    assert digest(dataset) != first


def test_bolts_on_one_bench_are_in_every_split_and_their_copies_stay_together(tmp_path: Path) -> None:
    root = write_bolts(tmp_path / "bolts")
    shutil.copy(root / "M40/0.jpg", root / "M48/exact.jpg")
    with Image.open(root / "M44/3.jpg") as picture:
        picture.save(root / "M40/encoded.jpg", quality=60)
    bolts = read_dataset(root)
    scan = scan_photos(bolts.photos, workers=0)
    assert [len(cluster) for cluster in near_duplicates([found.look for found in scan.facts])] == [32]
    for seed in range(3):
        done = cut(bolts, scan, seed=seed)
        assert all(1 <= count <= 2 for split in ("val", "test") for count in done.counts(split))
        places = splits_of(done)
        assert places["M40/0.jpg"] == places["M48/exact.jpg"]
        assert places["M44/3.jpg"] == places["M40/encoded.jpg"]
        assert len(done.notes) == 1
        assert "32 photos of 3 classes look alike" in done.notes[0]


def test_real_birds_keep_their_near_duplicates_and_are_told_nothing(shared_data: Path) -> None:
    birds = read_dataset(shared_data / "CUB_200_2011")
    birds = birds.with_photos(replace(photo, split="") for photo in birds.photos)
    scan = scan_photos(birds.photos, workers=0)
    near = near_copies(
        [found.look for found in scan.facts],
        [found.thumb for found in scan.facts],
        [photo.label for photo in birds.photos],
    )
    assert near.alike == ()
    assert list(near.copies) == near_duplicates([found.look for found in scan.facts])
    assert cut(birds, scan, seed=0).notes == birds.notes


def test_real_birds_are_cut_with_their_copies_together(shared_data: Path) -> None:
    birds = read_dataset(shared_data / "CUB_200_2011")
    birds = birds.with_photos(replace(photo, split="") for photo in birds.photos if (photo.label or 0) < 40)
    names = ("Bronzed_Cowbird_0025_796213.jpg", "Bronzed_Cowbird_0074_24045.jpg")
    scan = scan_photos([photo for photo in birds.photos if photo.name.endswith(names)], workers=0)
    for seed in range(4):
        done = cut(birds, scan, seed=seed)
        assert len({photo.split for photo in done.photos if photo.name.endswith(names)}) == 1
        shares = Counter(photo.split for photo in done.photos)
        assert shares["train"] / len(done.photos) == pytest.approx(0.8, abs=0.01)
        assert shares["test"] / len(done.photos) == pytest.approx(0.1, abs=0.01)
