"""Figures by level of groups, beside counts by hand, and how they are printed."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from fieldmark.confidence.taxonomy import Groups
from fieldmark.data.dataset import Dataset, Level
from fieldmark.evaluation.levels import measure_levels, print_levels, shares_by_level
from fieldmark.evaluation.statistics import share_interval

GROUPS = Groups(("gull", "kittiwake", "robin"), (Level("family", ("Laridae", "Laridae", "robin")),))
SHARES = np.array([[0.5, 0.45, 0.05], [0.02, 0.02, 0.96], [0.4, 0.3, 0.3], [0.9, 0.05, 0.05]])
LABELS = np.array([1, 2, 2, 1])


def test_counts_by_hand() -> None:
    found = measure_levels(SHARES, LABELS, GROUPS, certainties=(0.6, 0.92))
    assert found.right == (1, 3)
    assert found.accuracies == {"class": share_interval(1, 4), "family": share_interval(3, 4)}
    assert found.answers[0.6] == ((2, 2), (1, 1))  # robin and gull; twice Laridae
    assert found.answers[0.92] == ((1, 2), (1, 2))
    plain = found.to_json()
    assert plain["levels"][1] == {
        "level": "family", "groups": 2, "accuracy": 0.75, "interval": list(share_interval(3, 4)[1:]),
    }  # fmt: skip
    assert plain["answers"][1] == {
        "certainty": 0.92,
        "levels": [{"level": "class", "photos": 1, "right": 1}, {"level": "family", "photos": 2, "right": 2}],
        "unsure": 1,
    }


def test_shares_at_levels_that_data_bring() -> None:
    dataset = Dataset(Path("photos"), "folder", GROUPS.classes, (), levels=GROUPS.levels)
    assert shares_by_level(np.log(SHARES), LABELS, dataset) == {"family": 0.75}
    torn = (*GROUPS.levels, Level("order", ("one", "two", "three")))
    for levels in ((), torn):
        assert shares_by_level(np.log(SHARES), LABELS, replace(dataset, levels=levels)) == {}


def test_without_levels_it_is_top1() -> None:
    rng = np.random.default_rng(0)
    shares, labels = rng.dirichlet(np.ones(5), 50), rng.integers(0, 5, 50)
    found = measure_levels(shares, labels, Groups(tuple("abcde")))
    assert found.right == ((shares.argmax(1) == labels).sum(),)


def test_what_is_printed() -> None:
    console = Console(file=io.StringIO(), width=100, record=True)
    print_levels(measure_levels(SHARES, LABELS, GROUPS), console)
    said = " ".join(console.export_text().replace("│", " ").split())
    assert "class 3 25.00 4.6 to 69.9 family 2 75.00 30.1 to 95.4" in said
    assert "80% 50.0% (50.0%) 25.0% (100.0%) 25.0%" in said
    assert "95% 25.0% (100.0%) 50.0% (100.0%) 25.0%" in said
    assert "top1 is the likeliest class of all" in said
