"""Fixtures shared by all tests: where the real photographs lie, if they do."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch is loaded, and for the programs that tests start: so small tensors are not worth waking threads, which on
# a busy machine take ten times as long as the work; and all sums are taken in one order, in this process and in others.
os.environ["OMP_NUM_THREADS"] = "1"
# What a terminal or a launcher has set decides about widths, colours and processes: not here.
for name in (
    "COLUMNS", "LINES", "TERM", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE",
    "RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_NTASKS",
):  # fmt: skip
    os.environ.pop(name, None)
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data sets (``FIELDMARK_DATA``, else ``../shared/data``); skips where there is none."""
    folder = Path(os.environ.get("FIELDMARK_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real photographs here; set FIELDMARK_DATA to a folder with CUB_200_2011 and flowers-102")
    return folder


def left_alone(folder: Path) -> Iterator[Path]:
    """The folder; fails at the end where a test changed it, as others would then depend on the order of tests."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    yield folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small folder of class folders without splits; not to be changed."""
    import small_runs

    yield from left_alone(small_runs.write_photos(tmp_path_factory.mktemp("small") / "photos"))


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the small network that count as pretrained, so that a head may begin as a probe on its features."""
    import torch
    from safetensors.torch import save_file
    from timm import create_model

    path = tmp_path_factory.mktemp("pretrained") / "weights.safetensors"
    torch.manual_seed(0)
    save_file(create_model("test_resnet").state_dict(), path)
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Iterator[Path]:
    """A small run that was trained on ``photos``; not to be changed."""
    import small_runs

    run = tmp_path_factory.mktemp("trained") / "run"
    small_runs.train_small(photos, run)
    yield from left_alone(run)


@pytest.fixture
def own_run(tmp_path: Path, trained: Path) -> Path:
    """A copy of ``trained`` that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "own" / "run"))


@pytest.fixture
def without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch as it is built for processors that oneDNN does not know: its operators are not there."""
    import torch

    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops, "mkldnn", object())
