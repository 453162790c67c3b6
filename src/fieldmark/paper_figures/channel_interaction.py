"""The Channel Interaction Network (Gao et al., AAAI 2020), Fig. 1, 3, 4 and 5: which channels complete each other."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fieldmark.explanations.drawing import Panel
from fieldmark.paper_figures.figure import PaperFigure, Studied, heat, runs_of
from fieldmark.papers.channel_interaction import (
    ContrastiveChannelInteraction,
    SelfChannelInteraction,
    channel_weights,
    contrast_weights,
    self_channel_interaction,
)

COMPLEMENTARY = 3
"""Channels beside the one that is looked at, as in Fig. 4."""
UNLIKE = 4
"""Channels of Fig. 1."""
RESPONDING = 0.5
"""Channels are chosen from those that respond somewhere with at least this share of the largest response of all.

A channel that responds nowhere has no place in common with any, and so the largest weights: by its letter Fig. 4 would
show dark pictures, as a pretrained network has many such channels.
"""


def fits(own: Studied) -> bool:
    """Whether the run has the layer SCI."""
    return isinstance(own.opened.learner.method.classifier.neck, SelfChannelInteraction)


def figures(own: Studied, beside: Sequence[Studied]) -> list[PaperFigure]:
    """Fig. 1; Fig. 4 (with the row of W that Fig. 3 shows, among its facts); Fig. 5 of the first photo with each other.

    Baselines show the same channels, which all networks have from the same pretrained weights.
    """
    made = [_activations(own, beside), _complementary(own, beside)]
    terms = [term for term in own.opened.learner.terms if isinstance(term, ContrastiveChannelInteraction)]
    if terms and terms[0].psi is not None and not terms[0].positions and len(own.photos) > 1:
        made.append(_contrasted(own, terms[0]))
    return made


def _activations(own: Studied, beside: Sequence[Studied]) -> PaperFigure:
    """Fig. 1: channels that are unlike each other, the same ones for every photo, each on a scale of its own."""
    channels, cosines = unlike_channels(own.features().maps)
    rows, numbers = [], channels.tolist()
    for studied in (own, *beside):
        heats = heat(studied.features().maps[:, channels], together=(0, 2, 3))
        titles = [f"{studied.name}\nchannel {number}" for number in numbers]
        for photo, each in zip(studied.photo_panels(), heats, strict=True):
            rows.append([photo, *(Panel(photo.picture, *shown) for shown in zip(each, titles, strict=True))])
    return PaperFigure(
        name="cin-figure-1",
        title="CIN, Fig. 1: channels that respond at different places; a channel has one scale for all photos of a run",
        rows=rows,
        runs=runs_of(own, *beside),
        facts={"channels": numbers, "cosines": cosines.tolist()},
    )


def unlike_channels(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Channels (K,) of maps (B, D, h, w): the one that varies most, then each time the one least like all before it.

    They respond in as many images as there are enough channels for. How alike two are is the cosine of their responses
    at all positions of all images, (K, K).
    """
    images = _responding(maps.flatten(2).float()).sum(0)
    channels = torch.nonzero(images >= images.topk(min(UNLIKE, len(images))).values[-1].clamp_min(1))[:, 0]
    flat = maps.transpose(0, 1).flatten(1).float()
    channels = channels[flat[channels].std(1).argsort(descending=True, stable=True)]
    responses = F.normalize(flat[channels], dim=1)
    cosines, chosen = responses @ responses.T, [0]
    for _ in range(min(UNLIKE, len(channels)) - 1):
        likeness = cosines[:, chosen].amax(1)
        likeness[chosen] = torch.inf
        chosen.append(int(likeness.argmin()))
    return channels[chosen], cosines[chosen][:, chosen]


def _responding(flat: Tensor) -> Tensor:
    """Which channels respond somewhere, of responses (..., D, l): bool (..., D)."""
    most = flat.amax(-1)
    return most >= RESPONDING * most.amax(-1, keepdim=True)


