"""``predict`` in Python: by a run, or by an exported model."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fieldmark.collecting import without_collection
from fieldmark.console import QUIET, tell
from fieldmark.data.unlabelled import listed_photos
from fieldmark.errors import UserError, shell_word
from fieldmark.predict_settings import Asked, Machine
from fieldmark.recipe import External

if TYPE_CHECKING:
    from rich.console import Console

    from fieldmark.data.dataset import Photo
    from fieldmark.data.unlabelled import Listed
    from fieldmark.images.pictures import Picture
    from fieldmark.predictions.prediction import Prediction

MODEL = ".onnx"
"""What the name of an exported model ends with."""
MANY, MOST = 200, 32
"""Photos from which processes of their own read them, and the most that read for an exported model unless told."""


class Answering(NamedTuple):
    """What answers photos, with a line for the user where probabilities are not calibrated."""

    answered: "Callable[[Iterable[Photo]], Iterator[Prediction]]"
    remarks: tuple[str, ...]


def predict(
    run: str | Path,
    inputs: "Picture | Iterable[Picture]",
    *,
    top: int = 5,
    certainty: float | None = None,
    coverage: float | None = None,
    groups: str | Path | None = None,
    refuse: str | float | None = None,
    device: str = "auto",
    workers: int | None = None,
    external: External = (),
    console: "Console" = QUIET,
) -> "Iterator[Prediction]":
    """The likeliest classes of photos, one value per photo, in order, as they come.

    Args:
        run: the run's folder, or an exported model (a file whose name ends in .onnx).
        inputs: one or several of: a path (of a photo, of a folder of photos, or of a CSV with a path column), the bytes
            of a file, an open file, a picture of Pillow's, an array of NumPy's (uint8, RGB).
        top: the number of classes to report per photo.
        certainty: also give an answer that is right with this probability, such as 0.9: a class, or a group of them.
        coverage: also give a set of classes that holds the right one for this share of photos, such as 0.9.
        groups: a CSV of groups of classes, to answer with; by default those that the run was trained with.
        refuse: also answer "none of these" where a photo looks too unlike those of the classes, so that this share of
            photos of the classes is refused wrongly, such as 0.05 or "5%"; needs what training on enough
            validation photos leaves, or ``calibrate``.
        device: auto, cpu, cuda, cuda:N or, for a run, mps.
        workers: processes that read photos; by default as many as suit their number.
        external: classes of your own that the run's recipe names, or their names.
        console: is told which files of a folder are passed over.

    Raises:
        UserError: a mistake that the user can correct.
    """
    share = None if refuse is None else str(refuse)
    asked = Asked(top, certainty, coverage, None if groups is None else Path(groups), share)
    machine = Machine(device, workers, external)
    found = listed_photos(inputs)
    tell(console, *found.notes)
    return answering_of(Path(run), found, asked, machine, console=console).answered(found)


def answering_of(
    run: Path, photos: "Listed", asked: Asked, machine: Machine, *, console: "Console" = QUIET
) -> Answering:
    """What answers photos: a run, or an exported model.

    Args:
        run: the run's folder, or a file whose name ends in .onnx.
        photos: all that there are.
        asked: what is asked for.
        machine: what computes.
        console: for what there is to say of the run.

    Raises:
        UserError: a mistake that the user can correct.
    """
    if machine.workers is not None and machine.workers < 0:
        raise UserError(f"--workers {machine.workers}: it must be at least 0")
    if run.suffix.lower() == MODEL and not run.is_dir():
        return _by_model(run, photos, asked, machine)
    return _by_run(run, photos, asked, machine, console)


def _by_model(path: Path, photos: "Listed", asked: Asked, machine: Machine) -> Answering:
    with without_collection():
        from fieldmark.ship.model import open_model

    workers, cores = _workers(photos, machine, most=MOST), core_count()
    model = open_model(path, device=machine.device, threads=max(1, cores // workers) if workers else 0)
    demands = model.demands(
        certainty=asked.certainty, coverage=asked.coverage, groups=asked.groups, refuse=asked.refuse
    )

    def answered(some: "Iterable[Photo]") -> "Iterator[Prediction]":
        return model.answered(some, photos.pictures, top=asked.top, demands=demands, workers=workers)

    advice = "probabilities are not calibrated: fieldmark calibrate RUN, and export it again"
    return Answering(answered, () if model.manifest.calibrated else (advice,))


def _workers(photos: "Listed", machine: Machine, *, most: int) -> int:
    """How many processes read photos; pictures in memory are not worth sending."""
    if photos.pictures:
        return 0
    if machine.workers is not None:
        return machine.workers
    return min(most, core_count()) if photos.are_more_than(MANY) else 0


def core_count() -> int:
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _by_run(run: Path, photos: "Listed", asked: Asked, machine: Machine, console: "Console") -> Answering:
    with without_collection():
        from fieldmark.evaluation.demands import demands_of
        from fieldmark.evaluation.predict import predict as predict_photos
        from fieldmark.on_device import opened_run
        from fieldmark.runs.folder import read_confidence

        demands = demands_of(
            run, certainty=asked.certainty, coverage=asked.coverage, groups=asked.groups, refuse=asked.refuse
        )
        opened = opened_run(run, device=machine.device, external=machine.external, console=console)

    def answered(some: "Iterable[Photo]") -> "Iterator[Prediction]":
        if not (listed := tuple(some)):
            return iter(())
        workers, pictures = _workers(photos, machine, most=1), photos.pictures
        return predict_photos(opened, listed, pictures=pictures, top=asked.top, workers=workers, demands=demands)

    known = read_confidence(run)
    is_known = known is not None and known.temperature.is_known
    advice = f"probabilities are not calibrated: fieldmark calibrate {shell_word(run)}"
    return Answering(answered, () if is_known else (advice,))
