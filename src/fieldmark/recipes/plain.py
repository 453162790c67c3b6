"""The baseline of every table: cross-entropy on the classifier's logits."""

from fieldmark.recipes.composition import Composition, Row

COMPOSITION = Composition("plain", parts=("Plain", "Average", "Maximum", "Linear", "CrossEntropy"))

ROWS: tuple[Row, ...] = ()
