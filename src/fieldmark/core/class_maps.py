"""Where in an image a class's score comes from: the maps under the weights of a linear head."""

from typing import Annotated

from torch import Tensor

from fieldmark.core.inputs import refuse_misfits
from fieldmark.ops.precision import full_precision, raised


def class_response_maps(
    maps: Annotated[Tensor, "B D h w"], weight: Annotated[Tensor, "C D"] | Annotated[Tensor, "B k D"]
) -> Tensor:
    """What each position contributes to each class's score: maps (B, D, h, w), weight (C, D) to (B, C, h, w).

    With average pooling and a linear head their mean over the positions is the score without the bias ("class
    activation maps", Zhou et al., CVPR 2016). In float32 or better. A weight of (B, k, D), k classes chosen for each
    image, gives (B, k, h, w).
    """
    refuse_misfits(class_response_maps, maps, weight)
    maps, weight = raised(maps), raised(weight)
    with full_precision(maps):
        return (weight @ maps.flatten(2)).unflatten(2, maps.shape[2:])
