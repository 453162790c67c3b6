"""Non-finite steps are reported one step late, with the names of losses and files; twenty end the run."""

from pathlib import Path

import pytest
import torch
from rich.console import Console

from fieldmark.errors import UserError
from fieldmark.input.loading import Batch
from fieldmark.training.nonfinite import PATIENCE, Outcome, Watch
from fieldmark.training.runlog import RunLog

NAMES = [f"a/{number}\n.jpg" for number in range(6)]


class Notes(RunLog):
    def __init__(self, run: Path) -> None:
        super().__init__(run, console=Console(quiet=True))
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def batch(*indices: int, damaged: tuple[tuple[int, str], ...] = ()) -> Batch:
    count = len(indices)
    return Batch(torch.zeros(count, 4, 4, 3), torch.zeros(count).long(), torch.tensor(indices), damaged)


def losses(**values: float) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value) for name, value in values.items()}


YES, NO = torch.tensor(True), torch.tensor(False)
GOOD, BAD, OVERFLOW = Outcome(YES, NO), Outcome(NO, NO), Outcome(NO, YES)


def test_a_step_is_reported_when_the_next_is_done(tmp_path: Path) -> None:
    log = Notes(tmp_path)
    watch = Watch(log, NAMES)
    watch.saw(BAD, losses(loss=float("nan"), one=1.0, other=float("inf")), batch(0, 1, 2, 3, 4))
    assert log.notes == []
    watch.saw(GOOD, losses(loss=1.0), batch(5))
    (note,) = log.notes
    assert note.startswith("other was not finite; the step was undone")
    assert note.count(".jpg") == 4
    assert "\n" not in note
    watch.settle()
    watch.settle()
    assert len(log.notes) == 1


def test_a_gradient_alone_is_named(tmp_path: Path) -> None:
    log = Notes(tmp_path)
    watch = Watch(log, NAMES)
    watch.saw(BAD, losses(loss=1.0, one=1.0), batch(0))
    watch.settle()
    assert log.notes[0].startswith("a gradient was not finite")


def test_files_that_became_unreadable_are_reported_at_once(tmp_path: Path) -> None:
    log = Notes(tmp_path)
    Watch(log, NAMES).saw(GOOD, losses(loss=1.0), batch(1, damaged=((0, "a/0.jpg: an empty file"),)))
    assert log.notes == ["became unreadable, another photo took its place: a/0.jpg: an empty file"]


def test_patience_begins_anew_after_a_good_step(tmp_path: Path) -> None:
    watch = Watch(Notes(tmp_path), NAMES)
    for _ in range(3):
        for _ in range(PATIENCE - 1):
            watch.saw(BAD, losses(loss=float("nan")), batch(0))
        watch.saw(GOOD, losses(loss=1.0), batch(0))
    for _ in range(PATIENCE):
        watch.saw(BAD, losses(loss=float("nan")), batch(0))
    with pytest.raises(UserError, match=f"{PATIENCE} steps in a row") as error:
        watch.settle()
    assert "--lr" in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_overflow_while_the_scale_is_searched_for_neither_counts_nor_ends_a_row(tmp_path: Path) -> None:
    log = Notes(tmp_path)
    watch = Watch(log, NAMES)
    for _ in range(2 * PATIENCE):
        watch.saw(OVERFLOW, losses(loss=1.0), batch(0))
    watch.settle()
    assert log.notes == []
    for _ in range(PATIENCE - 1):
        watch.saw(BAD, losses(loss=1.0), batch(0))
        watch.saw(OVERFLOW, losses(loss=1.0), batch(0))
    watch.saw(BAD, losses(loss=1.0), batch(0))
    with pytest.raises(UserError, match=f"{PATIENCE} steps in a row"):
        watch.settle()
