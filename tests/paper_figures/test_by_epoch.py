"""Where a class is seen epoch by epoch, by the weights that a run kept."""

from pathlib import Path

import numpy as np
import pytest
import torch

import fieldmark
from fieldmark.core.recording import MAPS
from fieldmark.explanations.heatmaps import look
from fieldmark.paper_figures.figure import PaperFigure
from fieldmark.runs.checkpoint import epoch_file, load_model, save_model
from fieldmark.runs.folder import open_run
from small_figures import write_drawn_run
from sure_runs import sure


def with_epochs(run: Path, *epochs: int) -> Path:
    """The run, and other weights as those of epochs."""
    learner = open_run(run).learner
    for epoch in epochs:
        torch.manual_seed(epoch)
        for parameter in learner.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
        save_model(run, learner, name=epoch_file(epoch))
    return run


@pytest.mark.parametrize("method", ["plain", "s3n"])
def test_a_column_for_each_epoch(method: str, photos: Path, tmp_path: Path) -> None:
    run = with_epochs(write_drawn_run(tmp_path / "own", method), 0, 5, 20)
    other = with_epochs(write_drawn_run(tmp_path / "other", "plain"), 1)
    none = write_drawn_run(tmp_path / "none", "pc")
    chosen = [photos / "ant" / "0.jpg", photos / "bee" / "1.jpg"]
    drawn = {figure.name: figure for figure in fieldmark.figures(run, chosen, beside=[none, other])}
    figure = drawn["s3n-figure-4"]
    assert isinstance(figure, PaperFigure)
    assert figure.facts["epochs"] == {"other": [1], "own": [0, 5, 20]}
    assert [len(row) for row in figure.rows] == [2, 4, 2, 4]  # a photo's row of each run below each other
    assert [panel.title.split("\n")[0] for panel in figure.rows[1][1:]] == [
        "at the start, own", "after epoch 5, own", "after epoch 20, own",
    ]  # fmt: skip
    opened, transform = open_run(run), fieldmark.load(run).transform
    load_model(run, opened.learner, name=epoch_file(5))
    images = torch.stack([transform(photo) for photo in chosen])
    heatmaps = look(opened.learner.method.eval(), images, layer=MAPS).heatmaps[0]
    for at in range(2):
        shown = figure.rows[2 * at + 1][2].heatmap
        np.testing.assert_allclose(shown, heatmaps[at] / heatmaps[at].max().clamp_min(1e-12), atol=1e-5)


def test_a_temperature_is_that_of_the_last_weights(photos: Path, tmp_path: Path) -> None:
    run = with_epochs(write_drawn_run(tmp_path / "own", "plain"), 1)

    def drawn() -> PaperFigure:
        figure = {figure.name: figure for figure in fieldmark.figures(run, photos / "ant" / "0.jpg")}["s3n-figure-4"]
        assert isinstance(figure, PaperFigure)
        return figure

    before = drawn()
    sure(run, 9.0)
    after = drawn()
    assert after.rows[0][0].title != before.rows[0][0].title
    assert after.rows[0][1].title == before.rows[0][1].title
    assert "not calibrated" not in before.title
    assert after.title.endswith("; probabilities by epoch are not calibrated")


def test_without_kept_epochs_there_is_no_such_picture(photos: Path, tmp_path: Path) -> None:
    run = write_drawn_run(tmp_path / "own", "plain")
    assert [figure.name for figure in fieldmark.figures(run, photos / "ant" / "0.jpg")] == ["grad-cam"]
