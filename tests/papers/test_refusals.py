"""One contract for all public losses, layers, terms, methods, criteria and functions of the papers and of the core.

An empty batch gives 0 with a graph, or nothing; nothing else may be empty; a single class will do. Numbers that are
infinite, none or out of range, and tensors that do not fit each other, are refused in one line.
"""

import inspect
import math
import typing
from collections.abc import Callable, Iterator
from itertools import chain
from types import ModuleType, UnionType
from typing import Any

import pytest
import torch
from torch import Tensor

from fieldmark.core import class_maps, classifier, criterion, pairs, sketch
from fieldmark.core.classifier import Linear
from fieldmark.core.draws import Draws
from fieldmark.errors import UserError
from fieldmark.papers import (
    angular_softmax,
    bilinear_cnn,
    center_loss,
    congenerous_cosine,
    focal_loss,
    gaussian_mixture,
    generalized_non_local,
    large_margin_cosine,
    multi_attention,
    non_local,
    pairwise_confusion,
    plain,
    squeeze_excitation,
    triplet_network,
)
from fieldmark.papers.api_net import ApiInteraction, method, mutual
from fieldmark.papers.channel_interaction import contrastive, interaction
from fieldmark.papers.channel_interaction.interaction import SelfChannelInteraction
from fieldmark.papers.mutual_channel import loss, soft_labels
from fieldmark.papers.nts_net import NTS, anchors, ranking
from fieldmark.papers.nts_net import method as nts
from fieldmark.papers.selective_sparse_sampling import S3N, attention, sampler
from fieldmark.papers.selective_sparse_sampling import method as s3n
from refusal_cases import CASES, Case, Sizes, labels, maps, vectors, whole

MODULES = (
    *(pairwise_confusion, loss, soft_labels, method, mutual, interaction, contrastive, attention, sampler, s3n, plain),
    *(class_maps, classifier, criterion, pairs, sketch),
    *(anchors, ranking, nts, multi_attention, triplet_network),
    *(angular_softmax, center_loss, congenerous_cosine, focal_loss, gaussian_mixture, large_margin_cosine),
    *(bilinear_cnn, squeeze_excitation, non_local, generalized_non_local),
)
EXCUSED = {
    *("PairStep", "Interaction", "Branch", "Pass", "Pairs", "Features"),  # results
    *("Criterion", "PooledNeck", "InteractingNeck", "IdentityNeck", "ScoringHead", "MarginHead"),  # abstract
    *("Classifier", "refined_channels", "localised", "on_image", "lattice"),  # of other things than tensors and numbers
    "mean_of_valid",  # of losses that it has made itself
    "scorer_of",  # which finds a layer
    "adopt",  # of a layer, whose sizes it refuses otherwise
}
SIGNED = {("channel_weights", "scale"), ("self_channel_interaction", "scale"), ("SelfChannelInteraction", "scale")}
"""Numbers that may be negative."""


def name_of(case: Case) -> str:
    return case.kind.__name__


