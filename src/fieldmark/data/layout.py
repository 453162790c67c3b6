"""Where the class folders of a folder lie: below wrappers, split folders of any usual name, or split inside each class.

A name may say a split in many ways (``training_set``, ``val2017``, ``seg_test``); whether it does is decided by what
lies in and beside the folder, because classes have such names too (``train``, ``test``, ``bullet train``).
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldmark.data.entries import has_images, holds_images, listed, readable_subfolders, subfolders
from fieldmark.errors import UserError, printable

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
    "holdout": "test",
}
# Split folders of these names need no explanation.
_PLAIN = frozenset(("train", "training", "val", "valid", "validation", "test", "testing"))
_CONTAINERS = frozenset(
    (
        *("images", "image", "imgs", "img", "photos", "photo", "pictures", "pics", "jpg", "jpeg", "jpegs", "png"),
        *("data", "dataset", "raw"),
    )
)
# Pictures in such folders, beside one of containers, say where things are in the photos.
_MARKS = frozenset(
    (
        *("mask", "masks", "segmentation", "segmentations", "segmentation_masks", "segmentationclass", "trimaps"),
        *("annotation", "annotations", "label", "labels", "ground_truth", "groundtruth", "gt", "depth", "overlays"),
    )
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_GLUED = re.compile(f"({'|'.join(SPLIT_WORDS)})(?:sets?|data|images?|imgs?|photos?|pictures?|folder|dir|split)")


@dataclass(frozen=True)
class Layout:
    """``root`` holds the class folders, or the split folders; ``splits`` are (split, folder of class folders).

    ``others`` are names of folders beside the split folders; ``notes`` say how the names were understood.
    """

    root: Path
    splits: tuple[tuple[str, Path], ...] = ()
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def split_of(name: str) -> str:
    """The split that a name says ("train", "val", "test"), alone or among other words, or ""."""
    words = (_GLUED.sub(r"\1", word.lower()) for word in _WORD.findall(name))
    splits = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    # "train_val" is trained on; any other pair, such as "train_test_split", is no split.
    return "train" if splits == {"train", "val"} else splits.pop() if len(splits) == 1 else ""


def is_plain_split(name: str) -> bool:
    """Whether a name is one of the usual words for a split and nothing else."""
    return name.casefold() in _PLAIN


def is_container(name: str) -> bool:
    """Whether a folder of this name, such as ``images``, holds photos without saying anything about them."""
    return name.casefold() in _CONTAINERS


def layout_of(root: Path) -> Layout:
    """Finds split folders in ``root``, or in the folder that it wraps, such as an unpacked archive or ``images``."""
    place, notes = root, ()
    while True:
        layout = _split_folders(place)
        if layout.splits:
            return Layout(place, layout.splits, layout.others, (*notes, *layout.notes))
        inner = _wrapped(place)
        if inner is None:
            break
        notes += (_passed_over(place, inner),)
        place = inner
    if place != root and (has_images(place) or len(readable_subfolders(place)) < 2):
        place, notes = root, ()  # a single class, not a wrapper
    return Layout(place, notes=(*notes, *_split_folders(place).notes))


def _passed_over(place: Path, inner: Path) -> str:
    """Why photos are read from ``inner`` and nowhere else in ``place``."""
    outer, folder = printable(place.name), printable(inner.name)
    beside = [entry for entry in subfolders(place) if entry.name != inner.name]
    if marks := listed(entry.name for entry in beside if _holds_marks(entry) and holds_images(entry)):
        return f"{outer}: photos are read from {folder}; by the name there are none in {marks}"
    held = "no images but in the folder" if beside else "nothing but the folder"
    return f"{outer} holds {held} {folder}: read from there"


def _wrapped(place: Path) -> Path | None:
    """The only folder that can hold the class folders of ``place``, if it is not one of them."""
    if has_images(place):
        return None
    below = readable_subfolders(place)
    if len(below) > 1:
        below = [entry for entry in below if is_container(entry.name) and _alone_with_images(entry, below)]
    if len(below) != 1 or below[0].is_symlink() or not readable_subfolders(below[0]):
        return None
    return Path(below[0].path)


def _alone_with_images(folder: os.DirEntry[str], siblings: Sequence[os.DirEntry[str]]) -> bool:
    return not any(holds_images(entry) for entry in siblings if entry is not folder and not _holds_marks(entry))


def _holds_marks(folder: os.DirEntry[str]) -> bool:
    return folder.name.casefold().replace(" ", "_").replace("-", "_") in _MARKS


def _split_folders(root: Path) -> Layout:
    """The split folders in ``root``; without any, notes on classes that are named like splits.

    Folders without another word than the split's count where they are alone, or where training is among them; others,
    such as ``training_set``, where they are alone and of several splits, or hold the same classes. A "test" among
    other folders is a class of that name.
    """
    below = subfolders(root)
    named = [(split, entry) for entry in below if (split := split_of(entry.name))]
    others = [entry for entry in below if not split_of(entry.name)]
    if not named or not _are_splits(named, others):
        return Layout(root, notes=tuple(_taken_for_classes(named)))
    splits = tuple((split, _class_folders(Path(entry.path), split)) for split, entry in named)
    read_as = [f"{printable(entry.name)} as {split}" for split, entry in named if not is_plain_split(entry.name)]
    notes = (f"folders read as splits: {', '.join(read_as)}",) if read_as else ()
    return Layout(root, splits, tuple(entry.name for entry in others), notes)


def _are_splits(named: Sequence[tuple[str, os.DirEntry[str]]], others: Sequence[os.DirEntry[str]]) -> bool:
    splits, plain = {split for split, _ in named}, [is_plain_split(entry.name) for _, entry in named]
    if not others and (len(splits) > 1 or all(plain)):
        return True
    if any(
        is_plain and split == "train" and readable_subfolders(entry)
        for is_plain, (split, entry) in zip(plain, named, strict=True)
    ):
        return True
    if "train" not in splits or len(named) < 2:
        return False
    classes = [
        {below.name for below in readable_subfolders(_class_folders(Path(entry.path), split))} for split, entry in named
    ]
    shared = any(first & second for at, first in enumerate(classes) for second in classes[:at])
    return shared or (len(splits) > 1 and not any(map(holds_images, others)))


def _taken_for_classes(named: Sequence[tuple[str, os.DirEntry[str]]]) -> Iterator[str]:
    if len({split for split, _ in named}) > 1 or any(readable_subfolders(entry) for _, entry in named):
        names = listed(entry.name for _, entry in named)
        yield f"named like splits, but taken for classes, because of the other folders beside them: {names}"


def _class_folders(folder: Path, split: str) -> Path:
    """The folder that holds the class folders of a split: ``train``, ``train/images``, ``seg_train/seg_train``."""
    while not has_images(folder):
        below = readable_subfolders(folder)
        inner = [entry for entry in below if _is_inner(entry.name, folder.name, split)]
        if len(inner) != 1 or inner[0].is_symlink() or not _alone_with_images(inner[0], below):
            break
        folder = Path(inner[0].path)
    return folder


def _is_inner(name: str, outer: str, split: str) -> bool:
    return is_container(name) or split_of(name) == split or name.casefold() == outer.casefold()


def inner_splits(root: Path, folders: dict[str, set[str]]) -> tuple[str, ...]:
    """The names of the folders that split each class from within (``CLASS/train``), or none.

    Args:
        root: for the message.
        folders: class to the names of the folders in it that hold images, "" for images of its own.

    Raises:
        UserError: some classes are split so, others are not.
    """
    split = {name for name, below in folders.items() if len({*map(split_of, below)} - {""}) > 1}
    if not any("train" in map(split_of, folders[name]) for name in split):
        return ()
    if mixed := [name for name, below in folders.items() if not all(map(split_of, below))]:
        some = listed(split - set(mixed) or split)
        raise UserError(
            f"{printable(str(root))}: class folders hold split folders ({some}), but not all photos lie in such ones "
            f"({listed(mixed)}).\nPut the photos of each class into its folders train, val and test, or of none."
        )
    return tuple(sorted(set().union(*folders.values())))
