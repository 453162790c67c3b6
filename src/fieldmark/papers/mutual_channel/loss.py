"""The Devil is in the Channels: Mutual-Channel Loss for Fine-Grained Image Classification.

Chang, Ding, Xie, Bhunia, Li, Ma, Wu, Guo, Song. IEEE Transactions on Image Processing 2020. arXiv:2002.04264.

Equations
    Eq. 1   channel_groups          xi_i, how many neighbouring channels belong to each class
    Eq. 2   MutualChannelLoss       what is added to cross-entropy: mu times the loss of Eq. 3
    Eq. 3   MutualChannelLoss       L_dis - lambda * L_div
    Eq. 4   discriminality          L_dis, cross-entropy of the classes' responses
    Eq. 5   discriminality_logits   g(F_i): masked channels, maximum over the class's channels, mean over positions
    Eq. 6   MutualChannelLoss       L_div, the mean of h over classes and images
    Eq. 7   diversity               h(F_i): softmax over positions, maximum over the class's channels, sum
    Eq. 8 to 12, the soft channel labels, are in soft_labels.py.

Paper and released code
    The default is the paper. Its letters: N channels, c classes, xi_i channels of class i; mu, the option ``weight``,
    is the weight of the whole loss, and lambda, the option ``diversity``, that of L_div in it. h, the function
    ``diversity``, is what L_div averages. Weights: mu 0.005 for fine-tuning and 1.5 from scratch, lambda 10. N is not
    always xi * c: the first classes have floor(N/c) channels and the last N mod c one more (Table II).
    The released code replaces -lambda * L_div by b * (1 - mean of h/xi), added up over the sizes of groups
    (``form="released"``; b = ``weight * diversity``), and drops 4 of 10 or 11 channels (``drop=0.4``) or 1 of 3. At
    equal weight and diversity, and with groups of one size, it pushes h xi times less than the paper's form, which
    corresponds to b = mu * lambda * xi: change the weights with the form. For fine-tuning the code has weight 0.0005
    and b 0.005, rates of 0.1 for the head and 0.01 for the network on a cosine; from scratch weight 1.5 or 2 and b 20;
    mean = std = 0.5.
    Its head is, in both ResNets, global max pooling, BN, FC 512, BN, ELU, FC (``Maximum`` and ``TwoLayerHead``); in
    VGG-16 from scratch 2 x 2 max pooling leaves 7 x 7 positions, and 600 * 49 numbers go the same way; there is no such
    part here. From scratch it widens the network's last convolutions to xi * c channels (VGG-16's conv4_3 too), and its
    ResNet-18 keeps 14 x 14 positions; ``ChannelExpansion`` makes xi * c channels after any network.

Choices of ours where the paper is silent
    L_dis is plain cross-entropy of the labels, without the recipe's label smoothing. The paper's networks end in a
    ReLU; for those that do not, negative responses count as 0, and maps that are nowhere negative are unchanged.
    Dropped channels respond with 0, as Eq. 5 has it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.core.classifier import Classifier, Linear
from fieldmark.core.contract import Term
from fieldmark.core.draws import Draws, drawn
from fieldmark.core.inputs import refuse_inputs, refuse_misfits, refuse_negative
from fieldmark.errors import UserError
from fieldmark.ops.channel_maxima import group_maximum, runs
from fieldmark.ops.precision import raised
from fieldmark.papers.mutual_channel.soft_labels import Maps, after_relu, refined_channels, spatial_softmax
from fieldmark.plain import BelowOne, Count, Natural, NotNegative

Kept = Annotated[Tensor, "N", bool]


def channel_groups(channels: Count, classes: Count) -> tuple[int, ...]:
    """How many neighbouring channels each class has, (c,): the first floor(N/c) each, the last N mod c one more.

    Raises:
        UserError: fewer channels than classes.
    """
    refuse_misfits(channel_groups, channels, classes)
    base, extra = divmod(channels, classes)
    if not base:
        advice = f"the neck ChannelExpansion (channel-expansion) makes {3 * classes} of them"
        raise UserError(f"MutualChannelLoss: {channels} channels are too few for {classes} classes; {advice}")
    return (base,) * (classes - extra) + (base + 1,) * extra  # Eq. 1


def _refuse_groups(groups: Sequence[int], maps: Tensor) -> None:
    if not groups or min(groups) < 1 or sum(groups) != maps.shape[1]:
        sizes = f"{len(groups)} groups with {sum(groups)} channels in all"
        raise UserError(f"{sizes} do not fit maps of {maps.shape[1]} channels; each class has one or more")


def channel_attention(groups: Sequence[int], *, drop: BelowOne, draws: Draws, like: Tensor) -> Tensor | None:
    """CWA's mask, bool (N,): False at floor(drop * xi_i) random channels of each class, drawn anew at each step.

    None, which keeps all, in evaluation and if nothing is dropped.
    """
    refuse_misfits(channel_attention, groups, drop)
    dropped = {size: math.floor(drop * size + 1e-9) for size in set(groups)}
    if not draws.random or not any(dropped.values()):
        return None
    numbers = draws.uniform("mutual_channel", (sum(groups),), like=like.new_empty(0, dtype=torch.float32))
    orders = ((run, torch.argsort(run.channels_of(numbers, 0), dim=1, stable=True)) for run in runs(groups))
    return torch.cat([(order.argsort(1) >= dropped[run.size]).flatten() for run, order in orders])


def discriminality_logits(maps: Maps, groups: Sequence[int], keep: Kept | None = None) -> Tensor:
    """g(F_i), the response of each class: maps (B, N, h, w) to (B, c), in float32 or better.

    Args:
        maps: after ReLU.
        groups: (c,), channels of each class, as from ``channel_groups``.
        keep: bool (N,), channels that count; the rest respond with 0.

    Raises:
        UserError: tensors of other shapes, or groups that are not those of N channels.
    """
    refuse_misfits(discriminality_logits, maps, groups, keep)
    _refuse_groups(groups, maps)
    return group_maximum(raised(maps).flatten(2), groups, keep).mean(2)  # Eq. 5


def average_logits(maps: Maps, groups: Sequence[int], keep: Kept | None = None) -> Tensor:
    """As ``discriminality_logits``, but with CCAP, the mean over a class's channels (dropped ones count as 0)."""
    refuse_misfits(average_logits, maps, groups, keep)
    _refuse_groups(groups, maps)
    means = raised(maps).mean((2, 3))
    masked = means if keep is None else means * keep
    return torch.cat([run.channels_of(masked, 1).mean(2) for run in runs(groups)], 1)


