"""The figures of docs/ that a script draws: it still runs, and what lies there is small and shown by a page."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from fieldmark.papers.pairwise_confusion import euclidean_confusion, jeffreys_divergence

DOCS = Path(__file__).resolve().parent.parent / "docs"
SCRIPTS = sorted((DOCS / "figures").glob("*.py"))


def script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"figure_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_each_script_draws_its_picture(path: Path, tmp_path: Path):
    script(path).draw(tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as drawn, Image.open(DOCS / f"{path.stem}.png") as kept:
        assert drawn.size == kept.size
    assert (DOCS / f"{path.stem}.png").stat().st_size < 60_000
    assert any(f"]({path.stem}.png)" in page.read_text("utf-8") for page in DOCS.glob("*.md"))


def test_the_right_half_of_jeffreys_is_what_its_page_says():
    train = script(DOCS / "figures" / "jeffreys.py").cross_entropies
    guessing = np.log(4)
    # Where it overflows depends on how a processor rounds: after 27 to 317 steps in 450 runs that began 1e-6 apart.
    divergent = np.array(train(jeffreys_divergence, 1.0, steps=1000))
    assert np.mean(divergent[np.isfinite(divergent)]) > guessing
    assert not np.isfinite(divergent[-1])
    neither, faint, confused = (
        train(apart, weight)
        for apart, weight in ((euclidean_confusion, 0.0), (jeffreys_divergence, 0.01), (euclidean_confusion, 1.0))
    )
    assert np.mean(neither[-100:]) == pytest.approx(0.002, rel=0.25)
    assert np.mean(neither[-100:]) < 0.5 * np.mean(neither[50:150])
    assert np.mean(faint[-100:]) == pytest.approx(0.014, rel=0.1)
    assert np.mean(faint[-100:]) == pytest.approx(np.mean(faint[50:150]), rel=0.2)
    assert np.mean(confused[-100:]) == pytest.approx(0.05, rel=0.4)
    assert np.isfinite(train(euclidean_confusion, 2.0)).all()


def test_each_page_names_the_test_that_holds_its_figure():
    for page in (page for page in DOCS.glob("*.md") if "docs/figures/" in page.read_text("utf-8")):
        assert "`tests/test_figures.py` holds what it shows" in page.read_text("utf-8"), page.name
