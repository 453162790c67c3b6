"""Commands that show why a run answers as it does; heavy imports happen inside, as in ``fieldmark.cli``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fieldmark.bench.commands import Speaking
from fieldmark.console import speaks, tell, working
from fieldmark.errors import UserError

External = Annotated[tuple[str, ...], Parameter(name="--external")]


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
    names = names_of([photo.name for photo in photos_of(inputs).photos])
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
        classes: two classes, of which typical photos and the hardest are compared; with photos, what to tell apart.
        data: labelled photos; by default the data it was trained on.
        split: to take photos of the classes from; by default val if it has both, else train.
        out: folder for the results; by default RUN/comparisons.
        layer: as for explain.
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
        external: a class of your own (package.module:Class) that the run's recipe names; repeat for several.
    """
    with working(console, "starting"):
        from fieldmark.api import compare as side_by_side
        from fieldmark.explanations.output import name_of_pair, refuse_explanations
    if len(photos) not in (0, 2):
        raise UserError(f"two photos are compared, not {len(photos)}: fieldmark compare RUN A.jpg B.jpg")
    folder = out or run / "comparisons"
    name = name_of_pair(*(photos or classes or ("", "")))
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
    path = result.save(folder, name)
    tell(console, *result.lines(), *result.notes, f"written to {path}")
