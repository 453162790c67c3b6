"""What a method looked at, for figures and explanations."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from torch import Tensor


@dataclass(frozen=True)
class Evidence:
    """What a method looked at in a batch: every tensor has one row per image; what a method lacks is empty.

    Args:
        logits: (B, C), what ``Method.forward`` gives.
        branches: further logits by name, (B, C).
        heatmaps: by name, (B, h, w), nowhere negative, over the whole image. One called "class" shows where the
            predicted class is seen, "class/BRANCH" where a branch alone sees it.
        peaks: by name, bool (B, h, w), cells of a heatmap.
        gates: by name, (B, E), how much each number of the embedding counts, from 0 to 1.
        mates: by name, (B,) long, the image of the batch that each image was compared with.
        views: by name, (B, H, W, 2), where in the image each pixel of a resampled picture comes from, as for
            ``grid_sample(align_corners=True)``.
    """

    logits: Tensor
    branches: Mapping[str, Tensor] = field(default_factory=dict)
    heatmaps: Mapping[str, Tensor] = field(default_factory=dict)
    peaks: Mapping[str, Tensor] = field(default_factory=dict)
    gates: Mapping[str, Tensor] = field(default_factory=dict)
    mates: Mapping[str, Tensor] = field(default_factory=dict)
    views: Mapping[str, Tensor] = field(default_factory=dict)

    def detached(self) -> "Evidence":
        """The same without a graph."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "logits"}
        parts = {name: {key: tensor.detach() for key, tensor in part.items()} for name, part in values.items()}
        return Evidence(self.logits.detach(), **parts)
