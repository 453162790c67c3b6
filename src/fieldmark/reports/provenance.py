"""What a run was made of, how and from what, in plain words; and what it noted of each epoch."""

import csv
import io
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from fieldmark.bench.recipe_words import in_words
from fieldmark.core.weights import MODEL
from fieldmark.errors import printable
from fieldmark.evaluation.evaluate import OPENINGS
from fieldmark.plain import to_plain
from fieldmark.recipe import Pixels, Recipe
from fieldmark.runs.folder import METRICS, About, digest_of, read_start

Row = tuple[str, str]
_FITS = {
    "crop": "the centre square",
    "pad": "all of it, on grey",
    "stretch": "all of it, whatever its shape",
    "box": "the object's box with a margin",
}
_WEIGHTS = {"none": "no earlier training", "hub": "pretrained weights from timm's hub", "lite0": "ImageNet weights"}


def recipe_rows(run: Path, recipe: Recipe) -> list[Row]:
    """What was trained and how, a row each."""
    words, model = in_words(to_plain(recipe), key=printable(str(run))), recipe.model
    weights = _WEIGHTS.get(model.weights, f"weights of {model.weights}")
    rows = [
        ("Network", f"{model.backbone}, from {weights}"),
        ("Method", words.parts),
        ("Loss", words.further.get("model.criterion.type", model.criterion.name) + _options(model.criterion.options)),
        ("What it sees", _pixels(recipe.pixels)),
        ("Epochs", f"{recipe.epochs}, in batches: {words.comparable['batches']}" if recipe.stages else "none"),
        (
            "Optimiser and learning rate",
            words.rate if recipe.stages else "none: the head alone, as logistic regression",
        ),
        *_start_rows(run, recipe),
        ("Trained on", " + ".join(recipe.train_on)),
        ("Seed", str(recipe.seed)),
    ]
    return [(name, value) for name, value in rows if value]


def _options(options: object) -> str:
    plain = to_plain(options)
    return f" ({', '.join(f'{name} {value}' for name, value in plain.items())})" if plain else ""


def _pixels(pixels: Pixels) -> str:
    size = f"{pixels.eval_size} × {pixels.eval_size} pixels of {_FITS[pixels.fit]} of each photo"
    trained = f"; in training, random areas of at least {100 * pixels.min_scale:.0f} % of it"
    return size + trained + (", half of them mirrored" if pixels.flip else "")


def _start_rows(run: Path, recipe: Recipe) -> Iterator[Row]:
    start = read_start(run)
    if recipe.start == "probe":
        share = start.share if start else None
        right = "" if share is None or start is None else f"{100 * share:.1f} % of {start.photos:,} photos"
        yield (
            "Start",
            "the head began as a logistic regression on the network's features"
            + (f", right out of fold on {right}" if right else ""),
        )
    stages = f"the first {recipe.frozen_stages} stages" if recipe.frozen_stages else ""
    norms = "the statistics of the batch norms" if recipe.frozen_norms else ""
    yield "Kept fixed", " and ".join(filter(None, (stages, norms)))
    average = f"the average of all steps' weights, later ones counting more (degree {recipe.average_degree:g})"
    moving = f"a moving average of the weights, {recipe.ema:g} per step" if recipe.ema else ""
    if recipe.stages:
        yield "Answers with", average if recipe.average_degree else moving


def provenance_rows(run: Path, about: About) -> list[Row]:
    """Where the run and its data lie, what tells them from others, and with which versions it was made."""
    model = digest_of(run) if (run / MODEL).is_file() else ""
    packages = (("Fieldmark", about.fieldmark), ("PyTorch", about.torch), ("Python", about.python))
    rows = [
        ("Run", str(run.resolve())),
        ("Data", f"{about.data} ({about.layout})" if about.layout else about.data),
        ("Splits", _splits(about)),
        ("Digest of the data", about.data_digest[:16]),
        ("Digest of the weights", model),
        ("Trained with", ", ".join(f"{name} {version}" for name, version in packages if version)),
        ("Looks at test photos", _openings(run)),
        ("Report written", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
    ]
    return [(name, value) for name, value in rows if value]


def _splits(about: About) -> str:
    if about.cut:
        return "cut by Fieldmark, copies and groups kept together"
    return f"official; {100 * about.held_out:.0f} % of the training photos held out" if about.held_out else "official"


def _openings(run: Path) -> str:
    """How often test photos were measured, by the run's log."""
    path = run / OPENINGS
    if not path.is_file():
        return "none"
    count = max(len(path.read_text("utf-8", "replace").splitlines()) - 1, 0)
    return f"{count} (the best of many looks is no test figure)" if count > 1 else str(count)


def read_history(run: Path) -> list[dict[str, float]]:
    """A row per epoch of ``metrics.csv``, in order; cells that hold no number are left out."""
    path = run / METRICS
    if not path.is_file():
        return []
    table = csv.DictReader(io.StringIO(path.read_text("utf-8-sig", "replace"), newline=""))
    rows = [{str(name): _number(cell) for name, cell in row.items() if name} for row in table]
    plain = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return sorted((row for row in plain if math.isfinite(row.get("epoch", math.nan))), key=lambda row: row["epoch"])


def _number(cell: object) -> float | None:
    try:
        return float(str(cell))
    except ValueError:
        return None
