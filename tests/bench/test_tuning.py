"""Which trial wins, how sure that is, and which winners lie at an edge."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from canned import failed, photos_of, result_of

from fieldmark.bench.results import Asked, Result
from fieldmark.bench.tuning import edges, scores, told, trial_error, winner

RATE, WEIGHT = "stages.0.optimiser.lr", "model.terms.0.weight"


def test_photos_of_all_runs_count_alike() -> None:
    runs = [
        replace(result_of("pc", 0, trial=0, top1=0.5), photos=photos_of(10)),
        replace(result_of("pc", 1, trial=0, top1=1.0), photos=photos_of(30)),
        replace(result_of("pc", 0, trial=1, top1=0.9), photos=photos_of(10)),
        result_of("pc", 10, top1=1.0),
    ]
    first, second = scores(runs)
    assert (first.trial, first.top1, len(first.runs), first.changes) == (0, (5 + 30) / 40, 2, {"smoothing": 0.0})
    assert (second.trial, second.top1, len(second.runs)) == (1, 0.9, 1)
    assert winner([first, second]) == second
    assert told([first, second]) == {
        "winner": 1,
        "trials": [
            {"changes": {"smoothing": 0.0}, "top1": 0.875, "runs": 2},
            {"changes": {"smoothing": 0.1}, "top1": 0.9, "runs": 1},
        ],
    }


def test_the_first_of_equals_and_none_that_failed() -> None:
    equal = scores([result_of("pc", 0, trial=trial, top1=0.7) for trial in (2, 0, 1)])
    assert [score.trial for score in equal] == [0, 1, 2]
    assert winner(equal) == equal[0]
    runs = [result_of("pc", 0, trial=0, top1=0.1), result_of("pc", 0, trial=1), result_of("pc", 1, trial=1)]
    scored = scores([*runs[:2], failed(runs[2], "no memory")])
    assert [score.top1 for score in scored] == [0.1, None]
    assert winner(scored) == scored[0]
    none = scores([failed(runs[0], "no memory")])
    assert winner(none) is None
    assert told(none)["winner"] is None
    assert told([]) == {"winner": None, "trials": []}


def trials(tried: Sequence[tuple[Mapping[str, Any], float]]) -> list[Result]:
    """The trials of pc, whose recipe has the rate 0.1: changes and what each came to."""
    runs = []
    for number, (changes, top1) in enumerate(tried):
        optimiser = {"type": "Sgd", "lr": changes.get(RATE, 0.1), "scales": {}}
        weight = {"weight": changes[WEIGHT]} if WEIGHT in changes else {}
        model = {"weights": "w", "terms": [{"type": "PairwiseConfusion", **weight}]}
        recipe = {"model": model, "stages": [{"epochs": 2, "optimiser": optimiser}]}
        done = result_of("pc", 0, trial=number, top1=top1)
        runs.append(replace(done, asked=Asked((changes,)), recipe=recipe))
    return runs


def test_the_standard_error_of_a_trial() -> None:
    runs = [replace(run, photos=photos_of(180)) for run in trials([({}, 0.7), ({RATE: 0.05}, 0.8)])]
    assert trial_error(runs) == pytest.approx((math.sqrt(0.75 * 0.25 / 180), 0.75, 180, 1))
    both = [*runs, *(replace(run, seed=1) for run in runs)]
    assert trial_error(both) == pytest.approx((math.sqrt(0.75 * 0.25 / 360), 0.75, 180, 2))
    assert trial_error([failed(runs[0], "no memory")]) is None


@pytest.mark.parametrize(
    ("tried", "edge"),
    [
        ([({}, 0.5), ({RATE: 0.05}, 0.6)], ("learning rate", "0.05", "smaller", ("0.05", "0.1"))),
        ([({}, 0.7), ({RATE: 0.05}, 0.6)], ("learning rate", "0.1", "larger", ("0.05", "0.1"))),
        ([({}, 0.5), ({RATE: 0.05}, 0.7), ({RATE: 0.025}, 0.6)], None),
        (
            [({}, 0.5), ({RATE: 0.05}, 0.6), ({RATE: 0.025}, 0.7)],
            ("learning rate", "0.025", "smallest", ("0.025", "0.05", "0.1")),
        ),
        ([({}, 0.5), ({WEIGHT: 2.0}, 0.6)], ("weight of PairwiseConfusion", "2", "", ("by default",))),
        ([({}, 0.7), ({WEIGHT: 2.0}, 0.6)], ("weight of PairwiseConfusion", "by default", "", ("2",))),
        ([({}, 0.5), ({WEIGHT: 2.0}, 0.6), ({WEIGHT: 4.0}, 0.4)], None),  # nobody knows where the default stands
        ([({}, 0.5), ({"batches": {"type": "Shuffled"}}, 0.6)], None),
        ([({}, 0.5), ({"pixels.flip": False}, 0.6)], None),
        ([({}, 0.5)], None),
    ],
)
def test_a_winner_at_the_edge(tried: list[tuple[dict[str, Any], float]], edge: tuple[Any, ...] | None) -> None:
    assert list(edges(scores(trials(tried)))) == ([edge] if edge else [])


def test_what_failed_was_not_tried() -> None:
    first, second = trials([({}, 0.5), ({RATE: 0.05}, 0.6)])
    assert list(edges(scores([first, failed(second, "no memory")]))) == []
    assert list(edges(scores([failed(first, "no memory"), failed(second, "no memory")]))) == []
