"""A-softmax (Liu et al., CVPR 2017, SphereFace): weights of length one, and an angle that must be m times smaller.

    fieldmark train DATA --method a-softmax
    fieldmark train DATA --head angular-softmax,m=2

Its figures in this field are those of Mutual-Channel Loss's Table VI, whose rows are
mc-loss/DATA-NETWORK-scratch-a-softmax.
"""

from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

HEAD = Part("AngularSoftmax")
COMPOSITION = Composition("a-softmax", head=HEAD, parts={"head": (HEAD.name,)}, smoothing=0.0)

ROWS: tuple[Row, ...] = ()
