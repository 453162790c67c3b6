"""How a run begins: the head as a logistic regression on the pretrained features, so that training never starts below.

From a zero head at a large rate, fine-tuning first spoils good features (Kumar et al., ICLR 2022, arXiv:2202.10054).
"""

import numpy as np
import torch
from rich.console import Console

from fieldmark.console import counted, tell, working
from fieldmark.core import processes
from fieldmark.core.contract import Method
from fieldmark.data.dataset import Dataset
from fieldmark.evaluation.inference import infer
from fieldmark.evaluation.regression import Regression, regress
from fieldmark.input.loading import Photographs
from fieldmark.recipe import Recipe


def begin_as_probe(method: Method, dataset: Dataset, recipe: Recipe, *, workers: int, console: Console) -> None:
    """Fits the regression to the training photos, and makes the method answer as it does.

    Args:
        method: new, on its device.
        dataset: split.
        recipe: of the run.
        workers: processes that read photos ahead.
        console: for progress, and the accuracy out of fold.

    Raises:
        UserError: a neck or head that cannot begin so.
    """
    chosen = dataset.of(recipe.train_on)
    photos = Photographs(chosen, recipe.pixels, packed=dataset.pixels)
    with counted(console, "features for the start", len(chosen)) as tick:
        features = infer(method.classifier.pooled, photos, method=method, workers=workers, progress=tick)

    def fit() -> Regression:
        return regress(features.values.astype(np.float64), features.labels, classes=len(dataset.classes))

    with working(console, "fitting the head to them"):
        fitted = processes.from_first(fit)
    device = method.classifier.backbone.mean.device
    weight, bias = (torch.from_numpy(value).float().to(device) for value in (fitted.weight, fitted.bias))
    method.adopt(weight, bias)
    if fitted.hits is not None:
        tell(console, f"the head starts as a probe, {fitted.hits.mean():.1%} right out of fold")
