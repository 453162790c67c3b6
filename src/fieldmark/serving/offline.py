"""The page without a server: one folder for any web server, in which the model answers inside the browser."""

import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from fieldmark.errors import UserError, printable
from fieldmark.files import replace_files
from fieldmark.ship.model import Model, open_model

RUNTIME = "onnxruntime-web@1.30.0"
"""The npm package whose WebAssembly computes; MIT licence."""
_TAKEN = {"ort.wasm.bundle.min.mjs": "ort.js", "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm"}
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; form-action 'none'; base-uri 'none'"
)
_MARKER = "model.json"


def write_page(model: Path, folder: Path, *, runtime: Path) -> tuple[Path, ...]:
    """Writes the page, the model and what computes it into a folder that is empty, or holds an earlier such page.

    Args:
        model: what ``fieldmark export`` wrote, in 32 bits; its card goes along if it lies beside.
        folder: to be given to any web server.
        runtime: that ``page_runtime`` gives.

    Returns:
        The files.

    Raises:
        UserError: a model that cannot answer in a browser, or a folder with other files.
    """
    refuse_page(folder)
    opened, card = open_model(model, threads=1), model.with_suffix(".md")
    _refuse_model(opened, model)
    taken = {place: _copy(runtime / name) for name, place in _TAKEN.items()}
    cards = {"model.md": _copy(card)} if card.is_file() else {}
    writers = {**_texts(opened), "model.onnx": _copy(model), **cards, **taken}
    replace_files(folder, writers)
    return tuple(folder / name for name in writers)


def refuse_page(folder: Path) -> None:
    """Raises ``UserError`` for a folder that holds anything but an earlier page."""
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / _MARKER).is_file())):
        raise UserError(f"{printable(str(folder))} holds other files; name a new folder for the page")


@contextmanager
def page_runtime(folder: Path | None) -> Iterator[Path]:
    """A folder with the files of ``RUNTIME``: the user's, or one that npm fills and that is gone afterwards.

    Raises:
        UserError: the user's lacks a file, or npm is not there or cannot fetch them.
    """
    with tempfile.TemporaryDirectory() as fetched:
        found = folder or _fetched(Path(fetched))
        if missing := [name for name in _TAKEN if not (found / name).is_file()]:
            raise UserError(f"{printable(str(found))} has no {missing[0]}: name the folder dist of {RUNTIME}")
        yield found


def told(model: Model) -> dict[str, Any]:
    """What the page must know of a model, in the words of ``GET /v1/classes`` and beyond them."""
    manifest = model.manifest
    return {
        "model": model.digest,
        "classes": list(manifest.classes),
        "groups": None,
        "calibrated": manifest.calibrated,
        "offers": {"maps": "maps" in manifest.outputs, "neighbours": False, "refuse": None, "coverage": None},
        "pixels": {name: getattr(manifest.pixels, name) for name in ("fit", "eval_size", "eval_crop")},
        "shift": manifest.shift.tolist(),
        "scale": manifest.scale.tolist(),
    }


def _refuse_model(model: Model, path: Path) -> None:
    manifest, name = model.manifest, printable(str(path))
    if manifest.precision != "fp32":
        raise UserError(f"{name}: a page takes a model in 32 bits")
    if manifest.pixels.fit == "box":
        raise UserError(f"{name} was trained with --fit box, and a page knows no boxes")


def _texts(model: Model) -> dict[str, Callable[[Path], object]]:
    """The page's files with those of its own in the place of the server's, and what is told of the model."""
    package = files("fieldmark.serving")
    contents: Mapping[str, bytes] = {
        file.name: file.read_bytes() for part in ("page", "without_server") for file in (package / part).iterdir()
    }
    html = contents["index.html"].decode("utf-8")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    html, count = re.subn(r'(<meta charset="utf-8">\n)', rf"\1{policy}\n", html)
    assert count == 1
    changed = {"index.html": html.encode("utf-8"), _MARKER: json.dumps(told(model)).encode("ascii")}
    return {name: _bytes(content) for name, content in {**contents, **changed}.items()}


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _copy(source: Path) -> Callable[[Path], object]:
    return lambda path: shutil.copyfile(source, path)


def _fetched(folder: Path) -> Path:
    """The package's files, by npm."""
    npm = shutil.which("npm")
    if npm is None:
        advice = "install it, or name the package's folder dist with --runtime"
        raise UserError(f"npm, which fetches {RUNTIME}, is not installed;\n{advice}")
    command = [npm, "pack", RUNTIME, "--silent", "--pack-destination", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    packed = next(folder.glob("*.tgz"), None)
    if done.returncode or packed is None:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise UserError(f"npm cannot fetch {RUNTIME}: {printable(lines[0] if lines else 'it does not say why')}")
    with tarfile.open(packed) as archive:
        for name in _TAKEN:
            member = archive.extractfile(f"package/dist/{name}")
            assert member is not None
            with (folder / name).open("wb") as file:
                shutil.copyfileobj(member, file)
    return folder
