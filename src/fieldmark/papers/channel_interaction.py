"""Channel Interaction Networks for Fine-Grained Image Categorization: the interaction between images (CCI).

Gao, Han, Wang, Huang, Scott. AAAI 2020. arXiv:2003.05235.

Equations
    Eq. 5   contrast_weights                W_AB = |W_A - eta W_B|: what one image mixes and the other does not
    Eq. 6   ContrastiveChannelInteraction   Z'_A = phi(W_AB X_A) + X_A, with the neck's phi
    Eq. 7   ContrastiveChannelInteraction   the mean over the pairs
    Eq. 8   pair_contrastive                squared distance of h(Z') for one class, squared shortfall of a margin else
    Eq. 9   ContrastiveChannelInteraction   alpha times that, added to the cross-entropy

Paper and released code
    No code of the authors was found. Equations 1 to 3, within an image, are in ``self_channel_interaction``.
    Misprints: Eq. 6 adds X_A to Z'_B, too, where X_B is meant; in Eq. 8 the exponent of the first case was lost.

    Readings where the paper is silent. psi and h are fully connected layers on maps averaged over positions, where the
    paper gives them maps: so a weight of psi stands for a channel, not for a channel at a place (on maps, phi would run
    at every position, and both layers would be bound to one size of image). h has no bias, which the difference of two
    images would cancel. h(Z') is not normalised (``normalise`` does). The operations that the paper tried in place of
    the difference are W_A + eta W_B ("add"), W_A * eta W_B by elements ("multiply") and [W_A, eta W_B] applied to the
    channels of both images, [X_A; X_B] ("concatenate"; applied to X_A twice it would be the sum). "none" is the paper's
    "SCI + Cont": eta = gamma = 0. ``pairs="hard"`` takes each image with the farthest of its class and the nearest of
    another class, by the classifier's embedding; the paper's "all" and "hard negative mining" hurt its accuracy. The
    triplet loss (Schroff et al. 2015) sees each image with one of its class and one of another, drawn ("random") or
    mined ("hard").

    Ten random pairs of 4 x 5 images hold no pair of one class in 10.2 % of batches. Two copies of a photo in one batch
    (a class with fewer photos than its batch takes) are no pair.
"""
# The work is as for ``SelfChannelInteraction.pooled``: nine window sums of X in place of its l columns, by tiles of
# W_AB, from the W that the neck kept. No more than a tile of W_AB is ever held.

from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fieldmark.classifier import Classifier
from fieldmark.contract import TrainOutput
from fieldmark.draws import Draws, of_step
from fieldmark.errors import UserError
from fieldmark.pairs import Pairs, different, halves, mine_pairs
from fieldmark.papers.self_channel_interaction import (
    SelfChannelInteraction,
    Windows,
    channel_weights,
    image_slices,
    row_slices,
    self_channel_interaction,
)
from fieldmark.precision import full_precision

__all__ = ["ContrastiveChannelInteraction", "SelfChannelInteraction", "channel_weights", "contrast_weights"]
__all__ += ["pair_contrastive", "self_channel_interaction", "triplet"]

Operation = Literal["subtract", "add", "multiply", "concatenate", "none"]
Chosen = Literal["random", "all", "hard"]
_WIDTH = 512
"""r, the size of h's output."""


def contrast_weights(w_a: Tensor, w_b: Tensor, eta: Tensor, operation: Operation = "subtract") -> Tensor:
    """W_AB (P, D, D) of w_a, w_b (P, D, D) and eta (P,); (P, D, 2 D) for "concatenate".

    Also of some of the rows alone: (P, rows, D).
    """
    other = eta[:, None, None] * w_b
    if operation == "subtract":
        return (w_a - other).abs()  # Eq. 5
    if operation == "add":
        return w_a + other
    if operation == "multiply":
        return w_a * other
    return torch.cat([w_a, other], 2) if operation == "concatenate" else w_a


def pair_contrastive(h_a: Tensor, h_b: Tensor, same: Tensor, margin: float = 0.5) -> Tensor:
    """The loss (P,) of pairs h_a, h_b (P, r): ``same`` (P,) bool says whether their classes are one.

    The gradient of two equal images of different classes, where the distance has none, is 0.
    """
    squared = (h_a - h_b).square().sum(1)
    distance = torch.where(squared > 0, squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt(), squared)
    return torch.where(same, squared, F.relu(margin - distance).square())  # Eq. 8


def triplet(h_a: Tensor, h_b: Tensor, margin: float = 0.5) -> Tensor:
    """The loss (B,) of 2 B pairs h_a, h_b (2 B, r): first each image with one of its class, then with one of another.

    Of squared distances, as Schroff et al. (2015) have it.
    """
    near, far = (h_a - h_b).square().sum(1).chunk(2)
    return F.relu(near - far + margin)


