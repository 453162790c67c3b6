"""Preprocessing as a graph: from the pixels of one upright picture of any size to the network's input.

It computes what ``input/views.py`` has Pillow do, so that programs in other languages need only a decoder: the region,
an antialiased bicubic resize in two passes with whole levels after each, large pictures first averaged over blocks, and
the normalisation. The resize is two products with matrices of weights, made of the picture's size, as ONNX's own Resize
knows neither regions between pixels nor blocks. Pillow's weights are rounded to fixed point: a level may differ by one.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from fieldmark.errors import UserError
from fieldmark.exporting.onnx_file import to_onnx
from fieldmark.input.views import GREY
from fieldmark.recipe import Pixels

if TYPE_CHECKING:
    from onnx import ModelProto

REACH, GAP = 2.0, 3.0
"""Of the bicubic kernel, in steps of the view; and how often a region holds the view before blocks are averaged."""
SAFE = REACH - 0.5
"""Beyond the region, in steps of the view, what is averaged over blocks reaches no farther."""


class Preparing(nn.Module):
    """A picture, uint8 (H, W, 3), upright RGB, to normalised images (1, 3, S, S).

    Args:
        pixels: the recipe's.
        shift: (3,), what is subtracted from levels.
        scale: (3,), what is multiplied with then.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, pixels: Pixels, *, shift: Tensor, scale: Tensor) -> None:
        super().__init__()
        refuse_boxes(pixels)
        self.pixels = pixels
        self.register_buffer("shift", shift[:, None, None].clone())
        self.register_buffer("scale", scale[:, None, None].clone())

    def forward(self, pixels: Tensor) -> Tensor:
        """The view, normalised."""
        planes = pixels.permute(2, 0, 1).float()
        down, across = _places(planes.shape[1]), _places(planes.shape[2])
        rows, columns = self._axes(_length(down), _length(across))
        averages = (rows.blocks > 1) | (columns.blocks > 1)
        view = _whole(planes @ _weights(columns, across, averages).mT)
        view = _whole(_weights(rows, down, averages) @ view)
        inside = rows.inside[:, None] & columns.inside
        view = torch.where(inside, view, torch.full_like(view, float(GREY)))
        return ((view - self.shift) * self.scale)[None]

    def _axes(self, height: Tensor, width: Tensor) -> tuple["Axis", "Axis"]:
        """Which region of a picture of ``height`` x ``width`` goes where."""
        settings, size = self.pixels, self.pixels.eval_size
        if settings.fit == "pad":
            side = torch.maximum(height, width)
            return _padded(height, side, size), _padded(width, side, size)
        rows, columns = height * settings.eval_crop, width * settings.eval_crop
        if settings.fit != "stretch":
            rows = columns = torch.minimum(rows, columns)
        nothing, all_of_it = torch.zeros_like(height), torch.zeros_like(height) + size
        return (
            _axis((height - rows) / 2, rows, nothing, all_of_it, size),
            _axis((width - columns) / 2, columns, nothing, all_of_it, size),
        )


class Axis(NamedTuple):
    """A side of a region: ``start`` and ``length`` in pixels, scalars; the ``centres`` (S,) in pixels of what each
    pixel of the view shows, whether it is ``inside`` (S,), ``step``, pixels of the picture to one of the view, and
    the side of the ``blocks`` that are averaged first."""

    start: Tensor
    length: Tensor
    centres: Tensor
    inside: Tensor
    step: Tensor
    blocks: Tensor


def refuse_boxes(pixels: Pixels) -> None:
    """Raises ``UserError`` where the view depends on more than the picture."""
    if pixels.fit == "box":
        raise UserError(
            "--pixels: this network was trained with --fit box, and a graph that takes pixels has no place for boxes;\n"
            "without --pixels the file takes images, and fieldmark's runtime crops to boxes"
        )


def preparing_graph(pixels: Pixels, *, shift: Tensor, scale: Tensor) -> "ModelProto":
    """The graph of ``Preparing``, from "pixels" to "images".

    Raises:
        UserError: photos have to be cropped to boxes.
    """
    sides = {0: torch.export.Dim("height", min=2), 1: torch.export.Dim("width", min=2)}
    module = Preparing(pixels, shift=shift, scale=scale)
    picture = torch.zeros(40, 50, 3, dtype=torch.uint8)
    return to_onnx(module, picture, inputs={"pixels": sides}, outputs=("images",))


def with_preparing(graph: "ModelProto", preparing: "ModelProto") -> "ModelProto":
    """One graph of two: the network behind its preprocessing."""
    from onnx import compose

    first = compose.add_prefix(preparing, "preparing.", rename_inputs=False, rename_outputs=False)
    first.graph.output[0].name = "preparing.images"
    for node in first.graph.node:
        node.output[:] = ["preparing.images" if name == "images" else name for name in node.output]
    return compose.merge_models(first, graph, io_map=[("preparing.images", "images")])


def _places(count: int) -> Tensor:
    return torch.arange(count, dtype=torch.float64)


def _length(places: Tensor) -> Tensor:
    return torch.ones_like(places).sum()


def _padded(length: Tensor, side: Tensor, size: int) -> Axis:
    """The whole side, in the middle of a square on grey."""
    margin = -torch.floor((length - side) / 2)
    first = torch.round(margin / side * size).clamp_max(size - 1)
    end = torch.maximum(torch.round((margin + length) / side * size), first + 1)
    return _axis(torch.zeros_like(length), length, first, end, size)


def _axis(start: Tensor, length: Tensor, first: Tensor, end: Tensor, size: int) -> Axis:
    """A region that fills the view from pixel ``first`` up to ``end``."""
    shown, step = _places(size), length / (end - first)
    centres = start + (shown - first + 0.5) * step
    inside = (shown >= first) & (shown < end)
    return Axis(start, length, centres, inside, step, torch.floor(step / GAP).clamp_min(1))


def _weights(axis: Axis, places: Tensor, averages: Tensor) -> Tensor:
    """What each pixel of a side (n,) counts in each pixel of the view: float32 (S, n), each row with the sum one.

    Blocks are counted from where they begin, and a pixel counts by the place of its block.
    """
    reach, count = SAFE * axis.step, _length(places)
    low = torch.where(averages, torch.floor((axis.start - reach).clamp_min(0)), 0.0)
    high = torch.where(averages, torch.minimum(torch.ceil(axis.start + axis.length + reach), count), count)
    block = torch.floor((places - low) / axis.blocks)
    members = torch.minimum(axis.blocks, high - low - block * axis.blocks)
    centres = (axis.centres - low) / axis.blocks
    narrow = (axis.step / axis.blocks).clamp_min(1)
    kernel = _bicubic((block + 0.5 - centres[:, None]) / narrow) / members
    kernel = torch.where((places >= low) & (places < high), kernel, 0.0)
    return (kernel / kernel.sum(1, keepdim=True)).float()


def _bicubic(distance: Tensor) -> Tensor:
    """Keys' kernel with a = -0.5, as Pillow's."""
    x = distance.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < REACH, far, 0.0))


def _whole(levels: Tensor) -> Tensor:
    """Whole levels from 0 to 255, halves rounded up as Pillow rounds them."""
    return torch.floor(levels + 0.5).clamp(0, 255)
