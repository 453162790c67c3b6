"""The commands that give a trained run a class more or less, as Python functions."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fieldmark.console import QUIET, counted, speaks, tell
from fieldmark.data.unlabelled import photos_of
from fieldmark.errors import UserError, printable, shell_word
from fieldmark.images.pictures import Picture
from fieldmark.on_device import opened_run
from fieldmark.recipe import External, Recipe

if TYPE_CHECKING:
    from fieldmark.confidence.record import Confidence
    from fieldmark.confidence.taxonomy import Groups
    from fieldmark.data.dataset import Photo, Unread
    from fieldmark.input.loading import Photographs
    from fieldmark.new_classes.adding import Widened
    from fieldmark.runs.added import AddedClass
    from fieldmark.runs.folder import Opened


@dataclass(frozen=True)
class NewRun:
    """The run that ``add_class`` wrote: its folder, what was added, and photos of it that could not be read.

    ``confidence`` is how sure it may be, as the run before knew it; None where that knew nothing.
    """

    path: Path
    added: "AddedClass"
    unread: "tuple[Unread, ...]"
    confidence: "Confidence | None" = None

    def lines(self) -> tuple[str, ...]:
        """What the user should know."""
        added, count = self.added, len(self.added.photos)
        photos = f"{count:,} photo{'s' * (count != 1)}"
        if added.recalled is None:
            own = "one photo cannot tell how well it is known: give more if you can"
        else:
            own = f"left out in turn, {added.recalled:,} of {photos} are answered with it"
        known = f"of {added.known:,} photos of other classes that were answered rightly, it takes {added.taken:,}"
        return f"{added.name}, from {photos}: {self.path}", own, known, *self._certainty()

    def _certainty(self) -> tuple[str, ...]:
        """What is known of how sure it may be, and what is not."""
        if self.confidence is None:
            return ()
        line = f"how sure it may be is carried over; for answers of {self.added.name} it was not measured"
        measured = f": fieldmark calibrate {shell_word(self.path)} answers the validation photos with it"
        return (line + (measured if self.confidence.source == "validation" else ""),)


def add_class(
    run: str | Path,
    name: str,
    photos: Picture | Iterable[Picture],
    *,
    out: str | Path | None = None,
    data: str | Path | None = None,
    group: str = "",
    device: str = "auto",
    external: External = (),
    console: Console = QUIET,
) -> NewRun:
    """Gives a trained run a further class from a few photos, without training; the old one stays as it is.

    The new run has the old classes at their indices and the new one as the last, and is a run like any other, but that
    its training cannot go on.

    Args:
        run: the run's folder.
        name: the name of the new class.
        photos: of the new class, as for ``predict``; one is enough, five are better.
        out: the new run's folder; by default that of the run with the class's name behind it.
        data: labelled photos of the old classes, of which some are looked at; by default the data it was trained on.
        group: that the class lies in, one of those that the run was trained with; by default it is in none.
        device: auto, cpu, cuda, cuda:N or mps.
        external: classes of your own that the run's recipe names, or their names.
        console: is told what was left out.

    Raises:
        UserError: a mistake that the user can correct, or a network that no class can be added to.
    """
    from fieldmark.input.loading import Photographs
    from fieldmark.new_classes.certainty import certainty_of, with_class
    from fieldmark.new_classes.photos import known_photos, refuse_name, sound_photos
    from fieldmark.new_classes.writing import place_for, suffix_of, write_run_like
    from fieldmark.runs.added import Additions, read_additions
    from fieldmark.runs.folder import read_run

    recipe, classes, about = read_run(run := Path(run))
    refuse_name(name, classes)
    named, pictures, notes = photos_of(photos)  # raises UserError without any
    place, read = None if out is None else Path(out), [*_paths(photos), Path(data or about.data)]
    folder = place_for(run, place, suffix=suffix_of(name), photos=read)
    groups, additions, sure = _grouped(run, name, group), read_additions(run), certainty_of(run)
    known = known_photos(run, None if data is None else Path(data), name=name, own=named)
    sound = sound_photos(named, recipe.pixels, pictures)
    tell(console, *notes, *(f"left out: {photo.line}" for photo in sound.unread))
    opened = opened_run(run, device=device, external=external, console=console)
    own = Photographs(sound.photos, recipe.pixels, seed=recipe.seed, packed=pictures)
    old = Photographs(known.dataset.photos, recipe.pixels, seed=recipe.seed, packed=known.dataset.pixels)
    result = _widened(opened, own, old, external=external, console=console)
    tell(console, *_dropped(recipe, result.recipe))
    added = _recorded(run, name, sound.photos, result)
    kept, names = (additions or Additions((), recipe, result.left)).with_class(added), (*classes, name)
    sure = sure and with_class(sure, result.learner.method, own, console=console)
    if speaks():  # only the first of several processes writes
        write = partial(write_run_like, run, folder, additions=kept, certainty=sure, groups=groups)
        write(recipe=result.recipe, classes=names, module=result.learner)
    return NewRun(folder, added, sound.unread, sure and sure.confidence)


def _grouped(run: Path, name: str, group: str) -> "Groups | None":
    """The groups of the run's classes with the new class among them; None for a run without."""
    from fieldmark.runs.folder import groups_of

    groups = groups_of(run)
    if groups is None and group:
        raise UserError(f"--group {printable(group)}: {printable(str(run))} was trained without groups of classes")
    try:
        return groups and groups.with_class(name, group)
    except UserError as error:
        raise UserError(f"{printable(str(run / 'groups.json'))}: {error}") from None


