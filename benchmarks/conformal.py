"""Whether sets of answers hold the true class as often as they say: random splits of the stored logits of test photos.

    python benchmarks/conformal.py benchmarks/flowers_start/results/*.npz
    python benchmarks/conformal.py RESULTS.npz [RESULTS.npz ...] --coverage 0.95 --splits 50 --json conformal.json
    python benchmarks/conformal.py RESULTS.npz [RESULTS.npz ...] --confidence CONFIDENCE.json [CONFIDENCE.json ...]

Each file has ``labels`` and ``logits`` of photos that its run did not train on, as ``fieldmark bench`` and ``fieldmark
evaluate`` leave them. Half of the photos, at random, set the thresholds; on the other half it is counted how often the
true class is in the set, and how large sets are. Compared on the same splits, with the softmax of the logits as it is,
or with ``--confidence``, one file for each run, as ``fieldmark calibrate`` leaves it, at the run's temperature:

- least ambiguous sets, the score of ``fieldmark.confidence.conformal``: with one threshold for all classes; with
  thresholds of their own for classes with enough photos, as ``fieldmark predict --coverage`` has it; and for all
  classes for which one exists at all;
- adaptive sets (APS; Y. Romano, M. Sesia and E. Candès, "Classification with valid and adaptive coverage", NeurIPS
  2020, arXiv:2006.02544), without their random part, and regularised ones (RAPS; A. Angelopoulos, S. Bates, J. Malik
  and M. Jordan, "Uncertainty sets for image classifiers using conformal prediction", ICLR 2021, arXiv:2009.14193) with
  a weight of 0.01 from the sixth class on, and of 0.1 from the second: with one threshold.

Coverage by class is taken over all splits together; its gap is the mean over classes of the distance to what was asked.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from back_off import temperatures
from fieldmark.confidence.conformal import (
    photos_for_own,
    photos_needed,
    scores_of,
    sets_of,
    thresholds,
    true_scores,
)
from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.files import write_json

NEVER = 1 << 40
"""More photos than any class has: no threshold of a class's own."""


class Sets(NamedTuple):
    """A way to make sets: scores (N, C) from probabilities (N, C), and from how many photos a class has its own."""

    scores: Callable[[np.ndarray], np.ndarray]
    own_from: Callable[[float], int]


def adaptive(probabilities: np.ndarray) -> np.ndarray:
    """The scores (N, C) of APS: the probability of a class and of all that are likelier."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    sums = np.cumsum(np.take_along_axis(probabilities, order, 1), 1)
    return np.take_along_axis(sums, np.argsort(order, axis=1), 1)


def regularised(probabilities: np.ndarray, *, weight: float, free: int) -> np.ndarray:
    """The scores (N, C) of RAPS: those of APS, and a weight for each rank after the first ``free`` ones."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranks = np.argsort(order, axis=1) + 1
    return adaptive(probabilities) + weight * np.maximum(ranks - free, 0)


def _shared(_: float) -> int:
    return NEVER


WAYS = {
    "least ambiguous, one threshold": Sets(scores_of, _shared),
    "**least ambiguous, by class where photos allow**": Sets(scores_of, photos_for_own),
    "least ambiguous, by class wherever possible": Sets(scores_of, photos_needed),
    "APS, one threshold": Sets(adaptive, _shared),
    "RAPS (0.01, 5), one threshold": Sets(lambda p: regularised(p, weight=0.01, free=5), _shared),
    "RAPS (0.1, 1), one threshold": Sets(lambda p: regularised(p, weight=0.1, free=1), _shared),
}


class Counted(NamedTuple):
    """Of S splits: (S,) coverage, mean size of sets, shares of empty ones and of those of one class, and the number of
    thresholds of classes' own; and (C,) how many photos of a class were covered, and how many there were.
    """

    coverage: np.ndarray
    size: np.ndarray
    empty: np.ndarray
    single: np.ndarray
    own: np.ndarray
    covered: np.ndarray
    photos: np.ndarray

    @property
    def by_class(self) -> np.ndarray:
        """Coverage (K,) of the classes that were measured."""
        present = self.photos > 0
        return self.covered[present] / self.photos[present]


def count(probabilities: np.ndarray, labels: np.ndarray, way: Sets, *, coverage: float, splits: int) -> Counted:
    """Random halves of N photos, of which the first sets the thresholds and the second is measured.

    Args:
        probabilities: (N, C).
        labels: (N,).
        way: how sets are made.
        coverage: that is asked for.
        splits: S, seeds of the halves from 0 on.
    """
    scores, classes = way.scores(probabilities), probabilities.shape[1]
    rows, covered, photos = [], np.zeros(classes), np.zeros(classes)
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(labels))
        held_out, measured = np.split(order, [len(order) // 2])
        own_from = way.own_from(coverage)
        true = true_scores(scores[held_out], labels[held_out])
        limits = thresholds(true, labels[held_out], classes=classes, coverage=coverage, own_from=own_from)
        sets, true = sets_of(scores[measured], limits), labels[measured]
        hits, sizes = sets[np.arange(len(true)), true], sets.sum(1)
        rows.append((hits.mean(), sizes.mean(), (sizes == 0).mean(), (sizes == 1).mean(), limits.own.sum()))
        covered += np.bincount(true[hits], minlength=classes)
        photos += np.bincount(true, minlength=classes)
    return Counted(*np.array(rows).T, covered=covered, photos=photos)


def table(found: dict[str, Counted], coverage: float) -> Iterator[str]:
    """A row for each way, in Markdown."""
    yield (
        "| sets | coverage, % (standard deviation) | classes in a set | of one class, % | empty, % "
        "| own thresholds | classes' coverage, %: lowest, 5th, median | gap |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for name, counted in found.items():
        low, few, middle = 100 * np.quantile(counted.by_class, [0.0, 0.05, 0.5])
        gap = 100 * np.abs(counted.by_class - coverage).mean()
        spread = 100 * counted.coverage.std(ddof=1)
        cells = (
            f"{100 * counted.coverage.mean():.2f} ({spread:.2f})",
            f"{counted.size.mean():.2f} ({counted.size.std(ddof=1):.2f})",
            f"{100 * counted.single.mean():.1f}",
            f"{100 * counted.empty.mean():.1f}",
            f"{counted.own.mean():.1f}",
            f"{low:.0f}, {few:.0f}, {middle:.0f}",
            f"{gap:.1f}",
        )
        yield f"| {name} | {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table for each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--coverage", type=float, default=0.9)
    parser.add_argument("--splits", type=int, default=50)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--confidence", type=Path, nargs="+")
    options = parser.parse_args(arguments)
    known = temperatures(options.results, options.confidence)
    kept = {}
    for path, temperature in zip(options.results, known, strict=True):
        with np.load(path, allow_pickle=False) as arrays:
            labels, logits = arrays["labels"], arrays["logits"]
        probabilities = np.exp(log_probabilities(logits, temperature))
        right = (logits.argmax(1) == labels).mean()
        print(f"\n### {path.stem}: {len(labels):,} photos, {logits.shape[1]} classes, top-1 {100 * right:.1f} %\n")
        asked = {"coverage": options.coverage, "splits": options.splits}
        found = {name: count(probabilities, labels, way, **asked) for name, way in WAYS.items()}
        print("\n".join(table(found, options.coverage)), flush=True)
        kept[path.stem] = {
            name.strip("*"): {key: value.tolist() for key, value in counted._asdict().items()}
            for name, counted in found.items()
        }
    if options.json:
        write_json(options.json, kept)


if __name__ == "__main__":
    main()
