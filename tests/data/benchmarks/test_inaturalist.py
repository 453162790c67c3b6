"""Levels that names of classes carry: those of iNaturalist 2021, namesakes, and names that carry none."""

from pathlib import Path

import pytest

from fieldmark.confidence.taxonomy import Groups
from fieldmark.data.benchmarks.inaturalist import RANKS, levels_of
from fieldmark.data.dataset import Level
from fieldmark.data.reading import read_dataset
from fieldmark.runs.folder import groups_of
from small_runs import SMALL, train_small, write_photo

WORM = "00000_Animalia_Annelida_Clitellata_Haplotaxida_Lumbricidae_Lumbricus_terrestris"
GANNET = "03111_Animalia_Chordata_Aves_Suliformes_Sulidae_Morus_bassanus"
BOOBY = "03112_Animalia_Chordata_Aves_Suliformes_Sulidae_Sula_dactylatra"
SHAG = "03113_Animalia_Chordata_Aves_Suliformes_Phalacrocoracidae_Phalacrocorax_novae-hollandiae"
MULBERRY = "09001_Plantae_Tracheophyta_Magnoliopsida_Rosales_Moraceae_Morus_alba"
RED = "09002_Plantae_Tracheophyta_Magnoliopsida_Rosales_Moraceae_Morus_rubra"


def folder(root: Path, names: list[str]) -> Path:
    for label, name in enumerate(names):
        write_photo(root / name / "0.jpg", label=label, number=0)
    return root


def test_levels_of_folders(tmp_path: Path) -> None:
    dataset = read_dataset(folder(tmp_path / "photos", [WORM, GANNET, BOOBY, SHAG, MULBERRY, RED]))
    bird, plant = (
        "Morus (Animalia Chordata Aves Suliformes Sulidae)",
        "Morus (Plantae Tracheophyta Magnoliopsida Rosales Moraceae)",
    )
    assert dataset.levels == (
        Level("genus", ("Lumbricus", bird, "Sula", "Phalacrocorax", plant, plant)),
        Level("family", ("Lumbricidae", "Sulidae", "Sulidae", "Phalacrocoracidae", "Moraceae", "Moraceae")),
        Level("order", ("Haplotaxida", "Suliformes", "Suliformes", "Suliformes", "Rosales", "Rosales")),
        Level("kingdom", ("Animalia", "Animalia", "Animalia", "Animalia", "Plantae", "Plantae")),
    )
    assert Groups(dataset.classes, dataset.levels).names == ("class", "genus", "family", "order", "kingdom")
    assert dataset.notes == ()


def test_a_table_has_them_too(tmp_path: Path) -> None:
    folder(tmp_path / "photos", [GANNET, BOOBY, SHAG])
    rows = [f"photos/{name}/0.jpg,{name}" for name in (GANNET, BOOBY, SHAG)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))
    assert [level.name for level in read_dataset(tmp_path / "list.csv").levels] == ["family"]


@pytest.mark.parametrize(
    "name",
    [
        "robin",
        WORM.removeprefix("00000_"),
        WORM.replace("_Lumbricidae", ""),
        WORM.replace("Lumbricidae", ""),
        WORM.replace("Lumbricidae", "lumbricidae"),
        WORM.replace("Lumbricidae", "<b>"),
        WORM.replace("terrestris", ""),
        WORM.replace("terrestris", "0"),
    ],
)
def test_where_some_names_carry_none_there_is_no_level(name: str, tmp_path: Path) -> None:
    dataset = read_dataset(folder(tmp_path, [GANNET, BOOBY, name]))
    assert dataset.levels == ()
    (note,) = dataset.notes
    assert note.startswith("2 of 3 classes are named as in iNaturalist 2021, others are not (such as ")
    assert note.endswith("): no groups are taken from names")


def test_names_without_any_levels_go_without_a_word(photos: Path) -> None:
    assert (read_dataset(photos).levels, read_dataset(photos).notes) == ((), ())


def test_namesakes_along_one_path_keep_their_name() -> None:
    one, other = (("Aaa",) * 3 + tail for tail in (("B", "C", "D"), ("F", "G", "Aaa")))
    levels = levels_of([one, one, other])
    assert levels == (Level("genus", ("D", "D", "Aaa")),)
    assert Groups(("x", "y", "z"), levels).names == ("class", "genus")
    assert len(RANKS) == len(one)


def test_a_run_has_them(tmp_path: Path) -> None:
    data = tmp_path / "photos"
    for label, name in enumerate((GANNET, BOOBY, MULBERRY)):
        for number in range(8):
            write_photo(data / name / f"{number}.jpg", label=label, number=number)
    told = train_small(data, tmp_path / "run", SMALL)
    assert "groups above the 3 classes: family (2)" in told
    groups = groups_of(tmp_path / "run")
    assert groups is not None
    assert groups.levels[0].groups == ("Sulidae", "Sulidae", "Moraceae")
