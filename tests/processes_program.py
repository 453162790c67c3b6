"""What each of several processes does in ``test_processes.py``, under torchrun: ``processes_program.py PHOTOS OUT``.

For every paper, alone, with every term and with the options that relate the images of a batch in another way, the
gradients of one step over a batch that the processes share are held against those of one process on the whole batch.
A run with batch norms tells what each process holds where it is validated. The first process writes all of it as JSON.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch.nn.parallel import DistributedDataParallel

from fieldmark.batches import Shuffled
from fieldmark.building import build_learner
from fieldmark.core import processes
from fieldmark.core.contract import Term
from fieldmark.core.draws import Draws
from fieldmark.core.learner import Learner, total
from fieldmark.data.reading import read_dataset
from fieldmark.errors import UserError
from fieldmark.evaluation.inference import infer
from fieldmark.input.loading import Photographs
from fieldmark.papers.channel_interaction import contrastive as cci
from fieldmark.papers.channel_interaction.contrastive import ContrastiveChannelInteraction, pair_contrastive
from fieldmark.papers.mutual_channel import SoftChannelLabels
from fieldmark.papers.selective_sparse_sampling.method import S3N
from fieldmark.recipe import Model, Part, Pixels, Recipe, Sgd, Stage
from fieldmark.recipes import COMPOSITIONS, SYSTEMS, api_net, channel_interaction, selective_sparse_sampling
from fieldmark.recipes.composition import Composition
from fieldmark.runs.checkpoint import load_state
from fieldmark.training.loop import Loop
from fieldmark.training.optim import freeze
from fieldmark.training.runlog import RunLog
from fieldmark.training.session import fabric_of
from golden_step import SIZE, TRUE_ZERO, tiny_learner
from own_parts import KNOWN

LABELS = torch.tensor([0, 0, 1, 1, 1, 2, 3, 0])
ROWS = torch.tensor([9, 4, 100, 7, 31, 2, 8, 55])
TERMS = [kind for kind in KNOWN if issubclass(kind, Term)]
CONTRASTS: tuple[Mapping[str, Any], ...] = (
    {"pairs": "all"},
    {"pairs": "hard"},
    {"loss": "triplet"},
    {"loss": "triplet", "pairs": "hard"},
)
FROZEN = {"api-net, a frozen backbone": Stage(1, Sgd(0.1), frozen=("backbone",))}
OPTIONS: Mapping[type, Mapping[str, Any]] = {SoftChannelLabels: {"reduction": 4}}
"""Of its one hidden number at the paper's reduction, where there are twelve channels, the ReLU would leave nothing."""

WHOLE = {
    "nts": {"method": Part("NTS", {"proposals": 30})},
    "mamc": {"pool": Part("MultiExcitation", {"reduction": 1})},
    "se": {"neck": Part("SqueezeExcitation", {"reduction": 1})},
}
"""So many proposals that there are some of every level of NTS-Net's navigator; so many numbers between the layers of
gates that a ReLU leaves some."""


def of_other_options() -> dict[str, Composition]:
    """Pairs that are made otherwise than the papers' defaults make them, and a stage that trains new layers alone."""
    random = replace(api_net.COMPOSITION, method=Part("ApiNet", {"intra": None, "inter": None}))
    found = {"api-net, random pairs": random, **dict.fromkeys(FROZEN, api_net.COMPOSITION)}
    for options in CONTRASTS:
        term = Part("ContrastiveChannelInteraction", options)
        found[f"cin, {options}"] = replace(channel_interaction.COMPOSITION, terms=(term,))
    cin = channel_interaction.COMPOSITION
    # of so few positions, no weak peak may reach the mean
    all_peaks = replace(selective_sparse_sampling.COMPOSITION, method=Part("S3N", {"peaks": "all"}))
    for other in (all_peaks, api_net.COMPOSITION):
        found[f"{other.name} over cin"] = replace(other, neck=cin.neck, terms=(*other.terms, *cin.terms))
    return found


def with_terms(composition: Composition, *added: type) -> Composition:
    """The composition and more losses."""
    kept = {name: getattr(composition, name) for name in ("method", "neck", "pool", "head")}
    parts = (Part(kind.__name__, OPTIONS.get(kind, {})) for kind in added)
    return Composition(composition.name, terms=(*composition.terms, *parts), **kept)


