"""Fixtures shared by all tests: where the real photographs lie, if they do."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data sets (``FIELDMARK_DATA``, else ``../shared/data``); skips where there is none."""
    folder = Path(os.environ.get("FIELDMARK_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real photographs here; set FIELDMARK_DATA to a folder with CUB_200_2011 and flowers-102")
    return folder
