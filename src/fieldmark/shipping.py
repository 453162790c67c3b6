"""The command that makes a model which answers without torch, as a Python function."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from fieldmark.console import QUIET
from fieldmark.errors import UserError
from fieldmark.on_device import opened_run
from fieldmark.plain import shown
from fieldmark.recipe import External

if TYPE_CHECKING:
    from fieldmark.exporting.export import Exported


def export(
    run: str | Path,
    out: str | Path | None = None,
    *,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    pixels: bool = False,
    gallery: bool | None = None,
    thumbnails: bool = False,
    photos_licence: str = "",
    weights_licence: str = "",
    data: str | Path | None = None,
    device: str = "cpu",
    external: External = (),
    console: Console = QUIET,
) -> "Exported":
    """Writes a run as one ONNX file that gives the same answers without torch, after comparing it with the network.

    A model card and the comparison are written beside it.

    Args:
        run: the run's folder.
        out: the file, which ends in .onnx; by default model.onnx in the run's folder.
        precision: "fp32"; "fp16", half the size; or "int8", a quarter, with weights and activations as whole numbers.
        pixels: the graph takes a picture's pixels and prepares them itself, for programs in other languages.
        gallery: embeddings of training photos, for "none of these" and the nearest photos: None takes those that
            ``calibrate`` left, True makes them where there are none, False leaves them out.
        thumbnails: also store thumbnails of these photos.
        photos_licence: the licence of the training photos, for the file and its card.
        weights_licence: the licence of the weights that training started from.
        data: labelled photos to compare on; by default the data that the run was trained on. Test photos are not
            opened.
        device: the device on which the network is compared: cpu, auto, cuda, cuda:N or mps.
        external: classes of your own that the run's recipe names, or their names.
        console: for progress.

    Raises:
        UserError: a mistake that the user can correct, or a file that does not answer as the network does: then none is
            written.
    """
    from fieldmark.exporting.export import Asked
    from fieldmark.exporting.export import export as write
    from fieldmark.exporting.galleries import Wanted
    from fieldmark.exporting.onnx_file import refuse_missing_libraries
    from fieldmark.exporting.targets import name_of, refuse_target
    from fieldmark.ship.manifest import Licences

    if precision not in ("fp32", "fp16", "int8"):
        raise UserError(f"precision is {shown(precision)}; choose fp32, fp16 or int8")
    refuse_missing_libraries()
    wanted, licences = Wanted(gallery, thumbnails), Licences(photos_licence, weights_licence)
    wanted.refuse_contradictions()
    asked = Asked(precision, pixels, wanted, licences, None if data is None else Path(data))
    path = Path(run) / name_of(pixels=pixels, precision=precision) if out is None else Path(out)
    refuse_target(path)
    opened = opened_run(run, device=device, external=external, console=console)
    return write(opened, path, asked, console=console)


def export_page(
    run: str | Path,
    out: str | Path | None = None,
    *,
    runtime: str | Path | None = None,
    photos_licence: str = "",
    weights_licence: str = "",
    data: str | Path | None = None,
    device: str = "cpu",
    external: External = (),
    console: Console = QUIET,
) -> tuple[Path, ...]:
    """Writes a run as a page that answers in the browser, to be given to any web server: one folder.

    Args:
        run: the run's folder.
        out: the page's folder, new or an earlier page; by default page in the run's folder.
        runtime: the folder dist of the npm package onnxruntime-web; by default npm fetches it.
        photos_licence: under what licence the training photos are, for the model and its card.
        weights_licence: the licence of the weights that training started from.
        data: labelled photos to compare on, as for ``export``.
        device: where the network is when it is compared.
        external: classes of your own that the run's recipe names, or their names.
        console: for progress.

    Returns:
        The files.

    Raises:
        UserError: a mistake that the user can correct, or a file that does not answer as the network does.
    """
    from fieldmark.serving.offline import page_runtime, refuse_page, write_page

    folder = Path(run) / "page" if out is None else Path(out)
    refuse_page(folder)
    with tempfile.TemporaryDirectory() as held, page_runtime(None if runtime is None else Path(runtime)) as computes:
        made = export(
            run,
            Path(held) / "model.onnx",
            gallery=False,
            photos_licence=photos_licence,
            weights_licence=weights_licence,
            data=data,
            device=device,
            external=external,
            console=console,
        )
        return write_page(made.path, folder, runtime=computes)
