"""The data of a run: read, scanned, split, and on --resume compared with what they were when the run began."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import torch
from rich.console import Console

from fieldmark.batches import WholeRun
from fieldmark.building import Classes, refuse_parts
from fieldmark.confidence.taxonomy import Groups, read_groups
from fieldmark.console import counted, tell, working
from fieldmark.core import processes
from fieldmark.core.networks import refuse_backbone
from fieldmark.data.dataset import SPLITS, Dataset, Photo, labels_of
from fieldmark.data.opening import (
    OpenedData,
    open_photos,
    refuse_missing_splits,
    refuse_unknown_names,
    refuse_without_boxes,
)
from fieldmark.data.reading import read_dataset
from fieldmark.data.scan import Scan
from fieldmark.data.split import (
    SPLITS_FILE,
    digest,
    for_photos,
    read_splits,
    refuse_untrained,
    with_splits,
    write_splits,
)
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.metrics import headline
from fieldmark.input.views import frame_of
from fieldmark.recipe import Model, Recipe
from fieldmark.runs.folder import SCAN, About, read_run, remarks_on, write_groups, write_run
from fieldmark.training.automatic import Draft
from fieldmark.training.settings import DataSettings, Settings
from fieldmark.training.split_notices import split_notices


class Choose(Protocol):
    """Takes one of several drafts by what it sees in the training photos."""

    def __call__(self, drafts: Sequence[Draft], data: OpenedData, *, console: Console) -> Draft: ...


@dataclass(frozen=True)
class Prepared:
    """Data and recipe of a run, before anything is built; ``about`` is the content of ``run.json``.

    ``groups`` are those of a new run's classes, where it has any.
    """

    data: OpenedData
    recipe: Recipe
    about: About
    newly_cut: bool = False
    groups: Groups | None = None

    @property
    def dataset(self) -> Dataset:
        """The sound photos, split."""
        return self.data.dataset

    @property
    def counts(self) -> tuple[int, ...]:
        """Photos per class in the training splits."""
        return _counts(self.dataset, self.recipe)

    def write(self, run: Path) -> None:
        """Writes what describes the run, before it is trained, to its folder."""
        write_run(run, self.recipe, classes=self.dataset.classes, about=self.about)
        write_splits(run / SPLITS_FILE, self.dataset)
        if self.groups:
            write_groups(run, self.groups)
        self.data.scan.save(run / SCAN)  # the last: with it, the run can begin again as it is


def _counts(dataset: Dataset, recipe: Recipe) -> tuple[int, ...]:
    return tuple(map(sum, zip(*map(dataset.counts, recipe.train_on), strict=True)))


def prepare_new(
    data: Path,
    run: Path,
    settings: Settings,
    *,
    drafts: Sequence[Draft],
    pinned: dict[str, str],
    console: Console,
    opened: OpenedData | None = None,
    choose: Choose | None = None,
) -> Prepared:
    """The data of a new run; nothing is written yet.

    Args:
        data: the path that the user gave.
        run: the run's folder; what an earlier run there recorded about its sound photos is reused.
        settings: those of the user.
        drafts: the recipe to fit to the photos, or several to choose from.
        pinned: the splits of an earlier cut, by photo; these photos stay where they were.
        console: for progress and notices.
        opened: the photos, if they were opened, and their notices shown, before.
        choose: takes one of several drafts.

    Raises:
        UserError: data that cannot be trained on.
    """
    options, draft, recipe = settings.data, drafts[0], drafts[0].recipe
    named = opened.dataset if opened else _named(data, options.annotation, options.corrections, console)
    pinned, (groups, remarks) = for_photos(pinned, named.photos), _groups(named, options.groups)
    _refuse_by_names(named, draft, options, pinned)
    for model in (each.recipe.model for each in drafts):
        _look_at_weights(model, console)
    scanned = opened or _scanned(named, recipe, Scan.load(run / SCAN).sound, console)
    scanned.refuse_damage(strict=options.strict)
    with working(console, "looking for copies and splitting"):  # a cut that the user names stays as it is
        ready = scanned.split(seed=recipe.seed, pinned=pinned, mend=not options.splits, hold_out=options.hold_out)
    tell(console, *(() if opened else (*ready.remarks, *remarks, *_unmatched(named, pinned, options.splits))))
    dataset = ready.dataset  # few photos do not fill all splits of a cut
    train_on = tuple(each for each in SPLITS if dataset.of([each])) if draft.settings.all else recipe.train_on
    refuse_missing_splits(dataset, train_on, source="--train-on")
    tell(console, *split_notices(dataset, train_on, was_cut=ready.was_cut))
    photos, classes = dataset.of(train_on), len(dataset.classes)
    draft = choose(drafts, ready, console=console) if choose and len(drafts) > 1 else draft
    recipe = replace(draft.fitted(photos=len(photos), classes=classes), train_on=train_on)
    _refuse_batches(recipe, photos, share=processes.world())
    _refuse_boxes_outside(ready, recipe)
    about = About(
        fieldmark=version("fieldmark"),
        torch=torch.__version__,
        python=sys.version.split()[0],
        data=str(data.resolve()),
        layout=dataset.layout,
        annotation=options.annotation,
        data_digest=digest(dataset, boxes=recipe.pixels.fit == "box"),
        headline=headline(_counts(dataset, recipe)),
        cut=ready.was_cut,
        held_out=options.hold_out,
        corrections=options.list_of_corrections,
    )
    return Prepared(ready, recipe, about, newly_cut=ready.was_cut and not (pinned or opened), groups=groups)


def _groups(dataset: Dataset, file: Path | None) -> tuple[Groups | None, tuple[str, ...]]:
    """The groups of the classes, of the user's table or else of the dataset itself, and remarks on these."""
    if file is not None:
        return read_groups(file, dataset.classes), ()
    try:
        groups = Groups(dataset.classes, dataset.levels) if dataset.levels else None
    except UserError as error:  # of a benchmark's own files, which are not needed to train
        return None, (f"its groups of classes are left out: {error}",)
    levels = zip(groups.names[1:], groups.nodes[1:], strict=True) if groups else ()
    listed = ", ".join(f"{printable(name)} ({len(nodes):,})" for name, nodes in levels)
    return groups, (f"groups above the {len(dataset.classes):,} classes: {listed}",) if listed else ()


