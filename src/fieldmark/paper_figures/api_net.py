"""API-Net (Zhuang et al., AAAI 2020), Fig. 3: the channels that the gates of a pair open widest, in all networks."""

from collections.abc import Sequence

from fieldmark.explanations.drawing import Panel
from fieldmark.paper_figures.figure import PaperFigure, Studied, heat, runs_of
from fieldmark.papers.api_net import ApiNet

TOP = 5
"""Channels of each image."""


def fits(own: Studied) -> bool:
    """Whether the run has gates."""
    return isinstance(own.opened.learner.method, ApiNet)


def figures(own: Studied, beside: Sequence[Studied]) -> list[PaperFigure]:
    """Fig. 3 of each two photos in a row: the maps of the channels with the largest gates, before pooling.

    A baseline shows the same channels, which both networks have from the same pretrained weights.
    """
    return [_of_pair(own, beside, first) for first in range(0, len(own.photos) - 1, 2)]


def _of_pair(own: Studied, beside: Sequence[Studied], first: int) -> PaperFigure:
    pair = slice(first, first + 2)
    own, beside = _only(own, pair), [_only(each, pair) for each in beside]
    gates, channels = own.evidence().gates["own"].topk(TOP, 1)
    rows, chosen = [], channels.tolist()
    for studied in (own, *beside):
        maps, photos = studied.features().maps, studied.photo_panels()
        for row, photo in enumerate(photos):
            heats = heat(maps[row, channels[row].to(maps.device)])
            titles = [
                f"{studied.name}\nchannel {channel}" + (f", gate {gate:.2f}" if studied is own else "")
                for channel, gate in zip(chosen[row], gates[row].tolist(), strict=True)
            ]
            shown = zip(heats, titles, strict=True)
            rows.append([photo, *(Panel(photo.picture, each, title) for each, title in shown)])
    return PaperFigure(
        name=f"api-net-figure-3-pair-{first // 2 + 1}",
        title="API-Net, Fig. 3: the channels whose gates are widest open in this pair",
        rows=rows,
        runs=runs_of(own, *beside),
        facts={"channels": chosen, "gates": gates.tolist()},
    )


def _only(studied: Studied, rows: slice) -> Studied:
    return studied._replace(photos=studied.photos[rows], images=studied.images[rows], pictures=studied.pictures[rows])
