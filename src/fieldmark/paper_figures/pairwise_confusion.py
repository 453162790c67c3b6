"""Pairwise Confusion (Dubey et al., ECCV 2018), Fig. 3: Grad-CAM without the loss and with it.

Any runs can be compared so. Fig. 2 is in ``convergence.py`` and, its sweep, in ``fieldmark bench sweep``.
"""

from collections.abc import Sequence

from fieldmark.explanations.drawing import Panel
from fieldmark.paper_figures.figure import PaperFigure, Studied, runs_of


def fits(own: Studied) -> bool:
    """Whether there is a network to look at; there always is."""
    return bool(own.photos)


def figures(own: Studied, beside: Sequence[Studied]) -> list[PaperFigure]:
    """Grad-CAM of the class that each run predicts, on its last maps."""
    rows: list[list[Panel]] = [[panel] for panel in own.photo_panels()]
    for studied in (*beside, own):
        for row, panel in zip(rows, studied.grad_cam_panels(), strict=True):
            row.append(panel)
    return [
        PaperFigure(
            name="grad-cam",
            title="Grad-CAM of the predicted class, as in Pairwise Confusion, Fig. 3",
            rows=rows,
            runs=runs_of(own, *beside),
        )
    ]