def prepare_again(
    data: Path, run: Path, *, console: Console, external: Classes, opened: OpenedData | None = None
) -> Prepared:
    """The data of a run that is resumed.

    Raises:
        UserError: they changed since the run began, or ``external`` lacks a class that the run names.
    """
    recipe, classes, about = read_run(run)
    refuse_parts(recipe, external)
    known = Scan.load(run / SCAN)
    if opened is None:
        named = _named(data, about.annotation, about.list_of_corrections, console)
        opened = _scanned(named, recipe, known, console)
        tell(console, *opened.remarks)
    before = known.by_name()
    replaced = any(before.get(facts.name, facts).sha != facts.sha for facts in opened.scan.facts)
    dataset = opened.dataset
    if about.cut or about.held_out:
        dataset = with_splits(dataset, read_splits(run))
    same = about.data_digest == digest(dataset, boxes=recipe.pixels.fit == "box") and classes == dataset.classes
    if replaced or not same:
        raise UserError(f"the photos, labels or splits of {data} changed since {run} began; start over (--overwrite)")
    about = replace(about, data=str(data.resolve()))  # which may have moved
    return Prepared(replace(opened, dataset=dataset, was_cut=about.cut), recipe, about)


def _look_at_weights(model: Model, console: Console) -> None:
    """Refuses weights that do not fit; that the run which they come from is unfinished is told."""
    refuse_backbone(model.backbone, weights=model.weights)
    run = Path(model.weights)
    tell(console, *(remarks_on(run, read_run(run)[0]) if run.is_dir() else ()))


def _refuse_by_names(dataset: Dataset, draft: Draft, options: DataSettings, pinned: dict[str, str]) -> None:
    """Raises ``UserError`` for what the names alone show to be wrong, before a photo is opened."""
    recipe = draft.recipe
    if options.splits and dataset.is_split:
        raise UserError(f"--splits {options.splits}: the data already have splits; leave it out")
    if options.splits:
        advice = "name the photos as they are named in that file, or leave --splits out"
        refuse_unknown_names(dataset, pinned, source=f"--splits {options.splits}", advice=advice)
    if draft.settings.all and dataset.is_split:
        raise UserError("--all: the data have their own splits; name those to train on, as in --train-on train+val")
    refuse_missing_splits(dataset, recipe.train_on, source="--train-on")
    if options.hold_out and (not dataset.is_split or dataset.of(["val"])):
        raise UserError("--hold-out: the data have validation photos, or get some when they are split; leave it out")
    if dataset.is_split:
        refuse_untrained(dataset, recipe.train_on)
    if recipe.pixels.fit == "box":
        refuse_without_boxes(dataset.photos)
    photos = dataset.of(recipe.train_on) if dataset.is_split else dataset.photos
    recipe = draft.fitted(photos=len(photos), classes=len(dataset.classes))
    # how many photos of unsplit data will share a batch is only known once they are cut
    _refuse_batches(recipe, photos, share=processes.world() if dataset.is_split else (0, 1))


def _refuse_batches(recipe: Recipe, photos: Sequence[Photo], *, share: tuple[int, int]) -> None:
    """Raises ``UserError`` for batches that cannot be made of these photos, or not be shared by the processes."""
    WholeRun(recipe.batches, labels_of(photos), seed=recipe.seed, epochs=recipe.epochs, share=share)


def _unmatched(dataset: Dataset, pinned: dict[str, str], source: Path | None) -> tuple[str, ...]:
    """A notice where ``--splits`` names photos that are not there."""
    names = {photo.name for photo in dataset.photos}
    missing = [name for name in pinned if name not in names] if source else []
    if not missing:
        return ()
    count = f"{len(missing):,} of {len(pinned):,} names"
    return (f"--splits {source}: {count} there match no photo, such as {printable(missing[0])}",)


def _named(data: Path, annotation: str, corrections: Path | None, console: Console) -> Dataset:
    with working(console, "reading names and labels"):
        return read_dataset(data, annotation=annotation, corrections=corrections)


def _scanned(dataset: Dataset, recipe: Recipe, known: Scan, console: Console) -> OpenedData:
    """Scans all photos that training will read: official test photos are left to ``evaluate``."""
    splits, megapixels = {*recipe.train_on, "val"}, recipe.pixels.megapixels
    with counted(console, "scanning photos") as tick:
        return open_photos(dataset, splits=splits, known=known, megapixels=megapixels, progress=tick)


def _refuse_boxes_outside(data: OpenedData, recipe: Recipe) -> None:
    """Raises ``UserError`` for a box outside its photo: now, rather than hours later when the photo is read."""
    if recipe.pixels.fit != "box":
        return
    known = data.scan.by_name()
    for photo in data.dataset.photos:
        if (facts := known.get(photo.name)) is None:
            continue
        try:
            frame_of((facts.width, facts.height - photo.trim_bottom), recipe.pixels, photo.box)
        except UserError as error:
            raise UserError(f"{printable(photo.name)}: {error}") from None
