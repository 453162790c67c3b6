"""``benchmarks/imagenet_subsets.py`` on a made-up ImageNet: which classes are chosen, and where their photos lie."""

import csv
import sys
from pathlib import Path

import pytest
from timm.data.imagenet_info import ImageNetInfo

import imagenet_subsets
from fieldmark.bench.plan import read_plan
from fieldmark.recipes import ROWS
from imagenet_subsets import CLASSES, dogs, drawn

IDS = ImageNetInfo().label_names()
CHIHUAHUA, HAIRLESS, TENCH = "n02085620", "n02113978", "n01440764"


def imagenet(root: Path, names: tuple[str, ...], *, flat: bool = False) -> Path:
    """Two photos of each class to train on, one to validate; they are never opened."""
    for name in names:
        for place in (f"train/{name}/{name}_1.JPEG", f"train/{name}/{name}_2.JPEG"):
            write(root / place)
        write(root / (f"val/v_{name}.JPEG" if flat else f"val/{name}/v_{name}.JPEG"))
    return root


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff\xd8\xff")


def made(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> list[list[str]]:
    """The rows of the table that the script writes."""
    monkeypatch.setattr(sys, "argv", ["imagenet_subsets.py", *map(str, words)])
    imagenet_subsets.main()
    with Path(words[1]).open(newline="") as file:
        return list(csv.reader(file))


def test_the_breeds_are_those_of_imagenet_but_the_last():
    found = dogs(IDS)
    assert len(found) == CLASSES
    assert found[0] == CHIHUAHUA
    assert HAIRLESS not in found
    assert not {"n02114367", "n02115641", "n02120079"} & {*found}, "a wolf, a dingo and a fox are no breeds"


def test_each_draw_has_other_classes_and_always_the_same():
    draws = [drawn(IDS, number) for number in range(3)]
    assert [len({*draw}) for draw in draws] == [CLASSES] * 3
    assert draws[0] != draws[1] != draws[2]
    assert draws[0] == drawn(IDS[::-1], 0)


@pytest.mark.parametrize("flat", [False, True])
def test_a_table_of_dogs_has_validation_photos_as_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flat: bool):
    names = (TENCH, CHIHUAHUA, "n02085782")
    root = imagenet(tmp_path / "data", names, flat=flat)
    labels = tmp_path / "LOC_val_solution.csv"
    labels.write_text(
        "ImageId,PredictionString\n" + "".join(f"v_{name},{name} 1 2 3 4 {name} 5 6 7 8\n" for name in names)
    )
    more = ["--val-labels", labels] if flat else []
    header, *rows = made(monkeypatch, root, tmp_path / "dogs.csv", "--dogs", *more)
    assert header == ["path", "label", "split"]
    assert sorted((label, split) for _, label, split in rows) == sorted(
        (name, split) for name in names[1:] for split in ("train", "train", "test")
    )
    assert all(Path(path).is_file() for path, _, _ in rows)


def test_a_list_chooses_and_what_is_missing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    root = imagenet(tmp_path / "data", (TENCH, CHIHUAHUA))
    listed = tmp_path / "wnids.txt"
    listed.write_text(f"{TENCH} tench\n{CHIHUAHUA} Chihuahua\n\n")
    assert len(made(monkeypatch, root, tmp_path / "two.csv", "--classes", listed)) == 1 + 6
    listed.write_text(f"{TENCH}\n{HAIRLESS}\n")
    with pytest.raises(SystemExit, match="2"):
        made(monkeypatch, root, tmp_path / "none.csv", "--classes", listed)
    assert f"train has no photos of {HAIRLESS}" in capsys.readouterr().err
    other = imagenet(tmp_path / "other", ("ant", "bee"))
    for which in (["--dogs"], ["--random", "0"]):
        with pytest.raises(SystemExit, match="2"):
            made(monkeypatch, other, tmp_path / "none.csv", *which)
        assert "no classes are called by their WordNet ids" in capsys.readouterr().err
    assert not (tmp_path / "none.csv").exists()


def test_the_plan_chooses_the_weight_on_a_fifth_of_the_training_photos():
    plan = read_plan(Path(imagenet_subsets.__file__).with_name("pc_imagenet.toml"))
    assert plan.tuning.hold_out == 0.2
    assert {entry.recipe for entry in plan.entries} <= {*ROWS}
    weights = [trial["model.terms.0.weight"] for trial in plan.entries[1].trials]
    assert weights == sorted({*weights})
