"""The comparison that the repository holds: its report is remade from its results, byte for byte."""

import re
from pathlib import Path

import pytest

from fieldmark.bench import report

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_the_published_report_is_what_its_command_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command stands in the report's first lines; it is called from the repository's root."""
    published = (BENCHMARKS / "RESULTS.md").read_bytes()
    command = re.search(rb"`fieldmark bench report (\S+) --out (\S+)`", published)
    assert command is not None
    monkeypatch.chdir(BENCHMARKS.parent)
    folder, out = (Path(word.decode()) for word in command.groups())
    before = out.stat().st_mtime_ns
    from fieldmark.bench.rendering import report_of

    assert report_of(folder, out).encode() == published
    assert out.stat().st_mtime_ns == before
    assert report(folder).encode() == published.replace(b" --out " + command[2], b"")
