"""A class from few photos without training, against training with it: ``fieldmark add-class`` on Flowers-102.

    python benchmarks/add_class.py RUN --data flowers-102 --reference results/flowers-default-seed10.npz [FILE ...]

RUN was trained, at the program's defaults, on photos of which some classes were left out (``--without`` writes the
table to train on). Each of these classes alone is added to it from 1, 5 and 20 photos of the splits that RUN was
trained on: drawn five times for 1 and 5, all of them for 20. Measured are official test photos, by the very functions
that the command calls: how many of the new class are answered with it, among the old classes and this one, and by how
many points the accuracy on the photos of the old classes falls.

The reference is full retraining: the recall of the same class among the same classes (the largest of their logits) by
runs that were trained with all classes, of which ``bench run`` keeps the logits of each test photo; the mean over these
runs. To train a network anew for each class would be another reference, and as many trainings.

The share is the mean over classes of recall / reference. Intervals are Student's over classes.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fieldmark.data.dataset import Dataset, Photo
from fieldmark.data.reading import read_dataset
from fieldmark.evaluation.statistics import seed_interval
from fieldmark.files import write_csv, write_json
from fieldmark.input.loading import Photographs
from fieldmark.new_classes.adding import Embedded, Given, embedded, views_of
from fieldmark.new_classes.fitting import Rest, fitted
from fieldmark.new_classes.photos import known_photos, views
from fieldmark.runs.folder import Opened, open_run

COUNTS, DRAWS = (1, 5, 20), 5
"""Of photos; of one class where it has fewer, all of them."""
SEED = 2026
LEFT_OUT = 20


class Row(NamedTuple):
    """A class added from ``photos`` photos: its recall and the reference's, in shares, and what the old ones lose."""

    name: str
    photos: int
    draw: int
    recall: float
    reference: float
    loss: float


def write_without(dataset: Dataset, path: Path, *, part: int) -> None:
    """The table of a dataset without the classes of a part: 20 of a draw that is always the same."""
    left = np.random.default_rng(SEED).permutation(len(dataset.classes))[LEFT_OUT * part : LEFT_OUT * (part + 1)]
    kept = [photo for photo in dataset.photos if photo.label is not None and photo.label not in left]
    rows = ([str(photo.path.resolve()), dataset.classes[photo.label or 0], photo.split] for photo in kept)
    write_csv(path, [["path", "label", "split"], *rows])


def references(files: Sequence[Path], classes: Sequence[str], own: Sequence[str], dataset: Dataset) -> dict[str, float]:
    """The recall of each of ``own`` among ``classes`` and itself, by runs trained with all; the mean over the runs."""
    old = [dataset.classes.index(name) for name in classes]
    found: dict[str, float] = {}
    for name in own:
        label = dataset.classes.index(name)
        shares = [np.nan] if not files else []
        for file in files:
            with np.load(file) as kept:
                logits = kept["logits"][kept["labels"] == label]
            shares.append(float((logits[:, label] > logits[:, old].max(1)).mean()))
        found[name] = float(np.mean(shares))
    return found


def measured(
    rest: Rest, pools: dict[str, np.ndarray], test: dict[str, np.ndarray], old: Rest, reference: dict[str, float]
) -> Iterator[Row]:
    """A row for each class, number of photos and draw.

    Args:
        rest: old photos as the command takes them.
        pools: (n, V, E) by class, of which photos of the new class are drawn.
        test: (m, E) by class.
        old: test photos of the old classes.
        reference: by class.
    """
    for place, (name, pool) in enumerate(pools.items()):
        best = rest.best_of(test[name])
        for count in COUNTS:
            for draw in range(DRAWS if count < len(pool) else 1):
                chosen = np.random.default_rng((SEED, place, count, draw)).permutation(len(pool))[:count]
                row = fitted(pool[chosen], rest)
                recall = float((test[name] @ row.weight + row.bias > best).mean())
                taken = (old.inputs @ row.weight + row.bias > old.best) & old.right
                yield Row(name, count, draw, recall, reference[name], 100 * float(taken.mean()))


def table(rows: Sequence[Row]) -> list[str]:
    """Markdown: a line for each number of photos."""
    lines = [
        "| photos | recall of the new class, % | the same by full retraining, % | share of it, % "
        "| old classes lose, points | most, of one class and draw |",
        "|---|---|---|---|---|---|",
    ]
    for count in COUNTS:
        own = [row for row in rows if row.photos == count]
        names = sorted({row.name for row in own})
        by_class = [[row for row in own if row.name == name] for name in names]
        recall = _interval([100 * np.mean([row.recall for row in group]) for group in by_class])
        reference = _interval([100 * group[0].reference for group in by_class])
        share = _interval([100 * np.mean([row.recall for row in group]) / group[0].reference for group in by_class])
        loss = _interval([float(np.mean([row.loss for row in group])) for group in by_class], places=2)
        most = max(row.loss for row in own)
        lines.append(f"| {count} | {recall} | {reference} | {share} | {loss} | {most:.2f} |")
    return lines


