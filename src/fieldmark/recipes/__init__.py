"""The numbers of the papers' tables, and the one list of papers."""

from fieldmark.recipes import (
    api_net,
    channel_interaction,
    mutual_channel,
    pairwise_confusion,
    plain,
    selective_sparse_sampling,
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
"""One line a paper. The names of ``--method``, and the classes that a recipe's file may name, come from here."""

COMPOSITIONS: tuple[Composition, ...] = tuple(paper.COMPOSITION for paper in PAPERS)
KNOWN: tuple[type, ...] = tuple(kind for composition in COMPOSITIONS for kind in composition.parts)

ROWS: dict[str, Row] = {f"{paper.COMPOSITION.name}/{row.name}": row for paper in PAPERS for row in paper.ROWS}
"""Rows of the papers' tables by the name that ``--recipe`` takes, such as ``api-net/cub-resnet101``."""
