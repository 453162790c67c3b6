"""Commands that show what a run does and why; heavy imports happen inside, as in ``fieldmark.cli``."""

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
    if not inputs:
        raise UserError("name the photos: fieldmark explain RUN FILES_OR_FOLDERS")
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


def report(
    run: Path,
    *,
    data: Path | None = None,
    split: str | None = None,
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
        out: the file; by default RUN/report.html.
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
        external: a class of your own (package.module:Class) that the run's recipe names; repeat for several.
    """
    with working(console, "starting"):
        from fieldmark.api import report as write
    path = write(run, data, split=split, out=out, device=device, external=external, console=console)
    tell(console, f"report: {path}")
