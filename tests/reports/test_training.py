"""Training that ends with a report: on validation photos, within the time, and without harm where it fails."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

import fieldmark
from fieldmark.evaluation.evaluate import OPENINGS
from fieldmark.reports import training
from fieldmark.reports.training import set_aside, write_own_report
from small_runs import KEYWORDS, SMALL, small

SHORT = {**KEYWORDS, "epochs": 1}


def told(run: Path, settings: object = SMALL, *, begun: float | None = None) -> str:
    stream = io.StringIO()
    begun = time.perf_counter() if begun is None else begun
    console = Console(file=stream, width=400)
    write_own_report(run, settings, external=(), begun=begun, console=console)  # pyright: ignore[reportArgumentType]
    (line,) = stream.getvalue().splitlines()
    return line


def test_training_measures_the_validation_photos_and_leaves_test_closed(photos: Path, tmp_path: Path) -> None:
    run = fieldmark.train(photos, tmp_path / "run", **SHORT)
    text = (run / "report.html").read_text("utf-8")
    assert "3 validation photos of 3 classes" in text
    assert not (run / OPENINGS).exists()


def test_without_validation_photos_it_says_so(own_run: Path) -> None:
    table = own_run / "splits.csv"
    table.write_text(table.read_text().replace(",val\n", ",train\n"))
    assert told(own_run) == f"report: {own_run / 'report.html'}"
    text = (own_run / "report.html").read_text("utf-8")
    assert "There are no validation photos, and training leaves test photos closed" in text
    assert "polyline" in text
    assert not (own_run / OPENINGS).exists()


def test_a_report_that_fails_is_told_in_a_line(own_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_run / "report.html").write_text("dear")
    assert "no report was written" in told(own_run)
    assert (own_run / "report.html").read_text() == "dear"
    (own_run / "report.html").unlink()

    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(training, "write_report", break_down)
    said = told(own_run)
    assert "no report was written (ZeroDivisionError)" in said
    assert f"fieldmark report {own_run} tries again" in said


def test_a_time_is_kept(own_run: Path) -> None:
    assert set_aside(SMALL) == 0
    assert set_aside(small(time="100s", epochs=None)) == 10
    assert set_aside(small(time="2h", epochs=None)) == 30
    late = time.perf_counter() - 200
    assert told(own_run, small(time="100s", epochs=None), begun=late).startswith("report: ")
    assert "there was no time left for it" in (own_run / "report.html").read_text("utf-8")


def test_a_finished_run_keeps_the_report_that_it_has(photos: Path, own_run: Path) -> None:
    (own_run / "report.html").write_text("of the test photos")
    fieldmark.train(photos, own_run, resume=True, workers=0, device="cpu")
    assert (own_run / "report.html").read_text() == "of the test photos"
