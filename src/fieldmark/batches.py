"""Which images share a batch: plans that depend on labels, seed and epoch only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fieldmark.errors import UserError
from fieldmark.plain import Count


@dataclass(frozen=True)
class Shuffled:
    """Every image once per epoch, in random order; the last, smaller batch is left out.

    Args:
        size: images per batch; a smaller set makes one batch.
        even: draw classes evenly instead, with replacement, as many images per epoch as there are.
    """

    size: Count = 32
    even: bool = False

    def epoch(self, labels: Sequence[int], *, seed: int, epoch: int) -> list[np.ndarray]:
        """The index arrays of one epoch's batches, (size,) int64 each."""
        if self.size < 1:
            raise UserError(f"a batch needs at least one image, not {self.size}")
        count = len(labels)
        if not count:
            raise UserError("there are no images to make batches of")
        rng = np.random.default_rng((seed, 1, epoch))
        size = min(self.size, count)
        order = rng.permutation(count)
        if self.even:
            _, position, per_class = np.unique(labels, return_inverse=True, return_counts=True)
            chances = 1 / per_class[position]
            order = rng.choice(count, count, p=chances / chances.sum())
        return [order[start : start + size] for start in range(0, count - size + 1, size)]


@dataclass(frozen=True)
class Balanced:
    """Batches of ``classes`` different classes with ``images`` images each, sorted by class.

    Classes come in random order, all before any comes again (except a few that do not fill a batch), and so do the
    images of a class; only a class with fewer images than asked for repeats some within a batch. An epoch has as
    many images as the set, rounded down to whole batches.
    """

    classes: Count = 4
    images: Count = 5

    @property
    def size(self) -> int:
        """Images per batch."""
        return self.classes * self.images

    def epoch(self, labels: Sequence[int], *, seed: int, epoch: int) -> list[np.ndarray]:
        """The index arrays of one epoch's batches, (classes · images,) int64 each."""
        names, position = np.unique(labels, return_inverse=True)
        if self.classes < 1 or self.images < 1:
            raise UserError(f"Balanced({self.classes}, {self.images}): both numbers must be at least 1")
        if len(names) < self.classes:
            raise UserError(f"batches of {self.classes} classes need at least as many classes, not {len(names)}")
        rng = np.random.default_rng((seed, 2, epoch))
        batches = max(1, len(labels) // self.size)
        rounds = -(-batches // (len(names) // self.classes))
        usable = len(names) // self.classes * self.classes
        turns = np.concatenate([rng.permutation(len(names))[:usable] for _ in range(rounds)])
        turns = turns[: batches * self.classes].reshape(batches, self.classes)
        groups = [_groups(np.flatnonzero(position == name), self.images, rng) for name in range(len(names))]
        return [np.concatenate([next(groups[name]) for name in row]) for row in turns]


def _groups(indices: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Endless groups of ``size``: all indices, then all in another order, none twice in a group if possible.

    An image twice in a batch would form a pair with itself, with the same pixels.
    """
    queue = indices[:0]
    while True:
        while len(queue) < size:
            again = rng.permutation(indices)
            waiting = (again[:, None] == queue).sum(1)
            queue = np.concatenate([queue, again[np.argsort(waiting, kind="stable")]])
        yield queue[:size]
        queue = queue[size:]


@dataclass(frozen=True)
class ShuffledPairs:
    """Pairs for losses that compare two images: the set is shuffled twice and the two orders are zipped.

    Algorithm 1 of Pairwise Confusion (Dubey et al., ECCV 2018). The first images of a batch's pairs are its first half,
    the second images its second half: image i is paired with image i + size/2. A pair may have one class, or be one
    image twice. An epoch has as many pairs as there are images, so each image comes twice (with one view, where
    views are drawn by epoch and image); the last, smaller batch is left out.

    Args:
        size: images per batch, an even number; a set with fewer images than size/2 makes one batch.
    """

    size: Count = 32

    def epoch(self, labels: Sequence[int], *, seed: int, epoch: int) -> list[np.ndarray]:
        """The index arrays of one epoch's batches, (size,) int64 each."""
        pairs = _pairs_per_batch(self.size)
        if not len(labels):
            raise UserError("there are no images to make batches of")
        rng = np.random.default_rng((seed, 3, epoch))
        return _zipped(rng.permutation(len(labels)), rng.permutation(len(labels)), pairs)


@dataclass(frozen=True)
class ExhaustivePairs:
    """All pairs of images of different classes, in both orders, spread over the epochs.

    Eq. 9 of Pairwise Confusion (Dubey et al., ECCV 2018). In an epoch each image meets ``partners`` images of other
    classes, and others in the next, until it has met all of them and starts over: with m images and m_i of the class,
    after (m - m_i) / partners epochs. Batches are laid out as those of ``ShuffledPairs``; the last one of an epoch is
    filled up with pairs from its beginning, so that none is left out.

    Args:
        size: images per batch, an even number; fewer pairs than size/2 make one batch.
        partners: images that each image meets in an epoch; None for all, so that each epoch is the whole sum of Eq. 9
            (some 36 million pairs on the 5,994 images of CUB-200-2011).
    """

    size: Count = 32
    partners: Count | None = 1

    def epoch(self, labels: Sequence[int], *, seed: int, epoch: int) -> list[np.ndarray]:
        """The index arrays of one epoch's batches, (size,) int64 each."""
        pairs = _pairs_per_batch(self.size)
        if self.partners is not None and self.partners < 1:
            raise UserError(f"ExhaustivePairs(partners={self.partners}): it must be at least 1, or null for all")
        names, position = np.unique(labels, return_inverse=True)
        if len(names) < 2:
            raise UserError("pairs of different classes need images of two classes")
        fixed = np.random.default_rng((seed, 4))  # the same in all epochs: who meets whom, and in which order
        order, begin = fixed.permutation(len(labels)), fixed.random(len(labels))
        met = [
            self._met(np.flatnonzero(position == n), order[position[order] != n], begin, epoch)
            for n in range(len(names))
        ]
        first, second = (np.concatenate(side) for side in zip(*met, strict=True))
        shuffled = np.random.default_rng((seed, 5, epoch)).permutation(len(first))
        pairs = min(pairs, len(first))
        filled = np.resize(shuffled, -(-len(first) // pairs) * pairs)
        return _zipped(first[filled], second[filled], pairs)

    def _met(self, own: np.ndarray, others: np.ndarray, begin: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs the images ``own`` of one class with the next of ``others``; each image starts at its own place."""
        count = len(others) if self.partners is None else min(self.partners, len(others))
        start = (begin[own] * len(others)).astype(np.int64) + epoch * count
        places = (start[:, None] + np.arange(count)) % len(others)
        return np.repeat(own, count), others[places].ravel()


def _pairs_per_batch(size: int) -> int:
    if size < 2 or size % 2:
        raise UserError(f"a batch of pairs needs an even number of images, not {size}")
    return size // 2


def _zipped(first: np.ndarray, second: np.ndarray, pairs: int) -> list[np.ndarray]:
    """Batches of ``pairs`` pairs: first images, then second images."""
    pairs = min(pairs, len(first))
    starts = range(0, len(first) - pairs + 1, pairs)
    return [np.concatenate([first[start : start + pairs], second[start : start + pairs]]) for start in starts]


Batches = Shuffled | Balanced | ShuffledPairs | ExhaustivePairs


class BatchSampler:
    """A plan as PyTorch's ``DataLoader(batch_sampler=...)`` takes it, for a custom training loop.

    Args:
        plan: one of the plans above.
        labels: the label of each image of the dataset.
        seed: of all epochs; call ``set_epoch`` before each.
    """

    def __init__(self, plan: Batches, labels: Sequence[int], *, seed: int = 0) -> None:
        self.plan, self.labels, self.seed, self.epoch = plan, labels, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the next iteration."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        """The batches of the epoch as lists of indices."""
        return (batch.tolist() for batch in self.plan.epoch(self.labels, seed=self.seed, epoch=self.epoch))

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self.plan.epoch(self.labels, seed=self.seed, epoch=self.epoch))


class WholeRun:
    """The batches of all epochs one after another, as lists of (epoch, index): one loader serves a whole run.

    Args:
        plan: one of the plans above.
        labels: the label of each image.
        seed: of all epochs.
        epochs: how many.
        first: the step to start at, when a run is resumed.
        share: (number, count): the part of every batch that one of several processes gets.

    Raises:
        UserError: batches that cannot be divided evenly among the processes.
    """

    def __init__(
        self,
        plan: Batches,
        labels: Sequence[int],
        *,
        seed: int,
        epochs: int,
        first: int = 0,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.plan, self.labels, self.seed, self.epochs, self.first = plan, labels, seed, epochs, first
        self.share = share
        batches = plan.epoch(labels, seed=seed, epoch=0)
        self.per_epoch = len(batches)
        if len(batches[0]) % share[1]:
            raise UserError(
                f"batches of {len(batches[0])} images cannot be split evenly among {share[1]} processes: change --batch"
            )

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Batches from step ``first`` on."""
        for epoch in range(self.first // self.per_epoch, self.epochs):
            batches = self.plan.epoch(self.labels, seed=self.seed, epoch=epoch)
            skipped = self.first % self.per_epoch if epoch == self.first // self.per_epoch else 0
            for batch in batches[skipped:]:
                part = np.split(batch, self.share[1])[self.share[0]]
                yield [(epoch, index) for index in part.tolist()]

    def __len__(self) -> int:
        """Steps from ``first`` to the end of the last epoch."""
        return self.epochs * self.per_epoch - self.first
