"""Classes as parts of a recipe: those of a test, which stand by module and name, and all of ours."""

from typing import Any

from fieldmark.building import class_of
from fieldmark.recipe import Part, external_name
from fieldmark.recipes import PARTS

KNOWN: tuple[type, ...] = tuple(
    class_of(Part(name), {}, place=place) for place, parts in PARTS.items() for name in parts
)
"""All classes that a recipe may name without a module."""


def own(kind: type, **options: Any) -> Part:
    """A class from elsewhere as a part; what builds it needs ``external=classes_named([kind])``."""
    return Part(external_name(kind), options)