def discriminality(logits: Tensor, labels: Tensor) -> Tensor:
    """L_dis, cross-entropy of (B, c) responses as they are and (B,) labels, averaged over the batch; 0 for none."""
    refuse_inputs("discriminality", "logits", logits, labels)
    return F.cross_entropy(logits, labels) if len(labels) else logits.sum()  # Eq. 4


def diversity(maps: Maps, groups: Sequence[int]) -> Tensor:
    """h(F_i), how differently a class's channels respond over the positions: maps (B, N, h, w) to (B, c).

    From 1 to xi_i; in float32 or better.

    Raises:
        UserError: maps of another shape, or groups that are not those of N channels.
    """
    refuse_misfits(diversity, maps, groups)
    _refuse_groups(groups, maps)
    return group_maximum(spatial_softmax(maps), groups).sum(2)  # Eq. 7


class MutualChannelLoss(Term):
    """Gives each class its own channels: each tells it from the other classes, and each responds at its own positions.

        loss = F.cross_entropy(logits, labels) + MutualChannelLoss(classes)(maps, labels)

    In a run it reads the maps after the neck. CWA drops other channels at each call in training, none in evaluation.

    Args:
        classes: c.
        weight: mu of Eq. 2, the weight of the whole loss: 0.005 for fine-tuning, 1.5 from scratch.
        diversity: lambda of Eq. 3, the weight of L_div; 0 leaves it out.
        drop: share of each class's channels that CWA drops, rounded down; 0 leaves CWA out.
        discriminality: factor of L_dis; 0 leaves it out.
        across: what joins a class's channels in L_dis, "max" (CCMP) or "average" (CCAP).
        of: L_div of "all" classes, or of the image's "label" alone (MC-Loss-V2 of Table VII).
        form: "paper", or "released" for b * (1 - h/xi) in place of -lambda * h; the weights differ, too.

    Raises:
        UserError: invalid settings.
    """

    reads = ("refined",)

    def __init__(
        self,
        classes: Count,
        weight: NotNegative = 0.005,
        diversity: NotNegative = 10.0,
        drop: BelowOne = 0.5,
        discriminality: NotNegative = 1.0,
        across: Literal["max", "average"] = "max",
        of: Literal["all", "label"] = "all",
        form: Literal["paper", "released"] = "paper",
    ) -> None:
        super().__init__()
        refuse_misfits(MutualChannelLoss, classes, weight, diversity, drop, discriminality, across, of, form)
        if not diversity and not discriminality:
            raise UserError("MutualChannelLoss(diversity=0, discriminality=0): nothing is left of it")
        self.classes, self.mu, self.lambda_, self.drop = classes, weight, diversity, drop
        self.factor, self.across, self.of, self.form = discriminality, across, of, form
        self.checked = False  # whether a custom loop's first maps were checked: only those, as it waits for the device

    def check(self, classifier: Classifier) -> None:
        """Refuses other classes and fewer channels than classes."""
        if self.classes != classifier.classes:
            raise UserError(f"MutualChannelLoss(classes={self.classes}): the classifier has {classifier.classes}")
        channel_groups(refined_channels(classifier), self.classes)

    def forward(self, maps: Tensor, labels: Tensor, *, draws: Draws | None = None) -> Tensor:
        """mu * (L_dis - lambda * L_div), a scalar; 0 without images.

        ``figures`` are L_dis and L_div, without their weights.

        Args:
            maps: (B, N, h, w), after ReLU; N is at least the number of classes.
            labels: (B,) long.
            draws: those of a run's step; None outside a run.
        """
        refuse_inputs("MutualChannelLoss", "maps", maps, labels)
        if draws is None and not self.checked:
            self.checked = refuse_negative("MutualChannelLoss", maps)
        if not len(maps):
            self.figures = {}
            return maps.sum()
        draws, maps = drawn(draws, training=self.training), after_relu(maps)
        groups, l_dis, l_div = channel_groups(maps.shape[1], self.classes), maps.new_zeros(()), maps.new_zeros(())
        if self.factor:
            keep = channel_attention(groups, drop=self.drop, draws=draws, like=maps)
            joined = discriminality_logits if self.across == "max" else average_logits
            l_dis = discriminality(joined(maps, groups, keep), labels)
        if self.lambda_:
            l_div = self._l_div(diversity(maps, groups), groups, labels)
        parts = (("L_dis", self.factor, l_dis), ("L_div", self.lambda_, l_div))
        self.figures = {name: part.detach() for name, weight, part in parts if weight}
        loss = self.factor * l_dis - self.lambda_ * l_div  # Eq. 3
        return self.mu * loss  # Eq. 2

    def _l_div(self, h: Tensor, groups: tuple[int, ...], labels: Tensor) -> Tensor:
        """L_div of h (B, c); in the released form, what its -b multiplies."""
        if self.form == "released":
            sizes = list(runs(groups))
            parts = zip(h.split([run.number for run in sizes], 1), sizes, strict=True)
            shares = [part / run.size - 1 for part, run in parts]
            if self.of == "all":
                return torch.stack([share.mean() for share in shares]).sum()
            h = torch.cat(shares, 1)
        if self.of == "label":
            return h.gather(1, labels[:, None]).mean()
        return h.mean()  # Eq. 6


