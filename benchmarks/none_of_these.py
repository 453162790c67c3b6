"""How well photos of classes that a run does not know are told from those it knows: rules compared on the same photos.

    python benchmarks/none_of_these.py RUN [RUN ...] --unknown PHOTOS
    python benchmarks/none_of_these.py runs/flowers-82 --unknown flowers-102 --cache none-of-these
    python benchmarks/none_of_these.py runs/without-* --unknown CUB_200_2011 --splits val train --json choice.json

Known photos are those of each run's own split, unknown ones those of PHOTOS whose class is none of the run's: both of
test, or of the two splits that ``--splits`` names. The neighbours are photos that the run was trained on, as many as
``fieldmark calibrate`` keeps. Answers are kept in ``--cache``, so that the same command goes on after a stop.

AUROC is the share of pairs of a known and an unknown photo in which the known one looks more familiar; "accepted" is
the share of unknown photos above the limit that 95 % of the known ones reach. The intervals of a run are the middle
95 % of draws of known classes and of unknown ones, each with all of its photos, as photos of a class are alike; the
mean of several runs has Student's interval over runs.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fieldmark.confidence.gallery import chosen_for_gallery
from fieldmark.confidence.novelty import accepted, auroc, energies, max_logits
from fieldmark.core.device import device_of
from fieldmark.core.draws import EVALUATION
from fieldmark.data.dataset import Photo, labels_of
from fieldmark.data.reading import read_dataset
from fieldmark.evaluation.evaluate import split_of_run
from fieldmark.evaluation.inference import infer
from fieldmark.evaluation.statistics import seed_interval
from fieldmark.files import replace_file, write_json
from fieldmark.input.loading import Photographs
from fieldmark.runs.folder import Opened, digest_of, open_run
from fieldmark.training.folds import training_photos

KNOWN = 0.95
"""The share of known photos that reach the limit of "accepted"."""
DRAWS = 1000
PARTS = ("gallery", "known", "unknown")


class Answers(NamedTuple):
    """Of N photos: labels (N,), logits (N, C) and embeddings (N, E)."""

    labels: np.ndarray
    logits: np.ndarray
    embeddings: np.ndarray


class Figure(NamedTuple):
    """A share, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """In three digits."""
        return f"{self.value:.3f}" + (f" ({self.low:.3f} to {self.high:.3f})" if np.isfinite(self.low) else "")


def answered(opened: Opened, views: Photographs) -> Answers:
    """A run's answers to labelled photos."""
    method, classes = opened.learner.method, len(opened.classes)

    def both(images: Tensor) -> Tensor:
        encoded = method.encode(images, EVALUATION)
        return torch.cat([encoded.logits, encoded.features.embedding], 1)

    read = infer(both, views, method=method)
    return Answers(read.labels, read.values[:, :classes], read.values[:, classes:])


def unknown_photos(opened: Opened, data: Path, split: str) -> list[Photo]:
    """The photos of a split whose class is none of the run's."""
    dataset = read_dataset(data)
    known = {label for label, name in enumerate(dataset.classes) if name in opened.classes}
    return [photo for photo in dataset.of([split]) if photo.label not in known]


def photos_of(opened: Opened, data: Path, splits: Sequence[str]) -> dict[str, list[Photo]]:
    """Some training photos of each class, the known photos and the unknown ones, by the names of ``PARTS``."""
    trained = training_photos(opened.path).dataset.photos
    gallery = [trained[at] for at in chosen_for_gallery(np.array(labels_of(trained)))]
    known = split_of_run(opened.path, None, splits[0]).dataset.photos
    return dict(zip(PARTS, (gallery, [*known], unknown_photos(opened, data, splits[1])), strict=True))


def answers_of(run: Path, data: Path, splits: Sequence[str], cache: Path) -> dict[str, Answers]:
    """A run's answers to each of ``photos_of``, from the cache where they are there."""
    opened, found = open_run(run), {}
    opened.learner.method.to(device_of("auto"))
    for part, photos in photos_of(opened, data, splits).items():
        of = {"gallery": "", "known": splits[0], "unknown": f"{data.name}-{splits[1]}"}[part]
        path = cache / f"{digest_of(run)}-{part}-{of}.npz"
        if not path.is_file():
            answers = answered(opened, Photographs(photos, opened.recipe.pixels))
            replace_file(path, lambda draft, kept=answers: _save(draft, kept))
        with np.load(path) as arrays:
            found[part] = Answers(**arrays)
    return found


def _save(path: Path, answers: Answers) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **answers._asdict())


Rule = Callable[[Answers, Answers], np.ndarray]
"""From a gallery and answers to N photos to how familiar each looks (N,)."""


def probabilities(gallery: Answers, answers: Answers) -> np.ndarray:
    """The largest probability (D. Hendrycks and K. Gimpel, ICLR 2017, arXiv:1610.02136), as its logarithm."""
    return max_logits(answers.logits) - energies(answers.logits)


def cosines(gallery: Answers, answers: Answers, *, power: float) -> np.ndarray:
    """Between signed powers of embeddings: (N, G)."""
    roots = [np.sign(one.embeddings) * np.abs(one.embeddings) ** power for one in (answers, gallery)]
    own, known = (values / np.linalg.norm(values, axis=1, keepdims=True) for values in roots)
    return own @ known.T


