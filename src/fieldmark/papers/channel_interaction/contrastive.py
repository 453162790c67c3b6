"""Channel Interaction Networks for Fine-Grained Image Categorization: the interaction between images (CCI).

Gao, Han, Wang, Huang, Scott. AAAI 2020. arXiv:2003.05235.

Equations
    Eq. 6   ContrastiveChannelInteraction   Z'_A = phi(W_AB X_A) + X_A, with the neck's phi
    Eq. 7   ContrastiveChannelInteraction   the mean over the pairs
    Eq. 8   pair_contrastive                squared distance of h(Z') for one class, squared shortfall of a margin else
    Eq. 9   ContrastiveChannelInteraction   alpha times that, added to the cross-entropy
    Eq. 1 to 3, within an image, are in interaction.py, and Eq. 5 is in contrast.py.

Paper and released code
    No code of the authors was found.
    Misprints: Eq. 6 adds X_A to Z'_B, too, where X_B is meant; in Eq. 8 the exponent of the first case was lost.

    Readings where the paper is silent. psi and h are fully connected layers on maps averaged over positions, where the
    paper gives them maps: so a weight of psi stands for a channel, not for a channel at a place. With ``positions``
    they read whole maps: phi then runs at every position, and both layers are bound to one size of image. h has no
    bias, which the difference of two images would cancel (not with ``normalise``). h(Z') is not normalised
    (``normalise`` does). ``pairs="hard"`` takes each image with the farthest of its class and the nearest of
    another class, by the average of Z; the paper's "all" and "hard negative mining" hurt its accuracy. The
    triplet loss (Schroff et al. 2015) sees each image with one of its class and one of another, drawn ("random") or
    mined ("hard").

    Ten random pairs of 4 x 5 images hold no pair of one class in 10.2 % of batches. Two copies of a photo in one batch
    (a class with fewer photos than its batch takes) are no pair.
"""

from typing import ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.core.classifier import Classifier
from fieldmark.core.contract import Term
from fieldmark.core.draws import Draws, drawn
from fieldmark.core.inputs import refuse_labels
from fieldmark.core.pairs import Pairs, different, halves, mine_pairs
from fieldmark.errors import UserError
from fieldmark.ops.precision import full_precision, raised, suited
from fieldmark.papers.channel_interaction.contrast import Operation, contrasted, swapped
from fieldmark.papers.channel_interaction.interaction import Interaction, SelfChannelInteraction, Windows

Chosen = Literal["random", "all", "hard"]
_WIDTH = 512
"""r, the size of h's output."""


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
        UserError: an option that means nothing.
    """

    reads = ("interaction",)
    batch_wide: ClassVar[bool] = True
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
        positions: int = 0,
    ) -> None:
        super().__init__()
        self.weight, self.margin = weight, margin
        self.operation: Operation = operation
        self.loss, self.pairs, self.normalise, self.positions = loss, pairs, normalise, positions
        self._refuse_options()
        width = channels * max(positions, 1)
        self.psi = None if operation == "none" else nn.Linear(2 * width, 1)
        self.h = nn.Linear(width, _WIDTH, bias=False)

    def _refuse_options(self) -> None:
        told = "ContrastiveChannelInteraction"
        said = {"operation": Operation, "pairs": Chosen, "loss": Literal["contrastive", "triplet"]}
        for name, kind in said.items():
            choices, value = get_args(kind), getattr(self, name)
            if value not in choices:
                raise UserError(f"{told}({name}={value!r}): choose {', '.join(map(repr, choices))}")
        if self.loss == "triplet" and self.pairs == "all":
            raise UserError(f"{told}(loss='triplet', pairs='all'): triplets take pairs='random' or 'hard'")
        if self.weight < 0 or self.margin <= 0 or self.positions < 0:
            raise UserError(f"{told}: the weight and positions are at least 0 and the margin above 0")

    def check(self, classifier: Classifier) -> None:
        """Refuses another neck, whose phi it shares."""
        if not isinstance(classifier.neck, SelfChannelInteraction):
            needed = "it needs the neck SelfChannelInteraction (self-channel-interaction)"
            raise UserError(f"ContrastiveChannelInteraction uses the neck's convolution: {needed}")

    def forward(self, interaction: Interaction, labels: Tensor, *, draws: Draws | None = None) -> Tensor:
        """The weighted mean over the pairs of the batch; 0 for a batch of one.

        In evaluation the batch is halved as it stands.

        Args:
            interaction: what the layer says of the maps.
            labels: (B,) long.
            draws: of a run's step.
        """
        if not isinstance(interaction, Interaction):
            raise UserError("ContrastiveChannelInteraction reads what its layer says of the maps: layer.interact(maps)")
        neck, maps, seen = interaction.layer, interaction.maps, interaction.windows
        refuse_labels("ContrastiveChannelInteraction", labels, images=len(maps))
        chosen = self._pairs(labels, interaction.pooled, drawn(draws, training=self.training))
        with full_precision(maps):
            images = torch.stack([chosen.anchor, chosen.mate], 1).flatten()
            h = self._embedded_maps(neck, maps, seen, images) if self.positions else self._embedded(neck, seen, images)
            h = F.normalize(h, dim=1) if self.normalise else h
            if self.loss == "triplet":
                losses, counted = triplet(h[::2], h[1::2], self.margin), torch.stack(chosen.valid.chunk(2)).all(0)
            else:
                losses, counted = pair_contrastive(h[::2], h[1::2], chosen.same, self.margin), chosen.valid
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

    def _embedded(self, neck: SelfChannelInteraction, seen: Windows, images: Tensor) -> Tensor:
        """h(Z') of both images of each pair, neighbours: (2 P, r), from maps averaged over positions."""
        mixed = seen.mixed.values[images]
        if self.psi is not None:
            mixed = self._contrasted(seen, seen.averages, images, self._eta(self.psi, mixed[:, 4]))
        z = neck.averaged(seen, seen.averages[images, 4], mixed)  # Eq. 6
        return raised(self.h(suited(z, self.h)))

    def _embedded_maps(self, neck: SelfChannelInteraction, maps: Tensor, seen: Windows, images: Tensor) -> Tensor:
        """The same from whole maps."""
        height, width = maps.shape[2:]
        if height * width != self.positions:
            told = f"ContrastiveChannelInteraction(positions={self.positions}) saw maps of {height} x {width}"
            raise UserError(f"{told}: positions={height * width} fits images of this size")
        x = raised(maps.flatten(2)).mT.contiguous()
        mixed = contrasted(seen.mixed, x, x.new_zeros(len(images)), images, "none")
        if self.psi is not None:
            mixed = self._contrasted(seen, x, images, self._eta(self.psi, mixed.flatten(1)))
        z = neck.convolved(mixed.mT.unflatten(2, (height, width))).to(x.dtype).flatten(2).mT + x[images]  # Eq. 6
        return raised(self.h(suited(z.flatten(1), self.h)))

    def _contrasted(self, seen: Windows, columns: Tensor, images: Tensor, eta: Tensor) -> Tensor:
        once = self.pairs == "random" and self.loss == "contrastive"
        return contrasted(seen.mixed, columns, eta, images, self.operation, once=once)

    @staticmethod
    def _eta(psi: nn.Linear, y: Tensor) -> Tensor:
        """Eta of the first image of each pair and gamma of the second, (2 P,), from both images' y (2 P, K)."""
        return raised(psi(suited(torch.cat([y, swapped(y)], 1), psi))).squeeze(1)
