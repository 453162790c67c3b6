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
    divergent, confused = train(jeffreys_divergence, 1.0), train(euclidean_confusion, 1.0)
    assert np.mean(divergent[50:100]) > guessing
    assert not np.isfinite(divergent[-1])
    assert np.mean(confused[-100:]) < 0.2 * guessing
    assert np.mean(train(jeffreys_divergence, 0.01)[-100:]) < np.mean(confused[-100:])
