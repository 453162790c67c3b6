"""Squeeze-and-Excitation (Hu et al., CVPR 2018): channels weighed by all of the image, after the last maps.

    fieldmark train DATA --method se
    fieldmark train DATA --neck squeeze-excitation

Table 1 of the Channel Interaction Network has it on ResNet-50 (85.7 on CUB-200-2011), as the row cin/cub-resnet50-se.
"""

from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

NECK = Part("SqueezeExcitation")
COMPOSITION = Composition("se", neck=NECK, parts={"neck": (NECK.name,)})

ROWS: tuple[Row, ...] = ()
