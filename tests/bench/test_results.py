"""What is kept of a run comes back as it was, and is there wholly or not at all."""

import json
import zipfile
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from canned import answers_of, failed, result_of

from fieldmark.bench.rendering import report_of
from fieldmark.bench.results import json_path, npz_path, read_answers, read_result, read_results, write_result
from fieldmark.errors import UserError


def test_results_come_back(tmp_path: Path) -> None:
    result = replace(result_of("pc"), damaged=("bad\udc80.jpg: no image",), tuned={"winner": 0, "trials": []})
    answers = answers_of([True, False, True])
    write_result(tmp_path, result, answers)
    assert read_result(json_path(tmp_path, result.key)) == result
    found = read_answers(tmp_path, result.key)
    for one, other in zip(found, answers, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "birds-pc-seed10.json",
        "birds-pc-seed10.npz",
    ]


def test_results_stand_in_the_plan_s_order(tmp_path: Path) -> None:
    for result in (result_of("pc", 11), result_of("plain", 12), result_of("pc", trial=1), result_of("pc", 10)):
        write_result(tmp_path, result)
    write_result(tmp_path, failed(result_of("plain", 11), "no memory"))
    keys = ["plain-seed11", "plain-seed12", "pc-seed10", "pc-seed11", "pc-trial1-seed10"]
    assert [one.key for one in read_results(tmp_path)] == [f"birds-{key}" for key in keys]


