"""Small runs of every method, untrained, whose heads were drawn: for the papers' pictures."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from fieldmark.building import build_learner
from fieldmark.recipe import Model, Part, Pixels, Recipe
from fieldmark.recipes import PAPERS
from fieldmark.runs.checkpoint import save_model
from fieldmark.runs.folder import About, write_run

COMPOSITIONS = {paper.COMPOSITION.name: paper.COMPOSITION for paper in PAPERS}
CLASSES = ("ant", "bee", "cat")


def write_drawn_run(
    folder: Path,
    method: str,
    *,
    backbone: str = "test_resnet",
    terms: tuple[Part, ...] | None = None,
    classes: Sequence[str] = CLASSES,
) -> Path:
    """A run whose network is what it is built as, but for what begins at zero; ``terms`` in place of the method's."""
    parts = COMPOSITIONS[method]
    terms = parts.terms if terms is None else terms
    model = Model(parts.method, parts.pool, parts.head, backbone=backbone, weights="none", neck=parts.neck, terms=terms)
    recipe = Recipe(model, pixels=Pixels(size=64, eval_size=64))
    torch.manual_seed(0)
    learner = build_learner(recipe, classes=len(classes))
    for parameter in learner.parameters():
        if parameter.ndim > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    about = About(data="nowhere", annotation="", data_digest="", headline="top1", cut=True)
    folder.mkdir(parents=True)
    write_run(folder, recipe, classes=tuple(classes), about=about)
    save_model(folder, learner)
    return folder
