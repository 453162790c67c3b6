"""Channel Interaction Networks for Fine-Grained Image Categorization: the interaction between images (CCI).

Gao, Han, Wang, Huang, Scott. AAAI 2020. arXiv:2003.05235.

Equations
    Eq. 5   contrast_weights                W_AB = |W_A - eta W_B|: what one image mixes and the other does not
    Eq. 6   ContrastiveChannelInteraction   Z'_A = phi(W_AB X_A) + X_A, with the neck's phi
    Eq. 7   ContrastiveChannelInteraction   the mean over the pairs
    Eq. 8   pair_contrastive                squared distance of h(Z') within a class, else squared shortfall of a margin
    Eq. 9   ContrastiveChannelInteraction   alpha times that, added to the cross-entropy
    Eq. 1 to 3, within an image, are in interaction.py.

Paper and released code
    No code of the authors was found.
    Misprints: Eq. 6 adds X_A to Z'_B, too, where X_B is meant; in Eq. 8 the exponent of the first case was lost.
    The operations that the paper tried in place of the difference are W_A + eta W_B ("add"), W_A * eta W_B by elements
    ("multiply") and [W_A, eta W_B] applied to the channels of both images, [X_A; X_B] ("concatenate"; applied to X_A
    twice it would be the sum). "none" is the paper's "SCI + Cont": eta = gamma = 0.

    Readings where the paper is silent. psi and h are fully connected layers on maps averaged over positions, where the
    paper gives them maps: so a weight of psi stands for a channel, not for a channel at a place. With ``positions``
    they read whole maps: phi then runs at every position, and both layers fit one size of image only. h has no
    bias, which would cancel in the difference of two images (but not with ``normalise``). h(Z') is not normalised
    (``normalise`` does). ``pairs="hard"`` takes each image with the farthest of its class and the nearest of
    another class, by the average of Z; the paper's "all" and "hard negative mining" hurt its accuracy. The
    triplet loss (Schroff et al. 2015) sees each image with one of its class and one of another, drawn ("random") or
    mined ("hard").

    Ten random pairs of 4 x 5 images hold no pair of one class in 10.2 % of batches. Two copies of a photo in one batch
    (if a class has fewer photos than a batch takes of it) are not a pair.

Computing in pieces
    W_AB is as large as W, and autograd would keep it four times: as the product with eta, as the difference, as its
    absolute value, and as copies of W by pairs. So ``contrasted`` takes a few pairs at a time and keeps only their
    Y'. With V the windows of X (or X itself), for each piece of pairs (A, B),

        forward    W_AB = |W_A - eta W_B|      W_BA = |W_B - gamma W_A|
                   Y'_A = W_AB V_A             Y'_B = W_BA V_B
        backward   the same once more, now recorded by autograd, which gives the piece's gradients of W_A, W_B, V_A,
                   V_B, eta and gamma from those of Y'_A and Y'_B; they are added into those of W and V.

    Under automatic mixed precision in bfloat16 the backward pass runs in it, which moves half the memory. The forward
    pass does not: an eta of eight bits would change all of W_AB. In float16 tiny gradients of W would be lost.

    Second derivatives are those of autograd on all pairs at once, with W_AB kept.
"""

from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.core.classifier import Classifier
from fieldmark.core.contract import Term
from fieldmark.core.draws import Draws, drawn
from fieldmark.core.inputs import refuse_labels, refuse_misfits
from fieldmark.core.pairs import Pairs, different, halves, mine_pairs, root
from fieldmark.errors import UserError
from fieldmark.ops.precision import full_precision, raised, suited
from fieldmark.papers.channel_interaction.interaction import Interaction, SelfChannelInteraction, weighted
from fieldmark.plain import Count, Natural, NotNegative, Positive

Operation = Literal["subtract", "add", "multiply", "concatenate", "none"]
Chosen = Literal["random", "all", "hard"]
Loss = Literal["contrastive", "triplet"]
_PAIRS = 2
"""Pairs that are computed at a time."""
_WIDTH = 512
"""r, the size of h's output."""
Weights = Annotated[Tensor, "P M D"]
Embedded = Annotated[Tensor, "P r"]


