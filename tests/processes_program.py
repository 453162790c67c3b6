"""What each of several processes does in ``test_processes.py``, under torchrun: ``processes_program.py PHOTOS OUT``.

For every paper, alone and with every term, the gradients of one step over a batch that the processes share are held
against those of one process on the whole batch. The first process writes what it found as JSON.
"""

import json
import sys
from functools import partial
from pathlib import Path

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
from fieldmark.recipe import Part, Pixels
from fieldmark.recipes import COMPOSITIONS, KNOWN
from fieldmark.recipes.composition import Composition
from golden_step import SIZE, tiny_learner

LABELS = torch.tensor([0, 0, 1, 1, 2, 3, 2, 0])
ROWS = torch.tensor([9, 4, 100, 7, 31, 2, 8, 55])
TERMS = [kind for kind in KNOWN if hasattr(kind, "check") and not issubclass(kind, Method)]


def with_terms(composition: Composition, *added: type) -> Composition:
    """The composition and more losses."""
    kept = {name: getattr(composition, name) for name in ("method", "neck", "pool", "head")}
    return Composition(composition.name, terms=(*composition.terms, *map(Part, added)), **kept)


def learners() -> dict[str, Learner]:
    """Every paper alone, with every term that fits it, and with all of these."""
    found: dict[str, Learner] = {}
    with pytest.MonkeyPatch.context() as patch:
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
    return found


def prepared(learner: Learner) -> Learner:
    """In training mode, but for batch norms, which know their own process's images alone."""
    learner.train()
    for module in learner.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    return learner


def largest_difference(learner: Learner, images: torch.Tensor) -> float:
    """Of the gradients by the processes and by one of them alone, relative to the largest gradient of a parameter."""
    rank, size = processes.world()
    state = {name: value.clone() for name, value in learner.state_dict().items()}
    total(prepared(learner)(images, LABELS, Draws(3, 1, ROWS))).backward()
    alone = {name: p.grad.clone() for name, p in learner.named_parameters() if p.grad is not None}
    learner.load_state_dict(state)  # what terms remember moved on
    learner.zero_grad()
    own = slice(rank * len(images) // size, (rank + 1) * len(images) // size)
    wrapped = DistributedDataParallel(learner, find_unused_parameters=True)
    total(wrapped(images[own], LABELS[own], Draws(3, 1, ROWS[own]), processes.gather)).backward()
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
    found = {name: largest_difference(learner, images) for name, learner in learners().items()}
    result = {"differences": found, "evaluated": [count for counts in rows_seen(photos) for count in counts]}
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
