"""Mutual-Channel Loss (Chang et al., TIP 2020): the channels of a class, alone and together.

Fig. 3b, classes' channels before the loss and with it; Fig. 5 (6 channels a class) and 7 (3), the channels of the
predicted class and their maximum, beside runs without parts of the loss; Table IX, the channels that soft labels chose.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fieldmark.data.dataset import composed
from fieldmark.errors import UserError, printable
from fieldmark.explanations.drawing import Panel
from fieldmark.paper_figures.figure import PaperFigure, Studied, heat, runs_of
from fieldmark.papers.mutual_channel import MutualChannelLoss, SoftChannelLabels, channel_groups, diversity

MOST, FEW = 6, 3
"""Channels of a class that Fig. 5 and 7, and Fig. 3b, show, the strongest first."""
ALIGNED = 3
"""Classes of Fig. 3b: the likeliest ones."""
TOP, FIRST = 10, 5
"""Of Table IX: channels of a class, and classes."""


def fits(own: Studied) -> bool:
    """Whether the run was trained with the loss, whose groups of channels are fixed or learned."""
    return any(isinstance(term, MutualChannelLoss | SoftChannelLabels) for term in own.opened.learner.terms)


def refuse_other_classes(own: Studied, beside: Sequence[Studied]) -> None:
    """Raises ``UserError`` where the run of Fig. 3b that stands beside lacks classes whose channels are compared."""
    if any(isinstance(term, SoftChannelLabels) for term in own.opened.learner.terms):
        return
    for other in beside[:1]:
        known = _index(other.opened.classes)
        lost = [name for name in own.opened.classes if composed(name) not in known]
        if lost:
            count = f"{len(lost):,} of this run's {len(own.opened.classes):,} classes, such as {printable(lost[0])!r}"
            advice = "channels are compared class by class: name a run of the same classes first"
            raise UserError(f"--beside {other.name}: it does not have {count};\n{advice}")


def _index(classes: Sequence[str]) -> dict[str, int]:
    return {composed(name): label for label, name in enumerate(classes)}


def figures(own: Studied, beside: Sequence[Studied]) -> list[PaperFigure]:
    """Fig. 5 and 7 in one, and Fig. 3b of each photo, beside the first other run; or Table IX with its channels."""
    soft = [term for term in own.opened.learner.terms if isinstance(term, SoftChannelLabels)]
    if soft:
        return [_learned(own, soft[0])]
    most = min(MOST, max(_groups(own)))
    rows_of = [_rows(studied, most) for studied in (own, *beside)]
    together = PaperFigure(
        name="mc-loss-figure-7",
        title="Mutual-Channel Loss, Fig. 5 and 7: the channels of the predicted class, and their maximum",
        rows=[row for rows in zip(*rows_of, strict=True) for row in rows],
        runs=runs_of(own, *beside),
    )
    return [together, *(_aligned(own, beside[:1], at) for at in range(len(own.photos)))]


def _rows(studied: Studied, most: int) -> list[list[Panel]]:
    """A row for each photo: the photo, the strongest channels of the predicted class, and all of its channels."""
    maps, groups = _maps(studied), _groups(studied)
    best, rows, label = studied.evidence().logits.argmax(1).tolist(), [], f"{studied.name}: {variant(studied)}"
    parts = diversity(maps, groups)
    for at, photo in enumerate(studied.photo_panels()):
        first, size = sum(groups[: best[at]]), groups[best[at]]
        of_class = maps[at, first : first + size]
        order = of_class.amax((1, 2)).argsort(descending=True)[:most].tolist()
        panels = [Panel(photo.picture, heat(of_class[each]), f"{label}\nchannel {first + each}") for each in order]
        words = f"{label}\nall {size} of the class\ndiversity {float(parts[at, best[at]]):.2f} of at most {size}"
        rows.append([photo, *panels, Panel(photo.picture, heat(of_class.amax(0)), words)])
    return rows


def variant(studied: Studied) -> str:
    """Which parts of the loss a run was trained with, as Table VII calls it."""
    for term in studied.opened.learner.terms:
        if isinstance(term, MutualChannelLoss):
            parts = (("L_div", term.lambda_), ("L_dis", term.factor), ("CWA", term.drop))
            lacking = [name for name, weight in parts if not weight]
            return "MC-Loss" + "".join(f" minus {name}" for name in lacking)
    return "no MC-Loss"


def _maps(studied: Studied) -> Tensor:
    """The maps that the loss acts on, (B, N, h, w), nowhere negative."""
    features = studied.features()
    return (features.maps if features.refined is None else features.refined).float().clamp_min(0)


def _groups(studied: Studied) -> tuple[int, ...]:
    return channel_groups(_maps(studied).shape[1], studied.opened.learner.method.classifier.classes)


def _aligned(own: Studied, beside: Sequence[Studied], at: int) -> PaperFigure:
    """Fig. 3b of a photo: for the likeliest classes, the strongest of their channels, on one scale for each run."""
    shares = own.probabilities(own.evidence())[at]
    picture, labels = own.pictures[at].picture, np.argsort(-shares, kind="stable")[:ALIGNED].tolist()
    rows = [
        [Panel(picture, None, f"{own.opened.classes[label]}\n{shares[label]:.0%} by {own.name}")] for label in labels
    ]
    facts = {}
    for studied in (*beside, own):
        maps, groups = _maps(studied)[at], _groups(studied)
        theirs = [_index(studied.opened.classes)[composed(own.opened.classes[label])] for label in labels]
        peaks, channels = _strongest(maps, groups, theirs)
        heats = heat(maps[channels], together=(0, 1, 2, 3))
        responses = [float(maps[sum(groups[:label]) :][: groups[label]].amax(0).mean()) for label in theirs]
        facts[studied.name] = {"channels": channels.tolist(), "responses": responses}
        for row, numbers, of_class, maxima in zip(rows, channels.tolist(), heats, peaks.tolist(), strict=True):
            for channel, each, most in zip(numbers, of_class, maxima, strict=True):
                words = f"{studied.name}: {variant(studied)}\nchannel {channel}, maximum {most:.2g}"
                row.append(Panel(picture, each, words))
    return PaperFigure(
        name=f"mc-loss-figure-3b-photo-{at + 1}",
        title="Mutual-Channel Loss, Fig. 3b: channels of the likeliest classes, without the loss and with it",
        rows=rows,
        runs=runs_of(own, *beside),
        facts={"classes": [own.opened.classes[label] for label in labels], "by_run": facts},
    )


def _strongest(maps: Tensor, groups: Sequence[int], labels: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The largest responses, and the channels of maps (N, h, w) that have them: (K, F) of each of K classes."""
    maxima, count = maps.amax((1, 2)), min(FEW, min(groups[label] for label in labels))
    firsts = [sum(groups[:label]) for label in labels]
    found = [maxima[first : first + groups[label]].topk(count) for first, label in zip(firsts, labels, strict=True)]
    channels = [each.indices + first for each, first in zip(found, firsts, strict=True)]
    return torch.stack([each.values for each in found]), torch.stack(channels)


