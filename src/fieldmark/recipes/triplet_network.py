"""TripletNet (Hoffer and Ailon, 2015): cross-entropy, and embeddings nearer to their own class than to another.

    fieldmark train DATA --method triplet
    fieldmark train DATA --term triplet,form=margin,margin=0.3

API-Net's Table 6 has it on ResNet-101 (86.6 on CUB-200-2011), as the row api-net/cub-resnet101-triplet.
"""

from fieldmark.batches import Balanced
from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

TERM = Part("Triplet")
COMPOSITION = Composition("triplet", terms=(TERM,), batches=Balanced(4, 4), parts={"term": (TERM.name,)})

ROWS: tuple[Row, ...] = ()
