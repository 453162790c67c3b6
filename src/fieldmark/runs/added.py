"""What a run remembers of classes that were added to it without training, and what was left out for them.

``added.json`` holds the classes,
``original_recipe.json`` is the recipe of the run that the first class was added to, ``original.safetensors`` holds its
tensors that have no place in a run with more classes (of terms that are made for a number of classes).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from fieldmark.errors import UserError
from fieldmark.plain import from_plain, json_text, to_plain
from fieldmark.recipe import Recipe, recipe_from_json, recipe_to_json

ADDED, ORIGINAL_RECIPE, ORIGINAL_TENSORS = "added.json", "original_recipe.json", "original.safetensors"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class AddedClass:
    """One of them.

    It was made of ``photos``, on ``date``, and added to ``run``, whose tensors have the digest ``run_digest``. Of the
    photos, left out in turn, ``recalled`` were answered with it (None where there is but one); of ``known`` photos of
    the other classes that were answered rightly, each in a random view, ``taken`` are answered with it.
    """

    name: str
    photos: tuple[str, ...]
    run: str
    run_digest: str
    date: str
    fieldmark: str
    recalled: int | None
    known: int
    taken: int


@dataclass(frozen=True)
class Additions:
    """All classes that were added, in the order of their indices; ``recipe`` and ``tensors`` are the original's."""

    classes: tuple[AddedClass, ...]
    recipe: Recipe
    tensors: Mapping[str, Tensor]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes."""
        return tuple(added.name for added in self.classes)

    def with_class(self, added: AddedClass) -> "Additions":
        """One more."""
        return replace(self, classes=(*self.classes, added))

    def without(self, name: str) -> "Additions":
        """One less."""
        return replace(self, classes=tuple(added for added in self.classes if added.name != name))

    def texts(self) -> dict[str, str]:
        """The contents of the files by name, the tensors aside."""
        value = {"format_version": FORMAT_VERSION, "classes": [to_plain(added) for added in self.classes]}
        return {ADDED: json_text(value), ORIGINAL_RECIPE: recipe_to_json(self.recipe)}


@dataclass(frozen=True)
class _Content:
    """The content of ``added.json``."""

    classes: tuple[AddedClass, ...]


def has_added(run: Path) -> bool:
    """Whether classes were added to a run without training."""
    return (run / ADDED).is_file()


def read_additions(run: Path) -> Additions | None:
    """What was added to a run; None if nothing was.

    Raises:
        UserError: a file is missing, damaged or of another format.
    """
    if not has_added(run):
        return None
    path = run / ADDED
    try:
        value: Any = json.loads(path.read_text("utf-8"))
        recipe = recipe_from_json((run / ORIGINAL_RECIPE).read_text("utf-8", "replace"))
        tensors = load_file(run / ORIGINAL_TENSORS) if (run / ORIGINAL_TENSORS).is_file() else {}
        if not isinstance(value, dict) or value.pop("format_version", None) != FORMAT_VERSION:
            raise UserError("it is in a format that this version of Fieldmark does not read")
        return Additions(from_plain(value, _Content).classes, recipe, tensors)
    except Exception as error:  # a damaged file makes its reader raise whatever it does
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"{path}, or what belongs to it, cannot be read: {reason}") from error
