"""A network cut before pooling: normalised images to maps."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fieldmark.errors import UserError
from fieldmark.ops.folding import Pair, fold, foldable, unfold

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class NoMapError(ValueError):
    """What a network gives is no map of the image."""


class Backbone(nn.Module):
    """A network cut before pooling: normalised images (B, 3, H, W) to maps (B, D, h, w).

    ``channels`` is D, of which ``first`` are those of the first of two networks (0: there is one); ``stride`` the side
    in pixels of the square that a position stands for, ``stages`` as below;
    ``mean`` and ``std`` are the (3,) pixel statistics, for images in [0, 1], that the weights were trained with:
    buffers, saved with the model.

    Args:
        network: normalised images to maps (B, D, h, w), to the same with channels last, or to tokens (B, N, D).
        example: (1, 3, H, W), of a size that the network accepts: its output tells channels and stride.
        prefix: tokens before those of the patches (class, registers).
        channels_last: whether four-dimensional outputs are (B, h, w, D).
        statistics: mean and std.
        stages: the last submodule of each stage of ``network``, by its path, in order, and the pixels between its
            positions.
        first: channels of the first of two networks.
        note: what the user should know of where the weights come from.

    Raises:
        NoMapError: the network gives something else.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        example: Tensor,
        prefix: int = 0,
        channels_last: bool = False,
        statistics: tuple[tuple[float, ...], tuple[float, ...]] = (IMAGENET_MEAN, IMAGENET_STD),
        stages: Mapping[str, int] = MappingProxyType({}),
        first: int = 0,
        note: str = "",
    ) -> None:
        super().__init__()
        self.first, self.note = first, note
        self.network = network
        self.register_buffer("mean", torch.tensor(statistics[0]))
        self.register_buffer("std", torch.tensor(statistics[1]))
        self._prefix, self._channels_last = prefix, channels_last
        self.stages, self._frozen, self._still = dict(stages), frozenset[nn.Parameter](), tuple[nn.Module, ...]()
        self._shape, self._folded = example.shape, tuple[Pair, ...]()
        with torch.no_grad():
            output = network.eval()(example)
        network.train()
        if not isinstance(output, Tensor) or output.ndim not in (3, 4):
            raise NoMapError("the network gives neither maps nor tokens")
        shape, size = output.shape, example.shape[2]
        if len(shape) == 3:
            side = math.isqrt(max(0, shape[1] - prefix))
            if not side or side * side != shape[1] - prefix:
                raise NoMapError(f"{shape[1] - prefix} tokens of a square image do not make a square map")
            self.channels, self.stride = shape[2], size // side
        else:
            self.channels = shape[3 if channels_last else 1]
            self.stride = round(size / shape[1 if channels_last else 2])

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) to maps (B, D, h, w)."""
        return self.as_maps(self.network(images), (images.shape[2], images.shape[3]))

    def as_maps(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        """What the network, or a stage of it, gives for images of ``size`` (H, W), as maps (B, D, h, w).

        Raises:
            UserError: it has no positions.
        """
        if output.ndim == 4:
            return output.permute(0, 3, 1, 2) if self._channels_last else output
        height, width = (side // self.stride for side in size)
        patches = output[:, self._prefix :].mT if output.ndim == 3 else output[..., None]
        finer = math.isqrt(patches.shape[-1] // (height * width))  # an earlier stage may have more positions
        if not finer or patches.shape[-1] != finer**2 * height * width:
            raise UserError(f"an output of shape {tuple(output.shape)} is no map of the image; choose another layer")
        return patches.unflatten(-1, (finer * height, finer * width))

    def freeze(self, *, stages: int = 0, norms: bool = False) -> None:
        """Freezes the first stages for good, their norms included, and the statistics of all batch norms if ``norms``.

        What is frozen stays in eval mode, and takes no gradient. In training on a processor, the convolutions compute
        the norms whose statistics are frozen (``ops/folding.py``); in eval mode the network is the ordinary one.

        Raises:
            UserError: it has not so many stages.
        """
        if stages > len(self.stages):
            raise UserError(f"frozen_stages is {stages}: this backbone has {len(self.stages) or 'no'} stages")
        modules = list(self.network.named_modules())
        end = 0
        if stages:
            last = f"{[*self.stages][stages - 1]}."
            end = 1 + max(place for place, (name, _) in enumerate(modules) if f"{name}.".startswith(last))
        first = [module for _, module in modules[:end]]
        self._frozen = frozenset(p for module in first for p in module.parameters(recurse=False))
        for parameter in self._frozen:
            parameter.requires_grad_(False)
        still = [module for module in first if {*module.modules()} <= {*first}]
        still += [module for _, module in modules if norms and isinstance(module, _BatchNorm)]
        training = self.training
        self.eval()
        self._still = tuple(still)
        self._folded = tuple(foldable(self.network, self.mean.new_zeros(self._shape), resting=still))
        self.train(training)

    def trained_parameters(self) -> list[nn.Parameter]:
        """All that are not frozen for good."""
        return [parameter for parameter in self.parameters() if parameter not in self._frozen]

    def train(self, mode: bool = True) -> "Backbone":
        """As for any module; what is frozen stays in eval mode."""
        super().train(mode)
        for module in self._still:
            module.eval()
        for pair in self._folded:  # elsewhere than on a processor, nobody has measured what folding brings
            (fold if mode and self.mean.device.type == "cpu" else unfold)(*pair)
        return self

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 pixels (B, H, W, 3) to normalised float32 images (B, 3, H, W), channels last in memory."""
        # along the last axis, with the colours of a row interleaved: far faster than broadcasting over channels-last
        width = pixels.shape[2]
        shift, scale = (255 * self.mean).repeat(width), (1 / (255 * self.std)).repeat(width)
        return pixels.flatten(2).float().sub_(shift).mul_(scale).view(pixels.shape).permute(0, 3, 1, 2)