def learners() -> dict[str, Learner]:
    """Every paper and system alone, papers also with every term that fits and with all of these, and other options."""
    with pytest.MonkeyPatch.context() as patch:
        found = {name: tiny_learner(composition, patch) for name, composition in of_other_options().items()}
        for composition in COMPOSITIONS:
            found[composition.name] = tiny_learner(replace(composition, **WHOLE.get(composition.name, {})), patch)
            if composition.name in [system.COMPOSITION.name for system in SYSTEMS]:
                continue
            fitting: list[type] = []
            for term in TERMS:
                try:
                    found[f"{composition.name} + {term.__name__}"] = tiny_learner(with_terms(composition, term), patch)
                except UserError:  # does not fit, which test_contract.py looks at
                    continue
                if term.__name__ not in {part.name for part in composition.terms}:
                    fitting.append(term)
            found[f"{composition.name} + all"] = tiny_learner(with_terms(composition, *fitting), patch)
    for learner in found.values():
        if isinstance(learner.method, S3N):  # wide enough that they matter
            for radius in learner.method.radii.values():
                radius.data.add_(5)
        for term in learner.terms:
            if isinstance(term, ContrastiveChannelInteraction):  # distances about as long as its margin
                term.h.weight.data.mul_(0.005)
    return found


def differences(images: torch.Tensor) -> dict[str, Any]:
    """By the learner's name how far its gradients are off, which of them are 0, and the pairs of a contrastive loss.

    And which learners' losses depend on torch's generator.
    """
    found: dict[str, float] = {}
    idle: dict[str, list[str]] = {}
    met: dict[str, set[str]] = {}
    moved: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name, learner in learners().items():
            noted = wraps(cci.pair_contrastive)(partial(noting, met.setdefault(name, set())))
            patch.setattr(cci, "pair_contrastive", noted)
            found[name], idle[name] = largest_difference(learner, images, stage=FROZEN.get(name))
            if moved_by_reseeding(learner, images):
                moved.append(name)
    return {
        "differences": found,
        "moved by reseeding": processes.from_each(moved),
        "without gradient": {name: parameters for name, parameters in idle.items() if parameters},
        "pairs": {name: sorted(kinds) for name, kinds in met.items() if kinds},
    }


def noting(kinds: set[str], h_a: torch.Tensor, h_b: torch.Tensor, same: torch.Tensor, margin: float) -> torch.Tensor:
    """The loss; into ``kinds`` which pairs there are."""
    near = (h_a - h_b).norm(dim=1) < margin
    kinds.update(kind for kind, some in {"same class": same, "other, near": ~same & near}.items() if some.any())
    return pair_contrastive(h_a, h_b, same, margin)


def prepared(learner: Learner) -> Learner:
    """In training mode, but for batch norms, which know their own process's images alone."""
    learner.train()
    for module in learner.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    return learner


