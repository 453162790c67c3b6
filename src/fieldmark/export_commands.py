"""The command that exports a run; imports are heavy only inside, as in ``cli``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from fieldmark.bench.commands import Speaking
from fieldmark.commands import External
from fieldmark.console import speaks, tell, working
from fieldmark.errors import UserError, printable, shell_word

if TYPE_CHECKING:
    from fieldmark.exporting.export import Exported


def export(
    run: Path,
    *,
    to: Literal["onnx", "page"] = "onnx",
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    pixels: bool = False,
    gallery: Annotated[bool | None, Parameter(negative="--no-gallery")] = None,
    thumbnails: bool = False,
    runtime: Path | None = None,
    photos_licence: str = "",
    weights_licence: str = "",
    data: Path | None = None,
    device: str = "cpu",
    external: External = (),
    console: Speaking,
) -> None:
    """Write a run as one file that runs without PyTorch, in Fieldmark's own runtime or any other that reads ONNX.

    The file is checked against the network before it is saved; a model card and the check's results are written next to
    it.

    Args:
        run: the run's folder.
        to: onnx, one file; or page, a folder for any web server: the page of `fieldmark serve`, with the model
            running in the browser (in 32 bits, with heatmaps, without a gallery).
        out: the file, which ends in .onnx, or the page's folder; by default model.onnx or page in the run's folder. An
            earlier export is replaced.
        precision: fp32; fp16, half the size; or int8, a quarter of it, refused where that costs more than one point
            (and more than one photo).
        pixels: put the preprocessing into the graph, which then takes a picture's pixels, for programs in other
            languages.
        gallery: include embeddings of training photos, for "none of these" and nearest photos; by default those that
            calibrate left, if any. --gallery computes them if there are none.
        thumbnails: also store thumbnails of these photos.
        runtime: for a page, the folder dist of the npm package onnxruntime-web; by default npm fetches it.
        photos_licence: the licence of the training photos, for the file and its card.
        weights_licence: the licence of the weights that training started from.
        data: labelled photos to compare on; by default the data it was trained on. Test photos are not opened.
        device: the device on which the network is compared: cpu, auto, cuda, cuda:N (the GPU of that number), or mps.
        external: a class of your own (package.module:Class) that the run's recipe names; repeat for several.
    """
    with working(console, "starting"):
        from fieldmark.shipping import export as write
        from fieldmark.shipping import export_page
    licences = {"photos_licence": photos_licence, "weights_licence": weights_licence}
    where = {"data": data, "device": device, "external": external}
    if to == "page":
        if precision != "fp32" or pixels or gallery or thumbnails:
            raise UserError("--to page takes no --precision, --pixels, --gallery or --thumbnails: there is one kind")
        _tell_page(export_page(run, out, runtime=runtime, **licences, **where, console=console), console)
        return
    if runtime is not None:
        raise UserError("--runtime is for --to page")
    kind = {"precision": precision, "pixels": pixels, "gallery": gallery, "thumbnails": thumbnails}
    _tell_file(write(run, out, **kind, **licences, **where, console=console), console)


def _tell_page(files: tuple[Path, ...], console: Console) -> None:
    folder = files[0].parent
    tell(console, f"a page of {len(files)} files: {folder}", "give the folder to any web server; to try it:")
    tell(console, f"python -m http.server --bind 127.0.0.1 --directory {printable(str(folder))}")


def _tell_file(made: "Exported", console: Console) -> None:
    if not speaks():
        return
    table = Table("compared with the network", "", highlight=False)
    for name, value in made.parity.rows():
        table.add_row(name, value)
    console.print(table)
    tell(console, f"exported ({made.size / 1e6:.1f} MB): {made.path}", f"its card: {made.card}")
    if made.manifest.takes == "images":
        tell(console, f"next: fieldmark predict {shell_word(made.path)} PHOTOS")
