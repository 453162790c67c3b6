"""A run that is another one but for its network: where it may go, and that it is written whole or not at all."""

from pathlib import Path

import pytest

from fieldmark.errors import UserError
from fieldmark.new_classes import writing
from fieldmark.new_classes.writing import KEPT, place_for, suffix_of, write_run_like
from fieldmark.runs.checkpoint import load_model
from fieldmark.runs.folder import open_run


def test_the_place_is_beside_the_run(trained: Path, tmp_path: Path) -> None:
    assert place_for(trained, None, suffix="-wasp") == trained.resolve().with_name("run-wasp")
    assert place_for(trained, tmp_path / "a" / "b", suffix="") == tmp_path / "a" / "b"
    (tmp_path / "empty").mkdir()
    assert place_for(trained, tmp_path / "empty", suffix="") == tmp_path / "empty"
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("wasp", "-wasp"), ("Crow, Fish / US", "-Crow-Fish-US"), ("grüner Käfer", "-grüner-Käfer"), ("***", "-class")],
)
def test_a_name_as_part_of_a_folders(name: str, suffix: str) -> None:
    assert suffix_of(name) == suffix
    assert len(suffix_of("x" * 500)) == 61


def test_what_is_there_is_left_alone(own_run: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").touch()
    (tmp_path / "link").symlink_to(own_run)
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    for out, said in (
        (own_run, "stays as it is"),
        (own_run / "inside", "stays as it is"),
        (tmp_path / "link" / "inside", "stays as it is"),
        (tmp_path / "full", "it exists, and nothing is overwritten"),
        (tmp_path / "full" / "note.txt", "a file of that name exists"),
        (tmp_path / "lost", "it exists, and nothing is overwritten"),
        (tmp_path / "full" / "note.txt" / "run", "cannot be written"),
        (photos / "ant" / "run", "outside of the photos"),
    ):
        with pytest.raises(UserError) as refused:
            place_for(own_run, out, suffix="", photos=[photos])
        assert said in str(refused.value)
        assert len(str(refused.value).splitlines()) <= 3


def test_a_run_like_another_opens_and_answers(trained: Path, tmp_path: Path) -> None:
    opened = open_run(trained)
    write_run_like(
        trained,
        tmp_path / "run",
        recipe=opened.recipe,
        classes=opened.classes,
        module=opened.learner,
        additions=None,
        certainty=None,
        groups=None,
    )
    load_model(tmp_path / "run", open_run(trained).learner)
    again = open_run(tmp_path / "run")
    assert again[1:4] == opened[1:4]
    names = {path.name for path in (tmp_path / "run").iterdir()}
    expected = {
        "recipe.json",
        "classes.json",
        "model.safetensors",
        *(name for name in KEPT if (trained / name).exists()),
    }
    assert names == expected
    for name in expected:
        assert (tmp_path / "run" / name).read_bytes() == (trained / name).read_bytes()


def test_nothing_is_left_of_a_run_that_cannot_be_written(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "save_file", full)
    opened = open_run(trained)
    with pytest.raises(UserError, match="cannot be written: No space left"):
        write_run_like(
            trained,
            tmp_path / "run",
            recipe=opened.recipe,
            classes=opened.classes,
            module=opened.learner,
            additions=None,
            certainty=None,
            groups=None,
        )
    assert not (tmp_path / "run").exists()
