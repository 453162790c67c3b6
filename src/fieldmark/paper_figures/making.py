"""``fieldmark figures``: every paper's picture that a run has the parts for."""

from collections.abc import Iterator, Sequence

from fieldmark.data.dataset import Photo
from fieldmark.data.opening import refuse_without_boxes
from fieldmark.errors import UserError, printable
from fieldmark.images.pictures import Held
from fieldmark.paper_figures import (
    api_net,
    channel_interaction,
    mutual_channel,
    pairwise_confusion,
    selective_sparse_sampling,
)
from fieldmark.paper_figures.figure import PaperFigure, study
from fieldmark.runs.folder import Opened

MOST = 12
"""Photos in a picture."""
PAPERS = (pairwise_confusion, mutual_channel, api_net, channel_interaction, selective_sparse_sampling)


def figures_of(
    opened: Opened, photos: Sequence[Photo], *, beside: Opened | None = None, pictures: Sequence[Held] = ()
) -> Iterator[PaperFigure]:
    """The pictures, one by one.

    Args:
        opened: the run, its learner on the device to use.
        photos: one or more; API-Net's picture takes them two by two.
        beside: a run to show beside it, such as the plain baseline.
        pictures: those in memory that ``row`` of a photo indexes.

    Raises:
        UserError: too many photos, one that cannot be read, or a run with ``--fit box`` and a photo without a box.
    """
    if len(photos) > MOST:
        raise UserError(f"{len(photos)} photos are too many for a picture; name up to {MOST}")
    runs = (opened,) if beside is None else (opened, beside)
    if any(run.recipe.pixels.fit == "box" for run in runs):
        refuse_without_boxes(photos)
    if beside is not None and beside.learner.method.classifier.backbone.channels != (
        own := opened.learner.method.classifier.backbone.channels
    ):
        other = printable(str(beside.path))
        raise UserError(f"--beside {other}: its backbone has other channels than this run's {own}; name a run like it")
    studied = [study(run, photos, pictures=pictures) for run in runs]
    for paper in PAPERS:
        if paper.fits(studied[0]):
            yield from paper.figures(studied[0], studied[1] if beside is not None else None)
