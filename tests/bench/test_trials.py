"""What is said of trials: how sure their figures are, and which winners lie at an edge."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from canned import failed, photos_of, result_of

from fieldmark.bench.records import Result
from fieldmark.bench.trials import accuracy_error, at_the_edge

RATE, WEIGHT = "stages.0.optimiser.lr", "model.terms.0.weight"


def trials(entry: str, tried: Sequence[tuple[Mapping[str, Any], float]]) -> list[Result]:
    """The trials of an entry whose recipe has the rate 0.1: changes and what each came to."""
    found = []
    for number, (changes, top1) in enumerate(tried):
        optimiser = {"type": "Sgd", "lr": changes.get(RATE, 0.1), "scales": {}}
        weight = {"weight": changes[WEIGHT]} if WEIGHT in changes else {}
        model = {"weights": "w", "terms": [{"type": "PairwiseConfusion", **weight}]}
        recipe = {"model": model, "stages": [{"epochs": 2, "optimiser": optimiser}]}
        done = result_of(entry, 0, trial=number, top1=top1)
        found.append(replace(done, asked={"trials": [changes]}, recipe=recipe))
    return found


def test_the_standard_error_of_a_trial() -> None:
    runs = [replace(one, photos=photos_of(180)) for one in trials("pc", [({}, 0.7), ({RATE: 0.05}, 0.8)])]
    error = 100 * math.sqrt(0.75 * 0.25 / 180)
    one = f"An accuracy over 180 photos held out and one seed has a standard error of {error:.1f} points (near 75 %)"
    assert accuracy_error(runs).startswith(one)
    both = [*runs, *(replace(run, seed=1) for run in runs)]
    error = 100 * math.sqrt(0.75 * 0.25 / 360)
    two = f"An accuracy over 180 photos held out and 2 seeds has a standard error of at least {error:.1f} points"
    assert accuracy_error(both).startswith(two)
    assert accuracy_error([failed(runs[0], "no memory"), result_of("plain")]) == ""


@pytest.mark.parametrize(
    ("tried", "said"),
    [
        ([({}, 0.5), ({RATE: 0.05}, 0.6)], ["learning rate 0.05, the smaller of 0.05 and 0.1: pc"]),
        ([({}, 0.7), ({RATE: 0.05}, 0.6)], ["learning rate 0.1, the larger of 0.05 and 0.1: pc"]),
        ([({}, 0.5), ({RATE: 0.05}, 0.7), ({RATE: 0.025}, 0.6)], []),
        (
            [({}, 0.5), ({RATE: 0.05}, 0.6), ({RATE: 0.025}, 0.7)],
            ["learning rate 0.025, the smallest of 0.025, 0.05 and 0.1: pc"],
        ),
        (
            [({}, 0.5), ({RATE: 0.05}, 0.6), ({RATE: 0.2}, 0.7)],
            ["learning rate 0.2, the largest of 0.05, 0.1 and 0.2: pc"],
        ),
        (
            [({}, 0.5), ({WEIGHT: 2.0}, 0.6)],
            ["weight of PairwiseConfusion 2, one of only two that were tried (the other: by default): pc"],
        ),
        (
            [({}, 0.7), ({WEIGHT: 2.0}, 0.6)],
            ["weight of PairwiseConfusion by default, one of only two that were tried (the other: 2): pc"],
        ),
        ([({}, 0.5), ({WEIGHT: 2.0}, 0.6), ({WEIGHT: 4.0}, 0.4)], []),  # nobody knows where the default stands
        ([({}, 0.5), ({"batches": {"type": "Shuffled"}}, 0.6)], []),
        ([({}, 0.5), ({"pixels.flip": False}, 0.6)], []),
        ([({}, 0.5)], []),
    ],
)
def test_a_winner_at_the_edge(tried: list[tuple[dict[str, Any], float]], said: list[str]) -> None:
    assert at_the_edge(trials("pc", tried)) == said


def test_rows_at_the_same_edge_stand_together() -> None:
    tried = [({}, 0.5), ({RATE: 0.05}, 0.6)]
    runs = [*trials("pc", tried), *trials("plain", tried), result_of("cin")]
    assert at_the_edge(runs) == ["learning rate 0.05, the smaller of 0.05 and 0.1: plain, pc"]


def test_what_failed_was_not_tried() -> None:
    first, second = trials("pc", [({}, 0.5), ({RATE: 0.05}, 0.6)])
    assert at_the_edge([first, failed(second, "no memory")]) == []
    assert at_the_edge([failed(first, "no memory"), failed(second, "no memory")]) == []
