"""Channel Interaction Networks (Gao et al., AAAI 2020): the layer within an image and the loss between images."""

from fieldmark.papers.channel_interaction.contrastive import (
    ContrastiveChannelInteraction,
    contrast_weights,
    pair_contrastive,
    triplet,
)
from fieldmark.papers.channel_interaction.interaction import (
    Interaction,
    SelfChannelInteraction,
    channel_weights,
    self_channel_interaction,
)

__all__ = [
    "ContrastiveChannelInteraction",
    "Interaction",
    "SelfChannelInteraction",
    "channel_weights",
    "contrast_weights",
    "pair_contrastive",
    "self_channel_interaction",
    "triplet",
]
