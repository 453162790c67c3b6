"""``fieldmark figures``: every paper's picture that a run has the parts for."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from fieldmark.data.dataset import Photo
from fieldmark.data.opening import refuse_without_boxes
from fieldmark.errors import UserError
from fieldmark.input.loading import Packed
from fieldmark.paper_figures import (
    api_net,
    by_epoch,
    channel_interaction,
    mutual_channel,
    pairwise_confusion,
    selective_sparse_sampling,
)
from fieldmark.paper_figures.convergence import Convergence, convergence
from fieldmark.paper_figures.figure import PaperFigure, names_of_runs, study
from fieldmark.runs.folder import Opened

MOST, MOST_RUNS = 12, 7
"""Photos, and runs, in a picture."""
PAPERS = (pairwise_confusion, mutual_channel, api_net, channel_interaction, selective_sparse_sampling, by_epoch)


def figures_of(
    opened: Opened, photos: Sequence[Photo], *, beside: Sequence[Opened] = (), pictures: Packed = ()
) -> Iterator[PaperFigure | Convergence]:
    """The pictures, one by one.

    Args:
        opened: the run, its learner on the device to use.
        photos: API-Net's picture takes them two by two; none: only that of accuracy by epoch is made.
        beside: runs to show beside it, such as the plain baseline.
        pictures: those in memory that ``row`` of a photo indexes.

    Raises:
        UserError: too many photos or runs, runs that do not go together, nothing to draw, a photo that cannot be read,
            or a run with ``--fit box`` and a photo without a box.
    """
    runs = (opened, *beside)
    if len(photos) > MOST or len(runs) > MOST_RUNS:
        many = f"{len(photos)} photos" if len(photos) > MOST else f"{len(beside)} runs beside it"
        raise UserError(f"{many} are too many for a picture; name up to {MOST} photos, and {MOST_RUNS - 1} --beside")
    names = names_of_runs([run.path for run in runs])
    channels = [run.learner.method.classifier.backbone.channels for run in runs]
    if other := next((name for name, each in zip(names, channels, strict=True) if each != channels[0]), None):
        wanted = f"its backbone has other channels than this run's {channels[0]}"
        raise UserError(f"--beside {other}: {wanted}; name a run like it")
    if any(run.recipe.pixels.fit == "box" for run in runs):
        refuse_without_boxes(photos)
    studied = [
        study(run, photos, name=name, classes=opened.classes, pictures=pictures)
        for run, name in zip(runs, names, strict=True)
        if photos
    ]
    papers = [paper for paper in PAPERS if photos and paper.fits(studied[0])]
    if mutual_channel in papers:
        mutual_channel.refuse_other_classes(studied[0], studied[1:])
    shown, files = (
        (*names, *(name for run in runs for name in run.classes)),
        [Path(photo.name).name for photo in photos],
    )
    for paper in papers:
        for figure in paper.figures(studied[0], studied[1:]):
            yield replace(figure, names=shown, files=files)
    curves = convergence(runs)
    if curves is not None:
        yield curves
    elif not photos:
        raise UserError("name photos: this run has no epochs whose accuracy could be drawn without any")