def largest_difference(learner: Learner, images: torch.Tensor, *, stage: Stage | None) -> tuple[float, list[str]]:
    """Of the gradients by the processes and by one of them alone, relative to the largest gradient of a parameter.

    And the parameters whose gradient by one is 0, for which that says nothing.

    Wrapped as ``training.session`` wraps it, before the stage freezes a group.
    """
    rank, size = processes.world()
    if stage:
        freeze(learner.parameter_groups(), stage, epoch=0)
    state = {name: value.clone() for name, value in learner.state_dict().items()}
    total(prepared(learner)(images, LABELS, Draws(3, 1, ROWS))).backward()
    alone = {name: p.grad.clone() for name, p in learner.named_parameters() if p.grad is not None}
    idle = [name for name, _ in learner.named_parameters() if name not in alone or alone[name].abs().max() <= TRUE_ZERO]
    learner.load_state_dict(state)  # what terms remember moved on
    learner.zero_grad()
    own = slice(rank * len(images) // size, (rank + 1) * len(images) // size)
    learner.requires_grad_(True)
    wrapped = DistributedDataParallel(learner, find_unused_parameters=stage is not None)
    if stage:
        freeze(learner.parameter_groups(), stage, epoch=0)
    total(wrapped(images[own], LABELS[own], Draws(3, 1, ROWS[own]), processes.gather)).backward()
    assert bool(stage) == any(parameter.grad is None for parameter in learner.parameters())
    differences = [0.0]
    for name, parameter in learner.named_parameters():
        if name in alone:
            assert parameter.grad is not None, name
            scale = alone[name].abs().max().clamp_min(1e-12)
            differences.append(float((parameter.grad - alone[name]).abs().max() / scale))
    return max(differences), idle


def moved_by_reseeding(learner: Learner, images: torch.Tensor) -> bool:
    """Whether a loss of a step depends on torch's generator, of which each process has its own."""
    rank, size = processes.world()
    own = slice(rank * len(images) // size, (rank + 1) * len(images) // size)
    state = {name: value.clone() for name, value in learner.state_dict().items()}
    losses = []
    for seed in (rank, 100 + rank):
        learner.load_state_dict(state)
        torch.manual_seed(seed)
        with torch.no_grad():
            output = prepared(learner)(images[own], LABELS[own], Draws(3, 1, ROWS[own]), processes.gather)
        losses.append(torch.stack(list(output.losses.values())))
    return not torch.equal(*losses)


def rows_seen(photos: Path) -> list[list[int]]:
    """For each process, the photos that an evaluation gave it; and that all get the whole in the photos' order."""
    views = Photographs(read_dataset(photos).photos[:7], Pixels(32, 32))
    learner = next(iter(learners().values())).float()
    seen: list[int] = []

    def brightness(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return images.mean((1, 2, 3), dtype=torch.float32)[:, None]

    shared = infer(brightness, views, method=learner.method).values[:, 0]
    one_by_one = [float(learner.method.classifier.backbone.normalise(views[i].pixels).mean()) for i in range(7)]
    assert shared.tolist() == pytest.approx(one_by_one, rel=1e-5)
    return processes.from_each([sum(seen)])


def held_alike(photos: Path, run: Path) -> list[list[str]]:
    """For each process, digests of what a run holds: where it is validated after each epoch, at its end, as saved."""
    model = Model(Part("Plain"), Part("Average"), Part("Linear"), backbone="test_resnet", weights="none")
    recipe = Recipe(model, Pixels(32, 32), Shuffled(8), (Stage(3, Sgd(0.05)),), ema=0.5, precision="fp32")
    dataset = read_dataset(photos)
    views = Photographs(dataset.photos, recipe.pixels, seed=recipe.seed)
    learner, log = build_learner(recipe, classes=len(dataset.classes)), RunLog(run, console=Console(quiet=True))
    loop = Loop(learner, recipe, fabric=fabric_of(recipe, "cpu"), photos=views, run=run, log=log)
    assert loop.average is not None
    found: list[str] = []

    def validate() -> dict[str, float]:
        found.append(digest(learner.state_dict().values()))
        return {"val_top1": 0.5}

    loop.train(workers=0, validate=validate)
    saved = load_state(run)
    assert saved is not None
    ends = (learner.state_dict().values(), loop.average.values, saved["learner"].values(), saved["average"]["values"])
    return processes.from_each([*found, *map(digest, ends)])


def digest(tensors: Iterable[torch.Tensor]) -> str:
    """Of all bits of those that have fractions."""
    kept = (tensor.detach().numpy() for tensor in tensors if tensor.is_floating_point())
    return hashlib.sha256(b"".join(values.tobytes() for values in kept)).hexdigest()


def main() -> None:
    """Joins the others, measures, writes."""
    photos, out = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    processes.join("cpu")
    images = Draws(0, rows=ROWS).rowwise("images", (3, SIZE, SIZE), like=torch.zeros(1, dtype=torch.float64)) * 4 - 2
    result = differences(images) | {
        "evaluated": [count for counts in rows_seen(photos) for count in counts],
        "held": held_alike(photos, out.with_name("run")),
    }
    refusals = []
    for rank in range(2):
        try:
            processes.from_first(partial(refuse, rank))
        except UserError as error:
            refusals.append(str(error))
    everybody = processes.from_each(refusals)
    if processes.is_first():
        out.write_text(json.dumps(result | {"refusals": everybody}))


def refuse(times: int) -> int:
    """Raises the second time."""
    if times:
        raise UserError("this is refused")
    return times


if __name__ == "__main__":
    main()
