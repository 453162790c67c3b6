"""MAMC (Sun et al., ECCV 2018): P sets of gates on an image's channels, and an N-pair loss of their features.

    fieldmark train DATA --method mamc
    fieldmark train DATA --pool multi-excitation,attentions=3 --term multi-attention-multi-class,attentions=3

Table 1 of the Channel Interaction Network has it on ResNet-50 (86.3 on CUB-200-2011), as the row cin/cub-resnet50-mamc.
With ``--method mamc`` a batch has pairs of images of 8 classes.
"""

from fieldmark.batches import Balanced
from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

POOL, TERM = Part("MultiExcitation"), Part("MultiAttentionMultiClass")
COMPOSITION = Composition(
    "mamc", pool=POOL, terms=(TERM,), batches=Balanced(8, 2), parts={"pool": (POOL.name,), "term": (TERM.name,)}
)

ROWS: tuple[Row, ...] = ()
