"""The confusion matrix as a picture: counts, names and colours that can be read, whatever the classes are called."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from fieldmark.evaluation import confusion as module
from fieldmark.evaluation.confusion import LEGIBLE, SMALLEST, draw_confusion

ODD = ["$a_b", "US$ and CA$", "鷺", "\udce9", "two\nlines", "_hidden", "n" * 300, "$\\frac$"]


def example(classes: int, *, photos: int = 30) -> np.ndarray:
    rng = np.random.default_rng(classes)
    shares = np.full((classes, classes), 0.3 / classes) + 0.7 * np.eye(classes)
    return np.stack([rng.multinomial(photos, row / row.sum()) for row in shares])


def drawn(confusion: np.ndarray, monkeypatch: pytest.MonkeyPatch, **options: str) -> Figure:
    """The figure, before it becomes a file."""
    figures: list[Figure] = []
    monkeypatch.setattr(module, "save_picture", lambda path, figure: figures.append(figure))
    draw_confusion(Path("confusion.png"), confusion, [f"class {at}" for at in range(len(confusion))], **options)
    return figures[0]


@pytest.mark.parametrize("classes", [["ant", "bee"], ODD, [str(number) for number in range(25)]])
def test_it_is_drawn(classes: list[str], tmp_path: Path) -> None:
    confusion = np.diag(np.arange(len(classes))) + np.eye(len(classes), k=1, dtype=int)
    draw_confusion(tmp_path / "confusion.png", confusion, classes)
    with Image.open(tmp_path / "confusion.png") as picture:
        assert min(picture.size) > 250
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.std() > 5


@pytest.mark.parametrize("count", [2, 20, 102, 200])
def test_names_and_counts_fit_their_cells(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    confusion = example(count)
    figure = drawn(confusion, monkeypatch, title="test: all")
    axes, bar = figure.axes
    assert axes.get_title() == "test: all"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert "%" in bar.get_ylabel()
    cell = 72 * figure.get_figwidth() / count  # the matrix fills the figure
    for axis in (axes.xaxis, axes.yaxis):
        labels = axis.get_ticklabels()
        assert [label.get_text() for label in labels] == [f"class {at}" for at in range(count)]
        assert all(6 < label.get_fontsize() <= cell for label in labels)
    told = np.zeros_like(confusion)
    for line in axes.lines:
        assert SMALLEST <= line.get_markersize() <= cell  # both halves of the mark's longer side
        told[np.asarray(line.get_ydata(), int), np.asarray(line.get_xdata(), int)] += 1
    assert np.array_equal(told, confusion > 0)


def test_counts_can_be_told_from_their_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    axes, _ = drawn(np.array([[9, 1], [4, 6]]), monkeypatch).axes
    looks = {
        (int(y), int(x)): line.get_color()
        for line in axes.lines
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    assert looks == {(0, 0): "white", (0, 1): "black", (1, 0): "black", (1, 1): "white"}


def test_counts_that_do_not_fit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    small = np.eye(40, dtype=int)
    assert len(drawn(small, monkeypatch).axes[0].lines) == 1
    assert not drawn(small * 1_000_000, monkeypatch).axes[0].lines


def test_classes_without_a_photo_are_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    axes, _ = drawn(np.array([[2, 1, 0], [0, 0, 0], [0, 1, 3]]), monkeypatch, title="val").axes
    (image,) = axes.images
    assert np.ma.getmaskarray(image.get_array()).all(1).tolist() == [False, True, False]
    assert axes.get_title() == "val\n(grey rows: 1 without photos)"


def test_very_many_classes_stand_by_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = drawn(example(LEGIBLE + 1), monkeypatch)
    axes = figure.axes[0]
    assert "per_class.csv" in axes.get_xlabel()
    assert not axes.lines
    assert len(axes.get_xticks()) < 20
    assert figure.get_figwidth() == pytest.approx(16)


def test_letters_that_no_font_has_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert draw_confusion(tmp_path / "a.png", np.eye(2, dtype=int), ["ant", "жук"]) == ""
    monkeypatch.setattr(module, "families_of", lambda text: (["DejaVu Sans"], "".join(set(text) & set("鷺"))))
    assert draw_confusion(tmp_path / "b.png", np.eye(2, dtype=int), ["ant", "鷺"]) == "鷺"
