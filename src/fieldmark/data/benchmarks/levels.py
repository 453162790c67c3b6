"""The levels above the classes that a benchmark has of its own: by a tree of nodes, or by labels of each photograph."""

from collections.abc import Iterator, Mapping, Sequence

from fieldmark.data.dataset import Level
from fieldmark.errors import printable


def tree_levels(paths: Mapping[int, Sequence[int]], classes: Sequence[str], names: Mapping[int, str]) -> list[Level]:
    """The levels of a tree whose classes lie at different depths, finest first.

    Level n holds the nodes n steps below the root, which are called "level 1", "level 2" and so on, as the tree gives
    them no names; a class that lies higher up stands for itself. Levels that join no classes, all of them, or the same
    as the one below are left out.

    Args:
        paths: for each class's node, in the order of ``classes``, the nodes from below the root down to itself.
        classes: the names of the classes.
        names: of all nodes. Where namesakes lie on different branches, their number is added.
    """
    own = dict(zip(paths, classes, strict=True))
    above = {node: path[: at + 1] for path in paths.values() for at, node in enumerate(path)}
    plain = {node: own.get(node, names[node]) for node in above}

    def apart(node: int) -> bool:
        namesakes = (other for other in above if plain[other] == plain[node])
        return any(node not in above[other] and other not in above[node] for other in namesakes)

    called = {node: f"{name} ({node})" if node not in own and apart(node) else name for node, name in plain.items()}
    levels: list[Level] = []
    fewest = len(classes)
    for depth in range(max(map(len, paths.values()), default=0), 0, -1):
        groups = tuple(called[path[min(depth, len(path)) - 1]] for path in paths.values())
        if 1 < len(set(groups)) < fewest:
            levels.append(Level(f"level {depth}", groups))
            fewest = len(set(groups))
    return levels


class PhotoLevels:
    """The levels of photographs that are labelled at each of them.

    Args:
        classes: the names of the classes.
        photos: the class's index of each photograph, by the photograph's key.
    """

    def __init__(self, classes: Sequence[str], photos: Mapping[str, int]) -> None:
        self.classes, self.photos = classes, photos
        self.levels: list[Level] = []
        self.notes: list[str] = []

    def add(self, name: str, groups: Mapping[str, str]) -> None:
        """Adds a level above those so far, or a note on why it is none.

        Args:
            name: of the level.
            groups: the group of each photograph, by its key.
        """
        found: list[set[str]] = [set() for _ in self.classes]
        for photo, label in self.photos.items():
            found[label] |= {groups[photo]} if photo in groups else set()
        if fault := next(self._faults(found), ""):
            self.notes.append(f"the level {name} is left out: {printable(fault)}")
        else:
            self.levels.append(Level(name, tuple(min(group) for group in found)))

    def _faults(self, found: Sequence[set[str]]) -> Iterator[str]:
        """What keeps groups, those of each class, from being a level: gaps, and classes or groups that are torn."""
        units = dict(zip(self.classes, found, strict=True))
        if self.levels:
            below = self.levels[-1].groups
            units |= {group: set().union(*(each for each, own in zip(found, below, strict=True) if own == group))
                      for group in below}  # fmt: skip
        for name, groups in units.items():
            if len(groups) != 1:
                yield f"{name} lies in {' and in '.join(sorted(groups)) or 'no group'}"