def contrast_weights(
    w_a: Weights, w_b: Weights, eta: Annotated[Tensor, "P"], operation: Operation = "subtract"
) -> Tensor:
    """W_AB (P, D, D) of w_a, w_b (P, D, D) and eta (P,); (P, D, 2 D) for "concatenate".

    Raises:
        UserError: an unknown operation, or tensors of other shapes.
    """
    refuse_misfits(contrast_weights, w_a, w_b, eta, operation)
    other = eta[:, None, None] * w_b
    match operation:
        case "subtract":
            return (w_a - other).abs()  # Eq. 5
        case "add":
            return w_a + other
        case "multiply":
            return w_a * other
        case "concatenate":
            return torch.cat([w_a, other], 2)
        case "none":
            return w_a


def pair_contrastive(
    h_a: Embedded, h_b: Embedded, same: Annotated[Tensor, "P", bool], margin: NotNegative = 0.5
) -> Tensor:
    """The loss (P,) of pairs h_a, h_b (P, r): ``same`` (P,) bool says whether they have one class.

    Two equal images of different classes, where the distance has no gradient, get the gradient 0.
    """
    refuse_misfits(pair_contrastive, h_a, h_b, same, margin)
    squared = (h_a - h_b).square().sum(1)
    return torch.where(same, squared, F.relu(margin - root(squared)).square())  # Eq. 8


def triplet(h_a: Embedded, h_b: Embedded, margin: NotNegative = 0.5) -> Tensor:
    """The loss (B,) of 2 B pairs h_a, h_b (2 B, r), first each image with a mate of its class, then of another.

    On squared distances, as Schroff et al. (2015) have it.
    """
    refuse_misfits(triplet, h_a, h_b, margin)
    if len(h_a) % 2:
        raise UserError(f"triplet takes two pairs for each image, not {len(h_a)} in all")
    near, far = (h_a - h_b).square().sum(1).chunk(2)
    return F.relu(near - far + margin)


