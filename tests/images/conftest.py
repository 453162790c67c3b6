"""One bad file of each kind, written once for all tests of this folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from bad_inputs import write_bad_inputs


@pytest.fixture(scope="package")
def bad(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kind of bad file to its path."""
    return write_bad_inputs(tmp_path_factory.mktemp("bad"))


@pytest.fixture(scope="package")
def path_of(bad: dict[str, Path]) -> Callable[[str], Path]:
    """The path of a kind of bad file; skips the test where this system cannot make one."""
    return lambda kind: bad.get(kind) or pytest.skip("this system cannot make such a file")
