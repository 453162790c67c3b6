"""What `check` finds in folders made to have it, and what it says of real photos."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bolts import write_bolts
from fieldmark.data.check import Finding, Report, check_dataset, class_findings
from fieldmark.data.dataset import Dataset, Photo
from fieldmark.data.reading import read_dataset
from fieldmark.data.scan import scan_photos
from fieldmark.errors import UserError


def picture(seed: int, size: tuple[int, int] = (120, 90)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (36, 48, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def save(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def report_of(root: Path) -> Report:
    dataset = read_dataset(root)
    return check_dataset(dataset, scan_photos(dataset.photos, workers=0))


def by_kind(report: Report) -> dict[str, Finding]:
    return {finding.kind: finding for finding in report.findings}


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Two classes of 12 photos each, split or not told by the test."""
    root = tmp_path / "birds"
    for label, name in enumerate(("crow", "raven")):
        for number in range(12):
            save(root / name / f"{number}.png", picture(label * 100 + number))
    return root


def test_a_sound_folder_has_no_findings(sound: Path) -> None:
    report = report_of(sound)
    assert report.findings == ()
    assert report.counts == {"all": (12, 12)}
    assert report.sizes["width"] == {"min": 120, "median": 120, "max": 120}
    assert report.formats == {"PNG": 24}


