"""Pictures of heatmaps: lit where they are high, in every script, and as long as names are."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from fieldmark.evaluation.pictures import DPI
from fieldmark.explanations import drawing
from fieldmark.explanations.drawing import DARKEST, Panel, draw_panels, enlarged_to, lit, panels_writer

PICTURE = np.full((40, 60, 3), (200, 100, 50), dtype=np.uint8)


def test_lit_where_it_is_high_and_grey_where_it_is_low():
    heatmap = np.zeros((4, 6), dtype=np.float32)
    heatmap[:2] = 1
    bright = lit(PICTURE, heatmap)
    assert bright.dtype == np.uint8
    assert np.array_equal(bright[2, 30], PICTURE[2, 30])
    dark = bright[-2, 30]
    assert dark.max() - dark.min() <= 1  # without colour
    assert dark[0] == pytest.approx(DARKEST * (0.299 * 200 + 0.587 * 100 + 0.114 * 50), abs=1)


def test_a_heatmap_at_another_size_stays_a_share():
    heatmap = np.random.default_rng(0).random((5, 7)).astype(np.float32).round()
    large = enlarged_to(heatmap, (50, 140))
    assert large.shape == (50, 140)
    assert large.min() >= 0
    assert large.max() <= 1


@pytest.mark.parametrize(
    "name", ["Meise", "シジュウカラ", "عصفور", "$x^2$ \\frac", "line\nbreak\x1b[31m", "long " * 60, ""]
)
def test_any_name_can_be_drawn(tmp_path: Path, name: str):
    heatmap = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    panels = [Panel(PICTURE, None, name), Panel(PICTURE, heatmap, f"why {name}"), Panel(PICTURE, 0 * heatmap, "none")]
    draw_panels(tmp_path / "one.png", rows=[panels, panels[:1]], title=name)
    with Image.open(tmp_path / "one.png") as image:
        assert 600 < image.width < 2000
        assert 500 < image.height < 1500


def test_no_title_is_wider_than_its_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As Matplotlib draws them."""
    drawn: list[Figure] = []
    monkeypatch.setattr(drawing, "save_figure", lambda path, figure: drawn.append(figure))
    name, other = "BLACK-THROATED MOUNTAIN WARBLER " * 3, "W" * 80
    panels = [Panel(PICTURE, None, f"{'x' * 90}.jpg\n{name} 61%\n{other} 9%"), Panel(PICTURE, None, f"why {other}")]
    panels.append(Panel(PICTURE, None, f"why {name}, not {other}"))
    draw_panels(tmp_path / "one.png", rows=[panels], title=f"{name}  ·  {other}", names=[name, other])
    (figure,) = drawn
    figure.set_dpi(DPI)
    renderer = FigureCanvasAgg(figure).get_renderer()
    for axes in figure.axes:
        title = axes._left_title.get_window_extent(renderer)  # pyright: ignore[reportAttributeAccessIssue]
        assert title.width <= axes.get_window_extent(renderer).width
        assert title.y1 <= figure.bbox.y1 + 1
    assert figure._suptitle is not None  # pyright: ignore[reportAttributeAccessIssue]
    assert "\n" in figure._suptitle.get_text()  # pyright: ignore[reportAttributeAccessIssue]


def test_letters_without_a_font_are_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drawing, "families_of", lambda text: (["DejaVu Sans"], "ไ鷺"))
    lacking = {"a"}
    panels_writer([[Panel(PICTURE, None, "鷺ไ")]], lacking=lacking)(tmp_path / "one.png")
    assert lacking == {"a", "ไ", "鷺"}
