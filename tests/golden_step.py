"""One training step in float64 on a network of a few hundred weights, and its numbers kept in ``golden/*.json``.

They hold on any processor within ``TOLERANCE``. On one machine a refactor leaves them as they are, bit for bit:

    FIELDMARK_GOLDEN=write pytest tests/papers -k golden    # before it, and after a change that means to move them
    FIELDMARK_GOLDEN=exact pytest tests/papers -k golden    # after it; then git checkout tests/golden
"""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fieldmark import building
from fieldmark.core.backbone import Backbone
from fieldmark.core.draws import Draws
from fieldmark.core.learner import Learner, total
from fieldmark.recipe import Model, Pixels, Recipe
from fieldmark.recipes.composition import Composition

FOLDER = Path(__file__).parent / "golden"
CLASSES, SIZE = 5, 12
LABELS = torch.tensor([0, 0, 1, 2, 3, 4, 1])
ROWS = torch.tensor([9, 4, 100, 7, 31, 2, 8])
TRUE_ZERO = 1e-9
"""What rounding in float64 leaves of a zero stays far below it."""
TOLERANCE = 1e-9
"""Of the largest number of a list, as small ones are what is left where large ones cancel: the sum of a gradient whose
entries have both signs, a logit near 0. Float64 rounds by 1e-16. The order of sums, which the processor's width, its
libraries and the number of threads decide, has moved no number here by more than 3e-13 of the largest."""


def tiny_backbone() -> Backbone:
    """Twelve channels at a quarter of the side."""
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 12, 3, stride=2, padding=1))
    return Backbone(layers, example=torch.zeros(1, 3, SIZE, SIZE))


def tiny_learner(composition: Composition, monkeypatch: pytest.MonkeyPatch, *external: type) -> Learner:
    """The composition in float64, every parameter drawn by its name; ``external`` are classes of the test's own."""
    monkeypatch.setattr(building, "make_backbone", lambda name, **options: tiny_backbone())
    parts = Model(
        composition.method, composition.pool, composition.head, neck=composition.neck, terms=composition.terms
    )
    parts = replace(parts, criterion=composition.criterion or parts.criterion)
    recipe = Recipe(parts, pixels=Pixels(size=SIZE, eval_size=SIZE))
    learner = building.build_learner(recipe, classes=CLASSES, external=building.classes_named(external)).double()
    with torch.no_grad():
        for name, parameter in learner.named_parameters():
            known = re.sub(r"^terms\.\d+", "term_modules.0", name).replace("method.interaction.", "method.")
            # so they were called when the numbers were written
            parameter.copy_(Draws(0).uniform(known, tuple(parameter.shape), like=parameter) - 0.5)
    return learner


def tiny_images() -> Tensor:
    """(7, 3, 12, 12), float64."""
    return Draws(0, rows=ROWS).rowwise("images", (3, SIZE, SIZE), like=torch.zeros(1, dtype=torch.float64)) * 4 - 2


def numbers_of_a_step(learner: Learner, labels: Tensor = LABELS) -> dict[str, float | list[float]]:
    """The losses, the size and one sum of each gradient, and the logits after the step.

    A loss or a gradient of 0 would pin nothing: no paper's step has one here.
    """
    images = tiny_images()
    output = learner(images, labels, Draws(3, 1, ROWS))
    total(output).backward()
    numbers: dict[str, float | list[float]] = {f"loss {name}": loss.item() for name, loss in output.losses.items()}
    assert all(abs(loss) > TRUE_ZERO for loss in numbers.values()), numbers  # pyright: ignore[reportArgumentType]
    with torch.no_grad():
        for name, parameter in learner.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.norm() > TRUE_ZERO, name
            numbers[f"gradient {name}"] = [parameter.grad.norm().item(), parameter.grad.sum().item()]
            parameter -= 0.1 * parameter.grad
        numbers["logits after the step"] = learner.method.eval()(images).flatten().tolist()
    return numbers


def check_golden(name: str, numbers: dict[str, float | list[float]]) -> None:
    """The numbers are those of the file, within ``TOLERANCE`` or exactly; ``FIELDMARK_GOLDEN`` says which."""
    path, wish = FOLDER / f"{name}.json", os.environ.get("FIELDMARK_GOLDEN", "")
    if wish == "write":
        path.write_text(json.dumps(numbers, indent=1) + "\n")
        pytest.skip(f"wrote {path.name}")
    golden = json.loads(path.read_text())
    assert list(golden) == list(numbers)
    if wish == "exact":
        assert numbers == golden
    for key, expected in golden.items():
        largest = np.abs(expected).max()
        assert numbers[key] == pytest.approx(expected, rel=0, abs=TOLERANCE * largest), key
