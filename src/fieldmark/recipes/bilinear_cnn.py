"""Bilinear CNN (Lin et al., ICCV 2015) and compact bilinear pooling (Gao et al., CVPR 2016): products of channels.

    fieldmark train DATA --method b-cnn --backbone vgg16.tv_in1k
    fieldmark train DATA --method b-cnn --backbone vgg16.tv_in1k+resnet18.a1_in1k    two streams
    fieldmark train DATA --method pc --pool bilinear
    fieldmark train DATA --pool compact-bilinear-pool,width=8192

The rows of Pairwise Confusion (pc/DATA-bcnn, Table 2) and of Mutual-Channel Loss (mc-loss/DATA-bcnn, Tables III and IV)
have it.
"""

from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

POOL = Part("Bilinear")
COMPOSITION = Composition("b-cnn", pool=POOL, parts={"pool": (POOL.name, "CompactBilinearPool")}, smoothing=0.0)

ROWS: tuple[Row, ...] = ()
