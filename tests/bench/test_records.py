"""What is kept of a run comes back as it was, and is there wholly or not at all."""

import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from canned import answers_of, failed, result_of

from fieldmark.bench import records
from fieldmark.bench.records import json_path, npz_path, read_answers, read_result, read_results, write_result
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

    def stopped(path: Path, arrays: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(records, "_save", stopped)
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
