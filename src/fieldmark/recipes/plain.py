"""The baseline of every table: cross-entropy on the classifier's logits."""

from fieldmark.core.classifier import Average, Linear, Maximum
from fieldmark.papers.plain import Plain
from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

COMPOSITION = Composition("plain", method=Part(Plain), parts=(Plain, Average, Maximum, Linear))

ROWS: tuple[Row, ...] = ()
