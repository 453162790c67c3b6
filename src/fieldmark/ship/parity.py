"""How far an exported model's answers are from those of the network that it was made from, as measured when written."""

from collections.abc import Iterator
from dataclasses import dataclass

from fieldmark.plain import Count, Natural, NotNegative, Share

LIMIT = 1e-4
"""By how much logits may differ; what has a scale of its own, by so much of its largest value."""
LARGE = 16.0
"""Logits beyond this may differ in proportion: float32 has no more digits for them."""


def limit_of(largest: float) -> float:
    """By how much logits may differ, the largest being of this size."""
    return LIMIT * max(1.0, largest / LARGE)


@dataclass(frozen=True)
class OnPhotos:
    """The whole way from a photo to an answer, on ``count`` photos of a ``split``.

    ``inputs_equal`` of them gave the network the same numbers, bit for bit; ``levels`` of 255 is the largest difference
    of a number, and ``levels_equal`` the share of numbers that are the same level. ``answers_equal`` photos got the
    same class; ``logits`` is the largest difference of logits, ``largest`` the largest logit, without its sign. The
    network had ``right_before`` right, the file ``right``.
    """

    split: str
    count: Count
    inputs_equal: Natural
    levels: NotNegative
    levels_equal: Share
    answers_equal: Natural
    logits: NotNegative
    largest: NotNegative
    right: Natural
    right_before: Natural


@dataclass(frozen=True)
class Parity:
    """The largest differences for the same images in batches of ``batches``, in float32; and the way from photos.

    ``summed`` compares the maps' averages plus the bias with the logits; ``fixed_grid`` are logits where both sample
    images at the same places (None where no image is sampled); ``typical`` is the difference of logits of the median
    image, ``largest`` the largest logit, without its sign.
    ``rounded`` is by how much logits in 16 bits differ, where the file has such.
    """

    batches: tuple[Count, ...]
    largest: NotNegative
    logits: NotNegative
    typical: NotNegative
    probabilities: NotNegative
    embedding: NotNegative
    maps: NotNegative | None = None
    summed: NotNegative | None = None
    fixed_grid: NotNegative | None = None
    rounded: NotNegative | None = None
    on_photos: OnPhotos | None = None

    def rows(self) -> Iterator[tuple[str, str]]:
        """What was compared, and how it came out: for the terminal and for the card."""
        sizes = f"batches of {', '.join(map(str, self.batches))}"
        if self.fixed_grid is None:
            yield f"logits, {sizes}", f"differ by {self.logits:.1e} at most"
        else:
            yield f"logits, images sampled at the same places, {sizes}", f"differ by {self.fixed_grid:.1e} at most"
            yield "logits, end to end", f"differ by {self.typical:.1e} for the median image, by {self.logits:.1e} at most"
        yield "probabilities", f"differ by {self.probabilities:.1e} at most"
        yield "embedding", f"differs by {self.embedding:.1e} at most"
        if self.maps is not None and self.summed is not None:
            yield "class-response maps", f"differ by {self.maps:.1e} at most"
            yield "their averages plus the bias", f"differ from the logits by {self.summed:.1e} at most"
        if self.rounded is not None:
            yield "logits in 16 bits", f"differ by {self.rounded:.1e} at most, the largest being {self.largest:.1e}"
        if self.on_photos:
            yield from _photo_rows(self.on_photos)
        else:
            yield "photos", "none could be opened: noise stood in for them, and the way from a photo was not compared"


def _photo_rows(found: OnPhotos) -> Iterator[tuple[str, str]]:
    of = f"of {found.count:,} {found.split} photos"
    if found.levels:
        yield "views", f"{found.levels_equal:.2%} of numbers are equal, the others within {found.levels:.0f} of 255"
    else:
        yield "inputs of the network", f"{found.inputs_equal:,} {of} are equal bit for bit"
    yield "answers", f"{found.answers_equal:,} {of} are equal; logits differ by {found.logits:.1e} at most"
    yield "right answers", f"{found.right:,} {of}, {found.right_before:,} by the network"