class ContrastiveChannelInteraction(Term):
    """The CCI term: pulls pairs of one class together, pushes others apart, on channels that tell the two images apart.

        interaction = layer.interact(maps)  # layer = SelfChannelInteraction(channels)
        loss = F.cross_entropy(head(interaction.pooled), labels)
        loss = loss + ContrastiveChannelInteraction(channels)(interaction, labels)

    Args:
        channels: D.
        weight: alpha.
        margin: beta, of h's distance (of its square for triplets).
        operation: how W_AB is made of W_A and W_B.
        loss: "contrastive", or "triplet".
        pairs: which pairs of a batch: "random" halves it, "all" takes every two images, "hard" is mined.
        normalise: give h's output the length one.
        positions: h * w of the maps that psi and h read whole, one weight a channel and place; 0 has them averaged.

    Raises:
        UserError: an option that means nothing; in a call, another thing than an interaction, another number of
            channels or of positions, labels of another shape.
    """

    reads = ("interaction",)
    batch_wide: ClassVar[bool] = True
    rate: ClassVar[float] = 0.1
    """Of the head's learning rate, as for the neck."""

    def __init__(
        self,
        channels: Count,
        *,
        weight: NotNegative = 2.0,
        margin: Positive = 0.5,
        operation: Operation = "subtract",
        loss: Loss = "contrastive",
        pairs: Chosen = "random",
        normalise: bool = False,
        positions: Natural = 0,
    ) -> None:
        super().__init__()
        self.channels, self.weight, self.margin = channels, weight, margin
        self.operation: Operation = operation
        self.loss, self.pairs, self.normalise, self.positions = loss, pairs, normalise, positions
        options = (weight, margin, operation, loss, pairs, normalise, positions)
        refuse_misfits(ContrastiveChannelInteraction, channels, *options)
        if loss == "triplet" and pairs == "all":
            name = type(self).__name__
            raise UserError(f"{name}(loss='triplet', pairs='all'): triplets take pairs='random' or 'hard'")
        width = channels * max(positions, 1)
        self.psi = None if operation == "none" else nn.Linear(2 * width, 1)
        self.h = nn.Linear(width, _WIDTH, bias=False)

    def check(self, classifier: Classifier) -> None:
        """Refuses any neck but the layer whose phi it shares."""
        if not isinstance(classifier.neck, SelfChannelInteraction):
            needed = "it needs the neck SelfChannelInteraction (self-channel-interaction)"
            raise UserError(f"ContrastiveChannelInteraction uses the neck's convolution: {needed}")

    def forward(self, interaction: Interaction, labels: Tensor, *, draws: Draws | None = None) -> Tensor:
        """The weighted mean over the pairs of the batch, a scalar; 0 for a batch of one or none.

        Args:
            interaction: what ``SelfChannelInteraction.interact`` returns for the batch's maps.
            labels: (B,) long.
            draws: those of a run's step; None takes torch's own generator in training, and in evaluation the pairs
                are the two halves of the batch in order.
        """
        self._refuse(interaction, labels)
        chosen = self._pairs(labels, interaction.pooled, drawn(draws, training=self.training))
        pairs = torch.stack([chosen.anchor, chosen.mate])
        with full_precision(interaction.windows):
            h_a, h_b = self._embedded(interaction, pairs)
            if self.loss == "triplet":
                losses, counted = triplet(h_a, h_b, self.margin), torch.stack(chosen.valid.chunk(2)).all(0)
            else:
                losses, counted = pair_contrastive(h_a, h_b, chosen.same, self.margin), chosen.valid
            mean = (losses * counted).sum() / counted.sum().clamp_min(1)  # Eq. 7
            return self.weight * mean  # Eq. 9

    def _pairs(self, labels: Tensor, embedding: Tensor, draws: Draws) -> Pairs:
        if self.loss == "triplet" or self.pairs == "hard":
            if self.pairs == "random":  # the nearest of random numbers
                embedding = draws.uniform("contrastive_channel_interaction", (len(labels), 1), like=embedding.float())
            intra = "dissimilar" if self.pairs == "hard" else "similar"
            return mine_pairs(embedding, labels, intra=intra, rows=draws.rows)
        if self.pairs == "random":
            order = draws.permutation("contrastive_channel_interaction", len(labels), like=embedding)
            anchor, mate = halves(len(labels), order=order, like=embedding)
        else:
            anchor, mate = torch.triu_indices(len(labels), len(labels), 1, device=labels.device)
        return Pairs(anchor, mate, labels[anchor] == labels[mate], different(len(labels), anchor, mate, draws.rows))

    def _embedded(self, interaction: Interaction, pairs: Tensor) -> Tensor:
        """h(Z') of both images of each of the pairs (2, P): (2, P, r)."""
        layer, maps, weights, windows, mixed, _, kernel = interaction
        whole = self.positions > 0
        x, y = (
            (raised(maps.flatten(2)).mT, weighted(raised(maps.flatten(2)).mT, weights)) if whole else (windows, mixed)
        )
        if self.psi is None:
            contrast = y[pairs]
        else:
            own = (y if whole else y[:, 4:5]).flatten(1)[pairs]
            eta = raised(self.psi(suited(torch.cat([own, own.flip(0)], 2), self.psi))).squeeze(2)
            contrast = contrasted(weights, x, eta, pairs, operation=self.operation, lower=kernel.dtype)
        contrast, images = contrast.flatten(0, 1), pairs.flatten()
        if whole:
            z = layer.added(contrast.mT.unflatten(2, maps.shape[2:]), raised(maps)[images]).flatten(2).mT  # Eq. 6
        else:
            z = layer.average(windows[images, 4], contrast, kernel)  # Eq. 6
        h = raised(self.h(suited(raised(z.flatten(1)), self.h))).unflatten(0, (2, -1))
        return F.normalize(h, dim=2) if self.normalise else h

    def _refuse(self, interaction: Interaction, labels: Tensor) -> None:
        name = type(self).__name__
        if not isinstance(interaction, Interaction):
            raise UserError(f"{name} reads layer.interact(maps), what its layer makes of maps, not the maps themselves")
        channels, height, width = interaction.maps.shape[1:]
        if channels != self.channels:
            raise UserError(f"{name} was made for {self.channels} channels, not {channels}")
        if self.positions and height * width != self.positions:
            fits = f"positions={height * width} fits images of this size"
            raise UserError(f"{name}(positions={self.positions}) was given maps of {height} x {width}: {fits}")
        refuse_labels(name, labels, images=len(interaction.maps))


