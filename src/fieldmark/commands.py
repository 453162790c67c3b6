"""Commands that say how good a run is, and why it answers as it does; imports are heavy only inside, as in ``cli``."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from fieldmark.bench.commands import Speaking
from fieldmark.console import speaks, tell, working
from fieldmark.data.outputs import is_json_with, refuse_file
from fieldmark.errors import UserError, shell_word
from fieldmark.files import write_json

if TYPE_CHECKING:
    from fieldmark.evaluation.evaluate import Evaluation

JsonFile = Annotated[Path | None, Parameter(name="--json")]
External = Annotated[tuple[str, ...], Parameter(name="--external")]


def refuse_json(path: Path | None, *keys: str, inputs: Sequence[Path] = ()) -> None:
    """Raises ``UserError`` where ``--json`` names what must not be written; an earlier result has ``keys``."""
    if path:
        refuse_file(path, option="--json", inputs=inputs, is_ours=is_json_with(*keys))


def write_figures(path: Path | None, value: object) -> None:
    """Writes what ``--json`` asks for."""
    if path:
        write_json(path, value)


def evaluate(
    run: Path,
    *,
    data: Path | None = None,
    split: str = "test",
    against: Path | None = None,
    max_regression: float | None = None,
    localization: bool = False,
    groups: Path | None = None,
    corrections: Path | None = None,
    out: Path | None = None,
    json_file: JsonFile = None,
    device: str = "auto",
    external: External = (),
    console: Speaking,
) -> int:
    """Evaluate a run: accuracies, the most confused pairs, tables by class and by photo, the worst mistakes first.

    Also write a confusion matrix and each photo's logits, and with --against a comparison with another run.

    Args:
        run: the run's folder.
        data: labelled photos; by default the data it was trained on.
        split: train, val, test or all.
        against: another run of the same classes to compare with, on the same photos.
        max_regression: exit with 1 if the headline figure is more than this many points below that of --against.
        localization: also measure where the run looks, on photos with boxes around the objects: their overlap with
            boxes around heatmaps, peaks inside them, the nearest parts. Takes another pass over the photos.
        groups: a CSV of groups of classes (see predict --groups), for the accuracy at each level; by default the run's
            own.
        corrections: a list of corrected labels, as check --apply writes it; by default that of the data or the run.
        out: folder for the results; by default RUN/evaluation/SPLIT.
        json_file: also write the figures as JSON to this file.
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
        external: a class of your own (package.module:Class) that the run's recipe names; repeat for several.
    """
    _refuse_limit(max_regression, against)
    with working(console, "starting"):
        from fieldmark.api import evaluate as measure
        from fieldmark.evaluation.output import refuse_results
        from fieldmark.explanations.localization_output import refuse_where
    folder = out or run / "evaluation" / split
    refuse_results(folder, run, data, split=split, against=against)
    if localization:
        refuse_where(folder)
    refuse_json(json_file, "split", "most_confused", inputs=[path for path in (data, groups, corrections) if path])
    result = measure(
        run, data, split=split, against=against, localization=localization, groups=groups, corrections=corrections,
        device=device, external=external, console=console,
    )  # fmt: skip
    if not speaks():  # only the first of several processes writes, and fails: torchrun would stop it as it writes
        return 0
    _leave(result, folder, json_file, console)
    return _limited(result, max_regression, console)


def _leave(result: "Evaluation", folder: Path, json_file: Path | None, console: Console) -> None:
    """Writes and prints what was measured."""
    from fieldmark.evaluation.output import print_evaluation, write_evaluation
    from fieldmark.explanations.localization_output import print_where, write_where

    write_evaluation(result, folder, console=console)
    write_where(result, folder)
    write_figures(json_file, result.to_json())
    print_evaluation(result, folder, console)
    print_where(result, console)


def _limited(result: "Evaluation", points: float | None, console: Console) -> int:
    """The exit code: 1, after a line on it, where the run is further below the other one than allowed."""
    from fieldmark.evaluation.comparison_output import print_limit

    if result.against is None or points is None:
        return 0
    print_limit(result.against, points, console)
    return int(result.against.regressed(points))


def _refuse_limit(points: float | None, against: Path | None) -> None:
    if points is None:
        return
    if against is None:
        raise UserError("--max-regression needs --against RUN, the run that this one may be so many points below")
    if not 0 <= points < math.inf:
        raise UserError(f"--max-regression {points}: it must be a number of points from 0 on, such as 1 or 0.5")


def explain(
    run: Path,
    inputs: tuple[str, ...],
    *,
    out: Path | None = None,
    of: str = "",
    against: str = "",
    layer: str = "auto",
    device: str = "auto",
    external: External = (),
    console: Speaking,
) -> int:
    """Show why photos get their classes: where the class is seen, and what there tells it from another.

    Each photo gets a picture (PNG), its heatmaps as numbers (NPZ) and all that is said of it (JSON).

    Args:
        run: the run's folder.
        inputs: photos, folders of photos, or CSVs with a path column (and boxes, if the run needs them).
        out: folder for the results; by default RUN/explanations.
        of: the class to explain; by default the likeliest.
        against: the other class; by default the likeliest of the rest.
        layer: auto (two layers together), maps, stage4 or a submodule's path (Grad-CAM there), or response (exact
            class-response maps).
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
        external: a class of your own (package.module:Class) that the run's recipe names; repeat for several.
    """
    with working(console, "starting"):
        from fieldmark.api import explain as explain_photos
        from fieldmark.data.unlabelled import photos_of
        from fieldmark.explanations.output import names_of, refuse_explanations, save_explanations
    folder = out or run / "explanations"
    names = names_of([photo.name for photo in photos_of(inputs).photos], folder)
    refuse_explanations(folder, names, inputs=[Path(path) for path in inputs])
    explained = explain_photos(
        run, inputs, of=of, against=against, layer=layer, device=device, external=external, console=console
    )
    if not speaks():  # only the first of several processes explains
        return 0
    saved = save_explanations(explained, folder, names, console)
    tell(console, f"{saved:,} explained: {folder}")
    return 0 if saved else 1


def compare(
    run: Path,
    photos: tuple[str, ...] = (),
    *,
    classes: tuple[str, str] | None = None,
    data: Path | None = None,
    split: str | None = None,
    out: Path | None = None,
    layer: str = "auto",
    device: str = "auto",
    external: External = (),
    console: Speaking,
) -> None:
    """Put two photos, or two classes, side by side: what tells them apart, and which training photos each resembles.

    Args:
        run: the run's folder.
        photos: two photos; or none, with --classes.
        classes: two classes whose typical and hardest photos are compared; with photos, the two classes to tell apart.
        data: labelled photos; by default the data it was trained on.
        split: the split to take photos of the classes from; by default val if it has both, else train.
        out: folder for the results; by default RUN/comparisons.
        layer: as for explain.
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
        external: a class of your own (package.module:Class) that the run's recipe names; repeat for several.
    """
    with working(console, "starting"):
        from fieldmark.api import compare as side_by_side
        from fieldmark.evaluation.pictures import without_font
        from fieldmark.explanations.output import name_of_pair, refuse_explanations
    if len(photos) not in (0, 2):
        raise UserError(f"two photos are compared, not {len(photos)}: fieldmark compare RUN A.jpg B.jpg")
    folder = out or run / "comparisons"
    name = name_of_pair(folder, [str(Path(photo).expanduser()) for photo in photos], classes or ())
    refuse_explanations(folder, [name], inputs=[Path(path) for path in photos])
    result = side_by_side(
        run,
        *photos,
        classes=classes,
        data=data,
        split=split,
        layer=layer,
        device=device,
        external=external,
        console=console,
    )
    if not speaks():
        return
    lacking = set[str]()
    path = result.save(folder, name, lacking=lacking)
    tell(console, *result.lines(), *result.notes, f"written to {path}", *without_font(path.name, lacking))


def add_class(
    run: Path,
    name: str,
    photos: tuple[str, ...],
    *,
    out: Path | None = None,
    data: Path | None = None,
    group: str = "",
    device: str = "auto",
    external: External = (),
    console: Speaking,
) -> None:
    """Add a class to a trained run from a few photos (five will do), without training.

    A new run is written, and the old one stays as it is. Nothing that the network has learnt changes; the class gets a
    place of its own among the others, so that their photos keep their answers. remove-class undoes it.

    Args:
        run: the run's folder.
        name: the name of the new class.
        photos: photos of it, folders of photos, or CSVs with a path column (and boxes, if the run needs them).
        out: the new run's folder; by default RUN-NAME, beside RUN.
        data: labelled photos of the old classes; by default the data it was trained on. Test photos are not opened.
        group: the group that the class lies in, where the run was trained with groups; by default it is in none.
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
        external: a class of your own (package.module:Class) that the run's recipe names; repeat for several.
    """
    with working(console, "starting"):
        from fieldmark.api import add_class as add
    made = add(run, name, photos, out=out, data=data, group=group, device=device, external=external, console=console)
    tell(console, *made.lines(), f"next: fieldmark predict {shell_word(made.path)} PHOTOS")


def remove_class(run: Path, name: str, *, out: Path | None = None, external: External = (), console: Speaking) -> None:
    """Undo add-class: write a run without a class that was added. Its tensors are those from before, bit for bit.

    Args:
        run: the run's folder.
        name: the name of the class.
        out: the new run's folder; by default RUN-without-NAME, beside RUN.
        external: a class of your own (package.module:Class) that the run's recipe names; repeat for several.
    """
    with working(console, "starting"):
        from fieldmark.api import remove_class as remove
    path = remove(run, name, out=out, external=external, console=console)
    tell(console, f"without {name}: {path}")


def figures(
    run: Path,
    photos: tuple[str, ...] = (),
    *,
    beside: Annotated[tuple[Path, ...], Parameter(name="--beside")] = (),
    failures: int = 0,
    split: str = "test",
    data: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    external: External = (),
    console: Speaking,
) -> None:
    """Draw the papers' figures that a run has the parts for: channels, gates, peaks, sampling, Grad-CAM, accuracy.

    With weights of single epochs (train --keep-epochs), also where the class is seen epoch by epoch.

    Args:
        run: the run's folder.
        photos: up to 12 photos; API-Net's figure takes them in pairs. Without any, only the accuracy by epoch is drawn.
        beside: another run to show beside it, such as the plain baseline; repeat for several.
        failures: instead of photos, draw this many of the worst mistakes that fieldmark evaluate listed.
        split: the split of the evaluation that listed them, in RUN/evaluation/SPLIT.
        data: the photos of that evaluation; by default the data the run was trained on.
        out: folder for the results; by default RUN/figures.
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
        external: a class of your own (package.module:Class) that a run's recipe names; repeat for several.
    """
    with working(console, "starting"):
        from fieldmark.api import figures as paper_figures
        from fieldmark.evaluation.pictures import without_font
        from fieldmark.explanations.output import refuse_explanations
    folder = out or run / "figures"
    refuse_explanations(folder, [], inputs=[Path(path) for path in photos])
    made = paper_figures(
        run,
        photos,
        beside=beside,
        failures=failures,
        split=split,
        data=data,
        device=device,
        external=external,
        console=console,
    )
    if not speaks():  # only the first of several processes draws
        return
    lacking = set[str]()
    for figure in made:
        refuse_explanations(folder, [figure.name], inputs=())
        path = figure.save(folder, lacking=lacking)
        tell(console, f"{figure.title}: {path}", *(f"  {line}" for line in figure.lines))
    tell(console, *without_font("pictures", lacking))


def report(
    run: Path,
    *,
    data: Path | None = None,
    split: str | None = None,
    suspects: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    external: External = (),
    console: Speaking,
) -> None:
    """Write one page about a run: figures, look-alikes, mistakes with their photos, curves, data, how it was made.

    The page is a single file that opens in any browser, without a network. Measuring test photos is logged in the run.

    Args:
        run: the run's folder.
        data: labelled photos; by default the data it was trained on.
        split: train, val, test or all; by default test if the data have one, or else val.
        suspects: a suspects.csv of check --labels, to name mistakes whose labels are doubted, too; by default that in
            labels-NAME of the working folder, after the data's name, if it is there.
        out: the file; by default RUN/report.html, which stays if it has figures and nothing can be measured now.
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
        external: a class of your own (package.module:Class) that the run's recipe names; repeat for several.
    """
    with working(console, "starting"):
        from fieldmark.api import report as write
    path = write(run, data, split=split, suspects=suspects, out=out, device=device, external=external, console=console)
    tell(console, f"report: {path}")