def tensors_of(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        yield from chain.from_iterable(map(tensors_of, value))


def refusal(act: Callable[[], object]) -> str:
    """What it is refused with; "" if it is not."""
    try:
        act()
    except UserError as error:
        return str(error)
    return ""


def refused(act: Callable[[], object]) -> str:
    line = refusal(act)
    assert line, "not refused"
    assert "\n" not in line
    return line


def public(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        is_own = getattr(value, "__module__", "") == module.__name__ and callable(value) and not name.startswith("_")
        if is_own and (inspect.isclass(value) or inspect.isfunction(value)):
            yield name


def hints_of(kind: Callable[..., Any]) -> dict[str, tuple[Any, ...]]:
    hints = typing.get_type_hints(kind.__init__ if inspect.isclass(kind) else kind, include_extras=True)
    unions = (typing.Union, UnionType)
    return {
        name: typing.get_args(hint) if typing.get_origin(hint) in unions else (hint,)
        for name, hint in hints.items()
        if name != "return"
    }


def kind_of(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint


def test_the_contract_is_of_everything_public():
    assert {name for module in MODULES for name in public(module)} - EXCUSED == {name_of(case) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_an_empty_batch_gives_zero_with_a_graph_or_nothing(case: Case):
    outcome = case.outcome(Sizes(images=0))
    for value in tensors_of(outcome):
        assert value.isfinite().all()
        if not value.ndim and case.kind not in (soft_labels.intra_class, soft_labels.inter_class):  # of classes alone
            assert value.item() == 0
            value.backward()


@pytest.mark.parametrize("empty", [Sizes(classes=0), Sizes(channels=0), Sizes(channels=0, classes=0)], ids=str)
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_no_classes_and_no_channels_are_refused_or_do_no_harm(case: Case, empty: Sizes):
    outcomes: list[Any] = []
    line = refusal(lambda: outcomes.append(case.outcome(empty)))
    assert "\n" not in line
    assert line or all(value.isfinite().all() for value in tensors_of(outcomes))


@pytest.mark.parametrize("sizes", [Sizes(), Sizes(classes=1), Sizes(images=1)], ids=str)
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_one_class_or_image_is_no_worse_than_many(case: Case, sizes: Sizes):
    if sizes.classes == 1 and "classifier" in case.arguments(Sizes()):
        assert "at least two classes" in refused(lambda: case.outcome(sizes))
        return
    values = list(tensors_of(case.outcome(sizes)))
    for value in values:
        assert value.isfinite().all()
        if value.requires_grad and not value.ndim:
            value.backward()


OPTIONS = [
    pytest.param(case, name, wrong, id=f"{name_of(case)}-{name}-{wrong}")
    for case in {name_of(case): case for case in CASES}.values()
    for name, members in hints_of(case.kind).items()
    if {float, int} & {kind_of(member) for member in members} and name != "size"
    for wrong in (math.nan, math.inf, -math.inf, -1, "one")
    if not (wrong == -1 and (name_of(case), name) in SIGNED)
]


@pytest.mark.parametrize(("case", "name", "wrong"), OPTIONS)
def test_numbers_that_mean_nothing_are_refused(case: Case, name: str, wrong: object):
    arguments = case.arguments(Sizes()) | {name: wrong}
    assert f"{name} of " in refused(lambda: case.kind(**arguments))


def letters_of(case: Case, name: str) -> list[str]:
    """Of the dimensions of an argument; labels and what they go with have none in the annotation."""
    value = case.arguments(Sizes())[name]
    hints = [hint for hint in hints_of(case.kind)[name] if kind_of(hint) is Tensor is not hint]
    specs = [typing.get_args(hint)[1].split() for hint in hints]
    return next((spec for spec in specs if len(spec) == value.ndim or spec == ["..."]), ["B", "C"][: value.ndim])


SHAPED = [
    pytest.param(case, name, id=f"{name_of(case)}-{name}")
    for case in CASES
    for name, value in case.arguments(Sizes()).items()
    if isinstance(value, Tensor) and name != "like" and letters_of(case, name) != ["..."]  # of any shape
]


@pytest.mark.parametrize(("case", "name"), SHAPED)
def test_a_tensor_that_does_not_fit_the_others_is_refused(case: Case, name: str):
    good = case.arguments(Sizes())
    value, letters = good[name].detach(), letters_of(case, name)
    names = [key for key, other in good.items() if isinstance(other, Tensor) and key not in (name, "like")]
    others = set(chain.from_iterable(letters_of(case, key) for key in names))
    wrong = [value[..., None]]
    for dim, letter in enumerate(letters):
        if letter in others or letter.isdigit():
            first = value.narrow(dim, 0, 1)  # which torch would repeat
            wrong += [first, torch.cat([value, first], dim)]
    for tensor in wrong:
        refused(lambda tensor=tensor: case.kind(**good | {name: tensor}))


@pytest.mark.parametrize("groups", [(), (4, 4), (4, 4, 5), (4, 4, 4, 0), (6, 7, -1)], ids=str)
@pytest.mark.parametrize("kind", [loss.discriminality_logits, loss.average_logits, loss.diversity])
def test_groups_that_are_not_those_of_the_channels_are_refused(kind: Callable[..., Any], groups: tuple[int, ...]):
    assert "do not fit maps of 12 channels" in refused(lambda: kind(maps(Sizes()), groups))


@pytest.mark.parametrize("rows", [torch.arange(3), torch.arange(5), torch.arange(1)], ids=len)
def test_draws_of_other_images_are_refused(rows: Tensor):
    draws = Draws(0, rows=rows)
    image, target = vectors(Sizes()), labels(Sizes())
    interacted = SelfChannelInteraction(12).interact(maps(Sizes()))
    networks = (S3N(whole(Sizes())), NTS(whole(Sizes()), None, 12, 12))
    calls = [
        lambda: pairs.random_pairs(target, 5, draws),
        lambda: ApiInteraction(12)(image, target, Linear(12, 3), draws=draws),
        lambda: ApiInteraction(12, intra=None, inter=None)(image, target, Linear(12, 3), draws=draws),
        lambda: contrastive.ContrastiveChannelInteraction(12)(interacted, target, draws=draws),
        lambda: contrastive.ContrastiveChannelInteraction(12, loss="triplet")(interacted, target, draws=draws),
        *(lambda network=network: network.encode(torch.rand(4, 3, 12, 12), draws) for network in networks),
    ]
    for call in calls:
        refused(call)
    assert len(pairs.halves(4, order=torch.randperm(4), like=image)[0]) == 2
    refused(lambda: pairs.halves(4, order=rows, like=image))


@pytest.mark.parametrize("shape", [(7, 5), (4, 4), (8, 8), (7,)], ids=str)
def test_a_kernel_of_another_grid_is_refused(shape: tuple[int, ...]):
    for call in (sampler.displacement, lambda attention, kernel: sampler.sampling_grid(attention, 8, kernel)):
        assert "kernel of displacement" in refused(lambda call=call: call(torch.rand(2, 4, 4), torch.rand(shape)))


def test_a_program_that_is_compiled_has_no_trace_of_the_checks():
    compiled = torch.compile(lambda p: pairwise_confusion.euclidean_confusion(p, p), backend="eager", fullgraph=True)
    assert compiled(torch.rand(2, 3)).tolist() == [0, 0]