def contrasted(
    weights: Annotated[Tensor, "B M D"],
    rows: Annotated[Tensor, "B k D"],
    eta: Annotated[Tensor, "2 P"],
    pairs: Annotated[Tensor, "2 P", int],
    *,
    operation: Operation,
    lower: torch.dtype,
) -> Tensor:
    """W_AB V_A and W_BA V_B of pairs of images, (2, P, k, D).

    Args:
        weights: W (B, D, D).
        rows: V (B, k, D), X with its channels last or windows of it.
        eta: (2, P), eta and gamma.
        pairs: (2, P) long, the images A and B.
        operation: as in ``contrast_weights``; for "concatenate" W_A V_A + eta W_B V_B.
        lower: the type of the products with the maps.
    """
    refuse_misfits(contrasted, weights, rows, eta, pairs, operation)
    if torch.compiler.is_compiling():  # the compiler chooses by itself what to keep
        return _of_pairs(operation, *_by_image(weights, rows, pairs), *eta)
    kind = torch.bfloat16 if lower == torch.bfloat16 else weights.dtype
    return _Contrasted.apply(weights, rows, eta, pairs, operation, kind)  # pyright: ignore[reportReturnType]


def _by_image(weights: Tensor, rows: Tensor, pairs: Tensor) -> list[Tensor]:
    """W_A, W_B, V_A and V_B of pairs (2, P) of images."""
    return [values.index_select(0, images) for values in (weights, rows) for images in pairs]


def _of_pairs(
    operation: Operation, w_a: Tensor, w_b: Tensor, v_a: Tensor, v_b: Tensor, eta: Tensor, gamma: Tensor
) -> Tensor:
    """Y'_A and Y'_B, (2, P, k, D), of the weights (P, D, D), the rows (P, k, D), eta and gamma (P,)."""
    w_ab, w_ba = contrast_weights(w_a, w_b, eta, operation), contrast_weights(w_b, w_a, gamma, operation)
    if operation == "concatenate":
        v_a, v_b = torch.cat([v_a, v_b], 2), torch.cat([v_b, v_a], 2)
    return torch.stack([weighted(v_a, w_ab), weighted(v_b, w_ba)])


class _Contrasted(torch.autograd.Function):
    """``_of_pairs`` for a few pairs at a time."""

    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, rows: Tensor, eta: Tensor, pairs: Tensor, operation: Operation, kind: torch.dtype
    ) -> Tensor:
        ctx.save_for_backward(weights, rows, eta, pairs)
        ctx.operation, ctx.kind = operation, kind
        pieces = zip(pairs.split(_PAIRS, 1), eta.split(_PAIRS, 1), strict=True)
        return torch.cat(
            [_of_pairs(operation, *_by_image(weights, rows, piece), *factors) for piece, factors in pieces], 1
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        *inputs, pairs = ctx.saved_tensors
        if torch.is_grad_enabled():  # second derivatives are wanted: all pairs at once, by autograd
            inputs = [part if part.requires_grad else part.detach().requires_grad_() for part in inputs]
            values = _of_pairs(ctx.operation, *_by_image(*inputs[:2], pairs), *inputs[2])
            return *_gradients(values, inputs, gradients[0], create_graph=True), None, None, None
        weights, rows, eta = inputs
        of_weights, of_rows, of_eta = (torch.zeros_like(part) for part in inputs)
        pieces = (part.split(_PAIRS, 1) for part in (pairs, eta, of_eta, gradients[0]))
        with full_precision(weights):
            for piece, factors, of_factors, gradient in zip(*pieces, strict=True):
                leaves = [part.to(ctx.kind) for part in (*_by_image(weights, rows, piece), *factors)]
                with torch.enable_grad():
                    leaves = [part.detach().requires_grad_() for part in leaves]
                    values = _of_pairs(ctx.operation, *leaves)
                w_a, w_b, v_a, v_b, *of_both = _gradients(values, leaves, gradient.to(ctx.kind))
                for images, of_w, of_v in ((piece[0], w_a, v_a), (piece[1], w_b, v_b)):
                    of_weights.index_add_(0, images, of_w.to(weights.dtype))
                    of_rows.index_add_(0, images, of_v.to(rows.dtype))
                of_factors.copy_(torch.stack(of_both))
        return of_weights, of_rows, of_eta, None, None, None


def _gradients(values: Tensor, inputs: list[Tensor], gradient: Tensor, *, create_graph: bool = False) -> Any:
    """The gradient of each input; 0 for one that the operation does not use."""
    keep = {"allow_unused": True, "materialize_grads": True, "create_graph": create_graph}
    return torch.autograd.grad(values, inputs, gradient, **keep)
