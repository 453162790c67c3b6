"""Recipes, as results hold them, in a few words: for a table whose reader has never seen a recipe's file."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fieldmark.errors import UserError

Recorded = Mapping[str, Any]
BY_DEFAULT, UNKNOWN = "by default", "unknown"
_USUAL = {"pool": "Average", "head": "Linear"}
_SHOWN = re.compile(
    r"format_version|seed|batches\..*|model\.(method|neck|terms|backbone|weights).*|pixels\.size"
    r"|stages\.\d+\.(epochs|frozen(_epochs)?|optimiser\.(type|lr|scales.*))"
)
_PLACES = (
    (r"stages\.(\d+)\.optimiser\.scales\.(\w+)", "learning-rate factor of {1}"),
    (r"stages\.(\d+)\.optimiser\.lr", "learning rate"),
    (r"stages\.(\d+)\.optimiser\.weight_decay", "weight decay"),
    (r"stages\.(\d+)\.epochs", "epochs"),
    (r"(?:model\.criterion\.)?smoothing", "label smoothing"),
    (r"stages\.(\d+)\.schedule\.epochs", "rate lowered after epochs"),
    (r"pixels\.size", "image size"),
    (r"pixels\.eval_size", "image size at test time"),
    (r"model\.output_stride", "output stride"),
    (r"precision", "precision"),
    (r"batches\.size", "batch size"),
    (r"train_on", "training on"),
    (r"annotation", "annotation"),
)


@dataclass(frozen=True)
class RecipeWords:
    """A recipe in words: ``parts`` are method, neck, terms, and pool and head where they are others than most have.

    ``input`` is the backbone and the pixels that it is shown; ``weights`` the name of their file; ``comparable`` holds
    what two rows should have in common, ``further`` by place all that the other fields do not say.
    """

    parts: str
    input: str
    weights: str
    rate: str
    train_on: str
    comparable: Mapping[str, str]
    further: Mapping[str, str]

    def unlike(self, other: "RecipeWords") -> dict[str, tuple[str, str]]:
        """What two rows should have in common and have not: epochs, batches, backbone, weights, pixels; of each, both.

        What is not known of one of them differs from nothing.
        """
        mine, theirs = self.comparable, other.comparable
        both = {name: (mine[name], theirs[name]) for name in mine if name in theirs}
        return {name: pair for name, pair in both.items() if UNKNOWN not in pair and pair[0] != pair[1]}


def in_words(recipe: Recorded, *, key: str) -> RecipeWords:
    """What the run ``key`` followed, from its record; that of a probe is a few settings.

    Raises:
        UserError: no recipe that a Fieldmark recorded.
    """
    try:
        model, stages = recipe.get("model", recipe), recipe.get("stages", ())
        pixels = recipe.get("pixels", {"size": recipe.get("size", UNKNOWN)})
        size, in_tests = pixels.get("size", UNKNOWN), pixels.get("eval_size", UNKNOWN)
        backbone = model.get("backbone", UNKNOWN)
        comparable = {
            "epochs": _epochs(stages),
            "batches": _batches(dict(recipe.get("batches", {}))),
            "backbone": backbone,
            "weights": model["weights"],
        }
        return RecipeWords(
            parts=_parts(model),
            input=f"{backbone}, {size}" + (f" ({in_tests} at test time)" if in_tests not in (UNKNOWN, size) else ""),
            weights=model["weights"],
            rate="; ".join(dict.fromkeys(map(_stage, stages))) or UNKNOWN,
            train_on="+".join(recipe.get("train_on", (UNKNOWN,))),
            comparable=comparable | {f"pixels ({name})": value_in_words(value) for name, value in pixels.items()},
            further={place: words for place, words in _leaves(recipe, "") if not _SHOWN.fullmatch(place)},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{key}.json: its recipe is none that can be read; the file was changed by hand") from error


def place_in_words(place: str, recipe: Recorded) -> str:
    """What stands at a place of a recipe, such as "weight of PairwiseConfusion" for "model.terms.0.weight"."""
    for pattern, words in _PLACES:
        if match := re.fullmatch(pattern, place):
            several = len(recipe.get("stages", ())) > 1 and place.startswith("stages.")
            return words.format(*match.groups()) + (f" (stage {int(match[1]) + 1})" if several else "")
    match = re.fullmatch(r"(model\.(?:method|neck|pool|head|criterion|terms\.\d+))\.(\w+)", place)
    part = value_at(match[1], recipe) if match else BY_DEFAULT
    return f"{match[2]} of {part['type']}" if match and isinstance(part, Mapping) else f"`{place}`"


def value_at(place: str, recipe: Recorded) -> Any:
    """What stands at a place of a recipe; "by default" where it holds nothing there."""
    value: Any = recipe
    for key in place.split("."):
        if isinstance(value, list | tuple):
            value = {str(at): item for at, item in enumerate(value)}
        value = value.get(key) if isinstance(value, Mapping) else None
    return BY_DEFAULT if value is None else value


def changes_in_words(changes: Mapping[str, Any], recipe: Recorded) -> str:
    """What stands at some places of a recipe."""
    return ", ".join(f"{place_in_words(place, recipe)} {value_in_words(value)}" for place, value in changes.items())


def value_in_words(value: Any) -> str:
    """A number, a word or something longer, as short as it can be said."""
    if isinstance(value, bool) or value is None or isinstance(value, Mapping | list | tuple):
        return json.dumps(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _parts(model: Recorded) -> str:
    parts = [model.get("method"), model.get("neck"), *model.get("terms", ())]
    parts += [model.get(key) for key, usual in _USUAL.items() if model.get(key) != {"type": usual}]
    return " + ".join(_part(part) for part in parts if part) or UNKNOWN


def _part(part: Recorded) -> str:
    options = ", ".join(f"{key} {value_in_words(value)}" for key, value in part.items() if key != "type")
    return part["type"] + (f" ({options})" if options else "")


def _epochs(stages: list[Recorded]) -> str:
    """The number of epochs, and of each stage where there are several."""
    each = [stage["epochs"] for stage in stages]
    total = f"{sum(each):g}" if each else UNKNOWN
    return f"{total} ({' + '.join(map(value_in_words, each))})" if len(each) > 1 else total


def _batches(batches: dict[str, Any]) -> str:
    """How batches are made, such as "shuffled, 16" or "4 classes × 4 photos"."""
    kind, size, partners = batches.pop("type", ""), batches.get("size"), batches.get("partners", 1)
    words = {
        "": UNKNOWN,
        "Shuffled": f"shuffled, {size}" + (", classes drawn evenly" if batches.get("even") else ""),
        "Balanced": f"{batches.get('classes')} classes × {batches.get('images')} photos",
        "ShuffledPairs": f"shuffled pairs, {size} photos",
        "ExhaustivePairs": f"pairs of two classes, {size} photos, {partners or 'all'} per photo and epoch",
    }
    return words.get(kind) or _part({"type": kind, **batches})


def _stage(stage: Recorded) -> str:
    """Optimiser, learning rate and what it is multiplied by for parts of the model; what is frozen."""
    optimiser, epochs = stage["optimiser"], stage.get("frozen_epochs")
    factors = (f", {group} × {value_in_words(scale)}" for group, scale in optimiser.get("scales", {}).items())
    frozen = f", {' and '.join(stage['frozen'])} frozen" if stage.get("frozen") else ""
    duration = f" for {epochs:g}" if frozen and epochs is not None else ""
    return f"{optimiser['type']} {value_in_words(optimiser['lr'])}{''.join(factors)}{frozen}{duration}"


def _leaves(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Places and values of what is no table any more."""
    is_tables = isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value)
    below = value.items() if isinstance(value, Mapping) else enumerate(value) if is_tables else None
    if below is None:
        yield place, value_in_words(value)
        return
    for key, item in below:
        yield from _leaves(item, f"{place}.{key}" if place else str(key))