def _learned(own: Studied, term: SoftChannelLabels) -> PaperFigure:
    """Table IX: the channels that belong most to each class; drawn are those of the predicted one."""
    maps, classes = _maps(own), own.opened.classes
    channels = term.top_channels(min(TOP, term.means.shape[1])).tolist()
    best = own.evidence().logits.argmax(1).tolist()
    rows = []
    for at, photo in enumerate(own.photo_panels()):
        label, chosen = best[at], channels[best[at]][:FIRST]
        titles = [f"{own.name}\nchannel {each}, soft label {float(term.means[label, each]):.2f}" for each in chosen]
        heats = heat(maps[at, chosen])
        rows.append([photo, *(Panel(photo.picture, each, title) for each, title in zip(heats, titles, strict=True))])
    counts = Counter(channel for of_class in channels for channel in of_class)
    shared = sum(count > 1 for count in counts.values())
    table = [f"{name}: {' '.join(map(str, each))}" for name, each in zip(classes, channels[:FIRST], strict=False)]
    return PaperFigure(
        name="mc-loss-table-9",
        title="Mutual-Channel Loss, Table IX: the channels that soft labels give to a class, most important first",
        rows=rows,
        runs=runs_of(own),
        facts={"top_channels": dict(zip(classes, channels, strict=True)), "channels": len(counts), "shared": shared},
        lines=(*table, f"{len(counts)} channels among the first {TOP} of a class, {shared} of them of several classes"),
    )
