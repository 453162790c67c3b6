"""S3N (Ding et al., ICCV 2019), Fig. 4: where the class is seen, epoch by epoch, in any runs that kept their epochs."""

from collections.abc import Iterator, Sequence
from copy import deepcopy

from fieldmark.explanations.drawing import Panel
from fieldmark.paper_figures.figure import PaperFigure, Studied, runs_of
from fieldmark.runs.checkpoint import epoch_file, kept_epochs, load_model


def fits(own: Studied) -> bool:
    """Whether weights of single epochs are there (``train --keep-epochs``)."""
    return bool(kept_epochs(own.opened.path))


def figures(own: Studied, beside: Sequence[Studied]) -> list[PaperFigure]:
    """For each photo a row of each run that kept epochs: Grad-CAM of the class that it predicted by then."""
    runs = [studied for studied in (*beside, own) if fits(studied)]
    rows_of = [[[panel] for panel in studied.photo_panels()] for studied in runs]
    for studied, rows in zip(runs, rows_of, strict=True):
        for epoch, by_then in _at_epochs(studied):
            for row, panel in zip(rows, by_then.grad_cam_panels(), strict=True):
                row.append(panel._replace(title=f"{_when(epoch)}, {panel.title}{_nothing(panel)}"))
    return [
        PaperFigure(
            name="s3n-figure-4",
            title=f"S3N, Fig. 4: where the predicted class is seen, epoch by epoch (Grad-CAM){_uncalibrated(runs)}",
            rows=[row for rows in zip(*rows_of, strict=True) for row in rows],
            runs=runs_of(*runs),
            facts={"epochs": {studied.name: kept_epochs(studied.opened.path) for studied in runs}},
        )
    ]


def _at_epochs(studied: Studied) -> Iterator[tuple[int, Studied]]:
    """The run as it answered after each epoch that it kept; its temperature is that of its last weights alone."""
    opened = studied.opened._replace(learner=deepcopy(studied.opened.learner), confidence=None)
    for epoch in kept_epochs(opened.path):
        load_model(opened.path, opened.learner, name=epoch_file(epoch))
        yield epoch, studied._replace(opened=opened)


def _uncalibrated(runs: Sequence[Studied]) -> str:
    """For the title, where probabilities beside the photos are calibrated, and those by epoch cannot be."""
    calibrated = any(studied.opened.temperature != 1 for studied in runs)
    return "; probabilities by epoch are not calibrated" if calibrated else ""


def _nothing(panel: Panel) -> str:
    """A line where no place speaks for the class, as with a head that begins at zero."""
    return "" if panel.heatmap is not None and panel.heatmap.any() else "\nno evidence for it yet"


def _when(epoch: int) -> str:
    return f"after epoch {epoch}" if epoch else "at the start"
