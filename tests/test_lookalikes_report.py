"""``benchmarks/lookalikes_report.py`` against loops and SciPy's own tests, on made-up logits."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from canned import failed, result_of
from scipy import stats

from fieldmark.bench.results import Answers, json_path, npz_path, write_result
from fieldmark.birds.dataset import COLUMNS
from fieldmark.files import write_csv
from lookalikes_report import (
    cells_of,
    difference_of,
    figures_of,
    main,
    points,
    read_comparison,
    read_redraw,
)

ENTRIES, SPECIES, TEST_PHOTOS = ("plain", "pc", "cin"), 6, 5
Tables = dict[tuple[str, str], Answers]


def write_redraw(folder: Path) -> Path:
    """``marks.csv`` of 6 species; the marks' boxes in the test photos take 2, 4, ... 60 thousandths of 256 x 256."""
    rows = []
    for split, photos in (("test", TEST_PHOTOS), ("train", 2)):
        for species in range(SPECIES):
            for number in range(photos):
                width = 131.072 * (species * TEST_PHOTOS + number + 1) if split == "test" else 200
                path = f"{split}/s{species}/{number}.jpg"
                rows.append([path, f"s{species}", f"s{species ^ 1}", "cap", "red", 0, 0, width, 1, 0, 0, 9, 9])
    folder.mkdir(parents=True)
    write_csv(folder / "marks.csv", [COLUMNS, *rows])
    return folder


def answers_of(rng: np.random.Generator) -> Answers:
    """Logits of the test photos in an order of their own, of which some are right."""
    order = rng.permutation(SPECIES * TEST_PHOTOS)
    names = np.array([f"test/s{at // TEST_PHOTOS}/{at % TEST_PHOTOS}.jpg" for at in order])
    labels = order // TEST_PHOTOS
    logits = rng.normal(size=(len(order), SPECIES)) + 1.5 * np.eye(SPECIES)[labels]
    return Answers(names, labels, logits.astype(np.float32))


@pytest.fixture
def written(tmp_path: Path) -> Callable[[int], Tables]:
    """Writes so many redraws, a plan and its results below ``tmp_path``; returns the answers by entry and data."""

    def write(redraws: int) -> Tables:
        names = [f"birds-small-30-{redraw}" for redraw in range(redraws)]
        plan = f"format_version = 1\ndata = {names}\nseeds = [0]\n" + "".join(
            f'[[entry]]\nname = "{entry}"\n' for entry in ENTRIES
        )
        (tmp_path / "runs").mkdir()
        (tmp_path / "runs" / "plan.toml").write_text(plan, encoding="utf-8")
        rng, tables = np.random.default_rng(3), Tables()
        for name in names:
            write_redraw(tmp_path / "data" / name)
            for entry in ENTRIES:
                tables[entry, name] = answers_of(rng)
                write_result(tmp_path / "runs", result_of(entry, 0, data=name), tables[entry, name])
        return tables

    return write


def naive_figures(answers: Answers) -> tuple[float, float]:
    """Photo by photo."""
    right = inside = 0
    for name, label, logits in zip(*answers, strict=True):
        species = int(name.split("/")[1][1:])
        assert species == label
        twin = species + 1 if species % 2 == 0 else species - 1
        right += max(range(SPECIES), key=lambda at: logits[at]) == species
        inside += bool(logits[species] > logits[twin])
    return right / len(answers.names), inside / len(answers.names)


def test_figures_photo_by_photo(tmp_path: Path):
    redraw, answers = read_redraw(write_redraw(tmp_path / "x")), answers_of(np.random.default_rng(0))
    figures = figures_of(answers, redraw)
    assert tuple(figures) == pytest.approx(naive_figures(answers))
    assert 0 < figures.accuracy < figures.inside < 1


def test_a_tie_is_not_right_inside_a_pair(tmp_path: Path):
    redraw, answers = read_redraw(write_redraw(tmp_path / "x")), answers_of(np.random.default_rng(0))
    assert figures_of(answers._replace(logits=np.zeros_like(answers.logits)), redraw).inside == 0


def test_what_is_read_of_the_data(tmp_path: Path):
    redraw = read_redraw(write_redraw(tmp_path / "x"))
    assert len(redraw.species) == SPECIES * TEST_PHOTOS
    assert redraw.twins == {"s0": "s1", "s1": "s0", "s2": "s3", "s3": "s2", "s4": "s5", "s5": "s4"}
    assert redraw.photos == 2
    assert redraw.area == pytest.approx(0.031, rel=1e-4), "of the test photos alone"