def of_neighbours(rank: int, *, power: float = 1.0) -> Rule:
    """The cosine to the neighbour of a rank, counted from 1."""

    def rule(gallery: Answers, answers: Answers) -> np.ndarray:
        return -np.partition(-cosines(gallery, answers, power=power), rank - 1, axis=1)[:, rank - 1]

    return rule


RULES: dict[str, Rule] = {
    "largest probability": probabilities,
    "max logit": lambda _, answers: max_logits(answers.logits),
    "energy": lambda _, answers: energies(answers.logits),
    "nearest photo": of_neighbours(1),
    "5th nearest photo": of_neighbours(5),
    "nearest photo, of roots": of_neighbours(1, power=0.5),
}
SUMS = {
    "max logit + nearest photo / 2": ("max logit", "nearest photo", 0.5),
    "max logit + nearest photo": ("max logit", "nearest photo", 1.0),
    "energy + nearest photo, of roots / 2": ("energy", "nearest photo, of roots", 0.5),
    "**max logit + nearest photo, of roots / 2**": ("max logit", "nearest photo, of roots", 0.5),
}
"""Sums of two scores, each less its mean and divided by its standard deviation on the known photos; and the weight."""


def scores_of(answers: dict[str, Answers]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By rule, how familiar the known photos look and the unknown ones."""
    sides = (answers["known"], answers["unknown"])
    known, unknown = ({name: rule(answers["gallery"], side) for name, rule in RULES.items()} for side in sides)
    found = {name: (known[name], unknown[name]) for name in RULES}
    for name, (first, second, weight) in SUMS.items():
        shifts = {one: (known[one].mean(), known[one].std()) for one in (first, second)}
        even = [{one: (side[one] - mean) / sd for one, (mean, sd) in shifts.items()} for side in (known, unknown)]
        found[name] = (even[0][first] + weight * even[0][second], even[1][first] + weight * even[1][second])
    return found


def figures_of(known: np.ndarray, unknown: np.ndarray, labels: Sequence[np.ndarray]) -> tuple[Figure, Figure]:
    """AUROC and the share accepted, with intervals over draws of classes; ``labels`` of the known and unknown ones."""
    drawn = np.random.default_rng(0)
    rows = [[np.flatnonzero(own == label) for label in np.unique(own)] for own in labels]
    sampled = []
    for _ in range(DRAWS):
        mine, other = (np.concatenate([each[at] for at in drawn.integers(0, len(each), len(each))]) for each in rows)
        sampled.append((auroc(known[mine], unknown[other]), accepted(known[mine], unknown[other], share=KNOWN)))
    ends = np.percentile(sampled, (2.5, 97.5), axis=0).T.tolist()
    values = auroc(known, unknown), accepted(known, unknown, share=KNOWN)
    return Figure(values[0], *ends[0]), Figure(values[1], *ends[1])


def table(runs: Sequence[dict[str, tuple[Figure, Figure]]]) -> list[str]:
    """Markdown: each rule's figures, of one run with its own intervals, of several as means over runs."""
    lines = ["| rule | AUROC | unknown photos accepted |", "|---|---|---|"]
    for rule in runs[0]:
        cells = []
        for which in (0, 1):
            values = [run[rule][which] for run in runs]
            mean = Figure(*seed_interval([value.value for value in values])) if len(runs) > 1 else values[0]
            cells.append(str(mean))
        lines.append(f"| {rule} | {cells[0]} | {cells[1]} |")
    return lines


def main() -> None:
    """Prints a table of all runs together, and a line on each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--unknown", type=Path, required=True, help="labelled photos, of which those of other classes")
    parser.add_argument("--splits", nargs=2, default=("test", "test"), help="of the known photos, and of the unknown")
    parser.add_argument("--cache", type=Path, default=Path("none-of-these"), help="folder for answers")
    parser.add_argument("--json", type=Path, help="also write the figures of each run")
    arguments = parser.parse_args()
    runs: list[dict[str, tuple[Figure, Figure]]] = []
    for run in arguments.runs:
        answers = answers_of(run, arguments.unknown, arguments.splits, arguments.cache)
        labels = [answers["known"].labels, answers["unknown"].labels]
        runs.append({rule: figures_of(*both, labels) for rule, both in scores_of(answers).items()})
        right = (answers["known"].logits.argmax(1) == labels[0]).mean()
        counts = f"{len(labels[0]):,} known photos ({100 * right:.1f} % right) of {len(np.unique(labels[0]))} classes"
        others = f"{len(labels[1]):,} unknown ones of {len(np.unique(labels[1]))}"
        print(f"{run.name}: {counts}, {others}, {len(answers['gallery'].labels):,} in the gallery", flush=True)
    print("", *table(runs), sep="\n")
    if arguments.json:
        value = {"format_version": 1, "runs": dict(zip(map(str, arguments.runs), runs, strict=True))}
        write_json(arguments.json, value)


if __name__ == "__main__":
    main()
