"""The Devil is in the Channels: Mutual-Channel Loss for Fine-Grained Image Classification. Soft channel labels.

Chang, Ding, Xie, Bhunia, Li, Ma, Wu, Guo, Song. IEEE Transactions on Image Processing 2020. arXiv:2002.04264.
Section IV-E; the loss itself is in loss.py.

Equations
    Eq. 8   ChannelLabels       t in (0, 1)^N of an image, how much each channel belongs to its class
    Eq. 9   class_maxima        the labels of a class's images in the batch, and their maximum
    Eq. 10  intra_class         L_intra, small if images of a class give the same few channels
    Eq. 11  inter_class         L_inter, small if each channel belongs to a class
    Eq. 12  SoftChannelLabels   what is added to cross-entropy: mu * L_MC + L_intra + L_inter

Paper and released code
    No code of this section was released. Where the paper is silent, these are our readings.
    How labels pick groups: each class keeps the running mean of its images' t, and all N channels take part in the
    class's CCMP, weighted by that mean, in L_dis and in L_div (there after the softmax over positions). A running mean
    carries no gradient from L_MC to t. It starts at 0.5, is updated with the batch before it is used, and is fixed in
    evaluation. CWA drops half of all channels, the same for all classes. The SE block (Hu et al., CVPR 2018) makes
    labels only: it does not scale the maps that the classifier sees. A class without images in the batch counts as 0 in
    L_intra.
    L_intra and L_inter train the SE block alone (``into_maps=False``). They are sums over N channels: on the maps of 16
    CUB photos (EfficientNet-Lite0, 20 classes) their joint gradient is 40 times as long as that of cross-entropy when
    that is at 2.2 nats, and 146 times when it is at 0.2 (``benchmarks/soft_label_gradients.py``), and the network would
    learn little else. In the SE block nothing competes with them, so their weight there is the paper's, 1, at the
    paper's rate of 0.01. A rate of 0.1 is too high for it: many channels end up in no class. Unless a recipe sets a
    rate, it learns at a tenth of the head's (``rate``), about the paper's.
"""

from copy import deepcopy
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.core.classifier import Classifier
from fieldmark.core.contract import Term
from fieldmark.core.draws import Draws, drawn
from fieldmark.core.inputs import refuse_inputs, refuse_labels, refuse_misfits, refuse_negative
from fieldmark.errors import UserError
from fieldmark.ops.channel_maxima import weighted_maximum
from fieldmark.ops.precision import full_precision, raised, suited
from fieldmark.plain import BelowOne, Count, Fraction, NotNegative, Positive

Maps = Annotated[Tensor, "B N h w"]
Maxima = Annotated[Tensor, "c N"]


def after_relu(maps: Annotated[Tensor, "..."]) -> Tensor:
    """Maps with negative responses at 0, in float32 or better; maps nowhere negative keep values and gradients."""
    values = raised(maps)
    # as clamp_min(0), whose gradient takes ten times as long
    return F.threshold(values, -torch.finfo(values.dtype).tiny, 0.0)


def spatial_softmax(maps: Maps) -> Tensor:
    """Each channel's softmax over its positions: (B, N, h, w) to (B, N, l), in float32 or better."""
    refuse_misfits(spatial_softmax, maps)
    flat = raised(maps).flatten(2)
    if flat.stride(1) == 1:  # channels last: along the axis in its memory order, without a copy
        return flat.transpose(1, 2).softmax(1).transpose(1, 2)
    return flat.softmax(2)


def refined_channels(classifier: Classifier) -> int:
    """N, the channels after the neck, as a copy of it gives them."""
    example = classifier.backbone.mean.new_zeros(1, classifier.backbone.channels, 2, 2)
    with torch.no_grad():
        return deepcopy(classifier.neck).eval()(example).shape[1]


class ChannelLabels(nn.Module):
    """The weights of an SE block: maps (B, N, h, w) to t (B, N) in (0, 1).

    Args:
        channels: N.
        reduction: N over the width of its hidden layer.
    """

    def __init__(self, channels: Count, reduction: Count = 16) -> None:
        super().__init__()
        refuse_misfits(ChannelLabels, channels, reduction)
        hidden = max(channels // reduction, 1)
        self.squeeze, self.excite = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, maps: Maps) -> Tensor:
        """One row per image, in float32 or better."""
        refuse_misfits(ChannelLabels.forward, maps, sizes={"N": self.squeeze.in_features})
        hidden = self.squeeze(suited(maps.mean((2, 3)), self.squeeze)).relu()
        return raised(self.excite(hidden)).sigmoid()  # Eq. 8


def class_maxima(soft: Annotated[Tensor, "B N"], labels: Tensor, classes: Count) -> Tensor:
    """The maximum of t over the images of each class: (B, N) and (B,) to (c, N); 0 for a class without images."""
    refuse_misfits(class_maxima, soft, labels, classes)
    refuse_labels("class_maxima", labels, images=len(soft))
    index = labels[:, None].expand_as(soft)
    return soft.new_zeros(classes, soft.shape[1]).scatter_reduce(0, index, soft, "amax")  # Eq. 9


def intra_class(maxima: Maxima) -> Tensor:
    """L_intra of (c, N) maxima: their sum over channels, averaged over classes."""
    refuse_misfits(intra_class, maxima)
    return maxima.sum(1).mean()  # Eq. 10


def inter_class(maxima: Maxima) -> Tensor:
    """L_inter of (c, N) maxima: minus the sum over channels of the largest of any class."""
    refuse_misfits(inter_class, maxima)
    return -maxima.amax(0).sum()  # Eq. 11


