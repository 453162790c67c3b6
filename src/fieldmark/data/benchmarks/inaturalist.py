"""The levels that names of classes carry, as in iNaturalist 2021: its folders hold the whole path of each species.

Such a name is ``00000_Animalia_Annelida_Clitellata_Haplotaxida_Lumbricidae_Lumbricus_terrestris``: a number, kingdom,
phylum, class, order, family, genus and the species' epithet.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from fieldmark.data.dataset import Dataset, Level
from fieldmark.errors import printable

RANKS = ("kingdom", "phylum", "taxonomic class", "order", "family", "genus")
"""From the top; "class" itself is what Fieldmark calls the species here."""
_NAME = re.compile(r"\d+_" + r"([A-Z][^\W\d_]*(?:-[^\W\d_]+)*)_" * len(RANKS) + r"[^\W\d]+(?:[-.][^\W\d]+)*")
Path = tuple[str, ...]


def with_levels_by_name(dataset: Dataset) -> Dataset:
    """The dataset with the levels that all of its classes' names carry, or with a note where only some do."""
    found = [_NAME.fullmatch(name) for name in dataset.classes]
    paths = [match.groups() for match in found if match]
    if not paths:
        return dataset
    if len(paths) < len(found):
        other = printable(next(name for name, match in zip(dataset.classes, found, strict=True) if not match))
        some = f"{len(paths):,} of {len(found):,} classes are named as in iNaturalist 2021, others are not"
        return replace(dataset, notes=(*dataset.notes, f"{some} (such as {other}): no groups are taken from names"))
    return replace(dataset, levels=levels_of(paths))


def levels_of(paths: Sequence[Path]) -> tuple[Level, ...]:
    """The levels above classes, the finest first, from the path of each, the coarsest group first.

    Levels that join no classes, all of them, or the same as the one below are left out.
    """
    called = _names({path[: depth + 1] for path in paths for depth in range(len(path))})
    levels, fewest = [], len(paths)
    for depth in range(len(RANKS), 0, -1):
        count = len({path[:depth] for path in paths})
        if 1 < count < fewest:
            levels.append(Level(RANKS[depth - 1], tuple(called[path[:depth]] for path in paths)))
            fewest = count
    return tuple(levels)


def _names(nodes: Iterable[Path]) -> dict[Path, str]:
    """What nodes are called: namesakes on different branches, such as Morus (gannets, mulberries), by their paths."""
    alike: dict[str, list[Path]] = defaultdict(list)
    for node in nodes:
        alike[node[-1]].append(node)
    names = {}
    for name, same in alike.items():
        longest = max(same, key=len)
        is_chain = all(longest[: len(node)] == node for node in same)
        names |= {node: name if is_chain else f"{name} ({' '.join(node[:-1])})" for node in same}
    return names
