"""The settings of the papers' tables, and the list of papers. None of it needs torch."""

from fieldmark.recipes import (
    angular_softmax,
    api_net,
    bilinear_cnn,
    center_loss,
    channel_interaction,
    congenerous_cosine,
    focal_loss,
    gaussian_mixture,
    generalized_non_local,
    large_margin_cosine,
    multi_attention,
    mutual_channel,
    non_local,
    nts_net,
    pairwise_confusion,
    plain,
    selective_sparse_sampling,
    squeeze_excitation,
    triplet_network,
)
from fieldmark.recipes.composition import Composition, Row

PAPERS = (
    plain,
    pairwise_confusion,
    mutual_channel,
    api_net,
    channel_interaction,
    selective_sparse_sampling,
)
"""One line per paper. The names of ``--method``, and of the parts that a recipe may hold, come from here."""
SYSTEMS = (
    focal_loss,
    center_loss,
    large_margin_cosine,
    angular_softmax,
    congenerous_cosine,
    gaussian_mixture,
    bilinear_cnn,
    squeeze_excitation,
    non_local,
    generalized_non_local,
    nts_net,
    multi_attention,
    triplet_network,
)
"""One line per system that the papers compare themselves with; the same comes from here."""

COMPOSITIONS: tuple[Composition, ...] = tuple(paper.COMPOSITION for paper in (*PAPERS, *SYSTEMS))
PLACES = ("neck", "pool", "head", "criterion", "method", "term")
PARTS: dict[str, dict[str, str]] = {
    place: {
        name: paper.__name__.replace(".recipes.", ".papers.")
        for paper in (*PAPERS, *SYSTEMS)
        for name in paper.COMPOSITION.parts.get(place, ())
    }
    for place in PLACES
}
"""The module of each part by the part's place and name."""

ROWS: dict[str, Row] = {f"{paper.COMPOSITION.name}/{row.name}": row for paper in PAPERS for row in paper.ROWS}
"""The rows of the papers' tables by the name that ``--recipe`` takes, such as ``api-net/cub-resnet101``."""
