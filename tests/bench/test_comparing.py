"""The figures of a comparison, against the same figures calculated otherwise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from canned import answers_of, photos_of, result_of, write_finals
from scipy import stats

from fieldmark.bench.comparing import BETTER, UNCLEAR, UNKNOWN, WORSE, tables_of
from fieldmark.bench.results import read_result, write_result
from fieldmark.errors import UserError
from fieldmark.evaluation.statistics import detectable, holm, paired_difference

RNG = np.random.default_rng(0)
PLAIN, PC, CIN = RNG.random((3, 60)) < 0.6, RNG.random((3, 60)) < 0.65, RNG.random((3, 60)) < 0.97


def test_rows_have_the_figures_of_their_runs(tmp_path: Path) -> None:
    write_finals(tmp_path, {"cin": CIN, "plain": PLAIN, "pc": PC})
    (table,) = tables_of(tmp_path)
    assert (table.data, table.photos) == ("birds", 60)
    assert [row.entry for row in table.rows] == ["plain", "pc", "cin"]
    plain, pc, cin = table.rows
    assert plain.comparison is None
    assert plain.top1.mean == pytest.approx(PLAIN.mean())
    half = stats.t.ppf(0.975, 2) * PLAIN.mean(1).std(ddof=1) / np.sqrt(3)
    assert plain.top1.high - plain.top1.mean == pytest.approx(half)
    assert plain.seconds == 111
    wanted = [paired_difference(one, PLAIN) for one in (PC, CIN)]
    assert pc.comparison
    assert cin.comparison
    assert [pc.comparison.difference, cin.comparison.difference] == wanted
    assert [pc.comparison.p, cin.comparison.p] == pytest.approx(holm([one.p for one in wanted]))
    assert pc.comparison.minimum_detectable == detectable(wanted[0].error, wanted[0].df, alpha=0.025)
    assert [pc.comparison.verdict, cin.comparison.verdict] == [UNCLEAR, BETTER]


def test_photos_are_paired_by_name(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN, "pc": PC})
    (straight,) = tables_of(tmp_path)
    order = RNG.permutation(60)
    for seed, row in zip((10, 11, 12), PC, strict=True):
        answers = answers_of(row)
        shuffled = type(answers)(*(column[order] for column in answers))
        write_result(tmp_path, read_result(tmp_path / f"results/birds-pc-seed{seed}.json"), shuffled)
    assert tables_of(tmp_path) == [straight]
    short = answers_of(PC[0])
    short = type(short)(*(column[5:] for column in short))
    write_result(tmp_path, replace(result_of("pc", 10), photos=photos_of(55)), short)
    (table,) = tables_of(tmp_path)
    assert table.photos == 55
    compared = table.rows[1].comparison
    assert compared
    assert compared.difference == paired_difference(PC[:, 5:], PLAIN[:, 5:])


def test_a_probe_stands_beside_each_seed(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN, "probe": CIN[:1]}, seeds=(10, 11, 12))
    (table,) = tables_of(tmp_path)
    compared = table.rows[1].comparison
    assert compared
    assert compared.seeds == (10, 11, 12)
    assert compared.difference == paired_difference(np.repeat(CIN[:1], 3, 0), PLAIN)


def test_a_probe_as_baseline(tmp_path: Path) -> None:
    write_result(tmp_path, replace(result_of("probe"), baseline="probe", photos=photos_of(60)), answers_of(CIN[0]))
    for seed, row in ((20, PLAIN[0]), (21, PLAIN[1])):
        result = replace(result_of("plain", seed), baseline="probe", photos=photos_of(60))
        write_result(tmp_path, result, answers_of(row))
    (table,) = tables_of(tmp_path)
    compared = table.rows[0].comparison
    assert compared
    assert (compared.seeds, compared.verdict) == ((20, 21), WORSE)
    assert table.rows[1].comparison is None


def test_seeds_that_are_not_shared(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN[:2]}, seeds=(10, 11))
    write_finals(tmp_path, {"pc": PC}, seeds=(11, 12, 13))
    write_finals(tmp_path, {"cin": CIN}, seeds=(20, 21, 22))
    (table,) = tables_of(tmp_path)
    plain, pc, cin = table.rows
    assert plain.comparison is None
    assert cin.comparison is None
    assert pc.comparison
    assert pc.comparison.seeds == (11,)
    assert pc.comparison.difference.interval.mean == pytest.approx(PC[0].mean() - PLAIN[1].mean())
    assert np.isnan(pc.comparison.p)
    assert pc.comparison.verdict == UNKNOWN


def test_no_final_run(tmp_path: Path) -> None:
    write_result(tmp_path, result_of("plain", 0, trial=0))
    (table,) = tables_of(tmp_path)
    assert table.rows == ()
    assert len(table.results) == 1


@pytest.mark.parametrize("part", [0, 0.5, 0.9])
def test_answers_that_end_too_early(part: float, tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN})
    path = tmp_path / "results" / "birds-plain-seed11.npz"
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=r"birds-plain-seed11.npz cannot be read"):
        tables_of(tmp_path)
    path.write_bytes(content[:100] + bytes(100) + content[200:])
    with pytest.raises(UserError, match=r"birds-plain-seed11.npz cannot be read"):
        tables_of(tmp_path)


def matched(folder: Path) -> list[np.ndarray]:
    """cin is held against pc, and pc and the others against plain."""
    tables = [PLAIN, PC, CIN]
    write_finals(folder, dict(zip(("plain", "pc", "cin"), tables, strict=True)))
    for seed, row in zip((10, 11, 12), CIN, strict=True):
        write_result(folder, replace(result_of("cin", seed), baseline="pc", photos=photos_of(60)), answers_of(row))
    return tables


def test_a_row_of_another_baseline_is_held_against_the_default_too(tmp_path: Path) -> None:
    plain, pc, cin = matched(tmp_path)
    (table,) = tables_of(tmp_path)
    assert table.default == "plain"
    assert [row.to_default for row in table.rows[:2]] == [None, None]
    row = table.rows[2]
    assert row.comparison
    assert row.to_default
    assert (row.comparison.baseline, row.to_default.baseline) == ("pc", "plain")
    wanted = [paired_difference(*pair) for pair in ((pc, plain), (cin, pc), (cin, plain))]
    shown = [comparison for _, comparison in table.comparisons]
    assert [one.difference for one in shown] == wanted
    # one correction for both kinds together
    assert [one.p for one in shown] == pytest.approx(holm([one.p for one in wanted]))
    assert table.corrected_for == 3
    assert shown[0].minimum_detectable == detectable(wanted[0].error, wanted[0].df, alpha=0.05 / 3)


def test_the_default_baseline_is_the_plan_s_or_the_one_most_named(tmp_path: Path) -> None:
    matched(tmp_path)
    (told,) = tables_of(tmp_path, "pc")
    assert told.default == "pc"
    assert [row.to_default and row.to_default.baseline for row in told.rows] == ["pc", None, None]
    (unknown,) = tables_of(tmp_path, "nothing")
    assert [row.to_default for row in unknown.rows] == [None] * 3
    for seed in (10, 11, 12):  # five runs of cin, but one entry
        write_result(tmp_path, replace(result_of("cin", seed, trial=0), baseline="pc"))
    write_result(tmp_path, replace(result_of("probe", 0), baseline="cin", photos=photos_of(60)), answers_of(PC[0]))
    (table,) = tables_of(tmp_path)
    assert table.default == "plain"


def test_class_sizes_are_those_of_the_photos_that_all_share(tmp_path: Path) -> None:
    write_finals(tmp_path, {"plain": PLAIN[:, :31]})
    (table,) = tables_of(tmp_path)
    assert sorted(table.class_sizes) == [15, 16]
    write_result(tmp_path, result_of("pc", 10), answers_of(PC[0, :8]))
    (table,) = tables_of(tmp_path)
    assert sorted(table.class_sizes) == [4, 4]