def test_intervals_and_tests_are_students():
    rng = np.random.default_rng(1)
    values = {entry: rng.uniform(0.4, 0.9, 6).tolist() for entry in ENTRIES}
    cells = cells_of(values, "plain")
    tests = {entry: stats.ttest_rel(values[entry], values["plain"]) for entry in ("pc", "cin")}
    smaller, larger = sorted(tests, key=lambda entry: tests[entry].pvalue)
    corrected = {smaller: min(1, 2 * tests[smaller].pvalue)}
    corrected[larger] = min(1, max(corrected[smaller], tests[larger].pvalue))
    for entry in ENTRIES:
        ends = stats.ttest_1samp(values[entry], 0).confidence_interval(0.95)
        assert cells[entry].interval == pytest.approx((np.mean(values[entry]), ends.low, ends.high))
    for entry, test in tests.items():
        difference, ends = cells[entry].difference, test.confidence_interval(0.95)
        assert difference is not None
        mean = np.mean(values[entry]) - np.mean(values["plain"])
        assert difference.interval == pytest.approx((mean, ends.low, ends.high))
        assert difference.p == pytest.approx(test.pvalue)
        assert cells[entry].p == pytest.approx(corrected[entry])
    assert cells["plain"].difference is None


def test_differences_that_are_all_alike_or_alone():
    assert difference_of([0.0, 0.0, 0.0]).p == 1
    assert difference_of([0.25, 0.25, 0.25]).p == 0
    alone = difference_of([0.25])
    assert alone.interval.mean == 0.25
    assert np.isnan([alone.interval.low, alone.interval.high, alone.error, alone.df, alone.p]).all()


def test_the_report(written: Callable[[int], Tables], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tables = written(3)
    assert main([str(tmp_path / "data"), str(tmp_path / "runs")]) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "## birds-small-30\n\n3 redraws, each of 6 species with 2 training photos per species and 30 "
    )
    assert "takes 3.1 % of the picture (median)" in out
    assert "Few redraws" not in out
    rows = {row[1]: row for row in ([cell.strip() for cell in line.split("|")] for line in out.splitlines()) if row[1:]}
    naive = {key: naive_figures(answers) for key, answers in tables.items()}
    for entry in ENTRIES:
        for figure, column in ((0, 2), (1, 5)):
            mine = np.array([naive[entry, f"birds-small-30-{redraw}"][figure] for redraw in range(3)])
            plain = np.array([naive["plain", f"birds-small-30-{redraw}"][figure] for redraw in range(3)])
            assert rows[entry][column].startswith(f"{100 * mine.mean():.1f} (")
            expected = "" if entry == "plain" else f"{points((mine - plain).mean())} ("
            assert rows[entry][column + 1].startswith(expected)
            assert bool(rows[entry][column + 2]) == (entry != "plain")


def test_several_seeds_of_a_redraw_are_averaged(written: Callable[[int], Tables], tmp_path: Path):
    first, name, runs = written(1), "birds-small-30-0", tmp_path / "runs"
    plan = runs / "plan.toml"
    plan.write_text(plan.read_text("utf-8").replace("seeds = [0]", "seeds = [0, 1]"), encoding="utf-8")
    second = {entry: answers_of(np.random.default_rng(at)) for at, entry in enumerate(ENTRIES)}
    for entry, answers in second.items():
        write_result(runs, result_of(entry, 1, data=name), answers)
    figures = read_comparison(tmp_path / "data", runs).figures
    for entry in ENTRIES:
        both = np.mean([naive_figures(first[entry, name]), naive_figures(second[entry])], axis=0)
        assert tuple(figures[entry, name]) == pytest.approx(tuple(both))


@pytest.mark.parametrize("redraws", [1, 2])
def test_few_redraws_are_said(
    redraws: int, written: Callable[[int], Tables], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    written(redraws)
    assert main([str(tmp_path / "data"), str(tmp_path / "runs")]) == 0
    out = capsys.readouterr().out
    assert f"**Few redraws: {redraws}." in out
    assert (" to " in out.split("| plain |")[1].splitlines()[0]) == (redraws > 1)


def test_all_that_is_missing_is_named(
    written: Callable[[int], Tables], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    written(4)
    data, runs = tmp_path / "data", tmp_path / "runs"
    shutil.rmtree(data / "birds-small-30-0")
    json_path(runs, "birds-small-30-1-cin-seed0").unlink()
    npz_path(runs, "birds-small-30-2-pc-seed0").unlink()
    write_result(runs, failed(result_of("pc", 0, data="birds-small-30-3"), "no memory"))
    assert main([str(data), str(runs)]) == 2
    out, err = capsys.readouterr()
    assert not out
    lacking = ("birds-small-30-0", "birds-small-30-1-cin-seed0.json", "2-pc-seed0.npz", "3-pc-seed0 failed: no memory")
    assert all(name in err for name in lacking)
    assert "Traceback" not in err


def test_runs_on_other_photos_and_no_runs(
    written: Callable[[int], Tables], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    answers = written(1)["pc", "birds-small-30-0"]
    others = Answers(*(part[:-1] for part in answers))
    write_result(tmp_path / "runs", result_of("pc", 0, data="birds-small-30-0"), others)
    assert main([str(tmp_path / "data"), str(tmp_path / "runs")]) == 2
    assert "birds-small-30-0-pc-seed0: it was measured on other photos" in capsys.readouterr().err
    assert main([str(tmp_path / "data"), str(tmp_path / "nowhere")]) == 2
    assert "plan.toml; fieldmark bench run" in capsys.readouterr().err
