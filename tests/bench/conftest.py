"""What several tests of comparisons need."""

from pathlib import Path

import pytest

import small_runs


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos with official splits, but none for validation."""
    root = tmp_path_factory.mktemp("split") / "photos"
    for name, count in (("train", 10), ("test", 4)):
        small_runs.write_photos(root / name, photos=count)
    return root
