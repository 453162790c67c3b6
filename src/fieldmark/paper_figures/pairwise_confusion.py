"""Pairwise Confusion (Dubey et al., ECCV 2018), Fig. 3: Grad-CAM without the loss and with it.

Any two runs can be compared so; Fig. 5 of Mutual-Channel Loss is of the same kind.
"""

from fieldmark.core.recording import MAPS
from fieldmark.explanations.drawing import Panel
from fieldmark.explanations.heatmaps import look
from fieldmark.paper_figures.figure import PaperFigure, Studied, heat, runs_of


def fits(own: Studied) -> bool:
    """Whether there is a network to look at; there always is."""
    return bool(own.photos)


def figures(own: Studied, beside: Studied | None) -> list[PaperFigure]:
    """Grad-CAM of the class that each run predicts, on its last maps."""
    rows: list[list[Panel]] = [[panel] for panel in own.photo_panels()]
    for studied, label in ((beside, "baseline"), (own, "this run")):
        if studied is None:
            continue
        looked = look(studied.opened.learner.method.eval(), studied.images, layer=MAPS)
        answers = studied.answers(looked.evidence)
        for row, heatmap, answer in zip(rows, looked.heatmaps[0], answers, strict=True):
            row.append(Panel(row[0].picture, heat(heatmap), f"{label}\n{answer}"))
    return [
        PaperFigure(
            name="grad-cam",
            title="Grad-CAM of the predicted class, as in Pairwise Confusion, Fig. 3, and Mutual-Channel Loss, Fig. 5",
            rows=rows,
            runs=runs_of(own.opened, beside.opened if beside else None),
        )
    ]
