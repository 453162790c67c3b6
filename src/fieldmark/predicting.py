"""``predict`` in Python: by a run, or by an exported model."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fieldmark.console import QUIET, tell
from fieldmark.data.unlabelled import listed_photos
from fieldmark.errors import printable
from fieldmark.recipe import External

if TYPE_CHECKING:
    from rich.console import Console

    from fieldmark.data.dataset import Photo
    from fieldmark.images.pictures import Held, Picture
    from fieldmark.predictions.prediction import Prediction

MODEL = ".onnx"
"""What the name of an exported model ends with."""
MANY = 200
"""Photos from which a run's are read ahead by a process of its own."""


class Asked(NamedTuple):
    """What predictions are asked for: the arguments of ``predict``."""

    top: int = 5
    certainty: float | None = None
    coverage: float | None = None
    groups: Path | None = None
    refuse: str | float | None = None


class Machine(NamedTuple):
    """What computes: ``device``, ``workers`` that read photos (None: by their number), and classes of your own."""

    device: str = "auto"
    workers: int | None = None
    external: External = ()


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
        top: classes per photo.
        certainty: also give an answer that is right with this probability, such as 0.9: a class, or a group of them.
        coverage: also give a set of classes that holds the right one for this share of photos, such as 0.9.
        groups: a CSV of groups of classes, to answer with; by default those that the run was trained with.
        refuse: also answer "none of these" where a photo looks too unlike those of the classes, so that this share of
            photos of the classes is refused wrongly, such as 0.05 or "5%"; needs what ``calibrate`` leaves.
        device: auto, cpu, cuda, cuda:N or, for a run, mps.
        workers: processes that read photos; by default as many as suit their number.
        external: classes of your own that the run's recipe names, or their names.
        console: is told which files of a folder are passed over.

    Raises:
        UserError: a mistake that the user can correct.
    """
    asked = Asked(top, certainty, coverage, None if groups is None else Path(groups), refuse)
    answers = by_model if is_model(run) else by_run
    found = listed_photos(inputs)
    tell(console, *found.notes)
    answering = answers(Path(run), asked, Machine(device, workers, external), pictures=found.pictures, console=console)
    return answering.answered(found)


def is_model(path: str | Path) -> bool:
    """Whether a path is that of an exported model and not of a run."""
    return Path(path).suffix.lower() == MODEL and not Path(path).is_dir()


def by_model(
    path: Path, asked: Asked, machine: Machine, *, pictures: "tuple[Held, ...]" = (), console: "Console" = QUIET
) -> Answering:
    """The answers of an exported model."""
    from fieldmark.ship.model import open_model

    model = open_model(path, device=machine.device)
    demands = model.demands(
        certainty=asked.certainty, coverage=asked.coverage, groups=asked.groups, refuse=asked.refuse
    )

    def answered(photos: "Iterable[Photo]") -> "Iterator[Prediction]":
        return model.answered(photos, pictures, top=asked.top, demands=demands)

    advice = "probabilities are not calibrated: fieldmark calibrate RUN, and export it again"
    return Answering(answered, () if model.manifest.calibrated else (advice,))


def by_run(
    run: Path, asked: Asked, machine: Machine, *, pictures: "tuple[Held, ...]" = (), console: "Console" = QUIET
) -> Answering:
    """The answers of a run."""
    from fieldmark.evaluation.demands import demands_of
    from fieldmark.evaluation.predict import predict as predict_photos
    from fieldmark.on_device import opened_run
    from fieldmark.runs.folder import read_confidence

    demands = demands_of(
        run, certainty=asked.certainty, coverage=asked.coverage, groups=asked.groups, refuse=asked.refuse
    )
    opened = opened_run(run, device=machine.device, external=machine.external, console=console)

    def answered(photos: "Iterable[Photo]") -> "Iterator[Prediction]":
        listed = tuple(photos)
        ahead = 1 if len(listed) > MANY and not pictures else 0
        workers = ahead if machine.workers is None else machine.workers
        return predict_photos(opened, listed, pictures=pictures, top=asked.top, workers=workers, demands=demands)

    known = read_confidence(run)
    is_known = known is not None and known.temperature.is_known
    advice = f"probabilities are not calibrated: fieldmark calibrate {printable(str(run))}"
    return Answering(answered, () if is_known else (advice,))
