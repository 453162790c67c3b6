"""Pairwise Confusion (Dubey et al., ECCV 2018): plain cross-entropy and the confusion of random pairs.

The paper's weight is 10 on all sets for bilinear CNNs, and between 10 and 20 else.
"""

from fieldmark.papers.pairwise_confusion import PairwiseConfusion
from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

COMPOSITION = Composition("pc", terms=(Part(PairwiseConfusion),), parts=(PairwiseConfusion,))

ROWS: tuple[Row, ...] = ()
