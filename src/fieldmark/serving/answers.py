"""From a network's outputs to what clients are told."""

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fieldmark.input.views import evaluation_frame
from fieldmark.predictions.prediction import Prediction, predictions_of
from fieldmark.serving.photo import Photo
from fieldmark.serving.questions import Question
from fieldmark.serving.refused import Refused
from fieldmark.ship.model import Model


def results(model: Model, question: Question, names: Sequence[str], photos: Sequence[Photo]) -> list[dict[str, Any]]:
    """What is said of each photo, in order."""
    answered = [photo for photo in photos if not photo.failure]
    found = iter(_results(model, question, answered))
    return [
        {"name": name} | (_failure(photo.failure) if photo.failure else next(found))
        for name, photo in zip(names, photos, strict=True)
    ]


def pair(model: Model, photos: Sequence[Photo]) -> dict[str, Any]:
    """What speaks for the class of each of two photos and against that of the other."""
    best = [int(photo.found()["probabilities"].argmax()) for photo in photos]
    classes = [model.classes[label] for label in best]
    heatmaps = []
    if "maps" in model.manifest.outputs:
        for photo, own, other in zip(photos, best, best[::-1], strict=True):
            maps = photo.found()["maps"]
            words = {"of": model.classes[own], "against": model.classes[other]}
            heatmaps.append(words | _heatmap(maps[own] - maps[other], model, photo))
    return {"classes": classes, "heatmaps": heatmaps}


def refuse_unoffered(model: Model, question: Question) -> None:
    """Refuses what this model cannot tell."""
    if (question.maps or question.rival) and "maps" not in model.manifest.outputs:
        raise Refused(
            400, "no_maps", f"this model has no heatmaps: {model.manifest.no_maps or 'it was exported without'}"
        )
    if question.neighbours:
        raise Refused(400, "no_gallery", "this model has no gallery of its training photos")
    if question.certainty is not None or question.coverage is not None or question.refuse is not None:
        raise Refused(400, "not_calibrated", "this model does not know how sure it may be")


def offers(model: Model) -> dict[str, Any]:
    """What can be asked for beyond classes."""
    return {"maps": "maps" in model.manifest.outputs, "neighbours": False, "refuse": None, "coverage": None}


def _results(model: Model, question: Question, photos: Sequence[Photo]) -> list[dict[str, Any]]:
    if not photos:
        return []
    probabilities = np.stack([photo.found()["probabilities"] for photo in photos]).astype(np.float64)
    top = min(question.top, len(model.classes))
    names = [""] * len(photos)
    found = predictions_of(names, probabilities, classes=model.classes, top=top, reasons={})
    return [_result(model, question, photo, prediction) for photo, prediction in zip(photos, found, strict=True)]


def _result(model: Model, question: Question, photo: Photo, prediction: Prediction) -> dict[str, Any]:
    told: dict[str, Any] = {
        "classes": [
            {"class": name, "probability": share}
            for name, share in zip(prediction.classes, prediction.probabilities, strict=True)
        ],
        "answer": prediction.answer or None,
        "level": prediction.level or None,
        "answer_probability": prediction.answer_probability,
        "nearest": prediction.nearest or None,
        "distance": prediction.distance,
        "set": None if prediction.set is None else list(prediction.set),
        "error": None,
    }
    if question.maps or question.rival:
        told["heatmaps"] = dict(_heatmaps(model, question, photo))
    return told


def _heatmaps(model: Model, question: Question, photo: Photo) -> Iterator[tuple[str, dict[str, Any]]]:
    outputs = photo.found()
    maps = outputs["maps"]
    first, second = np.argsort(-outputs["probabilities"], kind="stable")[:2].tolist()
    if question.maps:
        yield "class", {"of": model.classes[first]} | _heatmap(maps[first], model, photo)
    if question.rival:
        words = {"of": model.classes[first], "against": model.classes[second]}
        yield "rival", words | _heatmap(maps[first] - maps[second], model, photo)


def _heatmap(values: np.ndarray, model: Model, photo: Photo) -> dict[str, Any]:
    """A map as bytes: 0 where nothing speaks for the class, 255 where most does; and where it lies on the picture."""
    positive = np.maximum(values.astype(np.float32), 0)
    strongest = positive.max()
    shades = np.rint(positive * (255 / strongest if strongest > 0 else 0)).astype(np.uint8)
    frame = evaluation_frame(photo.size, model.manifest.pixels)
    height, width = shades.shape
    return {
        "width": width,
        "height": height,
        "values": base64.b64encode(shades.tobytes()).decode("ascii"),
        "frame": [frame.left, frame.top, frame.width, frame.height],
    }


def _failure(reason: str) -> dict[str, Any]:
    empty = ("answer", "level", "answer_probability", "nearest", "distance", "set")
    return {"classes": []} | dict.fromkeys(empty) | {"error": reason}
