"""The Mutual-Channel Loss (Chang et al., TIP 2020): the loss, its soft labels, and the layers of its networks."""

from fieldmark.papers.mutual_channel.loss import (
    ChannelExpansion,
    HiddenMaximum,
    MutualChannelLoss,
    TwoLayerHead,
    channel_groups,
    discriminality,
    discriminality_logits,
    diversity,
)
from fieldmark.papers.mutual_channel.soft_labels import SoftChannelLabels

__all__ = [
    "ChannelExpansion",
    "HiddenMaximum",
    "MutualChannelLoss",
    "SoftChannelLabels",
    "TwoLayerHead",
    "channel_groups",
    "discriminality",
    "discriminality_logits",
    "diversity",
]
