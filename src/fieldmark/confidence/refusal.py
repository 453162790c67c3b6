"""Photos of none of a run's classes, told by how familiar they look beside photos that were kept out of training.

The score of a photo is its largest logit plus half of the cosine to the nearest photo of the gallery, each less its
mean over the held-out photos and divided by its standard deviation there. The threshold is a score of the
held-out photos: with n of them, the k-th lowest, k being the share of false refusals times n + 1, rounded down. A photo
of the same kind lies below it with at most that probability, on average over draws of the held-out photos, as with sets
of answers (``conformal.py``); that the weights of the two parts come from the same photos is neglected.
"""

import math
from dataclasses import dataclass

import numpy as np

from fieldmark.confidence.gallery import Known
from fieldmark.confidence.taxonomy import Groups
from fieldmark.errors import UserError, printable

NONE = "none of these"
USUAL = 0.05
"""The share of false refusals for which training alone prepares a run, where it has photos enough."""
COSINE = 0.5
"""The weight of the cosine beside the largest logit."""


@dataclass(frozen=True)
class Familiarity:
    """The score: ``means`` and ``deviations`` (2,) are those of largest logits and cosines over held-out photos."""

    means: tuple[float, float]
    deviations: tuple[float, float]

    def scores(self, logits: np.ndarray, cosines: np.ndarray) -> np.ndarray:
        """How familiar photos look: (N,), from largest logits and cosines to the nearest photo of the gallery (N,)."""
        logit, cosine = (
            (values.astype(np.float64) - mean) / deviation
            for values, mean, deviation in zip((logits, cosines), self.means, self.deviations, strict=True)
        )
        return logit + COSINE * cosine


@dataclass(frozen=True)
class Refusal:
    """What is needed to say "none of these": a photo is refused whose score is below ``limit``."""

    familiarity: Familiarity
    limit: float
    gallery: Known

    def refused(self, logits: np.ndarray, cosines: np.ndarray) -> np.ndarray:
        """Which photos are none of the classes: bool (N,); the arguments as for ``Familiarity.scores``."""
        return self.familiarity.scores(logits, cosines) < self.limit


def familiarity_of(logits: np.ndarray, cosines: np.ndarray) -> Familiarity:
    """The score whose parts are measured by held-out photos: their largest logits and cosines, each (N,)."""
    parts = (logits.astype(np.float64), cosines.astype(np.float64))
    means, deviations = ([float(kind(part)) for part in parts] for kind in (np.mean, np.std))
    return Familiarity((means[0], means[1]), (deviations[0] or 1.0, deviations[1] or 1.0))


def refusal_of(logits: np.ndarray, cosines: np.ndarray, gallery: Known, *, share: float) -> Refusal:
    """The refusal that turns away the given share of photos of the classes.

    Args:
        logits: (N,) the largest of each photo that was kept out of training.
        cosines: (N,) to the nearest photo of the gallery of the network that answered them.
        gallery: of that network.
        share: of false refusals, such as 0.05.

    Raises:
        UserError: a share for which there are too few photos.
    """
    refuse_share(share, photos=len(logits))
    familiarity = familiarity_of(logits, cosines)
    return Refusal(familiarity, threshold(familiarity.scores(logits, cosines), share), gallery)


def threshold(scores: np.ndarray, share: float) -> float:
    """The score below which a photo is none of the classes, from scores (N,) of photos kept out of training.

    Raises:
        UserError: a share of false refusals for which there are too few photos.
    """
    refuse_share(share, photos=len(scores))
    return float(np.sort(scores)[_rank(share, len(scores)) - 1])


def refuse_share(share: float, *, photos: int) -> None:
    """Raises ``UserError`` for a share of false refusals that is too small for a number of held-out photos."""
    if _rank(share, photos):
        return
    needed, least = photos_for(share), math.ceil(round(1000 / (photos + 1), 9)) / 10
    few = f"it needs {needed:,} photos kept out of training, and the run has {photos:,}"
    raise UserError(f"--refuse {100 * share:g}%: {few};\n{f'ask for {least:g}% or more' if photos else 'leave it out'}")


def refuse_taken(groups: Groups, name: str) -> None:
    """Raises ``UserError`` where a class or a group of what is called ``name`` is itself "none of these"."""
    if any(NONE in nodes for nodes in groups.nodes):
        raise UserError(f"--refuse: a class or group of {printable(name)} is itself called {NONE!r}; rename it")


def photos_for(share: float) -> int:
    """The fewest held-out photos by which such a share of false refusals can be kept."""
    return math.ceil(round(1 / share - 1, 9))


def _rank(share: float, photos: int) -> int:
    """Which of the scores is the threshold, counted from 1; 0 for none."""
    return math.floor(round(share * (photos + 1), 9))


def share_of(text: str | float) -> float:
    """A share of false refusals as it is typed, ``5%`` or ``0.05``.

    Raises:
        UserError: it is none, or not between 0 and 1.
    """
    words = str(text).strip()
    try:
        share = float(words.removesuffix("%")) / (100 if words.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        meant = f"; did you mean {words}%?" if 1 <= share < 100 and not words.endswith("%") else ""
        wanted = "the share of photos of the classes that may be refused, between 0 and 100 %, such as 5% or 0.05"
        raise UserError(f"--refuse {printable(words)}: it must be {wanted}{meant}")
    return share
