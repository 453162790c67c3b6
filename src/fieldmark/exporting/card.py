"""The model card: a page for people beside an exported file, made of numbers and names, without a path."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fieldmark.errors import printable
from fieldmark.evaluation.statistics import share_interval
from fieldmark.exporting.targets import MARK
from fieldmark.reports.provenance import recipe_rows
from fieldmark.runs.folder import Opened
from fieldmark.ship.manifest import Manifest

SHOWN = 50
"""Classes that are named on the card; the file has all."""
_PRECISION = {
    "fp32": "32-bit numbers throughout",
    "fp16": "16-bit weights and activations in the backbone, 32-bit numbers where exponentials need them",
    "int8": "8-bit whole numbers in the convolutions and products of backbone and neck, weights scaled by channel",
}


def card_of(opened: Opened, manifest: Manifest, *, name: str, size: int, digest: str, notes: Iterable[str] = ()) -> str:
    """The card as Markdown; names from outside are escaped, so that they stay text.

    Args:
        opened: the run.
        manifest: of the file.
        name: of the file.
        size: of the file, in bytes.
        digest: of the file.
        notes: further limits of this file.
    """
    parts = (
        ("The file", _table(_file_rows(manifest, size, digest))),
        ("Classes", _classes(manifest)),
        ("Training", _table([*recipe_rows(opened.path, _without_paths(opened)), *_data_rows(opened)])),
        ("Accuracy", _accuracy(opened)),
        ("Certainty", _certainty(opened, manifest)),
        ("The same answers as the network", _table(manifest.parity.rows()) if manifest.parity else "not compared"),
        ("Limits", "\n".join(f"- {escaped(limit)}" for limit in (*_limits(manifest), *notes))),
        ("Licences", _table(_licence_rows(manifest))),
        ("Use", _use(name, manifest)),
    )
    title = f"# {escaped(name)}: {len(manifest.classes):,} classes by {escaped(manifest.origin.backbone)}"
    return "\n\n".join([MARK, title, *(f"## {heading}\n\n{text}" for heading, text in parts)]) + "\n"


def escaped(text: str) -> str:
    """A text on one line that Markdown shows as it stands: no markup, no HTML, no cell of a table ends in it."""
    plain = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#|~!])", r"\\\1", plain)


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {escaped(name)} | {escaped(value)} |" for name, value in rows)])


def _file_rows(manifest: Manifest, size: int, digest: str) -> Iterator[tuple[str, str]]:
    origin, side = manifest.origin, manifest.pixels.eval_size
    yield "format", "ONNX, operators of version 18 of the default set"
    yield "size", f"{size / 1e6:.1f} MB"
    yield "digest", f"SHA-256 {digest}"
    yield "numbers", _PRECISION[manifest.precision]
    given = (
        "one picture of any size, uint8 (H, W, 3), upright RGB"
        if manifest.takes == "pixels"
        else f"normalised images, float32 (N, 3, {side}, {side})"
    )
    yield "input", given
    yield "outputs", ", ".join(manifest.outputs) + (f"; no maps: {manifest.no_maps}" if manifest.no_maps else "")
    yield "made of", f"run {origin.run}, by fieldmark {origin.fieldmark}, torch {origin.torch}, onnx {origin.onnx}"


def _classes(manifest: Manifest) -> str:
    names = [escaped(name) for name in manifest.classes[:SHOWN]]
    more = f" and {len(manifest.classes) - SHOWN:,} more" if len(manifest.classes) > SHOWN else ""
    levels = [level.name for level in manifest.groups.levels] if manifest.groups else []
    above = f"\n\nGroups above them: {', '.join(map(escaped, levels))}." if levels else ""
    return f"{len(manifest.classes):,}: {', '.join(names)}{more}.{above}"


def _without_paths(opened: Opened):
    """The recipe, with no folder of the machine that it ran on."""
    model = opened.recipe.model
    return replace(opened.recipe, model=replace(model, weights=Path(model.weights).name))


def _data_rows(opened: Opened) -> Iterator[tuple[str, str]]:
    layout = f"{opened.about.layout}, " if opened.about.layout else ""
    yield "photos", f"{layout}digest of names, labels and splits {opened.about.data_digest[:16]}"


def _accuracy(opened: Opened) -> str:
    """A row for each split that the run was measured on, with its interval."""
    rows = [
        (f"top-1, {printable(split)}", _share(value)) for split, value in sorted(evaluations_of(opened.path).items())
    ]
    if not rows:
        return "Not measured: `fieldmark evaluate RUN` does, and a later export says so here."
    return _table(rows)


def _share(value: dict[str, Any]) -> str:
    found = share_interval(round(value["top1"] * value["n"]), value["n"])
    return f"{found.mean:.1%} of {value['n']:,} photos (95 % interval: {found.low:.1%} to {found.high:.1%})"


def evaluations_of(run: Path) -> dict[str, dict[str, Any]]:
    """The figures of a run's evaluations by split, of those that are there and can be read."""
    found = {}
    for path in sorted((run / "evaluation").glob("*/metrics.json")):
        try:
            value = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(value, dict) and _is_share(value.get("top1"), value.get("n")):
            found[path.parent.name] = value
    return found


def _is_share(share: Any, count: Any) -> bool:
    return isinstance(share, float | int) and isinstance(count, int) and count > 0 and 0 <= share <= 1


def _certainty(opened: Opened, manifest: Manifest) -> str:
    known = opened.confidence
    if known is None:
        return "Probabilities are the network's own: they are not calibrated (`fieldmark calibrate RUN`)."
    text = escaped(known.line[0].upper() + known.line[1:]) + "."
    if manifest.held_out is None:
        return text
    photos = len(manifest.held_out.labels)
    further = ", and to say none of these" if manifest.held_out.cosines else ""
    return f"{text} Scores of {photos:,} held-out photos are in the file, for sets of classes{further}."


def _limits(manifest: Manifest) -> Iterator[str]:
    yield "It knows its classes and nothing else: a photo of something else gets one of them, unless it is refused."
    yield "Accuracies are those of photos like the ones measured, and say nothing of other cameras, places or seasons."
    if not manifest.calibrated:
        yield "How far its probabilities can be trusted is not known."
    if manifest.precision != "fp32":
        yield (
            "Calibration, sets of classes, refusals and the gallery were measured with the network in 32 bits; what "
            "this file answers differs from that by what the table above says."
        )


def _licence_rows(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield "photos that it was trained on", manifest.licences.photos or "not stated"
    yield "weights that it began from", manifest.licences.weights or "not stated"


def _use(name: str, manifest: Manifest) -> str:
    quoted = json.dumps(printable(name))
    if manifest.takes == "pixels":
        lines = (
            "import numpy, onnxruntime, PIL.Image, PIL.ImageOps",
            f"session = onnxruntime.InferenceSession({quoted})",
            'photo = PIL.ImageOps.exif_transpose(PIL.Image.open("photo.jpg")).convert("RGB")',
            'session.run(["probabilities"], {"pixels": numpy.asarray(photo)})',
        )
    else:
        lines = (
            "from fieldmark import open_model  # pip install 'fieldmark[serve]'; needs no torch",
            f"model = open_model({quoted})",
            'print(model.predict("photo.jpg"))',
        )
    return "\n".join(("```python", *lines, "```"))
