"""One way in: every command sees the same photos, the same damaged ones and the same cut, and opens each file once."""

import json
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import fieldmark
import fieldmark.evaluation.probe
from fieldmark import bench
from fieldmark.bench import RunOptions
from fieldmark.data import scan as scan_module
from fieldmark.data.dataset import Box
from fieldmark.data.opening import (
    OpenedData,
    open_photos,
    refuse_boxless,
    refuse_missing_splits,
    refuse_unknown_names,
    refuse_without_boxes,
    without_damaged,
)
from fieldmark.data.reading import read_dataset
from fieldmark.data.scan import scan_photos
from fieldmark.data.split import read_splits
from fieldmark.errors import UserError
from fieldmark.images.decode import Limits, read_image
from fieldmark.input.loading import Photographs, loader_of
from fieldmark.training import session
from small_runs import KEYWORDS, small, train_small, write_photo, write_photos

BAD = ("ant/bad.jpg", "bee/half.jpg")
PLAN = """
format_version = 1
data = ["birds"]
seeds = [10]
[settings]
backbone = "test_resnet"
weights = "none"
size = 32
epochs = 1
batch = 8
precision = "fp32"
lr = 0.05
[tuning]
epochs = 1.0
[[entry]]
name = "plain"
trials = [{}, { clip = 1.0 }]
[[entry]]
name = "probe"
kind = "probe"
"""