def test_damage_and_copies_are_found(sound: Path) -> None:
    (sound / "crow" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (sound / "crow" / "again.png").write_bytes((sound / "crow" / "0.png").read_bytes())
    (sound / "raven" / "wrong.png").write_bytes((sound / "crow" / "1.png").read_bytes())
    save(sound / "raven" / "small.jpg", picture(100).resize((80, 70)))
    found = by_kind(report_of(sound))
    assert list(found) == ["duplicates_across_classes", "exact_duplicates", "near_duplicates", "damaged"]
    assert found["damaged"].items[0][0] == "crow/broken.jpg"
    assert found["damaged"].severity == "error"
    assert {frozenset(row) for row in found["exact_duplicates"].items} == {
        frozenset(("crow/0.png", "crow/again.png")),
        frozenset(("crow/1.png", "raven/wrong.png")),
    }
    assert found["near_duplicates"].items == (("raven/0.png", "raven/small.jpg"),)
    assert [set(row) for row in found["duplicates_across_classes"].items] == [{"crow/1.png", "raven/wrong.png"}]


def test_leakage_comes_first(tmp_path: Path) -> None:
    root = tmp_path / "birds"
    for label, name in enumerate(("crow", "raven")):
        for number in range(11):
            save(root / "train" / name / f"{number}.png", picture(label * 100 + number))
        save(root / "test" / name / "x.png", picture(label * 100 + 50))
    (root / "train" / "crow" / "bad.jpg").write_bytes(b"")
    (root / "test" / "crow" / "same.png").write_bytes((root / "train" / "crow" / "0.png").read_bytes())
    mirrored = picture(101).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    save(root / "test" / "raven" / "like.jpg", mirrored)
    report = report_of(root)
    assert [finding.kind for finding in report.findings] == ["exact_across_splits", "near_across_splits", "damaged"]
    found = by_kind(report)
    assert found["exact_across_splits"].severity == "warning"
    assert set(found["near_across_splits"].items[0]) == {"train/raven/1.png", "test/raven/like.jpg"}


def classes_only(*splits: tuple[str, tuple[int, ...]], group: str = "") -> Dataset:
    photos = []
    for split, counts in splits:
        for label, count in enumerate(counts):
            names = [f"{split}/{label}/{number}.png" for number in range(count)]
            photos += [Photo(name, Path(name), label, split, group=group and f"{label}{group}") for name in names]
    return Dataset(Path("birds"), "folder", ("crow", "raven", "rook"), tuple(photos))


def test_classes_that_a_split_lacks() -> None:
    (finding,) = class_findings(classes_only(("train", (20, 20, 20)), ("test", (5, 0, 5))))
    assert (finding.kind, finding.items) == ("classes_missing_in_test", (("raven",),))
    with pytest.raises(UserError, match="no training photo: raven"):
        class_findings(classes_only(("train", (20, 0, 20)), ("test", (5, 5, 5))))
    (finding,) = class_findings(classes_only(("train", (20, 0, 20)), ("test", (5, 0, 5))))
    assert (finding.kind, finding.severity) == ("empty_classes", "note")
    assert class_findings(classes_only(("", (5, 5, 5)))) == ()
    (finding,) = class_findings(classes_only(("train", (5, 5, 5))), splits=("train", "val"))
    assert (finding.kind, finding.count) == ("classes_missing_in_val", 3)
    report = check_dataset(classes_only(("train", (20, 0, 20)), ("test", (5, 5, 5))), scan_photos([]))
    assert by_kind(report)["classes_missing_in_train"].severity == "error"


def test_imbalance_and_few_photos_of_the_training_split() -> None:
    report = check_dataset(classes_only(("train", (50, 5, 20)), ("test", (1, 1, 1))), scan_photos([]))
    found = by_kind(report)
    assert found["few_photos"].items == (("raven", "5"),)
    assert found["imbalance"].items == (("raven", "5"), ("crow", "50"))
    assert "--balance" in found["imbalance"].advice
    level = check_dataset(classes_only(("train", (49, 5, 20))), scan_photos([]))
    assert "imbalance" not in by_kind(level)


def test_groups_are_told() -> None:
    unsplit = by_kind(check_dataset(classes_only(("", (20, 20, 20)), group="g"), scan_photos([])))
    assert unsplit["groups"].count == 3
    assert unsplit["few_groups"].items == (("crow",), ("raven",), ("rook",))
    split = classes_only(("train", (20, 20, 20)), ("test", (5, 5, 5)), group="g")
    assert by_kind(check_dataset(split, scan_photos([])))["groups_across_splits"].count == 3


def test_sizes_and_remarks(sound: Path) -> None:
    save(sound / "crow" / "tiny.png", picture(1000, (48, 40)))
    save(sound / "crow" / "long.png", picture(1001, (500, 100)))
    save(sound / "crow" / "cmyk.jpg", picture(1002).convert("CMYK"))
    frames = [picture(seed).convert("P") for seed in (1003, 1004, 1005)]
    frames[0].save(sound / "crow" / "moves.gif", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    data = io.BytesIO()
    picture(1006).save(data, "JPEG", exif=exif)
    (sound / "crow" / "turned.jpg").write_bytes(data.getvalue())
    report = report_of(sound)
    found = by_kind(report)
    assert found["tiny"].items == (("crow/tiny.png", "48 x 40"),)
    assert found["extreme_aspect"].items == (("crow/long.png", "500 x 100"),)
    remarks = [finding for finding in report.findings if finding.kind == "remark"]
    assert {finding.items[0][0] for finding in remarks} == {"crow/cmyk.jpg", "crow/moves.gif", "crow/turned.jpg"}
    assert report.sizes["width"]["max"] == 500


def test_unlabelled_photos_are_counted() -> None:
    dataset = classes_only(("", (20, 20, 20)))
    dataset = dataset.with_photos([replace(dataset.photos[0], label=None), *dataset.photos[1:]])
    assert by_kind(check_dataset(dataset, scan_photos([])))["unlabelled"].count == 1


def test_report_as_json(sound: Path) -> None:
    for number in range(5):
        (sound / "crow" / f"broken [{number}]\n.jpg").write_bytes(b"")
    plain = json.loads(json.dumps(report_of(sound).to_json()))
    assert plain["format_version"] == 1
    assert plain["counts"] == {"all": [17, 12]}
    assert plain["cut"] == {"train": [10, 10], "val": [1, 1], "test": [1, 1]}
    assert [len(finding["items"]) for finding in plain["findings"]] == [5]
    assert set(plain["findings"][0]) == {"kind", "severity", "count", "text", "advice", "items"}


def test_examples_name_four_of_a_cluster_at_most() -> None:
    finding = Finding("near", "note", 1, "", "", (tuple(f"{at}.jpg" for at in range(30)), ("a", "b", "c", "d")))
    assert finding.examples == ("0.jpg = 1.jpg = 2.jpg = 3.jpg, and 26 more", "a = b = c = d")


def test_bolts_under_a_fixed_camera_are_no_copies_and_are_cut_as_train_would(tmp_path: Path) -> None:
    report = report_of(write_bolts(tmp_path / "bolts"))
    assert list(by_kind(report)) == ["look_alikes"]
    assert [len(row) for row in report.findings[0].items] == [30]
    assert report.cut == {"train": (8, 8, 8), "val": (1, 1, 1), "test": (1, 1, 1)}


def test_classes_that_the_cut_leaves_out_are_found(tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path / "crow" / f"{number}.png", picture(number))
        save(tmp_path / "raven" / "one nest" / f"{number}.png", picture(100 + number))
    found = by_kind(report_of(tmp_path))
    assert found["classes_missing_in_test"].items == found["classes_missing_in_val"].items == (("raven",),)


def test_real_birds(shared_data: Path) -> None:
    report = report_of(shared_data / "CUB_200_2011")
    assert report.photos == 1185
    assert sum(sum(counts) for counts in report.counts.values()) == 1185
    found = by_kind(report)
    assert "damaged" not in found
    assert "exact_across_splits" not in found
    # Two of the three pairs of one scene were parted by the official split.
    near = [found[kind].count for kind in ("near_across_splits", "near_duplicates") if kind in found]
    assert sum(near) == 3
    assert "duplicates_across_classes" not in found


@pytest.mark.parametrize(
    "names", [("crow", "Crow"), ("crow", " crow"), ("snow goose", "Snow_Goose"), ("fish", "\ufb01sh")]
)
def test_names_that_hardly_differ_are_found(names: tuple[str, str], sound: Path, tmp_path: Path) -> None:
    for folder, name in zip(("crow", "raven"), names, strict=True):
        (sound / folder).rename(sound / f"{name}~")
    for name in names:
        (sound / f"{name}~").rename(sound / name)
    report = report_of(sound)
    assert set(report.classes) == set(names)
    (finding,) = report.findings
    assert (finding.kind, finding.severity, set(finding.items[0])) == ("similar_class_names", "warning", set(names))
    (notice,) = class_findings(read_dataset(sound))
    assert notice == finding
    if " crow" in names:
        assert "' crow'" in finding.examples[0]  # the blank shows


def test_names_in_several_forms_of_unicode_are_found_in_folders_and_tables(sound: Path, tmp_path: Path) -> None:
    names = ("K\u00e4fer", "Ka\u0308fer")
    for folder, name in zip(("crow", "raven"), names, strict=True):
        (sound / folder).rename(sound / name)
    photos = [photo.name for photo in read_dataset(sound).photos]
    rows = "".join(f"birds/{name},{name.split('/')[0]}\n" for name in photos)
    (tmp_path / "list.csv").write_text(f"path,label\n{rows}", encoding="utf-8")
    for data in (sound, tmp_path / "list.csv"):
        found = by_kind(report_of(data))
        assert found["class_spellings"].items == ((names[1], names[0]),)
        assert [finding.kind for finding in class_findings(read_dataset(data))] == ["class_spellings"]


def test_a_class_that_training_knows_under_another_name_is_hinted_at() -> None:
    photos = [Photo(f"{split}/{label}", Path("x"), label, split) for split, label in (("train", 0), ("test", 1))]
    with pytest.raises(UserError, match=r"no training photo: Crow(.|\n)*One class under several names. Crow = crow"):
        class_findings(Dataset(Path("birds"), "folder", ("crow", "Crow"), tuple(photos)))
