"""What two runs that answered the same photos differ by: an interval and a test that take the photos in pairs.

There is one run of each, so nothing is known about seeds: the intervals say what other photos of the kind would give
for these two very runs. ``statistics.paired_difference`` is for methods, of several seeds each.
"""

import numpy as np
from scipy import stats

from fieldmark.evaluation.statistics import LEVEL, Interval


def paired_share_difference(
    changes: np.ndarray, weights: np.ndarray | None = None, *, level: float = LEVEL
) -> Interval:
    """The difference of two shares of the same photos, with the adjusted Wald interval of Bonett and Price.

    One photo that only the first run has right and one that only the second has right are added before the standard
    error is computed, so that the interval holds for few photos and is no point where the runs agree on all (D. G.
    Bonett and R. M. Price, "Adjusted Wald confidence interval for a difference of binomial proportions based on paired
    data", Journal of Educational and Behavioral Statistics 37 (2012), 479-488; recommended by M. W. Fagerland, S.
    Lydersen and P. Laake, "Recommended tests and confidence intervals for paired binomial proportions", Statistics in
    Medicine 33 (2014), 2850-2875). Its ends lie around a value nearer to 0 than the difference itself.

    With ``weights`` (our extension) the N photos count as 1 / sum(w^2) photos of equal weight (L. Kish, "Survey
    Sampling", 1965), and classes, too, as a sample, which makes the interval rather too wide where classes differ.

    Args:
        changes: (N,) 1 where only the first run is right, -1 where only the second is, 0 where they agree.
        weights: (N,) above 0, with the sum 1; None for 1 / N each.
        level: of the interval.

    Returns:
        The weighted mean of ``changes``, the first run's share less the second's, and ends within -1 and 1.

    Raises:
        ValueError: no photo.
    """
    if not len(changes):
        raise ValueError("a difference needs at least one photo")
    signs = np.asarray(changes, dtype=np.float64)
    shares = np.full(len(signs), 1 / len(signs)) if weights is None else weights
    mean, count = float(np.average(signs, weights=weights)), 1 / float(shares @ shares)
    centre = mean * count / (count + 2)
    squares = count**2 * float(((shares * (signs - centre)) ** 2).sum()) + (1 - centre) ** 2 + (1 + centre) ** 2
    half = float(stats.norm.ppf(0.5 + level / 2)) * np.sqrt(squares) / (count + 2)
    return Interval(mean, max(-1.0, centre - half), min(1.0, centre + half))


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p-value of McNemar's exact test: of "both runs have as many photos right that the other has wrong".

    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947), 153-157; exact by the binomial distribution of either count, given their sum.
    """
    different = only_first + only_second
    return float(stats.binomtest(only_first, different).pvalue) if different else 1.0


def class_weights(labels: np.ndarray) -> np.ndarray:
    """Weights (N,) of photos with labels (N,) by which each class that has photos counts alike; their sum is 1."""
    counts = np.bincount(labels)
    return 1 / (np.count_nonzero(counts) * counts[labels])
