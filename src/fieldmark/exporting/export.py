"""From a run to its exported file: traced, compared with the network, and only then written, with a card beside it."""

import tempfile
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fieldmark.console import counted, tell, working
from fieldmark.exporting.card import card_of
from fieldmark.exporting.describing import manifest_of
from fieldmark.exporting.galleries import Wanted, gallery_for
from fieldmark.exporting.network import Shipped
from fieldmark.exporting.onnx_file import file_of, refuse_missing_libraries, traced
from fieldmark.exporting.parity import (
    by_images,
    by_pixels,
    compare,
    compare_on_photos,
    faults_of,
    photo_faults,
    refuse_faults,
    refuse_losses,
    rounded_by,
    rounding_faults,
    session_of,
)
from fieldmark.exporting.photos import Tried
from fieldmark.exporting.pixels import refuse_boxes, with_preparing
from fieldmark.exporting.targets import card_beside, parity_beside, refuse_target
from fieldmark.exporting.variants import Photos, in_fewer_bits, photos_for, preparing_for
from fieldmark.files import replace_files
from fieldmark.plain import json_text, to_plain
from fieldmark.runs.folder import Opened
from fieldmark.ship.container import contained
from fieldmark.ship.gallery import gallery_to_text
from fieldmark.ship.manifest import UNSTATED, Licences, Manifest, Precision
from fieldmark.ship.model import Model, open_model
from fieldmark.ship.parity import OnPhotos, Parity

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class Asked:
    """What is to be exported.

    ``pixels`` puts the preprocessing into the graph; ``data`` are photos to compare on, None for those that the run was
    trained on.
    """

    precision: Precision = "fp32"
    pixels: bool = False
    gallery: Wanted = field(default_factory=Wanted)
    licences: Licences = UNSTATED
    data: Path | None = None


@dataclass(frozen=True)
class Exported:
    """What was written: the file at ``path``, of ``size`` bytes, its model card, and what the file says of itself."""

    path: Path
    card: Path
    size: int
    manifest: Manifest

    @property
    def parity(self) -> Parity:
        """How the file compared with the network."""
        assert self.manifest.parity is not None, "nothing is written without"
        return self.manifest.parity


def export(opened: Opened, path: Path, asked: Asked, *, console: Console) -> Exported:
    """Writes a run's network as one file, after it was compared with the network; beside it a card and the comparison.

    Args:
        opened: the run; photos are answered on its device, and the file on the processor.
        path: of the file; an earlier export there is replaced.
        asked: what is wanted.
        console: for progress, and what the user should know.

    Raises:
        UserError: a missing library, a file that must not be overwritten, or answers that are not the network's.
    """
    refuse_missing_libraries()
    refuse_target(path)
    if asked.pixels:
        refuse_boxes(opened.recipe.pixels)
    network = Shipped(opened.learner.eval().method, temperature=opened.temperature).eval()
    photos = photos_for(opened, asked.data, precision=asked.precision)
    gallery = gallery_for(opened, asked.gallery, asked.data, console=console)
    with working(console, "tracing the network"):
        device = network.method.classifier.backbone.mean.device
        graph = traced(network.cpu(), size=opened.recipe.pixels.eval_size)
        manifest = manifest_of(opened, network, licences=asked.licences)
        network.to(device)
    with working(console, "comparing the file with the network"):
        parity = same_answers(graph, manifest, network)
    manifest = replace(manifest, precision=asked.precision, takes="pixels" if asked.pixels else "images")
    graph, parity = _in_fewer_bits(graph, parity, manifest, network, photos, console=console)
    preparing = preparing_for(manifest) if asked.pixels else None
    graph = with_preparing(graph, preparing) if preparing else graph
    found = on_photos(graph, preparing, manifest, network, photos.compared, console=console)
    if found:
        refuse_faults(photo_faults(found, manifest, close=parity.fixed_grid is None))
        if manifest.precision == "int8":
            refuse_losses(found)
    manifest = replace(manifest, parity=replace(parity, on_photos=found))
    content = file_of(graph, manifest, gallery=gallery_to_text(gallery) if gallery else "")
    return written(opened, path, content, manifest)


def _in_fewer_bits(
    graph: "ModelProto", parity: Parity, manifest: Manifest, network: Shipped, photos: Photos, *, console: Console
) -> "tuple[ModelProto, Parity]":
    """The graph in the bits that the manifest says; what 16 bits do is seen on noise, what 8 do on photos alone.

    Raises:
        UserError: 16 bits give other answers.
    """
    if manifest.precision == "fp32":
        return graph, parity
    with working(console, "rounding"):
        graph = in_fewer_bits(graph, manifest.precision, photos, manifest)
        if manifest.precision == "fp16":
            parity = replace(parity, rounded=rounded_by(graph, network, size=manifest.pixels.eval_size))
    refuse_faults(rounding_faults(parity))
    return graph, parity


def same_answers(graph: "ModelProto", manifest: Manifest, network: Shipped) -> Parity:
    """The comparison of a file in 32 bits on noise; it is opened from a disk as its users will.

    Raises:
        UserError: the answers are not the network's.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = opened_in(Path(folder), file_of(graph, manifest))
        parity = compare(model, graph, network, size=manifest.pixels.eval_size)
    refuse_faults(faults_of(parity))
    return parity


def on_photos(
    graph: "ModelProto",
    preparing: "ModelProto | None",
    manifest: Manifest,
    network: Shipped,
    tried: Tried | None,
    *,
    console: Console,
) -> OnPhotos | None:
    """The whole way from photos to answers, by the file that is to be written and by the network."""
    if tried is None:
        tell(console, "no photos of the run can be opened: noise alone was compared (--data DATA names photos)")
        return None
    with tempfile.TemporaryDirectory() as folder:
        if preparing is None:
            answer = partial(by_images, opened_in(Path(folder), file_of(graph, manifest)))
        else:
            answer = partial(by_pixels, session_of(graph), session_of(preparing), manifest.pixels)
        with counted(console, f"comparing on {tried.split} photos", len(tried.photos)) as tick:
            return compare_on_photos(answer, network, tried, manifest, progress=tick)


def opened_in(folder: Path, content: bytes) -> Model:
    """A file's bytes, written to a folder and opened as its users will."""
    path = folder / "model.onnx"
    path.write_bytes(content)
    return open_model(path, device="cpu")


def written(opened: Opened, path: Path, content: bytes, manifest: Manifest) -> Exported:
    """The file, its card and the comparison: all of them, or none."""
    digest = contained(content).digest
    card = card_of(opened, manifest, name=path.name, size=len(content), digest=digest)
    comparison = {"digest": digest} | to_plain(manifest.parity)
    replace_files(
        path.parent,
        {
            path.name: lambda draft: draft.write_bytes(content),
            card_beside(path).name: lambda draft: draft.write_text(card, "utf-8", "backslashreplace"),
            parity_beside(path).name: lambda draft: draft.write_text(json_text(comparison), "utf-8"),
        },
    )
    return Exported(path, card_beside(path), len(content), manifest)
