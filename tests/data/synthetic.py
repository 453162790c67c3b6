"""Datasets whose photos exist by name only, and facts about them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fieldmark.data.dataset import Dataset, Photo
from fieldmark.data.scan import PhotoFacts, Scan

ROOT = Path("photos")


def dataset_of(counts: list[int], *, groups: list[str] | None = None, start: int = 0) -> Dataset:
    """Classes with the given numbers of photos; ``groups`` are assigned to all photos in turn."""
    photos = []
    for label, count in enumerate(counts):
        for number in range(start, start + count):
            name = f"{label}/{number}.jpg"
            group = groups[len(photos) % len(groups)] if groups else ""
            photos.append(Photo(name, ROOT / name, label, group=group))
    return Dataset(ROOT, "folder", tuple(f"class {label}" for label in range(len(counts))), tuple(photos))


def facts_of(dataset: Dataset, **at: Mapping[str, object]) -> Scan:
    """Facts for each photo; ``at`` gives some by position, as ``p3={...}``."""
    return Scan(
        tuple(
            replace(PhotoFacts(photo.name, sha=f"sha {index}"), **at.get(f"p{index}", {}))  # type: ignore[arg-type]
            for index, photo in enumerate(dataset.photos)
        )
    )
