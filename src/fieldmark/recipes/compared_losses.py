"""Table VI of Mutual-Channel Loss: other losses, from scratch, on its networks and trained as it is itself.

| top-1 in %, VGG-16 / ResNet-18 | CUB-200-2011  | FGVC-Aircraft | Stanford Cars | Flowers-102   |
|--------------------------------|---------------|---------------|---------------|---------------|
| center loss                    | 51.38 / 50.26 | 88.26 / 83.86 | 89.27 / 81.84 | 62.53 / 69.51 |
| A-softmax                      | 60.79 / 49.67 | 88.15 / 82.42 | 88.71 / 82.15 | 62.34 / 50.56 |
| focal loss                     | 31.12 / 47.67 | 80.85 / 80.47 | 77.02 / 79.75 | 48.19 / 66.87 |
| COCO                           | 48.31 / 46.01 | 86.41 / 80.02 | 67.27 / 72.38 | 63.31 / 66.76 |
| LGM                            | 28.14 / 44.91 | 87.49 / 80.98 | 71.27 / 74.37 | 57.78 / 66.84 |
| LMCL                           | 41.11 / 46.01 | 86.17 / 78.52 | 49.57 / 71.17 | 66.43 / 67.72 |

Ours: not yet run. Their options are those of their own papers, as the table's says none. All see the embedding of the
released head's hidden layer, as the table's cross-entropy does.
"""

from typing import NamedTuple

from fieldmark.recipe import Part
from fieldmark.recipes import (
    angular_softmax,
    center_loss,
    congenerous_cosine,
    focal_loss,
    gaussian_mixture,
    large_margin_cosine,
)
from fieldmark.recipes.composition import Composition

POOL = Part("HiddenMaximum")


class Compared(NamedTuple):
    """A loss of the table: its parts, and top-1 in % on CUB-200-2011, Aircraft, Cars and Flowers-102.

    ``vgg16`` and ``resnet18`` are of these networks.
    """

    composition: Composition
    vgg16: tuple[float, float, float, float]
    resnet18: tuple[float, float, float, float]


COMPARED = {
    "center": Compared(center_loss.COMPOSITION, (51.38, 88.26, 89.27, 62.53), (50.26, 83.86, 81.84, 69.51)),
    "a-softmax": Compared(angular_softmax.COMPOSITION, (60.79, 88.15, 88.71, 62.34), (49.67, 82.42, 82.15, 50.56)),
    "focal": Compared(focal_loss.COMPOSITION, (31.12, 80.85, 77.02, 48.19), (47.67, 80.47, 79.75, 66.87)),
    "coco": Compared(congenerous_cosine.COMPOSITION, (48.31, 86.41, 67.27, 63.31), (46.01, 80.02, 72.38, 66.76)),
    "lgm": Compared(gaussian_mixture.COMPOSITION, (28.14, 87.49, 71.27, 57.78), (44.91, 80.98, 74.37, 66.84)),
    "lmcl": Compared(large_margin_cosine.COMPOSITION, (41.11, 86.17, 49.57, 66.43), (46.01, 78.52, 71.17, 67.72)),
}
"""By the name that a row has at its end."""
