"""Compact generalized non-local block (Yue et al., NeurIPS 2018): each channel at each position sees all others.

    fieldmark train DATA --method cgnl
    fieldmark train DATA --neck generalized-non-local

Table 1 of the Channel Interaction Network has it on ResNet-50 (87.0 on CUB-200-2011), as the row cin/cub-resnet50-cgnl.
"""

from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

NECK = Part("GeneralizedNonLocal")
COMPOSITION = Composition("cgnl", neck=NECK, parts={"neck": (NECK.name,)})

ROWS: tuple[Row, ...] = ()
