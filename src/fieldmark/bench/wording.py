"""Recipes, as results hold them, in a few words: for a table whose reader has never seen a recipe's file."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Recorded = Mapping[str, Any]
BY_DEFAULT = "by default"
USUAL = {"pool": "Average", "head": "Linear"}
_SHOWN = re.compile(
    r"format_version|seed|batches\..*|model\.(method|neck|terms|backbone|weights).*|pixels\.size"
    r"|stages\.\d+\.(epochs|frozen(_epochs)?|optimiser\.(type|lr|scales.*))"
)
_PLACES = (
    (r"stages\.(\d+)\.optimiser\.scales\.(\w+)", "{1}'s share of the learning rate"),
    (r"stages\.(\d+)\.optimiser\.lr", "learning rate"),
    (r"stages\.(\d+)\.optimiser\.weight_decay", "weight decay"),
    (r"stages\.(\d+)\.epochs", "epochs"),
    (r"smoothing", "label smoothing"),
    (r"pixels\.size", "pixels a side"),
    (r"batches\.size", "photos a batch"),
)


def method_of(recipe: Recorded) -> str:
    """Method, neck, terms, and pool and head where they are others than most have, with the options said of each."""
    model = recipe.get("model", {})
    parts = [model.get("method"), model.get("neck"), *model.get("terms", ())]
    parts += [model.get(key) for key, usual in USUAL.items() if model.get(key) != {"type": usual}]
    return " + ".join(_part(part) for part in parts if part) or "unknown"


def epochs_of(recipe: Recorded) -> str:
    """The number of epochs, and of each stage where there are several."""
    stages = recipe.get("stages", ())
    each = [_count(stage["epochs"]) for stage in stages]
    total = _count(sum(stage["epochs"] for stage in stages)) if stages else "unknown"
    return total + (f" ({' + '.join(each)})" if len(each) > 1 else "")


def weights_of(recipe: Recorded) -> str:
    """Which weights a run began with, by the name of their file."""
    return recipe.get("weights") or recipe.get("model", {}).get("weights", "unknown")


def unlike(recipe: Recorded, other: Recorded) -> dict[str, tuple[str, str]]:
    """What two rows should have in common and have not: epochs, batches, backbone, weights, pixels; of each, both."""
    both = {
        "epochs": (epochs_of(recipe), epochs_of(other)),
        "batches": (batches_of(recipe), batches_of(other)),
        "backbone": tuple(one.get("backbone") or one.get("model", {}).get("backbone") for one in (recipe, other)),
        "weights": (weights_of(recipe), weights_of(other)),
    }
    pixels = [one.get("pixels") or ({"size": one["size"]} if "size" in one else {}) for one in (recipe, other)]
    for key in dict.fromkeys(key for found in pixels for key in found):
        both[f"pixels ({key})"] = tuple(value_in_words(found[key]) if key in found else "unknown" for found in pixels)
    known = {name: pair for name, pair in both.items() if None not in pair and "unknown" not in pair}
    return {name: (one, two) for name, (one, two) in known.items() if one != two}


def batches_of(recipe: Recorded) -> str:
    """How batches are made, such as "shuffled, 16" or "4 classes × 4 photos"."""
    batches = dict(recipe.get("batches", {}))
    kind, size = batches.pop("type", ""), batches.get("size")
    partners = batches.get("partners", 1)
    words = {
        "Shuffled": f"shuffled, {size}" + (", classes drawn evenly" if batches.get("even") else ""),
        "Balanced": f"{batches.get('classes')} classes × {batches.get('images')} photos",
        "ShuffledPairs": f"shuffled pairs, {size} photos",
        "ExhaustivePairs": f"pairs of two classes, {size} photos, {partners or 'all'} a photo and epoch",
    }
    return words.get(kind) or (_part({"type": kind, **batches}) if kind else "unknown")


def rate_of(recipe: Recorded) -> str:
    """Optimiser, learning rate and what it is multiplied by for parts of the model; what rests, stage by stage."""
    return "; ".join(dict.fromkeys(map(_stage, recipe.get("stages", ())))) or "unknown"


def place_in_words(place: str, recipe: Recorded) -> str:
    """What stands at a place of a recipe, such as "weight of PairwiseConfusion" for "model.terms.0.weight"."""
    model = recipe.get("model", {})
    for pattern, words in _PLACES:
        if found := re.fullmatch(pattern, place):
            several = len(recipe.get("stages", ())) > 1 and place.startswith("stages.")
            return words.format(*found.groups()) + (f" (stage {int(found[1]) + 1})" if several else "")
    if found := re.fullmatch(r"model\.(method|neck|pool|head|terms\.(\d+))\.(\w+)", place):
        part = model.get(found[1])
        if found[2] is not None:
            terms = model.get("terms", ())
            part = terms[int(found[2])] if int(found[2]) < len(terms) else None
        if part:
            return f"{found[3]} of {part['type']}"
    return f"`{place}`"


def value_at(place: str, recipe: Recorded) -> Any:
    """What stands at a place of a recipe; "by default" where it holds nothing there."""
    value: Any = recipe
    for key in place.split("."):
        if isinstance(value, list | tuple):
            value = dict(enumerate(value)).get(int(key) if key.isdigit() else -1)
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return BY_DEFAULT if value is None else value


def value_in_words(value: Any) -> str:
    """A number, a word or something longer, as short as it can be said."""
    if isinstance(value, bool) or value is None or isinstance(value, Mapping | list | tuple):
        return json.dumps(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def further_settings(recipe: Recorded) -> dict[str, str]:
    """By place, all that the words above do not say; seeds aside."""
    return {place: words for place, words in _leaves(recipe, "") if not _SHOWN.fullmatch(place)}


def _stage(stage: Recorded) -> str:
    optimiser = stage["optimiser"]
    text = f"{optimiser['type']} {value_in_words(optimiser['lr'])}"
    text += "".join(f", {group} × {value_in_words(scale)}" for group, scale in optimiser.get("scales", {}).items())
    if not stage.get("frozen"):
        return text
    epochs = stage.get("frozen_epochs")
    return f"{text}, {' and '.join(stage['frozen'])} resting" + ("" if epochs is None else f" for {_count(epochs)}")


def _part(part: Recorded) -> str:
    options = ", ".join(f"{key} {value_in_words(value)}" for key, value in part.items() if key != "type")
    return part["type"] + (f" ({options})" if options else "")


def _count(number: float) -> str:
    return f"{number:g}"


def _leaves(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Places and values of what is no table any more."""
    below = value.items() if isinstance(value, Mapping) else enumerate(value) if _tables(value) else None
    if below is None:
        yield place, value_in_words(value)
        return
    for key, item in below:
        yield from _leaves(item, f"{place}.{key}" if place else str(key))


def _tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)
