"""The commands as Python functions. Each returns a value, which the command line prints."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from rich.console import Console

from fieldmark.checking import apply_labels as apply_labels
from fieldmark.checking import check as check
from fieldmark.checking import check_labels as check_labels
from fieldmark.console import QUIET, counted, tell
from fieldmark.data.dataset import labels_of
from fieldmark.data.opening import OpenedData, open_photos, refuse_boxless, refuse_missing_splits
from fieldmark.data.reading import read_dataset
from fieldmark.equations import equations as equations
from fieldmark.errors import UserError, printable
from fieldmark.explaining import compare as compare
from fieldmark.explaining import explain as explain
from fieldmark.explaining import figures as figures
from fieldmark.extending import add_class as add_class
from fieldmark.extending import remove_class as remove_class
from fieldmark.on_device import opened_run
from fieldmark.plain import several
from fieldmark.predicting import predict as predict
from fieldmark.recipe import External
from fieldmark.reports import report as report
from fieldmark.shipping import export as export
from fieldmark.training.settings import Destination, Keywords, RecipeSettings, settings_of
from fieldmark.trust import calibrate as calibrate

if TYPE_CHECKING:
    from fieldmark.core.classifier import Classifier
    from fieldmark.data.dataset import Dataset
    from fieldmark.evaluation.evaluate import Evaluation
    from fieldmark.evaluation.probe import Probed
    from fieldmark.recipe import Model, Recipe
    from fieldmark.runs.folder import Loaded, Opened

HELD_OUT = 0.3
"""Share of the official training photos that a probe holds out where the data have no validation split."""


def train(
    data: str | Path,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    external: External = (),
    recipe: "Recipe | str | Path | None" = None,
    console: Console = QUIET,
    **settings: Unpack[Keywords],
) -> Path:
    """Trains a classifier on a folder, CSV or benchmark, writes its report, and returns the run's folder.

    Args:
        data: the photographs.
        out: the run's folder; by default runs/NAME, after the data's name.
        resume: continue the run in ``out``.
        overwrite: replace it.
        external: classes of your own that a recipe's file names, or their names.
        recipe: what to follow: a ``Recipe``, a row of a paper's table (``fieldmark.recipes.ROWS``) by its name, or a
            recipe.json.
        console: for progress and notices.
        settings: those of ``fieldmark train``, such as ``epochs=1, method="pc"``; the rest is the recipe's, or chosen
            for this machine and these photos.

    Raises:
        UserError: a mistake that the user can correct.
    """
    from fieldmark.reports.training import train as run

    destination = Destination(None if out is None else Path(out), resume=resume, overwrite=overwrite)
    name, value = (str(recipe), None) if isinstance(recipe, str | Path) else (None, recipe)
    chosen = settings_of({"recipe": name, **settings})
    return run(data, destination, chosen, console=console, external=external, recipe=value)


def classifier(
    backbone: str = "resnet50",
    *,
    classes: int,
    neck: str | None = None,
    pool: str = "average",
    head: str = "linear",
    weights: str = "hub",
    size: int = 224,
    external: External = (),
) -> "Classifier":
    """Backbone, neck, pool and head as a run builds them, for a custom training loop.

    Its ``features(images)`` gives what the papers' losses read: maps, refined maps, embedding and logits;
    ``backbone.normalise`` prepares images.

    Args:
        backbone: any timm model that ends in one map, or googlenet.
        classes: C, at least 2.
        neck: a layer on maps, such as "self-channel-interaction" or "channel-expansion,xi=3"; None for no neck.
        pool: "average", "maximum", or a class of your own.
        head: "linear", "two-layer-head", or a class of your own.
        weights: initial weights of the backbone: hub, lite0, none, a .safetensors file, or a run.
        size: of the images, in pixels; some backbones are built for one size.
        external: classes of your own that the parts name as "package.module:Class".

    Raises:
        UserError: an unknown part or backbone, or parts that do not fit together.
    """
    from fieldmark.building import build_classifier, classes_named
    from fieldmark.recipe import Model
    from fieldmark.recipes.naming import part_of

    model = Model(
        pool=part_of(pool, option="pool"),
        head=part_of(head, option="head"),
        neck=part_of(neck, option="neck") if neck else None,
        backbone=backbone,
        weights=weights,
    )
    return build_classifier(model, classes=classes, size=size, weights=weights, external=classes_named(external))


def load(run: str | Path, *, device: str = "cpu", external: External = ()) -> "Loaded":
    """A trained run as (model, transform, classes); ``model(transform("photo.jpg")[None])`` gives logits (1, C).

    ``transform`` takes a path, the bytes of a file, an open file, a picture of Pillow's or an array of NumPy's. With
    another ``device`` (auto, cuda, cuda:N or mps) the model is there, and images have to be moved there, too:
    ``transform("photo.jpg")[None].to(device)``. ``external``: classes of your own that the run's recipe names. That a
    run has not done all of its epochs is logged as a warning.

    Raises:
        UserError: not a run, one that cannot answer yet, or a device that is not here.
    """
    from fieldmark.core.device import device_of
    from fieldmark.runs.folder import load as load_run

    device = device_of(device)
    loaded = load_run(run, external=external)
    loaded.model.to(device)
    return loaded


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    *,
    split: str = "test",
    against: str | Path | None = None,
    localization: bool = False,
    groups: str | Path | None = None,
    corrections: str | Path | None = None,
    device: str = "auto",
    external: External = (),
    console: Console = QUIET,
) -> "Evaluation":
    """Measures a run on a split of labelled photos (by default the data it was trained on).

    Args:
        run: the run's folder.
        data: labelled photographs.
        split: train, val, test or all.
        against: another run of the same classes, to answer the same photos; ``Evaluation.against`` compares the two.
        localization: also measure where the run (not the other one) looks, by the photos' boxes, as
            ``Evaluation.localization``, a ``fieldmark.explanations.localization.Localization``.
        groups: a CSV of groups of classes, for figures at each level; by default those that the run was trained with.
        corrections: a list of corrected labels not lying with the photos; by default that of the run's training.
        device: auto, cpu, cuda, cuda:N or mps.
        external: classes of your own that the recipes of the runs name, or their names.
        console: for progress.

    Raises:
        UserError: a mistake that the user can correct.
    """
    from fieldmark.evaluation.against import compared, pairing
    from fieldmark.evaluation.evaluate import evaluate as measure_run
    from fieldmark.evaluation.evaluate import refuse_unlogged, split_of_run
    from fieldmark.runs.folder import groups_of

    folder = Path(run)
    tree = groups_of(folder, None if groups is None else Path(groups))
    named = None if corrections is None else Path(corrections)
    chosen = split_of_run(folder, None if data is None else Path(data), split, corrections=named)
    refuse_unlogged(folder, split)
    if localization:
        refuse_boxless(chosen.dataset.photos)
    pair = None if against is None else pairing(folder, Path(against), chosen, split=split)
    opened = [
        opened_run(each, device=device, external=external, console=console)
        for each in (pair.runs if pair else (folder,))
    ]

    def measured(at: int, photos: OpenedData) -> "Evaluation":
        with counted(console, f"evaluating {split}" + (f" by {opened[at].path}" if pair else "")) as tick:
            return measure_run(opened[at], photos, split=split, progress=tick)

    result = replace(measured(0, chosen), groups=tree)
    if pair:
        result = replace(result, against=compared(result, measured(1, pair.photos), pair))
    return _localized(opened[0], result, chosen, console) if localization else result


def _localized(opened: "Opened", result: "Evaluation", chosen: OpenedData, console: Console) -> "Evaluation":
    """The evaluation, and where the run looks in its photos."""
    from fieldmark.explanations.localization import localize

    with counted(console, f"localising {result.split}") as tick:
        found = localize(opened, result, packed=chosen.dataset.pixels, progress=tick)
    return replace(result, localization=found)


def probe(
    data: str | Path,
    *,
    backbones: str | Sequence[str] = (),
    weights: str | None = None,
    size: int = 224,
    split: str | None = None,
    train_on: str | Sequence[str] = "train",
    seed: int = 0,
    annotation: str = "variant",
    corrections: str | Path | None = None,
    device: str = "auto",
    out: str | Path | None = None,
    console: Console = QUIET,
) -> "list[Probed]":
    """Fits a logistic regression to frozen features of each backbone: a first answer within the hour.

    Args:
        data: the photographs.
        backbones: names, and ``weights`` for all of them; without, what ``train`` would choose.
        size: height and width of the network's input, in pixels.
        split: to evaluate on; None is val, or without a val split a held-out part of the official training photos.
        train_on: splits to fit on; several are a list, or joined by "+".
        seed: the seed for dividing data that have no splits.
        annotation: which labels to use of a dataset that has several.
        corrections: a list of corrected labels that does not lie with the photos.
        device: auto, cpu, cuda, cuda:N or mps.
        out: also keep the probe as a run in this folder, as ``train`` with ``quick`` does; for a single backbone.
        console: for progress.

    Raises:
        UserError: a mistake that the user can correct.
    """
    from fieldmark.core.device import device_of
    from fieldmark.evaluation.probe import probe as probe_one

    if size < 1:
        raise UserError(f"--size {size}: it must be at least 1")
    device, train_on = device_of(device), "+".join(several(train_on)).split("+")
    models = _models(backbones, weights, device, out)
    dataset = read_dataset(data, annotation=annotation, corrections=corrections)
    opened = _probe_data(dataset, train_on=train_on, split=split, seed=seed, console=console)
    if out is not None:
        kept: Keywords = {"backbone": models[0].backbone, "weights": models[0].weights, "size": size, "device": device}
        kept |= {"train_on": "+".join(train_on), "annotation": annotation, "seed": seed, "quick": True}
        if corrections is not None:
            kept["corrections"] = corrections
        train(data, out, console=console, **kept)
    dataset, measured = opened.dataset, split or "val"

    def probed(model: "Model") -> "Probed":
        with counted(console, model.backbone, len(dataset.of({*train_on, measured}))) as tick:
            result = probe_one(
                dataset, backbone=model.backbone, weights=model.weights, train_on=train_on, split=measured, size=size,
                device=device, progress=tick,
            )  # fmt: skip
        return replace(result, damaged=(*opened.damaged, *result.damaged))

    return [probed(model) for model in models]


def _models(backbones: str | Sequence[str], weights: str | None, device: str, out: str | Path | None) -> "list[Model]":
    """The networks to probe, refused before a photo is scanned."""
    from fieldmark.core.networks import refuse_backbone
    from fieldmark.training.automatic import draft_of

    choices = [RecipeSettings(backbone=name, weights=weights) for name in several(backbones) or (None,)]
    models = [draft_of(choice, device=device, external={}).recipe.model for choice in choices]
    if out is not None and len(models) > 1:
        names = ",".join(model.backbone for model in models)
        advice = f"fieldmark train --quick --backbone {names} takes the best by the training photos alone"
        raise UserError(f"--out: {len(models)} backbones, but a run has one;\n{advice}")
    for model in models:
        refuse_backbone(model.backbone, weights=model.weights)
    return models


def _probe_data(
    dataset: "Dataset", *, train_on: Sequence[str], split: str | None, seed: int, console: Console
) -> OpenedData:
    """The photos of a probe, split; test photos are not opened unless asked for."""
    if split is None and "val" in train_on:
        raise UserError("--train-on with val leaves only the test photos to measure on: add --split test")
    measured = split or "val"
    holds_out = split is None and dataset.is_split and not dataset.of(["val"])
    _refuse_probe(dataset, train_on, measured="train" if holds_out else measured)
    if measured not in ("val", "test"):
        raise UserError(f"--split {printable(measured)}: a probe is measured on val or test")
    if measured in train_on:
        fitted = f"the probe is fitted to these photos (--train-on {printable('+'.join(train_on))})"
        raise UserError(f"--split {measured}: {fitted}; measure it on others")
    with counted(console, "scanning photos") as tick:
        opened = open_photos(dataset, splits={*train_on, measured}, progress=tick)
    opened.refuse_damage()
    opened = opened.split(seed=seed, hold_out=HELD_OUT if holds_out else 0.0)
    _refuse_probe(opened.dataset, train_on, measured)
    tell(console, *opened.remarks)
    if holds_out:
        count = len(opened.dataset.of(["val"]))
        tell(console, f"measured on {count:,} held-out training photos (for the official test photos: --split test)")
    return opened


def _refuse_probe(dataset: "Dataset", train_on: Sequence[str], measured: str) -> None:
    refuse_missing_splits(dataset, train_on, source="--train-on")
    refuse_missing_splits(dataset, [measured], source="--split")
    photos = dataset.of(train_on) if dataset.is_split else dataset.photos
    if len({*labels_of(photos)} - {-1}) < 2:
        raise UserError("a probe needs training photos of at least two classes")
