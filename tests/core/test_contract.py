"""Every paper, with every paper's term, on every family of networks: it keeps the contract or is refused in one line.

New papers are covered by being listed in ``fieldmark.recipes.PAPERS``. The default run takes each composition on each
family, and each composition with each term, and with all that fit it, on one family; ``pytest -m slow`` takes the whole
product.
"""

import inspect
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any, get_args

import pytest
import torch
from timm.models import register_model
from timm.models.densenet import DenseNet
from timm.models.vgg import VGG
from torch import nn

from fieldmark.building import build_learner
from fieldmark.core.contract import Encoded, Method, Term, TrainOutput, Value
from fieldmark.core.draws import Draws
from fieldmark.core.learner import Learner, total
from fieldmark.errors import UserError
from fieldmark.recipe import Model, Part, Pixels, Recipe
from fieldmark.recipes import COMPOSITIONS, SYSTEMS
from fieldmark.recipes.composition import Composition
from fieldmark.testing import check_learner, no_reading_back
from own_parts import KNOWN

CLASSES, SIZE = 5, 64
WIDER = {"EfficientNet": 128}
"""Pixels a side where the network leaves 2 x 2 positions of ``SIZE``, which never hold two peaks."""
STATISTICS = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


@register_model
def fieldmark_tiny_vgg(**_: Any) -> nn.Module:
    """VGG with five poolings, as the real ones have."""
    network = VGG([8, "M", 16, "M", 16, "M", 24, "M", 32, "M"], num_classes=0, mlp_ratio=1 / 64)
    network.pretrained_cfg = STATISTICS  # pyright: ignore[reportAttributeAccessIssue]
    return network


@register_model
def fieldmark_tiny_densenet(**_: Any) -> nn.Module:
    """DenseNet of four blocks."""
    network = DenseNet(growth_rate=8, block_config=(1, 2, 2, 1), num_classes=0)
    network.pretrained_cfg = STATISTICS  # pyright: ignore[reportAttributeAccessIssue]
    return network


FAMILIES = {
    "ResNet": "test_resnet",
    "VGG": "fieldmark_tiny_vgg",
    "DenseNet": "fieldmark_tiny_densenet",
    "EfficientNet": "test_efficientnet",
    "ConvNeXt": "test_convnext",
    "ViT": "test_vit",
}


def over_cin(composition: Composition) -> Composition:
    """The method with CIN's neck and CIN's contrastive loss, added to the method's own losses."""
    return replace(composition, neck=PAPERS["cin"].neck, terms=(*composition.terms, *PAPERS["cin"].terms))


PAPERS = {composition.name: composition for composition in COMPOSITIONS}
COMPARED = [system.COMPOSITION.name for system in SYSTEMS]
"""Those that the papers compare themselves with: the default run takes each on one family."""
OWN = [name for name in PAPERS if name not in COMPARED]
TERMS = {kind.__name__: kind for kind in KNOWN if issubclass(kind, Term)}
ALL = "all terms"
ADDED = ["", *TERMS, ALL]
OPTIONS = {"SoftChannelLabels": {"reduction": 1}}
"""With few channels and the paper's reduction a ReLU may leave nothing of the few hidden numbers."""
PROPOSALS = {"nts": {"proposals": 30}}
"""Enough of NTS-Net's that some are of each level of the navigator, which learns from these alone."""
AT_HOME = {
    "ContrastiveChannelInteraction": "cin",
    "GaussianLikelihood": "lgm",
    "MultiAttentionMultiClass": "mamc",
}
"""Terms that go with one paper's parts alone: the convolution of CIN's neck, a head whose scores are densities, a pool
of several features."""
REFUSED = {(paper, term) for term, home in AT_HOME.items() for paper in PAPERS if paper != home}
"""All that does not go together, on any family."""
CONTRASTED = {f"{name} over cin": over_cin(PAPERS[name]) for name in ("s3n", "api-net", "nts")}
"""With that neck the term fits other methods, too."""
INFERENCE_OF_PLAIN = ("pc", "mc-loss", "api-net")
"""Papers that change the training alone."""
PRODUCT = list(product(PAPERS, ADDED, FAMILIES))
COVERING = [
    (paper, term, family)
    for index, (paper, term) in enumerate(product(PAPERS, ADDED))
    for number, family in enumerate(FAMILIES)
    if (paper in OWN and not term) or (number == index % len(FAMILIES) and (paper in OWN or not term))
]


def recipe_of(paper: str, term: str, family: str, seed: int = 0) -> Recipe:
    composition: Composition = (PAPERS | CONTRASTED)[paper]
    terms = (*composition.terms, *(Part(name, OPTIONS.get(name, {})) for name in added(paper, term, family)))
    method = replace(composition.method, options={**composition.method.options, **PROPOSALS.get(composition.name, {})})
    parts = (method, composition.pool, composition.head)
    model = Model(*parts, backbone=FAMILIES[family], weights="none", neck=composition.neck, terms=terms)
    model = replace(model, criterion=composition.criterion or model.criterion)
    size = WIDER.get(family, SIZE)
    return Recipe(model, pixels=Pixels(size=size, eval_size=size), seed=seed)


def added(paper: str, term: str, family: str) -> list[str]:
    """The names of the terms added to the composition's own; "all terms" are all that fit it singly."""
    if term != ALL:
        return [term] if term else []
    own = {part.name for part in PAPERS[paper].terms}
    builds = {name: partial(built, paper, name, family) for name in TERMS if name not in own}
    return [name for name, build in builds.items() if not refusal_of(build)]


