"""Center loss (Wen et al., ECCV 2016): cross-entropy, and embeddings that stay near the center of their class.

    fieldmark train DATA --method center-loss
    fieldmark train DATA --term center-loss,weight=0.003

Its figures in this field are those of Mutual-Channel Loss's Table VI, whose rows are
mc-loss/DATA-NETWORK-scratch-center.
"""

from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

COMPOSITION = Composition("center-loss", terms=(Part("CenterLoss"),), parts={"term": ("CenterLoss",)}, smoothing=0.0)

ROWS: tuple[Row, ...] = ()
