"""A run that was trained, and networks whose norms have statistics, exported once for all tests of this folder."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto

from export_matrix import with_statistics
from exported_networks import calibrated, shipped
from fieldmark import cli
from fieldmark.building import build_learner
from fieldmark.exporting.network import Shipped
from fieldmark.exporting.onnx_file import traced
from fieldmark.recipe import Model, Pixels, Recipe
from fieldmark.recipes.naming import composition_of
from fieldmark.runs.folder import Opened, open_run


@pytest.fixture(scope="session")
def sure_run(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Path:
    """A small trained run that knows how sure it may be, with groups and a gallery; not to be changed."""
    run = Path(shutil.copytree(trained, tmp_path_factory.mktemp("sure") / "run"))
    calibrated(run)
    return run


@pytest.fixture
def own_run(tmp_path: Path, sure_run: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(sure_run, tmp_path / "own" / "run"))


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, sure_run: Path) -> Path:
    """The file that ``fieldmark export`` writes of it, with thumbnails."""
    path = tmp_path_factory.mktemp("exported") / "birds.onnx"
    words = ("--thumbnails", "--photos-licence", "CC BY 4.0", "--weights-licence", "none | <b>")
    assert cli.run(["export", str(sure_run), "--out", str(path), *words]) == 0
    return path


@pytest.fixture(scope="session")
def opened(sure_run: Path) -> Opened:
    """The same run, opened."""
    return open_run(sure_run)


@pytest.fixture(scope="session")
def network(opened: Opened) -> Shipped:
    """Its network, as it is exported."""
    return shipped(opened.learner)


@pytest.fixture(scope="session")
def graph(network: Shipped, opened: Opened) -> ModelProto:
    """The graph of that network; not to be changed."""
    return traced(network, size=opened.recipe.pixels.eval_size)


@pytest.fixture(scope="session")
def sampling() -> Shipped:
    """A small network that samples its images anew (S3N), of four classes and images of 64 pixels."""
    parts = composition_of("s3n")
    model = Model(parts.method, parts.pool, parts.head, "test_resnet", "none", parts.neck, parts.terms)
    learner = build_learner(Recipe(model, pixels=Pixels(size=64, eval_size=64)), classes=4)
    return shipped(with_statistics(learner, size=64, seed=3))


@pytest.fixture(scope="session")
def sampling_graph(sampling: Shipped) -> ModelProto:
    """The graph of that network; not to be changed."""
    return traced(sampling, size=64)


@pytest.fixture
def random() -> np.random.Generator:
    """Random numbers, the same each time."""
    return np.random.default_rng(0)