def test_a_stop_in_the_middle_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = result_of("pc")
    write_result(tmp_path, first, answers_of([True]))

    def stopped(path: Path, **arrays: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_result(tmp_path, replace(first, seconds=1.0), answers_of([False]))
    assert read_result(json_path(tmp_path, first.key)) == first
    assert read_answers(tmp_path, first.key).logits.argmax() == 0
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_files_that_are_none_of_ours(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results here"):
        read_results(tmp_path)
    result = result_of("pc")
    write_result(tmp_path, result, answers_of([True]))
    path = json_path(tmp_path, result.key)
    text = path.read_text()
    changes = (("{", ""), ('"format_version": 1', '"format_version": 2'), ('"seconds"', '"second"'))
    for change in changes:
        path.write_text(text.replace(*change))
        with pytest.raises(UserError) as error:
            read_results(tmp_path)
        assert len(str(error.value).splitlines()) == 1
    npz_path(tmp_path, result.key).write_bytes(b"PK junk")
    for key in (result.key, "nothing"):
        with pytest.raises(UserError, match="run it again"):
            read_answers(tmp_path, key)


def test_a_copy_under_another_name_does_not_count_twice(tmp_path: Path) -> None:
    result = result_of("pc")
    write_result(tmp_path, result, answers_of([True]))
    path = json_path(tmp_path, result.key)
    copy = path.with_name(f"{result.key} (conflicted copy).json")
    copy.write_text(path.read_text())
    with pytest.raises(UserError) as error:
        read_results(tmp_path)
    assert str(error.value) == f"{copy} holds the run {result.key}, so it is a copy of another file: delete it"


CHANGES: dict[str, tuple[dict[str, object], str]] = {
    "metrics null": ({"metrics": None}, "metrics is None; it must be a table"),
    "metrics without top1": ({"metrics": {"mean_per_class": 0.5}}, "metrics.top1 is missing, though the run is done"),
    "metrics of words": ({"metrics": {"top1": "good"}}, "metrics.top1 is 'good'; it must be a number"),
    "photos empty": ({"photos": {}}, "photos.classes is missing"),
    "photos in parts": ({"photos": {"measured": 20.5}}, "photos.measured is 20.5; it must be a whole number"),
    "a session without digest": (
        {"sessions": [{"commit": "", "dirty": True}]},
        "sessions.0 lacks the setting 'digest'",
    ),
    "a session that is none": ({"sessions": ["one"]}, "sessions.0 is 'one'"),
    "order true": ({"order": True}, "order is True; it must be a whole number"),
    "recipe empty": ({"recipe": {}}, "its recipe is none that can be read"),
    "recipe of words": ({"recipe": {"model": "pc"}}, "its recipe is none that can be read"),
    "stages of words": ({"recipe": {"model": {"weights": "w"}, "stages": ["one"]}}, "its recipe is none"),
    "a trial of nothing": ({"trial": 0, "asked": {"trials": []}}, "asked.trials is empty, though it is"),
    "asked without trials": ({"asked": {}}, "asked lacks the setting 'trials'"),
    "status": ({"status": "running"}, "status is 'running'; choose done, failed"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_result_of_other_kinds_inside_is_refused_in_a_line(name: str, tmp_path: Path) -> None:
    result = result_of("pc")
    write_result(tmp_path, result, answers_of([True] * 20))
    path, (change, said) = json_path(tmp_path, result.key), CHANGES[name]
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError) as error:
        report_of(tmp_path)
    (line,) = str(error.value).splitlines()
    assert f"{path.name}: {said}" in line
    assert line.endswith("; the file was changed by hand")


@pytest.mark.slow
def test_any_part_of_a_result_may_be_of_another_kind(tmp_path: Path) -> None:
    """No traceback, whatever stands there: a report, or one line."""
    result = replace(result_of("pc"), recipe=RECIPE, tuned={"winner": None, "trials": []})
    write_result(tmp_path, result, answers_of([True] * 20))
    path = json_path(tmp_path, result.key)
    whole = json.loads(path.read_text())
    for key, inner in ((key, inner) for key, value in whole.items() for inner in (None, *_keys(value))):
        for wrong in (None, True, 3, 0.5, "a", [], [[]], ["a"], {}, {"a": "b"}):
            changed = json.loads(json.dumps(whole))
            if inner is None:
                changed[key] = wrong
            else:
                changed[key][inner] = wrong
            path.write_text(json.dumps(changed))
            with suppress(UserError):
                assert report_of(tmp_path)


def _keys(value: object) -> list[str]:
    return list(value) if isinstance(value, dict) else []


RECIPE = {
    "model": {"method": {"type": "Plain"}, "backbone": "b", "weights": "w", "neck": None, "terms": []},
    "pixels": {"size": 32},
    "batches": {"type": "Shuffled", "size": 16},
    "stages": [{"epochs": 2, "optimiser": {"type": "Sgd", "lr": 0.1, "scales": {}}, "frozen": []}],
    "train_on": ["train"],
    "smoothing": 0.1,
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"logits": np.zeros(3, np.float32)}, r"of shapes \(3,\), \(3,\) and \(3,\)"),
        ({"logits": np.zeros((2, 2), np.float32)}, r"and \(2, 2\)"),
        ({"labels": np.zeros(4, np.int64)}, r"\(4,\)"),
        ({"names": np.array("a")}, r"of shapes \(\)"),
        ({"labels": np.zeros(3, np.float64)}, "labels and logits are .*float64"),
        ({"labels": np.array([0, 1, 2])}, "labels are from 0 to 2, and there are 2 classes"),
        ({"logits": np.zeros((3, 0), np.float32)}, r"and \(3, 0\)"),
    ],
)
def test_arrays_that_do_not_fit_each_other(change: dict[str, np.ndarray], said: str, tmp_path: Path) -> None:
    result = result_of("pc")
    write_result(tmp_path, result, answers_of([True, True, False])._replace(**change))
    with pytest.raises(UserError, match=said) as error:
        read_answers(tmp_path, result.key)
    told, way_out = str(error.value).splitlines()
    assert told.startswith(f"{npz_path(tmp_path, result.key)} cannot be read (ValueError: ")
    assert way_out == f"delete {result.key}.json beside it and run it again"


def test_logits_that_are_damaged_anywhere_are_refused_or_whole(tmp_path: Path) -> None:
    result = result_of("pc")
    write_result(tmp_path, result, answers_of([True] * 40))
    path, known = npz_path(tmp_path, result.key), read_answers(tmp_path, result.key)
    whole = path.read_bytes()
    damaged = [whole[:end] for end in range(0, len(whole), 11)]
    damaged += [whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :] for at in range(0, len(whole), 3)]
    causes = set()
    for found in damaged:
        path.write_bytes(found)
        try:
            again = read_answers(tmp_path, result.key)
        except UserError as error:
            told, way_out = str(error).splitlines()
            assert told.startswith(f"{path} cannot be read (")
            assert way_out == f"delete {result.key}.json beside it and run it again"
            causes.add(type(error.__cause__))
        else:
            for one, other in zip(again, known, strict=True):
                np.testing.assert_array_equal(one, other)
    assert {zipfile.BadZipFile, EOFError, zlib.error} <= causes
