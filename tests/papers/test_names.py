"""The names, arguments and defaults by which the five papers' pieces are known to others: they stay."""

import importlib
import inspect

import pytest

NAMES = {
    "pairwise_confusion": (
        "euclidean_confusion(p, q)",
        "jeffreys_divergence(p, q)",
        "PairwiseConfusion(weight=10.0, label_aware=True, squared=True, on='probabilities', shuffle=True)",
    ),
    "mutual_channel": (
        "channel_groups(channels, classes)",
        "discriminality_logits(maps, groups, keep=None)",
        "diversity(maps, groups)",
        "MutualChannelLoss(classes, weight=0.005, diversity=10.0, drop=0.5)",
        "SoftChannelLabels()",
    ),
    "api_net": (
        "gate(mutual, x)",
        "interact(x1, x2, g1, g2)",
        "score_ranking(self_scores, other_scores, margin=0.05)",
        "mine_pairs(embeddings, labels, intra='similar', inter='similar', mates=1)",
        "random_pairs(labels, count, draws)",
        "ApiNet(mutual='mlp', gate='pair')",
    ),
    "channel_interaction": (
        "channel_weights(x, scale=1.0)",
        "self_channel_interaction(x, scale=1.0)",
        "contrast_weights(w_a, w_b, eta)",
        "pair_contrastive(h_a, h_b, same, margin=0.5)",
        "SelfChannelInteraction(channels, scale=1.0)",
        "ContrastiveChannelInteraction()",
    ),
    "selective_sparse_sampling": (
        "class_response_maps(maps, weight)",
        "top_entropy(logits, k=5)",
        "response_map(class_maps, logits, threshold=0.2, k=5)",
        "local_peaks(response, window=3)",
        "partition(response, peaks, draws)",
        "sparse_attention(response, peaks, beta, inverse=False)",
        "sampling_grid(attention, size)",
        "S3N(branches='ODC', partition='probability', attention='sparse')",
    ),
}


@pytest.mark.parametrize(("paper", "signature"), [(paper, name) for paper, names in NAMES.items() for name in names])
def test_a_public_name_keeps_its_arguments_and_defaults(paper: str, signature: str):
    name, _, arguments = signature.rstrip(")").partition("(")
    actual = getattr(importlib.import_module(f"fieldmark.papers.{paper}"), name)
    parameters = inspect.signature(actual).parameters
    for argument in arguments.split(", ") if arguments else ():
        key, _, default = argument.partition("=")
        assert key in parameters, f"{name} has lost its {key}"
        assert repr(parameters[key].default) == (default or repr(inspect.Parameter.empty))
    needed = [argument for argument in arguments.split(", ") if argument and "=" not in argument]
    assert list(parameters)[: len(needed)] == needed
