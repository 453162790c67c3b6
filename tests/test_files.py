"""A file is there wholly or not at all."""

from pathlib import Path

import pytest

from fieldmark.files import replace_file


def test_what_is_written_comes_in_the_place_of_what_was_there(tmp_path: Path) -> None:
    for text in ("one", "two"):
        replace_file(tmp_path / "deep" / "file.txt", lambda draft, text=text: draft.write_text(text))
        assert [(path.name, path.read_text()) for path in (tmp_path / "deep").iterdir()] == [("file.txt", text)]


def test_a_stop_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("one")

    def stopped(draft: Path) -> None:
        draft.write_text("tw")
        raise KeyboardInterrupt

    for name in ("file.txt", "other.txt"):
        with pytest.raises(KeyboardInterrupt):
            replace_file(tmp_path / name, stopped)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file.txt", "one")]
