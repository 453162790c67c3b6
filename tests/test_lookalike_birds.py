"""``benchmarks/lookalikes.py``: pairs by the measured size of their mark, the same data every time, and the plans."""

import csv
from itertools import product
from pathlib import Path
from statistics import median

import pytest

import lookalikes
from fieldmark.bench.plan import read_plan, runs_of
from fieldmark.birds.dataset import Species, draw_bird
from fieldmark.data.reading import read_dataset
from lookalikes import AREAS, PHOTOS, REDRAWS, area_in_pool, draw, main, mark_area, name_of, pairs_marked, pool_of

BENCHMARKS = Path(lookalikes.__file__).parent


@pytest.fixture(scope="module")
def species() -> dict[str, list[Species]]:
    """Two pairs with marks of each size."""
    return {marks: pairs_marked(marks, 0, pairs=2) for marks in AREAS}


@pytest.fixture
def few_test_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookalikes, "TEST_PHOTOS", 2)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "marks.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_pairs_are_twins(species: dict[str, list[Species]]):
    assert [len(birds) for birds in species.values()] == [4, 4]
    for birds in species.values():
        assert [bird.twin for bird in birds] == [birds[at].name for at in (1, 0, 3, 2)]


def test_the_size_of_a_mark_is_the_median_area_of_its_box(species: dict[str, list[Species]]):
    pair = species["small"][:2]
    areas = []
    for place in range(2):
        for number in range(3):
            box = draw_bird(pair[place], size=256, seed=[7, place, number]).marks[pair[place].telling_mark or ""]
            areas.append(box.width / 256 * box.height / 256)
    assert mark_area(pair, seed=[7]) == pytest.approx(median(areas))


def test_the_first_pairs_of_the_pool_that_are_measured_so(species: dict[str, list[Species]]):
    for marks, birds in species.items():
        last = pool_of(0).index(birds[-1])
        fitting = [pair for pair in range(last // 2 + 1) if AREAS[marks][0] <= area_in_pool(0, pair) <= AREAS[marks][1]]
        assert birds == [bird for pair in fitting for bird in pool_of(0)[2 * pair : 2 * pair + 2]]


@pytest.mark.slow
@pytest.mark.usefixtures("few_test_photos")
def test_marks_have_their_size_in_the_pictures(species: dict[str, list[Species]], tmp_path: Path):
    """Of pictures that they were not measured on."""
    areas: dict[str, list[float]] = {}
    for marks, birds in species.items():
        draw(tmp_path / marks, birds, photos=3, redraw=0)
        rows = [
            (row["species"], float(row["width"]) * float(row["height"]) / 256**2) for row in rows_of(tmp_path / marks)
        ]
        areas[marks] = [median(area for name, area in rows if name in (bird.name, bird.twin)) for bird in birds[::2]]
    assert max(areas["small"]) < 1.2 * AREAS["small"][1]
    assert min(areas["large"]) > AREAS["large"][0] / 1.2


@pytest.mark.usefixtures("few_test_photos")
def test_the_same_data_every_time_and_fewer_photos_are_the_first_of_more(
    species: dict[str, list[Species]], tmp_path: Path
):
    for name, photos in (("more", 3), ("again", 3), ("fewer", 1)):
        draw(tmp_path / name, species["small"][:2], photos=photos, redraw=1)
    more, fewer = contents(tmp_path / "more"), contents(tmp_path / "fewer")
    assert contents(tmp_path / "again") == more
    assert more.pop("groups.csv") == fewer.pop("groups.csv")
    del more["marks.csv"], fewer["marks.csv"]
    assert fewer.items() < more.items()
    assert {split: len(read_dataset(tmp_path / "more").of([split])) for split in ("train", "test")} == {
        "train": 6, "test": 4,
    }  # fmt: skip
    lacking = more.keys() - fewer.keys()
    assert len(lacking) == 4
    assert all(name.startswith("train/") for name in lacking)
    for name, pictures in (("more", more), ("fewer", fewer)):
        assert sorted(row["path"] for row in rows_of(tmp_path / name)) == sorted(pictures)


def test_redraws_have_other_species():
    assert not {bird.name for bird in pool_of(0)[:40]} & {bird.name for bird in pool_of(1)[:40]}


@pytest.mark.usefixtures("few_test_photos")
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[str, int, int]] = []

    def draw_less(folder: Path, birds: list[Species], *, photos: int, redraw: int) -> None:
        asked.append((folder.name, photos, redraw))
        draw(folder, birds, photos=1, redraw=redraw)

    monkeypatch.setattr(lookalikes, "draw", draw_less)
    call = [str(tmp_path), "--redraws", "1", "--pairs", "1", "--marks", "large", "--photos", "30", "10"]
    folders = [tmp_path / "birds-large-30-0", tmp_path / "birds-large-10-0"]
    assert main(call) == 0
    assert capsys.readouterr().out.splitlines() == [str(folder) for folder in folders]
    assert asked == [("birds-large-30-0", 30, 0), ("birds-large-10-0", 10, 0)]
    assert main(call) == 0
    assert not capsys.readouterr().out, "what is there is not drawn again"
    (folders[1] / "marks.csv").unlink()
    assert main(call) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_a_pool_without_so_many_pairs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(lookalikes, "POOL", 4)
    assert main([str(tmp_path), "--redraws", "1"]) == 2


def plan_name(marks: str, photos: int) -> str:
    return "lookalikes.toml" if (marks, photos) == ("small", 30) else f"lookalikes_{marks}_{photos}.toml"


@pytest.mark.parametrize(("marks", "photos"), [*product(AREAS, PHOTOS)])
def test_a_plan_for_each_kind_of_data(marks: str, photos: int):
    plan = read_plan(BENCHMARKS / plan_name(marks, photos))
    assert plan.data == tuple(name_of(marks, photos, redraw) for redraw in range(REDRAWS))
    assert {name: (source.path or Path()).name for name, source in plan.sets.items()} == {
        name: name for name in plan.data
    }
    assert [entry.name for entry in plan.entries] == ["plain", "pc", "mc-loss", "api-net", "cin", "s3n"]
    assert len(runs_of(plan)) == 36
    first = read_plan(BENCHMARKS / "lookalikes.toml")
    for run, other in zip(runs_of(plan), runs_of(first), strict=True):
        assert (run.entry.name, run.seed, run.asked(plan)) == (other.entry.name, 0, other.asked(first))
