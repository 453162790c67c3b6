"""From a network's outputs to what clients are told."""

import base64
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from fieldmark.confidence.answers import Demands
from fieldmark.errors import UserError
from fieldmark.predictions.prediction import Prediction, predictions_of
from fieldmark.serving.photo import Photo
from fieldmark.serving.questions import Question
from fieldmark.serving.refused import Refused
from fieldmark.ship.model import Model

_KEPT = 64  # combinations of certainty, coverage and share


class Answers:
    """What a model has to say: its outputs in words.

    Args:
        model: whose outputs they are.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._demands = lru_cache(_KEPT)(self._made_demands)
        self._has_maps = "maps" in model.manifest.outputs

    @property
    def offers(self) -> dict[str, Any]:
        """What can be asked for beyond classes: the least share that may be refused, the highest coverage."""
        known, gallery = self._model.manifest.held_out, self._model.gallery
        photos = len(known.labels) if known else 0
        can_refuse = bool(photos and gallery and known and known.cosines)
        return {
            "maps": self._has_maps,
            "neighbours": gallery is not None,
            "refuse": math.ceil(round(1000 / (photos + 1), 9)) / 1000 if can_refuse else None,
            "coverage": math.floor(1000 * photos / (photos + 1)) / 1000 if photos else None,
        }

    def refuse_unoffered(self, question: Question) -> None:
        """Refuses what this model cannot tell."""
        if (question.maps or question.rival) and not self._has_maps:
            why = self._model.manifest.no_maps or "it was exported without"
            raise Refused(400, "no_maps", f"this model has no heatmaps: {why}")
        if question.neighbours and self._model.gallery is None:
            raise Refused(400, "no_gallery", "this model has no gallery of its training photos")
        self._demands_of(question)

    def results(self, question: Question, names: Sequence[str], photos: Sequence[Photo]) -> list[dict[str, Any]]:
        """What is said of each photo, in order."""
        found = iter(self._results(question, [photo for photo in photos if not photo.failure]))
        return [
            {"name": name} | (_failure(photo.failure) if photo.failure else next(found))
            for name, photo in zip(names, photos, strict=True)
        ]

    def pair(self, photos: Sequence[Photo]) -> dict[str, Any]:
        """What speaks for the class of each of two photos and against that of the other: nothing if it is the same."""
        best = [int(photo.found()["logits"].argmax()) for photo in photos]
        heatmaps = [
            self._heatmap(photo, own, against=other)
            for photo, own, other in zip(photos, best, best[::-1], strict=True)
            if self._has_maps and own != other
        ]
        return {"classes": [self._model.classes[label] for label in best], "heatmaps": heatmaps}

    def _demands_of(self, question: Question) -> Demands | None:
        try:
            return self._demands(question.certainty, question.coverage, question.refuse)
        except UserError as error:
            raise Refused(400, "not_offered", str(error).replace("--", "").replace("\n", " ")) from None

    def _made_demands(self, certainty: float | None, coverage: float | None, refuse: float | None) -> Demands | None:
        return self._model.demands(certainty=certainty, coverage=coverage, refuse=refuse)

    def _results(self, question: Question, photos: Sequence[Photo]) -> Iterator[dict[str, Any]]:
        if not photos:
            return
        model, demands = self._model, self._demands_of(question)
        found = [photo.found() for photo in photos]
        outputs = {name: np.stack([each[name] for each in found]) for name in found[0] if name != "maps"}
        predictions = predictions_of(
            [""] * len(photos),
            model.probabilities(outputs["logits"]),
            classes=model.classes,
            top=min(question.top, len(model.classes)),
            answers=model.answers(demands, outputs) if demands else None,
            reasons={},
        )
        for photo, prediction in zip(photos, predictions, strict=True):
            yield _told(prediction) | self._beyond(question, photo)

    def _beyond(self, question: Question, photo: Photo) -> dict[str, Any]:
        """Heatmaps and neighbours, where they were asked for."""
        told: dict[str, Any] = {}
        if question.maps or question.rival:
            first, second = np.argsort(-photo.found()["logits"], kind="stable")[:2].tolist()
            told["heatmaps"] = {"class": self._heatmap(photo, first)} if question.maps else {}
            if question.rival:
                told["heatmaps"]["rival"] = self._heatmap(photo, first, against=second)
        if question.neighbours:
            near = self._model.neighbours(photo.found()["embedding"], question.neighbours)
            told["neighbours"] = [
                {"class": name, "similarity": similarity, "thumbnail": _data_uri(thumbnail)}
                for name, similarity, thumbnail in near
            ]
        return told

    def _heatmap(self, photo: Photo, label: int, *, against: int | None = None) -> dict[str, Any]:
        """A heatmap as bytes, 255 where most speaks for the class, and where it lies on the upright picture."""
        model = self._model
        shades = np.rint(255 * model.heatmap(photo.found()["maps"], label, against=against)).astype(np.uint8)
        frame = model.frame(photo.size)
        words = {"of": model.classes[label]} | ({} if against is None else {"against": model.classes[against]})
        return words | {
            "width": shades.shape[1],
            "height": shades.shape[0],
            "values": base64.b64encode(shades.tobytes()).decode("ascii"),
            "frame": [frame.left, frame.top, frame.width, frame.height],
        }


def _told(prediction: Prediction) -> dict[str, Any]:
    return {
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


def _failure(reason: str) -> dict[str, Any]:
    empty = ("answer", "level", "answer_probability", "nearest", "distance", "set")
    return {"classes": []} | dict.fromkeys(empty) | {"error": reason}


def _data_uri(jpeg: bytes) -> str | None:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}" if jpeg else None
