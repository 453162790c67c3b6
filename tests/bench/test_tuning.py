"""Which trial wins."""

from dataclasses import replace

from canned import failed, photos_of, result_of

from fieldmark.bench.tuning import scores, told, winner


def test_photos_of_all_runs_count_alike() -> None:
    runs = [
        replace(result_of("pc", 0, trial=0, top1=0.5), photos=photos_of(10)),
        replace(result_of("pc", 1, trial=0, top1=1.0), photos=photos_of(30)),
        replace(result_of("pc", 0, trial=1, top1=0.9), photos=photos_of(10)),
        result_of("pc", 10, top1=1.0),
    ]
    first, second = scores(runs)
    assert (first.trial, first.top1, first.runs, first.changes) == (0, (5 + 30) / 40, 2, {"smoothing": 0.0})
    assert (second.trial, second.top1, second.runs) == (1, 0.9, 1)
    best = winner([first, second])
    assert best == second
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
    best = winner(equal)
    assert best is not None
    assert best.trial == 0
    runs = [result_of("pc", 0, trial=0, top1=0.1), result_of("pc", 0, trial=1), result_of("pc", 1, trial=1)]
    found = scores([*runs[:2], failed(runs[2], "no memory")])
    assert [score.top1 for score in found] == [0.1, None]
    best = winner(found)
    assert best is not None
    assert best.trial == 0
    none = scores([failed(runs[0], "no memory")])
    assert winner(none) is None
    assert told(none)["winner"] is None
    assert told([]) == {"winner": None, "trials": []}