def _swapped(rows: Tensor) -> Tensor:
    """(2 n, ...) in which the two images of each pair, neighbours, changed places."""
    return rows.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def _less_other(rows: Tensor, eta: Tensor, result: Tensor | None = None) -> Tensor:
    """a - eta_a b and b - eta_b a for neighbours a, b of ``rows`` (2 n, ...), in one pass over memory."""
    a, b = rows[::2], rows[1::2]
    result = torch.empty_like(rows) if result is None else result
    torch.addcmul(a, b, eta[::2, None, None], value=-1, out=result[::2])
    torch.addcmul(b, a, eta[1::2, None, None], value=-1, out=result[1::2])
    return result


class _Contrast(torch.autograd.Function):
    """W_AB V_A and W_BA V_B for pairs of images.

    v (B, k, D) of the images, eta (2 P,), images (2 P,) long: the two of a pair are neighbours; then the blocks and the
    ports of W. Gives (2 P, k, D).
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, eta: Tensor, images: Tensor, operation: Operation, *kept: Tensor) -> Tensor:
        blocks, columns = kept[: len(kept) // 2], v.index_select(0, images)
        values = torch.empty_like(columns)
        all_rows = row_slices(v.shape[2])
        for some in image_slices(len(images), v):
            chosen, factor, part = images[some], eta[some], columns[some]
            for rows, block in zip(all_rows, blocks, strict=True):
                own = block.index_select(0, chosen).to(v.dtype)
                if operation == "subtract":
                    contrast = _less_other(own, factor).abs_()
                else:
                    contrast = contrast_weights(own, _swapped(own), factor, operation)
                values[some, :, rows] = torch.bmm(part, contrast.mT)
        ctx.save_for_backward(v, eta, images, *blocks)
        ctx.operation, ctx.type = operation, kept[-1].dtype
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (v, eta, images, *blocks), g = ctx.saved_tensors, gradients[0].contiguous()
        gradients_of = _subtract_gradients if ctx.operation == "subtract" else _other_gradients
        columns, of_ports = v.index_select(0, images), [v.new_zeros(block.shape, dtype=ctx.type) for block in blocks]
        of_columns, of_eta, all_rows = torch.zeros_like(columns), torch.zeros_like(eta), row_slices(v.shape[2])
        with full_precision(v):
            for some in image_slices(len(images), v):
                chosen, factor, part, of_values = images[some], eta[some], columns[some], g[some]
                for rows, block, of_port in zip(all_rows, blocks, of_ports, strict=True):
                    own = block.index_select(0, chosen).to(v.dtype)
                    of_contrast = torch.bmm(of_values[:, :, rows].mT, part)
                    contrast, of_own, of_factor = gradients_of(own, factor, of_contrast, ctx.operation)
                    of_columns[some].baddbmm_(of_values[:, :, rows], contrast)
                    of_eta[some] += of_factor
                    of_port.index_add_(0, chosen, of_own.to(ctx.type))
        of_v = torch.zeros_like(v).index_add_(0, images, of_columns)
        return of_v, of_eta, None, None, *[None] * len(blocks), *of_ports


def _subtract_gradients(own: Tensor, eta: Tensor, gradient: Tensor, _: Operation) -> tuple[Tensor, Tensor, Tensor]:
    """As ``_other_gradients`` for |own - eta other|, in few passes over little memory: ``own`` is lost."""
    difference = _less_other(own, eta)
    contrast = difference.abs()
    gradient.mul_(difference.sign_())
    of_own = _less_other(gradient, _swapped(eta), difference)
    own[::2].mul_(gradient[1::2])
    own[1::2].mul_(gradient[::2])
    return contrast, of_own, -_swapped(own.sum((1, 2)))


def _other_gradients(own: Tensor, eta: Tensor, gradient: Tensor, operation: Operation) -> tuple[Tensor, Tensor, Tensor]:
    """The contrast (2 n, rows, D) of the weights ``own``, and what its gradient is for them and for eta (2 n,)."""
    with torch.enable_grad():
        own, other = own.detach().requires_grad_(), _swapped(own.detach()).requires_grad_()
        eta = eta.detach().requires_grad_()
        contrast = contrast_weights(own, other, eta, operation)
    of_own, of_other, of_eta = torch.autograd.grad(contrast, (own, other, eta), gradient)
    return contrast.detach(), of_own + _swapped(of_other), of_eta


class ContrastiveChannelInteraction(nn.Module):
    """The CCI term: pulls pairs of one class together, pushes others apart, on channels that tell the two images apart.

    Args:
        channels: D.
        weight: alpha.
        margin: beta, of h's distance (of its square for triplets).
        operation: how W_AB is made of W_A and W_B.
        loss: "contrastive", or "triplet".
        pairs: which pairs of a batch: "random" halves it, "all" takes every two images, "hard" is mined.
        normalise: give h's output the length one.
    """

    batch_wide: ClassVar[bool] = True
    reads_refined: ClassVar[bool] = False
    rate: ClassVar[float] = 0.1
    """Of the head's learning rate, as for the neck."""

    def __init__(
        self,
        channels: int,
        *,
        weight: float = 2.0,
        margin: float = 0.5,
        operation: Operation = "subtract",
        loss: Literal["contrastive", "triplet"] = "contrastive",
        pairs: Chosen = "random",
        normalise: bool = False,
    ) -> None:
        super().__init__()
        self.psi = None if operation == "none" else nn.Linear(2 * channels, 1)
        self.h = nn.Linear(channels, _WIDTH, bias=False)
        self.weight, self.margin, self.operation = weight, margin, operation
        self.loss, self.pairs, self.normalise = loss, pairs, normalise

    def check(self, classifier: Classifier) -> None:
        """Refuses another neck, whose phi it shares, and settings that mean nothing."""
        told = "ContrastiveChannelInteraction"
        for name, choices in (("operation", get_args(Operation)), ("pairs", get_args(Chosen))):
            if getattr(self, name) not in choices:
                raise UserError(f"{told}({name}={getattr(self, name)!r}): choose {', '.join(map(repr, choices))}")
        if self.loss not in ("contrastive", "triplet"):
            raise UserError(f"{told}(loss={self.loss!r}): choose 'contrastive' or 'triplet'")
        if self.loss == "triplet" and self.pairs == "all":
            raise UserError(f"{told}(loss='triplet', pairs='all'): triplets take pairs='random' or 'hard'")
        if self.weight < 0 or self.margin <= 0:
            raise UserError(f"{told}: the weight is at least 0 and the margin above 0")
        if not isinstance(classifier.neck, SelfChannelInteraction):
            raise UserError(f"{told} uses the neck's convolution: it needs --neck self-channel-interaction")
        classifier.neck.lends = True

    def forward(self, output: TrainOutput, classifier: Classifier, draws: Draws) -> Tensor:
        """The weighted mean over the pairs of the batch; 0 for a batch of one."""
        neck = classifier.neck
        assert isinstance(neck, SelfChannelInteraction)
        return self._loss(neck, output.features.maps, self._pairs(output.labels, output.features.embedding, draws))

    def loss_of(self, neck: SelfChannelInteraction, maps: Tensor, labels: Tensor, *, step: int | None = None) -> Tensor:
        """The same in a loop of one's own, from the layer's own maps (B, D, h, w) and labels (B,).

        The pairs are others with each ``step``; None halves the batch as it stands.
        """
        chosen = self._pairs(labels, maps.mean((2, 3)), of_step(step))
        return self._loss(neck, maps, chosen)

    def _loss(self, neck: SelfChannelInteraction, maps: Tensor, chosen: Pairs) -> Tensor:
        with full_precision(maps):
            h_a, h_b = self._embedded(neck, neck.windows(maps), chosen)
            if self.loss == "triplet":
                losses, counted = (
                    triplet(h_a, h_b, self.margin),
                    chosen.valid[: len(h_a) // 2] & chosen.valid[len(h_a) // 2 :],
                )
            else:
                losses, counted = pair_contrastive(h_a, h_b, chosen.same, self.margin), chosen.valid
            mean = (losses * counted).sum() / counted.sum().clamp_min(1)  # Eq. 7
            return self.weight * mean  # Eq. 9

    def _pairs(self, labels: Tensor, embedding: Tensor, draws: Draws) -> Pairs:
        if self.loss == "triplet" or self.pairs == "hard":
            if self.pairs == "random":  # nearest by chance
                embedding = draws.uniform("contrastive_channel_interaction", (len(labels), 1), like=embedding.float())
            intra = "dissimilar" if self.pairs == "hard" else "similar"
            return mine_pairs(embedding, labels, intra=intra, rows=draws.rows)
        if self.pairs == "random":
            order = draws.permutation("contrastive_channel_interaction", len(labels), like=embedding)
            anchor, mate = halves(len(labels), order=order, like=embedding)
        else:
            anchor, mate = torch.triu_indices(len(labels), len(labels), 1, device=labels.device)
        return Pairs(anchor, mate, labels[anchor] == labels[mate], different(anchor, mate, draws.rows))

    def _embedded(self, neck: SelfChannelInteraction, seen: Windows, chosen: Pairs) -> tuple[Tensor, Tensor]:
        """h(Z') of both images of each pair: twice (P, r)."""
        images = torch.stack([chosen.anchor, chosen.mate], 1).flatten()
        mixed = seen.mixed.values[images]
        if self.psi is not None:
            y = mixed[:, 4]
            eta = self.psi(torch.cat([y, _swapped(y)], 1)).squeeze(1)
            if self.operation == "concatenate":
                mixed = mixed + eta[:, None, None] * _swapped(mixed)
            else:
                kept = (*seen.mixed.blocks, *seen.mixed.ports)
                mixed = _Contrast.apply(seen.averages, eta, images, self.operation, *kept)
        h = self.h(neck.averaged(seen, seen.averages[images, 4], mixed))  # Eq. 6
        h = F.normalize(h, dim=1) if self.normalise else h
        return h[::2], h[1::2]
