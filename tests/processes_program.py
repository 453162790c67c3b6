"""What each of several processes does in ``test_processes.py``, under torchrun: ``processes_program.py PHOTOS OUT``.

For every paper, alone, with every term and with the options that relate the images of a batch in another way, the
gradients of one step over a batch that the processes share are held against those of one process on the whole batch.
The first process writes what it found as JSON.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from fieldmark import processes
from fieldmark.contract import Method
from fieldmark.data.loading import Photographs
from fieldmark.data.reading import read_dataset
from fieldmark.draws import Draws
from fieldmark.errors import UserError
from fieldmark.evaluation.inference import infer
from fieldmark.learner import Learner, total
from fieldmark.papers import channel_interaction as cci
from fieldmark.papers.api_net import ApiNet
from fieldmark.papers.channel_interaction import ContrastiveChannelInteraction, pair_contrastive
from fieldmark.recipe import Part, Pixels, Sgd, Stage
from fieldmark.recipes import COMPOSITIONS, KNOWN, api_net, channel_interaction
from fieldmark.recipes.composition import Composition
from fieldmark.training.optim import freeze
from golden_step import SIZE, tiny_learner

LABELS = torch.tensor([0, 0, 1, 1, 1, 2, 3, 0])
ROWS = torch.tensor([9, 4, 100, 7, 31, 2, 8, 55])
TERMS = [kind for kind in KNOWN if hasattr(kind, "check") and not issubclass(kind, Method)]
CONTRASTS: tuple[Mapping[str, Any], ...] = (
    {"pairs": "all"},
    {"pairs": "hard"},
    {"loss": "triplet"},
    {"loss": "triplet", "pairs": "hard"},
)
FROZEN = {"api-net, a frozen backbone": Stage(1, Sgd(0.1), frozen=("backbone",))}


def of_other_options() -> dict[str, Composition]:
    """Pairs that are made otherwise than the papers' defaults make them, and a stage that trains new layers alone."""
    random = replace(api_net.COMPOSITION, method=Part(ApiNet, {"intra": None, "inter": None}))
    found = {"api-net, random pairs": random, **dict.fromkeys(FROZEN, api_net.COMPOSITION)}
    for options in CONTRASTS:
        term = Part(ContrastiveChannelInteraction, options)
        found[f"cin, {options}"] = replace(channel_interaction.COMPOSITION, terms=(term,))
    return found


def with_terms(composition: Composition, *added: type) -> Composition:
    """The composition and more losses."""
    kept = {name: getattr(composition, name) for name in ("method", "neck", "pool", "head")}
    return Composition(composition.name, terms=(*composition.terms, *map(Part, added)), **kept)


def learners() -> dict[str, Learner]:
    """Every paper alone, with every term that fits it, and with all of these; then with other options."""
    with pytest.MonkeyPatch.context() as patch:
        found = {name: tiny_learner(composition, patch) for name, composition in of_other_options().items()}
        for composition in COMPOSITIONS:
            found[composition.name] = tiny_learner(composition, patch)
            fitting: list[type] = []
            for term in TERMS:
                try:
                    found[f"{composition.name} + {term.__name__}"] = tiny_learner(with_terms(composition, term), patch)
                except UserError:  # does not fit, which test_contract.py looks at
                    continue
                if term not in {part.kind for part in composition.terms}:
                    fitting.append(term)
            found[f"{composition.name} + all"] = tiny_learner(with_terms(composition, *fitting), patch)
    for term in (term for learner in found.values() for term in learner.terms):
        if isinstance(term, ContrastiveChannelInteraction):  # distances about as long as its margin
            term.h.weight.data.mul_(0.005)
    return found


def differences(images: torch.Tensor) -> tuple[dict[str, float], dict[str, list[str]]]:
    """By the learner's name how far its gradients are off, and which pairs its contrastive loss saw, if it has one."""
    found: dict[str, float] = {}
    met: dict[str, set[str]] = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, learner in learners().items():
            patch.setattr(cci, "pair_contrastive", partial(noting, met.setdefault(name, set())))
            found[name] = largest_difference(learner, images, stage=FROZEN.get(name))
    return found, {name: sorted(kinds) for name, kinds in met.items() if kinds}


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


def largest_difference(learner: Learner, images: torch.Tensor, *, stage: Stage | None) -> float:
    """Of the gradients by the processes and by one of them alone, relative to the largest gradient of a parameter.

    Wrapped as ``training.session`` wraps it, before the stage freezes a group.
    """
    rank, size = processes.world()
    if stage:
        freeze(learner.parameter_groups(), stage, epoch=0)
    state = {name: value.clone() for name, value in learner.state_dict().items()}
    total(prepared(learner)(images, LABELS, Draws(3, 1, ROWS))).backward()
    alone = {name: p.grad.clone() for name, p in learner.named_parameters() if p.grad is not None}
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
    return max(differences)


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


def main() -> None:
    """Joins the others, measures, writes."""
    photos, out = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    processes.join("cpu")
    images = Draws(0, rows=ROWS).rowwise("images", (3, SIZE, SIZE), like=torch.zeros(1, dtype=torch.float64)) * 4 - 2
    found, met = differences(images)
    result = {
        "differences": found,
        "pairs": met,
        "evaluated": [count for counts in rows_seen(photos) for count in counts],
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
