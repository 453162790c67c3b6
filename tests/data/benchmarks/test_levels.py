"""The levels above a benchmark's classes: NABirds' tree, FGVC-Aircraft's annotations, and what is no level."""

from pathlib import Path

import layouts
import pytest

from fieldmark.confidence.taxonomy import Groups
from fieldmark.data.benchmarks.levels import PhotoLevels, tree_levels
from fieldmark.data.dataset import Level
from fieldmark.data.reading import read_dataset
from fieldmark.errors import UserError

# As in NABirds: orders, families, species, and plumages below some of these.
NAMES = {0: "Birds", 1: "Ducks", 2: "Gulls", 11: "Geese", 12: "Swans", 21: "Gulls", 111: "Snow Goose"}
NAMES |= {1111: "Snow Goose (White)", 1112: "Snow Goose (Blue)", 121: "Mute Swan", 211: "Herring Gull", 3: "Osprey"}
PATHS = {1111: [1, 11, 111, 1111], 1112: [1, 11, 111, 1112], 121: [1, 12, 121], 211: [2, 21, 211], 3: [3]}


def lines(path: Path, *texts: str) -> None:
    path.write_text("\n".join([*texts, ""]), "utf-8")


def test_levels_of_a_tree() -> None:
    classes = tuple(NAMES[node] for node in PATHS)
    levels = tree_levels(PATHS, classes, NAMES)
    assert levels == [Level("level 3", ("Snow Goose", "Snow Goose", "Mute Swan", "Herring Gull", "Osprey")),
                      Level("level 1", ("Ducks", "Ducks", "Ducks", "Gulls", "Osprey"))]  # fmt: skip
    assert Groups(classes, tuple(levels)).names == ("class", "level 3", "level 1")  # level 2 joins nothing more


def test_namesakes_on_other_branches_are_told_apart() -> None:
    paths = {11: [1, 11], 12: [1, 12], 21: [2, 21], 22: [2, 22], 3: [3], 31: [3, 31]}
    names = {1: "Thrushes", 2: "Thrushes", 3: "Robin", 11: "a", 12: "b", 21: "c", 22: "d", 31: "e"}
    (level,) = tree_levels(paths, ("a", "b", "c", "d", "Robin", "e"), names)
    assert level.groups == ("Thrushes (1)", "Thrushes (1)", "Thrushes (2)", "Thrushes (2)", "Robin", "Robin")
    Groups(("a", "b", "c", "d", "Robin", "e"), (level,))
    names[1] = "d"  # a class elsewhere is called like it
    assert tree_levels(paths, ("a", "b", "c", "d", "Robin", "e"), names)[0].groups[0] == "d (1)"


def test_nabirds_has_the_levels_of_its_hierarchy(tmp_path: Path) -> None:
    root = layouts.nabirds(tmp_path)
    assert read_dataset(root).levels == ()  # no two classes lie together below the root
    lines(root / "hierarchy.txt", "1 0", "295 1", "817 1", "1010 0")
    dataset = read_dataset(root)
    ducks = "Ducks, Geese, and Swans"
    assert dataset.levels == (Level("level 1", (ducks, ducks, "Oak Titmouse (1010)")),)
    assert dataset.levels[0].groups[0] == ducks
    Groups(dataset.classes, dataset.levels)


@pytest.mark.parametrize(
    ("hierarchy", "said"),
    [
        (["1 0", "295 x"], "line 2: 'x' must be a whole number"),
        (["1 0", "295 77"], "line 2: class 77 is not in classes.txt"),
        (["295 0", "295 1"], "line 2: class 295 already has another parent, 0"),
        (["295 1", "1 295"], "lies in a circle of parents"),
    ],
)
def test_damaged_hierarchies_are_named(hierarchy: list[str], said: str, tmp_path: Path) -> None:
    root = layouts.nabirds(tmp_path)
    lines(root / "hierarchy.txt", *hierarchy)
    with pytest.raises(UserError, match=r"hierarchy\.txt") as caught:
        read_dataset(root)
    assert said in str(caught.value)


def test_aircraft_has_the_levels_above_its_annotation(tmp_path: Path) -> None:
    root = layouts.aircraft(tmp_path)
    variants, families, makers = (read_dataset(root, annotation=name) for name in ("variant", "family", "manufacturer"))
    family = Level("family", ("Boeing 707", "F/A-18", "Saab 2000"))
    manufacturer = Level("manufacturer", ("Boeing", "Boeing", "Saab"))
    assert variants.levels == (family, manufacturer)
    assert families.levels == (manufacturer,)
    assert makers.levels == ()
    assert not any("level" in note for note in variants.notes)
    Groups(variants.classes, variants.levels)


def test_an_annotation_that_is_no_level_is_left_out_and_told(tmp_path: Path) -> None:
    root = layouts.aircraft(tmp_path)
    path = root / "data" / "images_manufacturer_train.txt"
    lines(path, *path.read_text().replace("Boeing", "Airbus", 1).splitlines())
    dataset = read_dataset(root)
    assert [level.name for level in dataset.levels] == ["family"]
    assert "the level manufacturer is left out: 707-320 lies in Airbus and in Boeing" in dataset.notes
    path.unlink()
    assert [level.name for level in read_dataset(root).levels] == ["family"]


def test_torn_groups_and_gaps() -> None:
    found = PhotoLevels(("a", "b", "c"), {"1": 0, "2": 1, "3": 2})
    found.add("fine", {"1": "x", "2": "x", "3": "y"})
    found.add("coarse", {"1": "p", "2": "q", "3": "q"})
    found.add("other", {"1": "p", "2": "p"})
    assert found.levels == [Level("fine", ("x", "x", "y"))]
    assert found.notes == [
        "the level coarse is left out: x lies in p and in q",
        "the level other is left out: c lies in no group",
    ]
