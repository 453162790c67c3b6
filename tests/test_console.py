"""Only the first of several processes speaks."""

import json
from pathlib import Path

import pytest

from fieldmark.console import console, speaks, write_json


@pytest.mark.parametrize(("rank", "heard"), [(None, True), ("0", True), ("1", False)])
@pytest.mark.parametrize("stderr", [False, True])
def test_one_process_speaks(
    rank: str | None, heard: bool, stderr: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    console(stderr=stderr).print("said")
    out, err = capsys.readouterr()
    assert speaks() is heard
    assert (err if stderr else out) == ("said\n" if heard else "")
    assert (out if stderr else err) == ""


def test_json_makes_its_folder(tmp_path: Path):
    write_json(tmp_path / "new" / "file.json", {"top1": 0.5})
    assert json.loads((tmp_path / "new" / "file.json").read_text()) == {"top1": 0.5}