def _complementary(own: Studied, beside: Sequence[Studied]) -> PaperFigure:
    """For each photo the channel that varies most, those with the largest weights in its row of W, and that of Y."""
    neck = own.opened.learner.method.classifier.neck
    assert isinstance(neck, SelfChannelInteraction)
    maps = own.features().maps
    with torch.no_grad():
        weights, y = channel_weights(maps.flatten(2), neck.scale), self_channel_interaction(maps.flatten(2), neck.scale)
    flat, images = maps.flatten(2).float(), torch.arange(len(maps), device=maps.device)
    responding = _responding(flat)
    channel = flat.std(2).where(responding, -1).argmax(1)
    row, in_common = weights[images, channel], neck.scale * (flat @ flat[images, channel, :, None])[..., 0]
    # the weights are the softmax of what is negated here; among channels that respond all of them may be 0 in float32
    cosines = (F.normalize(flat, dim=2) @ F.normalize(flat[images, channel], dim=1)[..., None])[..., 0]
    least, others = in_common.where(responding, torch.inf).topk(min(COMPLEMENTARY, flat.shape[1]), 1, largest=False)
    chosen = [each[kept].tolist() for each, kept in zip(others, least.isfinite(), strict=True)]
    rows = []
    baselines = [(each.name, each.features().maps) for each in beside]
    for at, photo in enumerate(own.photo_panels()):
        before, after = heat(maps[at, channel[at]]), heat(y[at, channel[at]].view(maps.shape[2:]))
        panels = [photo, Panel(photo.picture, before, f"channel {int(channel[at])}")]
        for other in chosen[at]:
            words = f"channel {other}\nW {float(row[at, other]):.2g}, cosine {float(cosines[at, other]):.2f}"
            panels.append(Panel(photo.picture, heat(maps[at, other]), words))
        panels.append(Panel(photo.picture, after, f"channel {int(channel[at])}\nafter SCI"))
        for name, baseline in baselines:
            title = f"{name}\nchannel {int(channel[at])}"
            panels.append(Panel(photo.picture, heat(baseline[at, int(channel[at])]), title))
        rows.append(panels)
    return PaperFigure(
        name="cin-figure-4",
        title="CIN, Fig. 4: a channel, the channels that complete it most, and the channel after SCI",
        rows=rows,
        runs=runs_of(own, *beside),
        facts={"channel": channel.tolist(), "complementary": chosen, "row_of_W": row.tolist()},
    )


def _contrasted(own: Studied, term: ContrastiveChannelInteraction) -> PaperFigure:
    """The first photo's maps by CCI, averaged over the channels, as they are in a pair with each of the others."""
    maps = own.features().maps
    photos = own.photo_panels()
    with torch.no_grad():
        heats, etas = contrast_of_first(own, term, maps)
    mean = heat(maps.mean(1))
    rows = [[photos[0], Panel(photos[0].picture, mean[0], "mean of all channels")]]
    for photo, each, eta in zip(photos[1:], heat(heats), etas.tolist(), strict=True):
        rows.append([photo, Panel(photos[0].picture, each, f"the first photo, in a pair with this one\neta {eta:.2f}")])
    return PaperFigure(
        name="cin-figure-5",
        title="CIN, Fig. 5: the first photo, as it is seen in a pair with each other one",
        rows=rows,
        runs=runs_of(own),
        facts={"eta": etas.tolist()},
    )


def contrast_of_first(own: Studied, term: ContrastiveChannelInteraction, maps: Tensor) -> tuple[Tensor, Tensor]:
    """The mean over channels of Y'_A = W_AB X_A (Eq. 5) of the first image A with each other B: (B - 1, h, w).

    And eta (B - 1,), from psi of the averages of Y_A and Y_B.
    """
    neck = own.opened.learner.method.classifier.neck
    assert isinstance(neck, SelfChannelInteraction)
    assert term.psi is not None
    x = maps.flatten(2)
    weights = channel_weights(x, neck.scale)
    own_y = (weights @ x).mean(2)
    first, others = own_y[:1].expand(len(maps) - 1, -1), own_y[1:]
    eta = term.psi(torch.cat([first, others], 1))[:, 0]
    contrast = contrast_weights(weights[:1].expand(len(others), -1, -1), weights[1:], eta, term.operation)
    values = torch.cat([x[:1].expand(len(others), -1, -1), x[1:]], 1) if term.operation == "concatenate" else x[:1]
    return (contrast @ values).mean(1).unflatten(1, maps.shape[2:]), eta
