"""How familiar a photo looks to a network, and how well that tells photos of other classes from those of its own.

Scores, higher for what is more familiar: the largest logit (D. Hendrycks et al., "Scaling out-of-distribution detection
for real-world settings", ICML 2022, arXiv:1911.11132); the energy, the logarithm of the sum of exponentials of logits,
with its sign turned (W. Liu et al., "Energy-based out-of-distribution detection", NeurIPS 2020, arXiv:2010.03759); and
the cosine between the embedding and its neighbours among training photos (Y. Sun et al., "Out-of-distribution detection
with deep nearest neighbors", ICML 2022, arXiv:2204.06507). ``refusal.py`` has the rule made of
them, ``docs/design.md`` says how it was chosen, and ``benchmarks/NONE_OF_THESE.md`` what it does.
"""

import math

import numpy as np

CHUNK = 1024
"""Photos whose cosines to a whole gallery are held at once."""


def max_logits(logits: np.ndarray) -> np.ndarray:
    """The largest logit of each photo: float64 (N,), from logits (N, C)."""
    return logits.max(1).astype(np.float64)


def energies(logits: np.ndarray) -> np.ndarray:
    """The logarithm of the sum of exponentials of each photo's logits: float64 (N,), from logits (N, C)."""
    largest = max_logits(logits)
    return largest + np.log(np.exp(logits - largest[:, None]).sum(1))


def directions(embeddings: np.ndarray) -> np.ndarray:
    """Embeddings (N, E) as they are compared: signed roots, divided by their length; float32, zeros stay zeros.

    With roots no few strong features decide what is near (R. Arandjelović and A. Zisserman, "Three things everyone
    should know to improve object retrieval", CVPR 2012).
    """
    values = embeddings.astype(np.float32)
    roots = np.sign(values) * np.sqrt(np.abs(values))
    return roots / np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), np.float32(1e-12))


def nearest(embeddings: np.ndarray, gallery: np.ndarray, *, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The nearest training photos by cosine, the nearest first.

    Args:
        embeddings: (N, E), as the network gives them.
        gallery: (G, E) of ``directions``.
        count: of neighbours; no more than G are found.

    Returns:
        Their positions in the gallery, int64 (N, K), and the cosines, float64 (N, K).
    """
    count, known = min(count, len(gallery)), np.asarray(gallery, np.float32)
    places, cosines = np.empty((len(embeddings), count), np.int64), np.empty((len(embeddings), count))
    for start in range(0, len(embeddings), CHUNK):
        part = slice(start, start + CHUNK)
        found = directions(embeddings[part]) @ known.T
        best = np.argpartition(-found, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(found, best, 1), axis=1, kind="stable")
        places[part] = np.take_along_axis(best, order, 1)
        cosines[part] = np.take_along_axis(found, places[part], 1)
    return places, np.clip(cosines, -1.0, 1.0)


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """The share of pairs of a known and an unknown photo in which the known one has the higher score; ties are halves.

    Raises:
        ValueError: no photos on one side.
    """
    if not (len(known) and len(unknown)):
        raise ValueError("photos of known and of unknown classes are needed")
    ordered = np.sort(unknown)
    below, up_to = (np.searchsorted(ordered, known, side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * len(unknown)))


def accepted(known: np.ndarray, unknown: np.ndarray, *, share: float = 0.95) -> float:
    """The share of unknown photos whose score is no lower than that of the given share of known ones, or more."""
    ordered = np.sort(known)
    limit = ordered[math.floor(round((1 - share) * len(known), 9))]
    return float((unknown >= limit).mean())
