"""Focal loss (Lin et al., ICCV 2017): a criterion by which images that are recognised well count less.

    fieldmark train DATA --method focal
    fieldmark train DATA --method focal --set model.criterion.options.gamma=1.0

Its figures in this field are those of Mutual-Channel Loss's Table VI, whose rows are
mc-loss/DATA-NETWORK-scratch-focal.
"""

from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

COMPOSITION = Composition("focal", criterion=Part("FocalLoss"), parts={"criterion": ("FocalLoss",)}, smoothing=0.0)

ROWS: tuple[Row, ...] = ()
