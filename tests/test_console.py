"""Only the first of several processes speaks."""

import pytest
from rich.console import Console

from fieldmark.console import QUIET, console, counted, details, speaks, tell, tell_error, timed, working
from fieldmark.errors import Interrupted, UserError


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


def test_lines_are_plain_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Console(width=20), "[bold]a name of many words.jpg", "two\nlines \udcff \x1b[31m")
    assert capsys.readouterr().out == "[bold]a name of many words.jpg\ntwo\\nlines \\udcff \\x1b[31m\n"
    tell(QUIET, "nothing")
    tell(console(quiet=True), "nothing")
    assert capsys.readouterr().out == ""


def test_errors_of_the_user_are_told_and_others_raised(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell_error(UserError("[no] such run;\nname another")) == 2
    assert capsys.readouterr() == ("", "fieldmark: [no] such run;\nname another\n")
    assert (tell_error(Interrupted("half done")), tell_error(KeyboardInterrupt())) == (130, 130)
    assert capsys.readouterr().err == "fieldmark: half done\nfieldmark: stopped\n"
    with pytest.raises(ZeroDivisionError):
        tell_error(ZeroDivisionError())


def test_progress_shows_in_a_terminal_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with counted(Console(force_terminal=True, width=80), "working", 4) as tick:
        tick(4)
    assert "4/4" in capsys.readouterr().out
    with counted(Console(), "working", None) as tick:
        tick(4)
    assert capsys.readouterr().out == ""


def test_work_of_unknown_length_moves_on_a_terminal_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with working(Console(force_terminal=True, width=80), "reading"):
        tell(Console(), "said meanwhile")
    out = capsys.readouterr().out
    assert "reading" in out
    assert "said meanwhile" in out
    for silent in (Console(), Console(force_terminal=True, quiet=True)):
        with details(True), working(silent, "reading"):
            pass
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("reading: ")  # it is timed, too


def test_without_a_terminal_a_line_is_told_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    with counted(Console(), "scanning photos", 2000) as tick:
        for more, now[0] in ((1, 1.0), (1099, 31.0), (1, 32.0), (799, 62.0)):
            tick(more)
    assert capsys.readouterr().out.splitlines() == [
        "scanning photos: 1,100 of 2,000",
        "scanning photos: 1,900 of 2,000",
    ]


def test_nothing_is_drawn_on_a_quiet_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with counted(Console(force_terminal=True, quiet=True), "working", 4) as tick:
        tick(4)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("shown", "rank"), [(False, "0"), (True, "0"), (True, "1")])
def test_details_are_shown_if_asked_and_by_one_process(
    shown: bool, rank: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", rank)
    with details(shown):
        with timed("the step"):
            pass
        with counted(QUIET, "photos", 3):
            pass
    with timed("after"):
        pass
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.rsplit(":", 1)[0] for line in err.splitlines()] == (
        ["the step", "photos"] if shown and rank == "0" else []
    )


def test_a_step_that_fails_is_not_timed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), details(True), timed("the step"):
        raise KeyError
    assert capsys.readouterr().err == ""
