"""What answers of groups are worth: the stored logits of test photos, and a table of groups of their classes.

    python benchmarks/back_off.py benchmarks/cub20_families.csv benchmarks/cub20_start/results/cub20-default-seed*.npz
    python benchmarks/back_off.py GROUPS.csv RESULTS.npz [RESULTS.npz ...] --confidence CONFIDENCE.json [...]

With ``--confidence``, one file for each run, as ``fieldmark calibrate`` leaves it, logits are at the run's temperature.
The rows of the table are in the order of the logits. Accuracy at each level is that of the nodes on a photo's path, as
``fieldmark evaluate`` has it, beside the likeliest node of the level by itself, and the likeliest class's own node. A
photo is contradictory where one of these nodes does not lie in that of the next level. All figures are means over the
files; in brackets, Student's 95 % interval over them.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fieldmark.confidence.back_off import group_probabilities, paths
from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.confidence.taxonomy import Groups, read_groups
from fieldmark.data.spreadsheet import read_rows
from fieldmark.evaluation.levels import CERTAINTIES, ByLevel, measure_levels
from fieldmark.evaluation.statistics import seed_interval

WAYS = ("on the path", "likeliest of the level", "of the likeliest class")


class Measured(NamedTuple):
    """Of one file: the share of right nodes (3, L) by way and level, contradictory photos (3,), and its answers."""

    right: np.ndarray
    contradictory: np.ndarray
    answers: ByLevel


def measured(probabilities: np.ndarray, labels: np.ndarray, groups: Groups) -> Measured:
    """The three ways to choose nodes (N, L) at all levels, for probabilities (N, C) and labels (N,)."""
    levels = range(len(groups.names))
    best = [group_probabilities(probabilities, groups, level).argmax(1) for level in levels]
    likeliest = probabilities.argmax(1)
    nodes = np.stack(
        [
            paths(probabilities, groups).nodes,
            np.stack(best, axis=1),
            np.stack([positions[likeliest] for positions in groups.positions], axis=1),
        ]
    )
    true = np.stack([positions[labels] for positions in groups.positions], axis=1)
    apart = np.array([torn(chosen, groups).mean() for chosen in nodes])
    return Measured((nodes == true).mean(1), apart, measure_levels(probabilities, labels, groups))


def torn(nodes: np.ndarray, groups: Groups) -> np.ndarray:
    """Whether a node (N, L) of a photo does not lie in that of the next level: (N,)."""
    apart = np.zeros(len(nodes), dtype=bool)
    for level in range(len(groups.names) - 1):
        parents = np.empty(len(groups.nodes[level]), dtype=np.int64)
        parents[groups.positions[level]] = groups.positions[level + 1]
        apart |= parents[nodes[:, level]] != nodes[:, level + 1]
    return apart


def table(found: Sequence[Measured], groups: Groups) -> Iterator[str]:
    """Two tables in Markdown: accuracy by way, and answers by certainty."""
    yield f"| nodes | {' | '.join(f'{name}, %' for name in groups.names)} | contradictory photos, % |"
    yield "|---|" + "---|" * (len(groups.names) + 1)
    for at, way in enumerate(WAYS):
        cells = [_mean([each.right[at, level] for each in found]) for level in range(len(groups.names))]
        yield f"| {way} | {' | '.join(cells)} | {_mean([each.contradictory[at] for each in found])} |"
    yield ""
    heads = [f"{name}: answered, % | right, %" for name in groups.names]
    yield f"| certainty | {' | '.join(heads)} | unsure, % |"
    yield "|---|" + "---|" * (2 * len(groups.names) + 1)
    for certainty in CERTAINTIES:
        counts = np.array([each.answers.answers[certainty] for each in found])  # files, photos or right, levels
        photos, right = counts.sum(0)
        total = sum(each.answers.n for each in found)
        cells = [f"{100 * some / total:.1f} | {100 * hits / some:.1f}" if some else "0.0 | " for some, hits in
                 zip(photos, right, strict=True)]  # fmt: skip
        yield f"| {certainty:.0%} | {' | '.join(cells)} | {100 - 100 * photos.sum() / total:.1f} |"


def temperatures(results: Sequence[Path], confidence: Sequence[Path] | None) -> list[float]:
    """What the logits of each file are divided by: what its run's ``confidence.json`` says, or 1 without these."""
    if confidence is None:
        return [1.0] * len(results)
    if len(confidence) != len(results):
        raise SystemExit(
            f"--confidence: {len(confidence)} files for {len(results)} files of results; name one for each"
        )
    return [json.loads(path.read_text("utf-8"))["temperature"]["value"] for path in confidence]


def _mean(shares: Sequence[float]) -> str:
    mean, low, high = (100 * value for value in seed_interval(shares))
    return f"{mean:.1f}" if np.isnan(low) or low == high else f"{mean:.1f} ({low:.1f} to {high:.1f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", type=Path)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--confidence", type=Path, nargs="+")
    options = parser.parse_args(arguments)
    known = temperatures(options.results, options.confidence)
    header, *rows = read_rows(options.groups)
    column = header.cells.index("class")
    groups = read_groups(options.groups, [row.cells[column].strip() for row in rows])
    found = []
    for path, temperature in zip(options.results, known, strict=True):
        with np.load(path, allow_pickle=False) as arrays:
            logits, labels = arrays["logits"].astype(np.float64), arrays["labels"]
        found.append(measured(np.exp(log_probabilities(logits, temperature)), labels, groups))
    print("\n".join(table(found, groups)))


if __name__ == "__main__":
    main()
