"""The confusion matrix as a picture, whatever the classes are called."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fieldmark.evaluation.confusion import draw_confusion

ODD = ["$a_b", "US$ and CA$", "鷺", "\udce9", "two\nlines", "_hidden", "n" * 300, "$\\frac$"]


@pytest.mark.parametrize("classes", [["ant", "bee"], ODD, [str(number) for number in range(80)]])
def test_it_is_drawn(classes: list[str], tmp_path: Path) -> None:
    confusion = np.diag(np.arange(len(classes))) + np.eye(len(classes), k=1, dtype=int)
    draw_confusion(tmp_path / "confusion.png", confusion, classes)
    with Image.open(tmp_path / "confusion.png") as picture:
        assert min(picture.size) > 400
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.std() > 5
