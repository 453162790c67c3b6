"""COCO loss (Liu et al., NIPS 2017 workshop): cross-entropy of cosines to a centroid of each class.

    fieldmark train DATA --method coco
    fieldmark train DATA --head congenerous-cosine,scale=10

Its figures in this field are those of Mutual-Channel Loss's Table VI, whose rows are mc-loss/DATA-NETWORK-scratch-coco.
"""

from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

HEAD = Part("CongenerousCosine")
COMPOSITION = Composition("coco", head=HEAD, parts={"head": (HEAD.name,)}, smoothing=0.0)

ROWS: tuple[Row, ...] = ()
