"""Mutual-Channel Loss (Chang et al., TIP 2020), Fig. 3b and 7: the channels of a class, and what they show together."""

from fieldmark.explanations.drawing import Panel
from fieldmark.paper_figures.figure import PaperFigure, Studied, heat, runs_of
from fieldmark.papers.mutual_channel import MutualChannelLoss, channel_groups

MOST = 4
"""Channels of a class that are shown, the strongest first."""


def fits(own: Studied) -> bool:
    """Whether the run was trained with the loss."""
    return any(isinstance(term, MutualChannelLoss) for term in own.opened.learner.terms)


def figures(own: Studied, beside: Studied | None) -> list[PaperFigure]:
    """Fig. 7: for each photo the channels of the class that is predicted, and their maximum at each position."""
    rows = _rows(own, "")
    if beside is not None:
        rows = [row for pair in zip(rows, _rows(beside, "baseline  "), strict=True) for row in pair]
    return [
        PaperFigure(
            name="mc-loss-figure-7",
            title="Mutual-Channel Loss, Fig. 7: the channels of the predicted class, and all of them together",
            rows=rows,
            runs=runs_of(own.opened, beside.opened if beside else None),
        )
    ]


def _rows(studied: Studied, label: str) -> list[list[Panel]]:
    features, photos = studied.features(), studied.photo_panels()
    maps = features.maps if features.refined is None else features.refined
    groups = channel_groups(maps.shape[1], studied.opened.learner.method.classifier.classes)
    best, rows = studied.evidence().logits.argmax(1).tolist(), []
    for at, photo in enumerate(photos):
        first = sum(groups[: best[at]])
        of_class = maps[at, first : first + groups[best[at]]]
        order = of_class.amax((1, 2)).argsort(descending=True)[:MOST].tolist()
        panels = [Panel(photo.picture, heat(of_class[each]), f"{label}channel {first + each}") for each in order]
        merged = Panel(photo.picture, heat(of_class.amax(0)), f"{label}all {len(of_class)} of the class")
        rows.append([photo, *panels, merged])
    return rows
