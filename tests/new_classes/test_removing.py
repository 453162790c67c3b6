"""``remove-class`` gives back what ``add-class`` was given, bit for bit."""

import shutil
from pathlib import Path

import pytest
import torch

import fieldmark
import small_runs
from fieldmark.errors import UserError
from fieldmark.runs.folder import open_run
from typed import ran, refused


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> tuple[Path, Path]:
    """``trained`` with wasps, and that run with moths."""
    folder = tmp_path_factory.mktemp("twice")
    for label, name in ((4, "wasp"), (5, "moth")):
        for number in range(2):
            small_runs.write_photo(folder / name / f"{number}.jpg", label=label, number=200 + number)
    one = fieldmark.add_class(trained, "wasp", folder / "wasp", out=folder / "one", device="cpu").path
    return one, fieldmark.add_class(one, "moth", folder / "moth", out=folder / "both", device="cpu").path


def test_undone(trained: Path, twice: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("remove-class", twice[0], "wasp", "--out", tmp_path / "back") == 0
    assert f"without wasp: {tmp_path / 'back'}" in capsys.readouterr().out
    back = {path.name for path in (tmp_path / "back").iterdir()}
    assert back == {path.name for path in trained.iterdir()} - {"state"}
    for name in back:
        assert (tmp_path / "back" / name).read_bytes() == (trained / name).read_bytes()
    assert (twice[0] / "added.json").is_file()


def test_in_either_order(trained: Path, twice: tuple[Path, Path], tmp_path: Path) -> None:
    one, both = twice
    assert open_run(both).classes[3:] == ("wasp", "moth")
    last = fieldmark.remove_class(both, "moth", out=tmp_path / "last")
    names = [path.name for path in one.iterdir()]
    assert sorted(names) == sorted(path.name for path in last.iterdir())
    assert all((last / name).read_bytes() == (one / name).read_bytes() for name in names)
    first = open_run(fieldmark.remove_class(both, "wasp", out=tmp_path / "first"))
    assert first.classes[3:] == ("moth",)
    weights = [open_run(run).learner.state_dict()["method.classifier.head.weight"] for run in (both, first.path)]
    assert torch.equal(weights[0][[0, 1, 2, 4]], weights[1])
    none = fieldmark.remove_class(first.path, "moth", out=tmp_path / "none")
    assert (none / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_the_default_place_and_what_is_refused(
    trained: Path, twice: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(twice[1], tmp_path / "run"))
    assert "run has no class 'hornet'; it can lose wasp, moth" in refused(capsys, "remove-class", run, "hornet")
    assert "'bee' was not added by add-class" in refused(capsys, "remove-class", run, "bee")
    assert "stays as it is" in refused(capsys, "remove-class", run, "wasp", "--out", run)
    assert "nothing was added to it" in refused(capsys, "remove-class", trained, "wasp")
    assert "is not a Fieldmark run" in refused(capsys, "remove-class", tmp_path, "wasp")
    assert fieldmark.remove_class(run, "wasp") == tmp_path / "run-without-wasp"
    with pytest.raises(UserError, match="it exists"):
        fieldmark.remove_class(run, "wasp")
    (run / "added.json").write_text("{")
    assert "cannot be read" in refused(capsys, "remove-class", run, "wasp")
