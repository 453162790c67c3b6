"""The commands that show why, as Python functions. Each returns a value, which the command line saves and prints."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fieldmark.console import QUIET, tell, working
from fieldmark.data.unlabelled import photos_of
from fieldmark.errors import UserError
from fieldmark.images.pictures import Picture
from fieldmark.on_device import opened_run
from fieldmark.plain import several, shown
from fieldmark.recipe import External

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fieldmark.data.dataset import Unread
    from fieldmark.explanations.explanation import Explanation
    from fieldmark.explanations.side_by_side import SideBySide
    from fieldmark.paper_figures.convergence import Convergence
    from fieldmark.paper_figures.figure import PaperFigure


def explain(
    run: str | Path,
    inputs: Picture | Iterable[Picture],
    *,
    of: str = "",
    against: str = "",
    layer: str = "auto",
    device: str = "auto",
    external: External = (),
    console: Console = QUIET,
) -> "Iterator[Explanation | Unread]":
    """Why photos get their classes, and what there speaks against another class, one value per photo, as they come.

    Args:
        run: the run's folder.
        inputs: as for ``predict``.
        of: the class to explain; by default the likeliest.
        against: the other class; by default the likeliest of the rest.
        layer: "auto", two layers together; "maps", "stage4" or a submodule's path for Grad-CAM there; "response" for
            class-response maps.
        device: auto, cpu, cuda, cuda:N or mps.
        external: classes of your own that the run's recipe names, or their names.
        console: is told which files of a folder are passed over.

    Raises:
        UserError: a mistake that the user can correct.
    """
    from fieldmark.explanations.explaining import Asked
    from fieldmark.explanations.explaining import explain as explain_photos

    photos, pictures, notes = photos_of(inputs)
    tell(console, *notes)
    opened = opened_run(run, device=device, external=external, console=console)
    asked = Asked(of=of, against=against, layer=layer)
    return explain_photos(opened, photos, asked=asked, pictures=pictures)


def compare(
    run: str | Path,
    first: Picture | None = None,
    second: Picture | None = None,
    *,
    classes: tuple[str, str] | None = None,
    data: str | Path | None = None,
    split: str | None = None,
    layer: str = "auto",
    device: str = "auto",
    external: External = (),
    console: Console = QUIET,
) -> "SideBySide":
    """Two photos, or two classes: what tells them apart, and which training photos each resembles.

    Args:
        run: the run's folder.
        first: a photo, as for ``predict``; with ``second``, in place of ``classes``.
        second: another.
        classes: two of the run's: typical photos of each are compared, and the hardest ones. With photos, the classes
            to tell apart in them, in place of the run's answers.
        data: labelled photos; by default the data it was trained on.
        split: the split to take photos of the classes from; by default val if it has both, else train.
        layer: as for ``explain``.
        device: auto, cpu, cuda, cuda:N or mps.
        external: classes of your own that the run's recipe names, or their names.
        console: for progress.

    Raises:
        UserError: a mistake that the user can correct.
    """
    from fieldmark.explanations.comparing import compare_classes, compare_photos, photos_for, photos_of_classes
    from fieldmark.explanations.explaining import Asked

    given = [picture for picture in (first, second) if picture is not None]
    if len(given) == 1 or not (given or classes):
        raise UserError("name two photos, or two classes with --classes")
    if isinstance(classes, str) or len(classes or ("", "")) != 2:
        raise UserError(f"classes is {shown(classes)}; two classes are compared")
    unlabelled = photos_of(given) if given else None
    if unlabelled and len(unlabelled.photos) != 2:
        raise UserError(f"two photos are compared, not {len(unlabelled.photos)}: name files, not folders")
    source = None if data is None else Path(data)
    opened = opened_run(run, device=device, external=external, console=console)
    training = photos_for(opened, source, "train")
    of, against = classes or ("", "")
    with working(console, "comparing"):
        if unlabelled:
            return compare_photos(
                opened,
                unlabelled.photos,
                training=training,
                pictures=unlabelled.pictures,
                asked=Asked(of=of, against=against, layer=layer),
            )
        chosen = photos_of_classes(opened, source, split, (of, against))
        return compare_classes(opened, (of, against), photos=chosen, training=training, layer=layer)


def figures(
    run: str | Path,
    inputs: Picture | Iterable[Picture] = (),
    *,
    beside: str | Path | Iterable[str | Path] = (),
    failures: int = 0,
    split: str = "test",
    data: str | Path | None = None,
    device: str = "auto",
    external: External = (),
    console: Console = QUIET,
) -> "Iterator[PaperFigure | Convergence]":
    """The papers' own pictures that a run has the parts for: channels, gates, peaks, sampling, Grad-CAM, accuracy.

    Args:
        run: the run's folder.
        inputs: up to 12 photos, as for ``predict``; a picture of pairs takes them two by two. Without any, only the
            accuracy by epoch is drawn.
        beside: runs to show beside it, such as the plain baseline.
        failures: in place of photos, as many of the worst mistakes that ``evaluate`` listed.
        split: the split of the evaluation that listed them, in RUN/evaluation/SPLIT.
        data: the photos of that evaluation; by default the data the run was trained on.
        device: auto, cpu, cuda, cuda:N or mps.
        external: classes of your own that the runs' recipes name, or their names.
        console: is told which files of a folder are passed over.

    Raises:
        UserError: a mistake that the user can correct.
    """
    from fieldmark.paper_figures.failures import failures_of
    from fieldmark.paper_figures.making import figures_of

    photos, pictures = (), ()
    if failures:
        if inputs != ():
            raise UserError("name photos or --failures, not both")
        photos, pictures = failures_of(Path(run), failures, split=split, data=None if data is None else Path(data))
    elif inputs != ():
        photos, pictures, notes = photos_of(inputs)
        tell(console, *notes)
    runs = (run, *several(beside))
    own, *others = [opened_run(each, device=device, external=external, console=console) for each in runs]
    return figures_of(own, photos, beside=others, pictures=pictures)