def _widened(
    opened: "Opened", own: "Photographs", old: "Photographs", *, external: External, console: Console
) -> "Widened":
    """``widen``, with its progress: old photos are looked at once for each group of layers that score."""
    from fieldmark.building import classes_named
    from fieldmark.new_classes.adding import widen

    total = len(old) * len(opened.learner.method.scorers())
    with counted(console, "looking at photos of the old classes", total) as tick:
        return widen(opened, own, old, external=classes_named(external), progress=tick)


def _dropped(old: Recipe, new: Recipe) -> list[str]:
    """A line where terms were left out."""
    kept = {term.name for term in new.model.terms}
    names = [term.name for term in old.model.terms if term.name not in kept]
    return [f"left out of the new run, as it matters in training alone: {', '.join(names)}"] if names else []


def _recorded(run: Path, name: str, photos: "Sequence[Photo]", result: "Widened") -> "AddedClass":
    """What the new run remembers of its new class."""
    from fieldmark.runs.added import AddedClass
    from fieldmark.runs.folder import digest_of

    return AddedClass(
        name=name,
        photos=tuple(printable(photo.name) for photo in photos),
        run=printable(str(run)),
        run_digest=digest_of(run),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        fieldmark=version("fieldmark"),
        recalled=result.recalled,
        known=result.known,
        taken=result.taken,
    )


def _paths(photos: object) -> list[Path]:
    """What was named as a path, alone or in a list."""
    named = photos if isinstance(photos, list | tuple) else [photos]
    return [Path(each) for each in named if isinstance(each, str | os.PathLike)]


def remove_class(
    run: str | Path,
    name: str,
    *,
    out: str | Path | None = None,
    external: External = (),
    console: Console = QUIET,
) -> Path:
    """Takes away a class that ``add_class`` gave to a run, as a new run, and returns its folder.

    All tensors are those that the run had without the class, bit for bit.

    Args:
        run: the run's folder.
        name: the name of the class.
        out: the new run's folder; by default that of the run with "-without-" and the class's name behind it.
        external: classes of your own that the run's recipe names, or their names.
        console: for progress.

    Raises:
        UserError: the run was trained with the class, or another mistake that the user can correct.
    """
    from fieldmark.building import classes_named
    from fieldmark.new_classes.certainty import certainty_of, without_class
    from fieldmark.new_classes.removing import narrow, removable
    from fieldmark.new_classes.writing import place_for, suffix_of, write_run_like
    from fieldmark.runs.added import read_additions
    from fieldmark.runs.folder import groups_of, read_run

    run = Path(run)
    additions, sure, classes = read_additions(run), certainty_of(run), read_run(run)[1]
    name, groups = removable(name, classes, additions), groups_of(run)
    folder = place_for(run, None if out is None else Path(out), suffix=f"-without{suffix_of(name)}")
    opened = opened_run(run, device="cpu", external=external, console=console)
    result = narrow(opened, name, additions, external=classes_named(external))
    if speaks():
        write_run_like(
            run,
            folder,
            recipe=result.recipe,
            classes=result.classes,
            module=result.learner,
            additions=result.additions,
            certainty=sure and without_class(sure, classes.index(name)),
            groups=groups and groups.without_class(classes.index(name)),
        )
    return folder