class SoftChannelLabels(Term):
    """MC-Loss with learnt groups of channels: a class may have any channels, and share them.

        loss = F.cross_entropy(logits, labels) + SoftChannelLabels(channels, classes)(maps, labels)

    It takes the place of ``MutualChannelLoss`` and needs no N >= classes. In a run it reads the maps after the neck.

    Args:
        channels: N, of the backbone; a neck must keep their number.
        classes: c.
        weight: mu of Eq. 12, the weight of L_MC.
        diversity: lambda of Eq. 3, the weight of L_div in it.
        drop: share of all channels that CWA drops, rounded down.
        label_weight: of L_intra + L_inter.
        momentum: share of a batch in its classes' running means.
        reduction: of the SE block.
        into_maps: whether L_intra and L_inter also train the network below the SE block (Eq. 12 to the letter).

    Raises:
        UserError: invalid settings.
    """

    reads = ("refined",)
    batch_wide: ClassVar[bool] = True
    rate: ClassVar[float] = 0.1
    """The share of the head's learning rate: at the full rate many channels would end up without a class."""
    means: Tensor
    """(c, N), how much each channel belongs to each class: the running mean of t."""

    def __init__(
        self,
        channels: Count,
        classes: Count,
        weight: NotNegative = 0.5,
        diversity: NotNegative = 10.0,
        drop: BelowOne = 0.5,
        label_weight: Positive = 1.0,
        momentum: Fraction = 0.1,
        reduction: Count = 16,
        into_maps: bool = False,
    ) -> None:
        super().__init__()
        numbers = (weight, diversity, drop, label_weight, momentum, reduction, into_maps)
        refuse_misfits(SoftChannelLabels, channels, classes, *numbers)
        self.mu, self.lambda_, self.drop = weight, diversity, drop
        self.label_weight, self.momentum, self.into_maps = label_weight, momentum, into_maps
        self.checked = False  # whether a custom loop's first maps were checked: only those, as it waits for the device
        self.soft_labels = ChannelLabels(channels, reduction)
        self.register_buffer("means", torch.full((classes, channels), 0.5))

    def check(self, classifier: Classifier) -> None:
        """Refuses another number of channels or classes."""
        classes, channels = self.means.shape
        refined = refined_channels(classifier)
        if channels != refined:
            raise UserError(f"SoftChannelLabels has {channels} channels, the neck makes {refined}: leave the neck out")
        if classes != classifier.classes:
            raise UserError(f"SoftChannelLabels(classes={classes}): the classifier has {classifier.classes}")

    def forward(self, maps: Tensor, labels: Tensor, *, draws: Draws | None = None) -> Tensor:
        """mu * (L_dis - lambda * L_div) + label_weight * (L_intra + L_inter), a scalar; 0 without images.

        In training it also moves the running means, and CWA drops other channels at each call. ``figures`` are L_dis,
        L_div, L_intra and L_inter, without their weights.

        Args:
            maps: (B, N, h, w), after ReLU.
            labels: (B,) long.
            draws: those of a run's step; None outside a run.
        """
        refuse_inputs("SoftChannelLabels", "maps", maps, labels, size=self.means.shape[1])
        if draws is None and not self.checked:
            self.checked = refuse_negative("SoftChannelLabels", maps)
        if not len(maps):
            self.figures = {}
            return maps.sum()
        draws, maps = drawn(draws, training=self.training), after_relu(maps)
        soft = self.soft_labels(maps if self.into_maps else maps.detach())
        if self.training:
            self._follow(soft.detach(), labels)
        l_dis = F.cross_entropy(self._logits(maps, draws), labels)
        l_div = weighted_maximum(spatial_softmax(maps), self.means).sum(2).mean()
        maxima = class_maxima(soft, labels, len(self.means))
        l_intra, l_inter = intra_class(maxima), inter_class(maxima)
        parts = {"L_dis": l_dis, "L_div": l_div, "L_intra": l_intra, "L_inter": l_inter}
        self.figures = {name: part.detach() for name, part in parts.items()}
        return self.mu * (l_dis - self.lambda_ * l_div) + self.label_weight * (l_intra + l_inter)  # Eq. 12

    def top_channels(self, count: int = 10) -> Tensor:
        """The channels that belong most to each class, the most important first: (c, count) long, as in Table IX.

        Of a finished run, whose only term this is: ``runs.folder.open_run(Path(RUN)).learner.terms[0].top_channels()``.
        """
        return self.means.topk(count, dim=1).indices

    def _logits(self, maps: Tensor, draws: Draws) -> Tensor:
        """g with soft groups, (B, c); CWA's channels are left out altogether, which gives the same maxima."""
        flat, weights = maps.flatten(2), self.means
        dropped = int(self.drop * len(weights[0]) + 1e-9)
        if draws.random and dropped:
            kept = draws.permutation("soft_channel_labels", len(weights[0]), like=maps)[dropped:]
            flat, weights = flat.index_select(1, kept), weights.index_select(1, kept)
        return weighted_maximum(flat, weights).mean(2)

    @torch.no_grad()
    def _follow(self, soft: Tensor, labels: Tensor) -> None:
        """Moves the running means of the batch's classes, in the buffer's own precision; one with NaN moves none."""
        with full_precision(soft):
            whole = soft.isfinite().all(1)
            member = ((labels == torch.arange(len(self.means), device=labels.device)[:, None]) & whole).to(soft.dtype)
            count = member.sum(1, keepdim=True)
            mean = (member @ soft.masked_fill(~whole[:, None], 0)) / count.clamp_min(1)
        self.means.lerp_(mean.to(self.means.dtype), self.momentum * (count > 0).to(self.means.dtype))