def built(paper: str, term: str, family: str, seed: int) -> Learner:
    return build_learner(recipe_of(paper, term, family, seed), classes=CLASSES)


def refusal_of(build: Callable[[int], Learner]) -> str:
    try:
        build(0)
    except UserError as refusal:
        return str(refusal)
    return ""


def composed_or_refused(paper: str, term: str, family: str, *, export: bool = False) -> None:
    build = partial(built, paper, term, family)
    refusal = refusal_of(build)
    assert bool(refusal) == ((paper, term) in REFUSED), f"{paper} with {term} on {family}: {refusal}"
    if refusal:
        assert len(refusal.splitlines()) == 1
        assert term in refusal
    else:
        check_learner(build, size=WIDER.get(family, SIZE), export=export)


@pytest.mark.parametrize(("paper", "term", "family"), COVERING)
def test_papers_terms_and_families(paper: str, term: str, family: str):
    composed_or_refused(paper, term, family)


@pytest.mark.parametrize(
    ("paper", "family"),
    [
        pytest.param(name, family, marks=pytest.mark.slow if name == "nts over cin" and family != "ResNet" else ())
        for name, family in product(CONTRASTED, FAMILIES)
    ],
)
def test_the_contrast_of_channels_goes_with_other_methods_over_its_neck(paper: str, family: str):
    composed_or_refused(paper, "", family)
    learner = built(paper, "", family, 0)
    assert type(learner.method).__name__ == CONTRASTED[paper].method.name
    images, labels = torch.randn(6, 3, SIZE, SIZE), torch.arange(6) // 2
    losses = learner(images, labels, Draws(0, 0, torch.arange(6))).losses
    assert losses["ContrastiveChannelInteraction"].item() > 0
    assert len(losses) > 2


@pytest.mark.slow
@pytest.mark.parametrize(("paper", "term", "family"), [row for row in PRODUCT if row not in COVERING])
def test_the_rest_of_the_product(paper: str, term: str, family: str):
    composed_or_refused(paper, term, family)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("term", ["", ALL])
@pytest.mark.parametrize("paper", PAPERS)
def test_a_step_on_a_gpu_waits_for_nothing(paper: str, term: str):
    learner = built(paper, term, "ResNet", 0).cuda().train()
    images, labels, rows = torch.randn(8, 3, SIZE, SIZE).cuda(), torch.arange(8).cuda() // 2, torch.arange(8).cuda()
    for step in range(3):
        # the libraries wait when they start; no later step may
        with no_reading_back() if step else nullcontext(), torch.autocast("cuda", torch.bfloat16):
            total(learner(images, labels, Draws(0, step, rows))).backward()
        learner.zero_grad()


@pytest.mark.parametrize(
    "paper", [pytest.param(paper, marks=pytest.mark.slow) if paper == "s3n" else paper for paper in OWN]
)
def test_every_paper_exports(paper: str):
    composed_or_refused(paper, "", "ResNet", export=True)


def exported_operators(paper: str) -> list[str]:
    """In their order."""
    method = built(paper, "", "ResNet", 0).method.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.export.export(
            method, (torch.zeros(3, 3, SIZE, SIZE),), dynamic_shapes=({0: torch.export.Dim("batch")},)
        )
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


def test_what_changes_the_training_alone_exports_as_the_plain_network():
    plain = exported_operators("plain")
    assert "aten.conv2d.default" in plain
    for paper in INFERENCE_OF_PLAIN:
        assert exported_operators(paper) == plain, paper


@pytest.mark.slow
@pytest.mark.parametrize(("paper", "family"), list(product(PAPERS, FAMILIES)))
def test_every_paper_exports_on_every_family(paper: str, family: str):
    composed_or_refused(paper, "", family, export=True)


def test_the_covering_part_has_every_pair_of_paper_and_term_and_every_family():
    assert {row[:2] for row in COVERING} >= {*product(OWN, ADDED), *((paper, "") for paper in COMPARED)}
    assert {(paper, family) for paper, _, family in COVERING} >= set(product(OWN, FAMILIES))


@pytest.mark.parametrize("paper", PAPERS)
def test_all_terms_are_each_once_all_but_those_refused(paper: str):
    kinds = [type(term).__name__ for term in built(paper, ALL, "ResNet", 0).terms]
    assert sorted(kinds) == sorted(name for name in TERMS if (paper, name) not in REFUSED)
    assert len(kinds) > 1


@pytest.mark.parametrize("kind", TERMS.values(), ids=TERMS)
def test_terms_are_terms(kind: type):
    term = built(AT_HOME.get(kind.__name__, "cin"), kind.__name__, "ResNet", 0).terms[-1]
    assert isinstance(term, Term)
    assert isinstance(term.batch_wide, bool)
    assert set(term.reads) <= set(get_args(Value))
    *read, labels, draws = inspect.signature(term.forward).parameters.values()
    assert len(read) == len(term.reads)
    assert (labels.name, draws.name, draws.default) == ("labels", "draws", None)


@pytest.mark.parametrize("kind", [kind for kind in KNOWN if issubclass(kind, Method)], ids=lambda kind: kind.__name__)
def test_methods_are_final_and_name_their_batch_wideness(kind: type[Method]):
    assert Method in kind.__bases__
    assert isinstance(kind.batch_wide, bool)
    assert not any(issubclass(other, kind) for other in KNOWN if other is not kind)


def test_the_contracts_fields_are_those_that_others_rely_on():
    assert Encoded._fields == ("features", "logits", "views")
    assert TrainOutput._fields == ("losses", "logits", "labels", "features", "views", "figures")
    assert not TrainOutput._field_defaults["figures"]
