"""What layers inside a backbone give while a method classifies images, and how scores depend on it.

A layer is "maps" (the backbone's own), "stage1", "stage2", ... or a submodule's path. For as long as a recording is
open, the layer's outputs are kept, and everything before the first layer runs without gradient, so that explaining
costs a forward pass and the part of a backward pass behind that layer.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import ParamSpec

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.core.backbone import Backbone
from fieldmark.errors import UserError
from fieldmark.plain import nearest, shown

MAPS = "maps"
P = ParamSpec("P")


class Recording:
    """The outputs of layers, by call of the backbone; a method may call it several times for the same images."""

    def __init__(self, backbone: Backbone, layers: Sequence[str]) -> None:
        self._backbone = backbone
        self._outputs: dict[str, list[Tensor]] = {layer: [] for layer in layers}
        self._sizes: list[tuple[int, int]] = []

    def maps(self, layer: str) -> Tensor:
        """(N, D, h, w), the rows of all calls one after the other, without a graph.

        Maps of smaller pictures are repeated, position by position, to the size of the largest.
        """
        return torch.cat(_alike(self._as_maps(layer, [output.detach() for output in self._outputs[layer]])))

    def gradients(self, score: Tensor) -> dict[str, Tensor]:
        """Of a scalar with respect to each layer's maps, (N, D, h, w); zero where the score does not depend on them.

        The graph is kept, for further scores. A position that is repeated shares its gradient, so that maps times
        gradients have the same sum.
        """
        outputs = [output for calls in self._outputs.values() for output in calls]
        gradients = iter(torch.autograd.grad(score, outputs, retain_graph=True, materialize_grads=True))
        found = {layer: [next(gradients) for _ in calls] for layer, calls in self._outputs.items()}
        return {layer: torch.cat(_alike(self._as_maps(layer, each), shared=True)) for layer, each in found.items()}

    def begun(self, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """A network's ``forward`` that runs without gradients until a layer is reached."""

        def run(images: Tensor) -> Tensor:
            self._sizes.append((images.shape[2], images.shape[3]))
            torch.set_grad_enabled(False)
            return forward(images)

        return run

    def kept(self, layer: str, forward: Callable[P, object]) -> Callable[P, Tensor]:
        """A layer's ``forward`` whose output is kept; gradients begin there."""

        def run(*inputs: P.args, **options: P.kwargs) -> Tensor:
            output = forward(*inputs, **options)
            if not isinstance(output, Tensor):
                raise UserError(f"--layer {shown(layer)}: its output is no tensor; choose another layer")
            torch.set_grad_enabled(True)
            output = output if output.requires_grad else output.detach().requires_grad_()
            self._outputs[layer].append(output)
            return output.clone()  # the next layer may work in place

        return run

    def _as_maps(self, layer: str, outputs: Sequence[Tensor]) -> list[Tensor]:
        if not outputs or len(outputs) != len(self._sizes):
            raise UserError(f"--layer {shown(layer)}: it does not run once per image; choose another layer")
        if layer == MAPS:
            return [*outputs]
        pairs = zip(outputs, self._sizes, strict=True)
        return [self._backbone.as_maps(output, size) for output, size in pairs]


def _alike(maps: Sequence[Tensor], *, shared: bool = False) -> list[Tensor]:
    """Maps of all calls at one size; ``shared`` divides values by how often they are repeated."""
    height, width = (max(each.shape[dim] for each in maps) for dim in (2, 3))
    alike = []
    for each in maps:
        part = each.shape[2] * each.shape[3] / (height * width)
        large = each if part == 1 else F.interpolate(each, (height, width), mode="nearest-exact")
        alike.append(large * part if shared and part != 1 else large)
    return alike


@contextmanager
def recorded(backbone: Backbone, layers: Sequence[str]) -> Iterator[Recording]:
    """Records layers; one recording of a network at a time, in eval mode.

    Args:
        backbone: of the method that is called meanwhile.
        layers: in any order, at least one.

    Raises:
        UserError: there is no such layer, or it gives no maps.
    """
    modules = {layer: layer_of(backbone, layer) for layer in layers}
    recording, before = Recording(backbone, layers), torch.is_grad_enabled()
    try:
        with ExitStack() as stack:
            stack.enter_context(_overridden(backbone.network, recording.begun(backbone.network.forward)))
            for layer, module in modules.items():
                stack.enter_context(_overridden(module, recording.kept(layer, module.forward)))
            yield recording
    finally:
        torch.set_grad_enabled(before)


def layers_of(backbone: Backbone) -> tuple[str, ...]:
    """The layers that have names of their own, from the first to the last."""
    return (*(f"stage{number}" for number in range(1, 1 + len(backbone.stages))), MAPS)


def layer_of(backbone: Backbone, layer: str) -> nn.Module:
    """The module that gives a layer's output.

    Raises:
        UserError: there is none of that name.
    """
    if layer == MAPS:
        return backbone
    known = dict(zip(layers_of(backbone), backbone.stages, strict=False))
    modules = dict(backbone.network.named_modules())
    if (path := known.get(layer, layer)) in modules and path:
        return modules[path]
    similar = nearest(layer, [*layers_of(backbone), *modules]) or layers_of(backbone)
    raise UserError(f"--layer {shown(layer)}: this backbone has no such layer; choose {' or '.join(similar)}")


def finer_layer(backbone: Backbone) -> str | None:
    """The last stage whose positions are at most half as far apart as those of the maps; None without one."""
    finer = [number for number, stride in enumerate(backbone.stages.values(), 1) if 2 * stride <= backbone.stride]
    return f"stage{finer[-1]}" if finer else None


@contextmanager
def _overridden(module: nn.Module, forward: Callable[..., Tensor]) -> Iterator[None]:
    own = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own
