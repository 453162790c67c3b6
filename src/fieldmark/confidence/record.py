"""What a run's folder says of its certainty: ``confidence.json``, applied by all that shows probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fieldmark.confidence.held_out import HeldOut
from fieldmark.confidence.temperature import Temperature, fit_temperature

Source = Literal["validation", "folds"]


@dataclass(frozen=True)
class Confidence:
    """How sure a run may be of its answers.

    ``model`` tells the weights that this is true of; ``right`` of the ``photos`` in ``splits`` were answered rightly by
    networks that were not trained on them: by the run itself ("validation"), or each by one of ``folds`` trained like
    it on the other photos.
    """

    model: str
    source: Source
    splits: tuple[str, ...]
    photos: int
    right: int
    temperature: Temperature
    folds: int = 0

    @property
    def applied(self) -> float:
        """What logits are divided by: 1 where the photos were too few to tell."""
        return self.temperature.value if self.temperature.is_known else 1.0

    @property
    def line(self) -> str:
        """For the user."""
        kept_out = f"{self.photos:,} photos of {' + '.join(self.splits)}"
        by = f"{kept_out}, out of fold" if self.source == "folds" else kept_out
        found = self.temperature
        if found.is_known:
            ends = f"95 % interval: {found.low:.2f} to {found.high:.2f}"
            return f"probabilities are those at temperature {found.value:.2f} ({ends}), by {by}"
        return f"how sure to be cannot be told by {by}: probabilities are the network's own, and are not calibrated"


def confidence_of(
    held_out: HeldOut, *, model: str, source: Source, splits: Sequence[str], folds: int = 0
) -> Confidence:
    """What answers to photos that were kept out of training say; the arguments as in ``Confidence``."""
    temperature = fit_temperature(held_out.logits, held_out.labels)
    return Confidence(model, source, tuple(splits), len(held_out.names), held_out.right, temperature, folds)