@pytest.fixture
def wild(tmp_path: Path) -> Path:
    """Unsplit photos with damaged ones, a near copy, and sub-folders that stay together."""
    data = write_photos(tmp_path / "birds")
    for number in range(3):
        write_photo(data / "cat" / "one cage" / f"{number}.jpg", label=2, number=50 + number)
    write_photo(data / "bee" / "copy.jpg", label=1, number=0, size=(160, 128))
    (data / BAD[0]).write_bytes(b"bad")
    (data / BAD[1]).write_bytes((data / "bee" / "0.jpg").read_bytes()[:400])
    return data


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Photos with official splits, a damaged one in each, and none for validation."""
    data = tmp_path / "birds"
    for split, count in (("train", 8), ("test", 3)):
        write_photos(data / split, photos=count)
        (data / split / "ant" / "0.jpg").write_bytes(b"bad")
    return data


@pytest.fixture
def inspected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fills with the names of photos that a first pass opens, in this process."""
    names: list[str] = []
    inspect = scan_module.inspect_image

    def noted(path: Path, *, name: str, limits: Limits) -> object:
        names.append(name)
        return inspect(path, name=name, limits=limits)

    monkeypatch.setattr(scan_module, "inspect_image", noted)
    monkeypatch.setattr(scan_module, "PHOTOS_PER_WORKER", 10**9)
    monkeypatch.setattr(scan_module, "_cores", lambda: 0)
    return names


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fills with the names of photos whose pixels are read for a batch, in this process."""
    names: list[str] = []
    read = read_image

    def noted(path: Path, *, name: str, **how: object) -> object:
        names.append(name)
        return read(path, name=name, **how)

    def here(photos: Photographs, batches: list[list[tuple[int, int]]], *, workers: int, start: str | None) -> object:
        return loader_of(photos, batches, workers=0)

    monkeypatch.setattr("fieldmark.input.loading.read_image", noted)
    monkeypatch.setattr("fieldmark.evaluation.inference.loader_of", here)
    return names


def compared(data: Path, folder: Path, text: str = PLAN) -> list[dict]:
    """The results of a plan, tuning first."""
    folder.parent.mkdir(exist_ok=True)
    plan = folder.parent / "plan.toml"
    plan.write_text(text)
    said = RunOptions(data=(f"birds={data}",), workers=0, device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "draw_curves", lambda path, rows: path.touch())
        tally = bench.run(plan, folder, options=said)
    assert (tally.failed, tally.left) == (0, 0)
    results = [json.loads(path.read_text()) for path in (folder / "results").glob("*.json")]
    return sorted(results, key=lambda result: (result["phase"] != "tune", result["key"]))


def probe_of(data: Path, **more: object) -> "fieldmark.evaluation.probe.Probed":
    (probed,) = fieldmark.probe(data, backbones=["test_resnet"], weights="none", size=32, device="cpu", **more)
    return probed


def test_all_commands_see_the_same_photos_damage_and_cut(wild: Path, tmp_path: Path) -> None:
    opened = open_photos(read_dataset(wild)).split(seed=0)
    assert [line.split(":")[0] for line in opened.damaged] == list(BAD)
    cut = {photo.name: photo.split for photo in opened.dataset.photos}
    sizes = Counter(cut.values())
    assert cut["bee/0.jpg"] == cut["bee/copy.jpg"]
    assert len({split for name, split in cut.items() if "one cage" in name}) == 1

    report = fieldmark.check(wild)
    (damage,) = [finding for finding in report.findings if finding.kind == "damaged"]
    assert [f"{name}: {reason}" for name, reason in damage.items] == list(opened.damaged)
    assert {split: sum(counts) for split, counts in report.cut.items()} == sizes

    probed = probe_of(wild, split="test")
    assert set(probed.names) == {name for name, split in cut.items() if split == "test"}
    assert (probed.trained, probed.damaged) == (sizes["train"], opened.damaged)

    told = train_small(wild, tmp_path / "run", small(epochs=1, size=32))
    assert [line for line in told if line.startswith("left out: ")] == [f"left out: {line}" for line in opened.damaged]
    assert read_splits(tmp_path / "run") == cut

    measured = fieldmark.evaluate(tmp_path / "run")
    assert set(measured.names) == set(probed.names)
    every = fieldmark.evaluate(tmp_path / "run", split="all")
    assert (set(every.names), every.damaged) == (set(cut), opened.damaged)
    known = ("photos tell top-1 to ±", "the run was trained on ")
    assert all(any(words in note for words in known) for note in every.notes), "and nothing of the data"

    results = compared(wild, tmp_path / "compared")
    assert read_splits(tmp_path / "compared/splits/birds.csv") == cut
    for result in results:
        assert result["damaged"] == list(opened.damaged)
        wanted = "val" if result["phase"] == "tune" else "test"
        assert (result["measured_on"], result["photos"]["measured"]) == (wanted, sizes[wanted])
    assert {result["photos"].get("trained") for result in results} == {None, sizes["train"]}


def test_a_comparison_opens_each_photo_once_in_all(
    official: Path, tmp_path: Path, inspected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = compared(official, tmp_path / "compared")
    assert len(results) == 4
    assert sorted(inspected) == sorted(photo.name for photo in read_dataset(official).of(["train"]))
    trials, finals = results[:2], results[2:]
    assert [result["photos"] for result in trials] == [{"measured": 6, "classes": 3}] * 2
    assert [result["photos"] for result in finals] == [{"measured": 8, "classes": 3, "trained": 23}] * 2
    for result, names in [
        (trials[0], ["train/ant/0.jpg"]),
        *((one, ["train/ant/0.jpg", "test/ant/0.jpg"]) for one in finals),
    ]:
        assert [line.split(":")[0] for line in result["damaged"]] == names
    inspected.clear()
    compared(official, tmp_path / "compared", PLAN.replace("seeds = [10]", "seeds = [10, 11]"))
    assert inspected == []


def test_what_is_too_large_for_one_recipe_of_a_comparison_is_left_out_for_all(official: Path, tmp_path: Path) -> None:
    write_photo(official / "train/cat/large.jpg", label=2, number=70, size=(400, 300))
    plain = PLAN.replace("trials = [{}, { clip = 1.0 }]", 'set = { "pixels.megapixels" = 0.1 }')
    for result in compared(official, tmp_path / "compared", plain):
        names = [line.split(":")[0] for line in result["damaged"]]
        assert names == ["train/ant/0.jpg", "train/cat/large.jpg", "test/ant/0.jpg"]
        assert result["photos"]["trained"] == 23


def test_training_and_probing_open_no_official_test_photo(
    official: Path, tmp_path: Path, inspected: list[str], decoded: list[str]
) -> None:
    train_small(official, tmp_path / "run", small(epochs=1, size=32, hold_out=0.3))
    probe_of(official)
    assert {name.split("/")[0] for name in (*inspected, *decoded)} == {"train"}
    inspected.clear()
    decoded.clear()
    assert fieldmark.evaluate(tmp_path / "run").metrics.n == 8
    assert (inspected, len(decoded)) == ([], 9)  # each once


def test_evaluation_opens_no_file_that_the_run_found_damaged(wild: Path, tmp_path: Path, decoded: list[str]) -> None:
    train_small(wild, tmp_path / "run", small(epochs=1, size=32))
    decoded.clear()
    before = fieldmark.evaluate(tmp_path / "run", split="all")
    assert len(before.damaged) == 2
    assert max(Counter(decoded).values()) == 1
    assert not set(BAD) & set(decoded)
    shutil.copy(wild / "ant" / "1.jpg", wild / BAD[0])  # mended
    after = fieldmark.evaluate(tmp_path / "run", split="all")
    assert (len(after.damaged), after.metrics.n) == (1, before.metrics.n + 1)


def opened_of(root: Path) -> OpenedData:
    return open_photos(read_dataset(root))


def test_what_was_left_out_is_told(wild: Path) -> None:
    opened = opened_of(wild)
    assert [line.split(": ")[:2] for line in opened.remarks] == [["left out", name] for name in BAD]
    small = open_photos(read_dataset(wild), megapixels=0.01)
    assert any("pixels.megapixels=N" in line for line in small.remarks)
    assert {photo.name for photo in small.dataset.photos} < {photo.name for photo in opened.dataset.photos}
    with pytest.raises(UserError, match=r"2 of 36 photos cannot be read: ant/bad\.jpg: .*; bee/half\.jpg: "):
        opened.refuse_damage(strict=True)
    opened.refuse_damage()


def test_nothing_sound_is_refused(tmp_path: Path) -> None:
    for photo in write_photos(tmp_path / "photos").rglob("*.jpg"):
        photo.write_bytes(b"bad")
    opened = opened_of(tmp_path / "photos")
    with pytest.raises(UserError, match=r"30 of 30 photos cannot be read: .*; and 25 more\.\nReplace"):
        opened.refuse_damage()
    report = fieldmark.check(tmp_path / "photos")  # which refuses nothing
    assert (report.findings[0].kind, report.findings[0].count) == ("damaged", 30)


def test_only_the_splits_that_are_asked_for_are_opened(official: Path) -> None:
    dataset = read_dataset(official)
    opened = open_photos(dataset, splits=["test"])
    assert {facts.name.split("/")[0] for facts in opened.scan.facts} == {"test"}
    assert len(opened.dataset.photos) == len(dataset.photos) - 1
    assert [line.split(":")[0] for line in opened.damaged] == ["test/ant/0.jpg"]
    assert not opened.split(seed=0).was_cut


def test_photos_are_held_out_of_the_training_split(official: Path) -> None:
    opened = open_photos(read_dataset(official), splits=["train", "val"])
    held = opened.split(seed=0, hold_out=0.25)
    assert [len(held.dataset.of([split])) for split in ("train", "val", "test")] == [17, 6, 9]
    assert not held.was_cut
    pinned = opened.split(seed=0, hold_out=0.25, pinned={photo.name: "train" for photo in opened.dataset.photos})
    assert pinned == held  # pins are of a cut, and official splits are not cut


def test_an_earlier_cut_pins(photos: Path) -> None:
    opened = opened_of(photos)
    first = opened.split(seed=0)
    pins = {photo.name: photo.split for photo in first.dataset.photos}
    assert first.was_cut
    assert opened.split(seed=7, pinned=pins) == first
    assert opened.split(seed=7) != first


def test_splits_that_are_not_there_are_named(photos: Path, official: Path) -> None:
    for dataset, there in ((read_dataset(photos), "train, val, test"), (read_dataset(official), "test, train")):
        refuse_missing_splits(dataset, ["train", "test"], source="--split")
        with pytest.raises(UserError, match=rf"^--split 'tset': .* has no such split; it has {there}$"):
            refuse_missing_splits(dataset, ["train", "tset"], source="--split")
    with pytest.raises(UserError, match="it has test, train"):
        refuse_missing_splits(read_dataset(official), ["val"], source="--split")


def test_names_of_other_photos_are_refused(photos: Path) -> None:
    dataset = read_dataset(photos)
    refuse_unknown_names(dataset, {"ant/0.jpg": "train", "x": "val"}, source="old.csv", advice="look")
    for splits, theirs in (({"images/ant/0.jpg": "train"}, r"images/ant/0\.jpg"), ({}, "")):
        text = rf"^old\.csv names none of the 30 photos in .*such as {theirs}, the photos such as ant/0\.jpg;\nlook$"
        with pytest.raises(UserError, match=text):
            refuse_unknown_names(dataset, splits, source="old.csv", advice="look")


def test_few_names_in_common_are_refused_and_photos_that_came_or_went_are_not(photos: Path) -> None:
    dataset = read_dataset(photos)
    names = [photo.name for photo in dataset.photos]
    moved = {f"images/{name}": "train" for name in names}
    for count in (0, 1, 14):
        few = {**moved, **dict.fromkeys(names[:count], "val")}
        with pytest.raises(
            UserError, match=rf"names {count or 'none'} of the 30 .*such as images/.*such as {names[count]}"
        ):
            refuse_unknown_names(dataset, few, source="old.csv", advice="look")
    for known in (
        dict.fromkeys(names[:1], "val"),
        dict.fromkeys(names, "val") | {f"gone/{at}": "val" for at in range(99)},
    ):
        refuse_unknown_names(dataset, known, source="old.csv", advice="look")


def test_boxes_that_are_missing_are_counted(photos: Path) -> None:
    chosen = list(read_dataset(photos).photos[:3])
    boxed = [replace(photo, box=Box(0, 0, 9, 9)) for photo in chosen]
    refuse_without_boxes(boxed)
    with pytest.raises(UserError, match=r"^--fit box: 2 of 3 photos have no box, such as ant/1\.jpg;\ngive a table"):
        refuse_without_boxes([boxed[0], *chosen[1:]])
    refuse_boxless([boxed[0], *chosen[1:]])
    with pytest.raises(
        UserError, match=r"^--localization needs boxes .* none of these 3 photos has one;\ngive a table"
    ):
        refuse_boxless(chosen)


def test_photos_that_a_scan_does_not_know_stay(photos: Path) -> None:
    dataset = read_dataset(photos)
    some = scan_photos(dataset.photos[:3], workers=0)
    assert without_damaged(dataset, some) == OpenedData(dataset, some)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"train_on": "train+extra"}, "--train-on 'extra'"),
        ({"splits": Path("nowhere.csv")}, "nowhere.csv: the table cannot be read"),
        ({"splits": Path("moved.csv")}, "--splits .*moved.csv names none of the 36 photos"),
        ({"hold_out": 0.2}, "--hold-out"),
        ({"fit": "box"}, "36 of 36 photos have no box"),
    ],
)
def test_train_refuses_by_names_before_a_photo_is_opened(
    options: dict, said: str, wild: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "moved.csv").write_text("name,label,split\nphotos/ant/0.jpg,ant,train\n")
    if "splits" in options:
        options = options | {"splits": tmp_path / options["splits"]}
    monkeypatch.setattr("fieldmark.data.opening.scan_photos", None)
    with pytest.raises(UserError, match=said) as error:
        fieldmark.train(wild, tmp_path / "run", **{**KEYWORDS, **options})
    assert len(str(error.value).splitlines()) <= 3
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"splits": Path("run")}, "the data already have splits"), ({"train_on": "val"}, "--train-on 'val'")],
)
def test_train_refuses_what_official_splits_forbid(
    options: dict, said: str, official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/splits.csv").write_text("name,label,split\ntrain/ant/1.jpg,ant,train\n")
    if "splits" in options:
        options = options | {"splits": tmp_path / options["splits"]}
    monkeypatch.setattr("fieldmark.data.opening.scan_photos", None)
    with pytest.raises(UserError, match=said):
        fieldmark.train(official, tmp_path / "new", **{**KEYWORDS, **options})


@pytest.mark.parametrize(
    "change", [lambda name: name.replace("/", "\\"), lambda name: unicodedata.normalize("NFD", name)]
)
def test_splits_that_were_made_on_another_system_fit(
    change: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_photos(tmp_path / "photos", classes=("ant", "K\u00e4fer"))
    splits = {photo.name: "test" if photo.name.endswith("3.jpg") else "train" for photo in read_dataset(data).photos}
    rows = "".join(f'"{change(name)}",x,{split}\n' for name, split in splits.items())
    (tmp_path / "splits.csv").write_text(f"name,label,split\n{rows}gone.jpg,x,val\n", encoding="utf-8")
    told = train_small(data, tmp_path / "run", small(epochs=1, size=32, splits=tmp_path / "splits.csv"))
    made = read_splits(tmp_path / "run")
    assert made == splits
    assert any("1 of" in line and "names there match no photo, such as gone.jpg" in line for line in told)


def test_the_folder_of_a_run_gives_its_splits(photos: Path, trained: Path, tmp_path: Path) -> None:
    fieldmark.train(photos, tmp_path / "run", **{**KEYWORDS, "epochs": 1, "seed": 9, "splits": trained})
    assert read_splits(tmp_path / "run") == read_splits(trained)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "tset"}, "--split 'tset'"),
        ({"train_on": ["trian"]}, "--train-on 'trian'"),
        ({"train_on": ["val"]}, "add --split test"),
    ],
)
def test_probe_refuses_by_names_before_a_photo_is_opened(
    options: dict, said: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldmark.data.opening.scan_photos", None)
    with pytest.raises(UserError, match=said):
        probe_of(photos, **options)


@pytest.mark.parametrize("more", ['train_on = "extra"', 'fit = "box"', 'method = "nothing"'])
def test_a_comparison_refuses_by_names_before_a_photo_is_opened(
    more: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldmark.data.opening.scan_photos", None)
    with pytest.raises(UserError, match="wrong"):
        compared(photos, tmp_path / "out", PLAN + f'[[entry]]\nname = "wrong"\n{more}\n')
    assert not (tmp_path / "out").exists()