class ChannelExpansion(nn.Module):
    """A neck that gives each class its channels: 1x1 convolution, BN, ReLU; (B, D, h, w) to (B, xi * c, h, w).

    The paper builds its networks with that many channels; this adds them to any network.

    Args:
        channels: D.
        classes: c.
        xi: channels per class, 3 in most of the paper.
        total: channels in all, if not xi * c; 0 means xi * c.
    """

    def __init__(self, channels: Count, classes: Count, xi: Count = 3, total: Natural = 0) -> None:
        super().__init__()
        refuse_misfits(ChannelExpansion, channels, classes, xi, total)
        width = total or xi * classes
        self.convolution = nn.Conv2d(channels, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    @staticmethod
    def same_size(options: Mapping[str, Any], classes: int) -> dict[str, Any]:
        """Options that give as many channels for any number of classes as ``options`` do for ``classes``."""
        return {**options, "total": options.get("total", 0) or options.get("xi", 3) * classes}

    def forward(self, maps: Annotated[Tensor, "B D h w"]) -> Tensor:
        """(B, D, h, w) to (B, xi * c, h, w), nowhere negative."""
        refuse_misfits(ChannelExpansion.forward, maps, sizes={"D": self.convolution.in_channels})
        return self.norm(self.convolution(maps)).relu()


class HiddenMaximum(nn.Module):
    """Global max pooling and all of the released ResNets' head but its last layer; (B, D, h, w) to (B, E).

    With a linear head behind it the network is that of ``Maximum`` and ``TwoLayerHead``; so the losses that the paper
    compares with have the features that its classifier sees.

    Args:
        channels: D.
        hidden: E.
    """

    def __init__(self, channels: Count, hidden: Count = 512) -> None:
        super().__init__()
        refuse_misfits(HiddenMaximum, channels, hidden)
        self.layers = nn.Sequential(*_hidden(channels, hidden))

    def forward(self, maps: Maps) -> Tensor:
        """The embedding (B, E)."""
        return self.layers(maps.amax((2, 3)))

    def width(self, channels: int) -> int:
        """E, whatever the number of channels."""
        linear = self.layers[1]
        assert isinstance(linear, nn.Linear)
        return linear.out_features


def _hidden(width: int, hidden: int) -> tuple[nn.Module, ...]:
    """BN, FC, BN, ELU."""
    return nn.BatchNorm1d(width), nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ELU()


class TwoLayerHead(nn.Module):
    """The released ResNets' head, after global max pooling: BN, FC, BN, ELU, FC; (B, E) to (B, c).

    Args:
        width: E.
        classes: c.
        hidden: width between the two layers.
    """

    def __init__(self, width: Count, classes: Count, hidden: Count = 512) -> None:
        super().__init__()
        refuse_misfits(TwoLayerHead, width, classes, hidden)
        self.width = width
        self.layers = nn.Sequential(*_hidden(width, hidden), Linear(hidden, classes))

    @property
    def scorer(self) -> nn.Linear:
        """The last layer, which scores the classes."""
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        return last

    def forward(self, embedding: Annotated[Tensor, "B E"]) -> Tensor:
        """Logits (B, c)."""
        refuse_misfits(TwoLayerHead.forward, embedding, sizes={"E": self.width})
        return self.layers(embedding)