def by_class(rows: Sequence[Row]) -> list[str]:
    """Markdown: recall in %, by class."""
    lines = [f"| class | full retraining | {' | '.join(map(str, COUNTS))} |", "|---|---|" + "---|" * len(COUNTS)]
    for name in sorted({row.name for row in rows}):
        own = [row for row in rows if row.name == name]
        cells = [f"{100 * np.mean([row.recall for row in own if row.photos == count]):.0f}" for count in COUNTS]
        lines.append(f"| {name} | {100 * own[0].reference:.0f} | {' | '.join(cells)} |")
    return lines


def _interval(values: Sequence[float], *, places: int = 1) -> str:
    mean, low, high = seed_interval([float(value) for value in values])
    return f"{mean:.{places}f} ({low:.{places}f} to {high:.{places}f})"


class Shown(NamedTuple):
    """What the head is given: for old photos as the command takes them, for views of the new classes' photos
    (20 classes, n, V, E), and for the photos that are measured, with their labels among all classes.
    """

    rest: np.ndarray
    rest_labels: np.ndarray
    pools: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def looked_at(run: Path, opened: Opened, dataset: Dataset, new: Sequence[int], query: str) -> Shown:
    """All photos once, which takes minutes; labels are the run's of old photos, the dataset's of measured ones."""
    method, pixels, seed = opened.learner.method, opened.recipe.pixels, opened.recipe.seed
    given = Given(method, method.scorers()[0])

    def seen(photos: Sequence[Photo], epoch: int) -> Embedded:
        return embedded(given, views(Photographs(photos, pixels, seed=seed), [epoch], workers=1))

    rest, test = seen(known_photos(run, None, name="", own=()).dataset.photos, 0), seen(dataset.of([query]), -1)
    of_class = [[p for p in dataset.of(opened.recipe.train_on) if p.label == label] for label in new]
    pools = np.stack([views_of(given, Photographs(photos, pixels, seed=seed)) for photos in of_class])
    return Shown(rest.values, rest.labels, pools, test.values, test.labels)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="trained without some classes; with --without, the table to write")
    parser.add_argument("--data", type=Path, required=True, help="all classes, with official splits")
    parser.add_argument("--reference", type=Path, nargs="+", default=[], help="logits of runs with all classes")
    parser.add_argument("--without", type=int, help="write the table without the first (0), second (1), ... 20 classes")
    parser.add_argument("--query", default="test", help="the split that is measured")
    parser.add_argument("--embeddings", type=Path, help="kept in this file (.npz), and read from it if it is there")
    parser.add_argument("--json", type=Path, help="also write a row for each draw")
    arguments = parser.parse_args()
    dataset = read_dataset(arguments.data)
    if arguments.without is not None:
        write_without(dataset, arguments.run, part=arguments.without)
        return
    opened = open_run(arguments.run)
    names = [name for name in dataset.classes if name not in opened.classes]
    new = [dataset.classes.index(name) for name in names]
    if arguments.embeddings and arguments.embeddings.exists():
        with np.load(arguments.embeddings) as file:
            shown = Shown(**file)
    else:
        shown = looked_at(arguments.run, opened, dataset, new, arguments.query)
        if arguments.embeddings:
            np.savez(arguments.embeddings, **shown._asdict())
    layer = opened.learner.method.scorers()[0][0]
    weight, bias = (each.detach().double().numpy() for each in (layer.weight, layer.bias))
    rest = Rest(shown.rest, shown.rest_labels, weight, bias)
    pools = dict(zip(names, shown.pools, strict=True))
    test = {name: shown.test[shown.test_labels == label] for name, label in zip(names, new, strict=True)}
    is_old = ~np.isin(shown.test_labels, new)
    labels = np.array([opened.classes.index(dataset.classes[label]) for label in shown.test_labels[is_old]])
    old = Rest(shown.test[is_old], labels, weight, bias)
    rows = list(measured(rest, pools, test, old, references(arguments.reference, opened.classes, names, dataset)))
    count = sum(map(len, test.values()))
    print(f"{len(names)} classes, {count:,} photos of them and {len(labels):,} of {len(opened.classes)} old classes")
    print(f"accuracy on these before: {100 * old.right.mean():.2f} %\n")
    print("\n".join([*table(rows), "", *by_class(rows)]))
    if arguments.json:
        write_json(arguments.json, {"format_version": 1, "rows": [row._asdict() for row in rows]})


if __name__ == "__main__":
    main()
