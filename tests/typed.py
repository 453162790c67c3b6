"""Command lines as a user types them, in this process."""

import pytest

from fieldmark import cli


def ran(*words: object) -> int:
    """The exit code."""
    return cli.run([str(word) for word in words])


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Runs what has to be refused: exit code 2, nothing on standard output, one to three lines on standard error."""
    capsys.readouterr()
    assert ran(*words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert 1 <= len(said.err.splitlines()) <= 3, said.err
    assert said.err.startswith("fieldmark: ")
    assert "Traceback" not in said.err
    return said.err
