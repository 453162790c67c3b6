"""The command that exports a run; imports are heavy only inside, as in ``cli``."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.table import Table

from fieldmark.bench.commands import Speaking
from fieldmark.commands import External
from fieldmark.console import speaks, tell, working
from fieldmark.errors import printable


def export(
    run: Path,
    *,
    to: Literal["onnx"] = "onnx",
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    pixels: bool = False,
    gallery: Annotated[bool | None, Parameter(negative="--no-gallery")] = None,
    thumbnails: bool = False,
    photos_licence: str = "",
    weights_licence: str = "",
    data: Path | None = None,
    device: str = "cpu",
    external: External = (),
    console: Speaking,
) -> None:
    """Write a run as one file that answers without torch, in Fieldmark's own runtime or any other that reads ONNX.

    The file is compared with the network before it gets its name; a model card and the comparison lie beside it.

    Args:
        run: the run's folder.
        to: what to write.
        out: the file, which ends in .onnx; by default model.onnx in the run's folder. An earlier export is replaced.
        precision: fp32; fp16, half the size; or int8, a quarter of it, refused where that costs more than one point.
        pixels: let the graph take a picture's pixels and prepare them itself, for programs in other languages.
        gallery: embeddings of training photos, for "none of these" and nearest photos; by default those that calibrate
            left, if any; with --gallery they are made where there are none.
        thumbnails: also small pictures of these photos.
        photos_licence: under what licence the training photos are, for the file and its card.
        weights_licence: the same of the weights that training began from.
        data: labelled photos to compare on; by default the data it was trained on. Test photos are not opened.
        device: where the network is when it is compared: cpu, auto, cuda, cuda:N (the GPU of that number), or mps.
        external: a class of your own (package.module:Class) that the run's recipe names; repeat for several.
    """
    del to  # one choice, so far
    with working(console, "starting"):
        from fieldmark.shipping import export as write
    made = write(
        run,
        out,
        precision=precision,
        pixels=pixels,
        gallery=gallery,
        thumbnails=thumbnails,
        photos_licence=photos_licence,
        weights_licence=weights_licence,
        data=data,
        device=device,
        external=external,
        console=console,
    )
    if not speaks():
        return
    table = Table("compared with the network", "", highlight=False)
    for name, value in made.parity.rows():
        table.add_row(name, value)
    console.print(table)
    tell(console, f"exported ({made.size / 1e6:.1f} MB): {made.path}", f"its card: {made.card}")
    tell(console, f"next: fieldmark predict {printable(str(made.path))} PHOTOS" if not pixels else "")
