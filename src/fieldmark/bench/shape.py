"""What readers of a result's file take for granted, written down once and held against the file."""

from collections.abc import Mapping
from typing import Any

Shape = Any
"""A type (``float`` takes whole numbers too), a tuple of types, [of each], or {key: shape}: "key?" may be missing."""

_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "nothing"}
_SESSION = {"commit": str, "dirty": bool, "digest": str, "device": str}
_SESSION |= {"versions?": {"*": str}, "code?": {"*": str}, "precision?": str}
RESULT: Shape = {
    **dict.fromkeys(("key", "title", "entry", "kind", "baseline", "data", "phase", "status", "command"), str),
    **dict.fromkeys(("reason", "trace", "weights_digest", "device", "measured_on", "data_digest"), str),
    **dict.fromkeys(("order", "seed", "test_openings"), int),
    "trial": (int, type(None)),
    "seconds": float,
    "asked": {"trials": [{}]},
    "recipe": {},
    "tuned": {},
    "sessions": [_SESSION],
    "versions": {"*": str},
    "photos": {"*": int},
    "metrics": {"*": float},
    "damaged": [str],
}
"""Of every result."""
_STAGE = {"epochs": float, "optimiser": {"type": str, "lr": float, "scales?": {"*": float}}}
_STAGE |= {"frozen?": [str], "frozen_epochs?": (float, type(None))}
_TRAINED = {
    "model": {"weights": str, "terms?": [{"type": str}], "method?": {"type": str}},
    "stages?": [_STAGE],
    "batches?": {"type": str},
    "pixels?": {},
    "train_on?": [str],
}
_PROBED = {"weights?": str, "train_on?": [str]}
DONE: Shape = {"metrics": {"top1": float, "mean_per_class": float}, "photos": {"measured": int, "classes": int}}
"""Of a run that is done, besides."""


def complaint(value: Mapping[str, Any]) -> str:
    """In a few words, the first thing in a result's plain data that its readers would stumble over; "" if nothing."""
    if found := _misfit(value, RESULT, ""):
        return found
    if value["status"] not in ("done", "failed"):
        return "status is neither done nor failed"
    if value["trial"] is not None and not value["asked"]["trials"]:
        return "asked.trials is empty, though it is the run of a trial"
    if value["status"] == "failed":
        return ""
    recipe = _PROBED if value["kind"] == "probe" else _TRAINED
    return _misfit(value, DONE, "") or _misfit(value["recipe"], recipe, "recipe")


def _misfit(value: Any, shape: Shape, place: str) -> str:
    """Where a value is not of a shape; "" if it is."""
    if isinstance(shape, dict):
        return _misfit_of_table(value, shape, place)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{place} is no list"
        return next((found for at, one in enumerate(value) if (found := _misfit(one, shape[0], f"{place}.{at}"))), "")
    kinds = shape if isinstance(shape, tuple) else (shape,)
    if type(value) in kinds or (float in kinds and type(value) is int):
        return ""
    return f"{place} is not {' or '.join(_WORDS[kind] for kind in kinds)}"


def _misfit_of_table(value: Any, shape: Mapping[str, Shape], place: str) -> str:
    if not isinstance(value, dict):
        return f"{place} is no table"
    for key, wanted in shape.items():
        name = key.removesuffix("?")
        for there in value if key == "*" else [name]:
            below = f"{place}.{there}" if place else there
            if there not in value:
                if name == key:
                    return f"{below} is missing"
            elif found := _misfit(value[there], wanted, below):
                return found
    return ""
