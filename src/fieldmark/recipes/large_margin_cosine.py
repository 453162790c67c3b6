"""Large margin cosine loss (Wang et al., CVPR 2018, CosFace): scores are cosines, the right one less a margin.

    fieldmark train DATA --method lmcl
    fieldmark train DATA --head large-margin-cosine,scale=30,margin=0.2

Its figures in this field are those of Mutual-Channel Loss's Table VI, whose rows are mc-loss/DATA-NETWORK-scratch-lmcl.
"""

from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

HEAD = Part("LargeMarginCosine")
COMPOSITION = Composition("lmcl", head=HEAD, parts={"head": (HEAD.name,)}, smoothing=0.0)

ROWS: tuple[Row, ...] = ()
