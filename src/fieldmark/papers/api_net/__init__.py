"""API-Net (Zhuang et al., AAAI 2020): the method, its pairs, gates and losses."""

from fieldmark.core.pairs import Pairs, mine_pairs, random_pairs
from fieldmark.papers.api_net.method import ApiInteraction, ApiNet, PairStep, gate, interact, score_ranking
from fieldmark.papers.api_net.mutual import CompactBilinear, Mlp, WeightAttention

__all__ = [
    "ApiInteraction",
    "ApiNet",
    "CompactBilinear",
    "Mlp",
    "PairStep",
    "Pairs",
    "WeightAttention",
    "gate",
    "interact",
    "mine_pairs",
    "random_pairs",
    "score_ranking",
]
