"""Non-local block (Wang et al., CVPR 2018): each position sees all others, after the last maps.

    fieldmark train DATA --method non-local
    fieldmark train DATA --neck non-local

Table 1 of the Channel Interaction Network has it on ResNet-50 (86.6 on CUB-200-2011), as the row
cin/cub-resnet50-non-local.
"""

from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

NECK = Part("NonLocal")
COMPOSITION = Composition("non-local", neck=NECK, parts={"neck": (NECK.name,)})

ROWS: tuple[Row, ...] = ()
