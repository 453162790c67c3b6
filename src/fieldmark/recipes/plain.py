"""The baseline of every table: cross-entropy on the classifier's logits."""

from fieldmark.recipes.composition import Composition, Row

COMPOSITION = Composition(
    "plain",
    parts={
        "method": ("Plain",),
        "pool": ("Average", "Maximum"),
        "head": ("Linear",),
        "criterion": ("CrossEntropy",),
    },
)

ROWS: tuple[Row, ...] = ()
