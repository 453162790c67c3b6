"""The page without a server: its folder, what is refused, and answers from the same pixels in a real browser.

`pytest -m slow tests/serving/test_offline.py` compares pixels, and answers to 200 photos; npm fetches the runtime, or
FIELDMARK_ORT_WEB names the folder dist of onnxruntime-web.
"""

import base64
import json
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import layouts
import numpy as np
import PIL
import pytest
from PIL import Image

from fieldmark.errors import UserError
from fieldmark.input.views import evaluation_frame, evaluation_view
from fieldmark.recipe import Pixels
from fieldmark.serving.offline import page_runtime, refuse_page, told, write_page
from fieldmark.ship.model import open_model
from opened_page import Opened, answered, choose, started_browser, text
from page_elements import Elements
from tiny_models import CLASSES, manifest, write_model
from typed import refused

SIDE = 16
LONG = [(11, 300), (130, 400), (30, 60)]  # where Pillow scales down first


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from started_browser()


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files with the right names."""
    folder = tmp_path_factory.mktemp("dist")
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"):
        (folder / name).write_bytes(b"export {};")
    return folder


@pytest.fixture(scope="module")
def page_folder(tmp_path_factory: pytest.TempPathFactory, runtime: Path) -> Path:
    folder = tmp_path_factory.mktemp("offline")
    model = write_model(folder / "tiny.onnx")
    write_page(model, folder / "page", runtime=runtime)
    return folder / "page"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def address(page_folder: Path) -> Iterator[str]:
    yield from served(page_folder)


def served(folder: Path) -> Iterator[str]:
    """An ordinary web server, with no headers of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_the_folder_is_the_page_with_the_model(page_folder: Path, runtime: Path, tmp_path: Path) -> None:
    html = Elements((page_folder / "index.html").read_text("utf-8"))
    (policy,) = (each["content"] for each in html.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';")
    known = json.loads((page_folder / "model.json").read_text())
    model = open_model(page_folder / "model.onnx")
    assert known == told(model)
    assert known["classes"] == list(CLASSES)
    assert known["offers"] == {"maps": True, "neighbours": False, "refuse": None, "coverage": None}
    assert "XMLHttpRequest" not in (page_folder / "server.js").read_text()
    own = sum(path.stat().st_size for path in page_folder.iterdir() if not path.name.startswith(("ort", "model")))
    assert own < 200_000
    model_file = write_model(tmp_path / "tiny.onnx")
    (tmp_path / "tiny.md").write_text("a card")
    before = {path.name: path.read_bytes() for path in page_folder.iterdir()}
    again = write_page(model_file, shutil.copytree(page_folder, tmp_path / "copy"), runtime=runtime)  # an earlier page
    assert {path.name: path.read_bytes() for path in again} == before | {"model.md": b"a card"}


def test_what_is_refused(runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        refuse_page(tmp_path / "other")
    with pytest.raises(UserError, match="holds other files"):
        refuse_page(tmp_path / "other" / "thesis.txt")
    half = write_model(tmp_path / "half.onnx", replace(manifest(), precision="fp16"))
    with pytest.raises(UserError, match="32 bits"):
        write_page(half, tmp_path / "new", runtime=runtime)
    boxed = write_model(tmp_path / "boxed.onnx", manifest(pixels=Pixels(32, 32, fit="box")))
    with pytest.raises(UserError, match="no boxes"):
        write_page(boxed, tmp_path / "new", runtime=runtime)
    with pytest.raises(UserError, match=r"has no ort\.wasm"), page_runtime(tmp_path):
        pass
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="is not installed"), page_runtime(None):
        pass
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'no such package' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(UserError, match=r"cannot fetch onnxruntime-web.*: no such package"), page_runtime(None):
        pass
    assert not (tmp_path / "new").exists()


def test_words_that_do_not_go_together(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "--to page takes no" in refused(capsys, "export", tmp_path, "--to", "page", "--precision", "fp16")
    assert "--runtime is for --to page" in refused(capsys, "export", tmp_path, "--runtime", tmp_path)
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "thesis.txt").write_text("mine")
    assert "holds other files" in refused(capsys, "export", tmp_path, "--to", "page")


VIEW = """async ([letters, width, height, pixels, side]) => {
    const { frameOf, viewOf } = await import("./pixels.js");
    const data = Uint8Array.from(atob(letters), (letter) => letter.charCodeAt(0));
    const frame = frameOf([width, height], pixels);
    return [frame, [...viewOf({ data, width, height }, frame, side)]];
}"""


def in_browser(page: Any, picture: np.ndarray, pixels: Pixels) -> tuple[list[float], np.ndarray]:
    height, width = picture.shape[:2]
    said = {"fit": pixels.fit, "eval_crop": pixels.eval_crop}
    letters = base64.b64encode(picture.tobytes()).decode()
    frame, view = page.evaluate(VIEW, [letters, width, height, said, SIDE])
    return frame, np.reshape(view, (SIDE, SIDE, 3))


@pytest.mark.slow
def test_pixels_are_those_of_evaluation_bit_for_bit(browser: Any, address: str) -> None:
    """Of any size and shape: enlarged, scaled down, first reduced by whole numbers, with room around them."""
    rng = np.random.default_rng(0)
    sizes = [(1, 1), (3, 7), (16, 16), (17, 15), (99, 66), (200, 210), (331, 250)]
    sizes += rng.integers(8, 250, (4, 2)).tolist()
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}bird.svg")
    for width, height in [*sizes, *(LONG if int(PIL.__version__.split(".")[0]) >= 13 else [])]:
        picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        image = Image.fromarray(picture)
        for fit, crop in (("crop", 0.875), ("stretch", 1.0), ("pad", 1.0)):
            pixels = Pixels(SIDE, SIDE, crop, fit)  # pyright: ignore[reportArgumentType]
            frame, view = in_browser(page, picture, pixels)
            area = evaluation_frame(image.size, pixels)
            assert frame == [area.left, area.top, area.width, area.height]
            assert (view == evaluation_view(image, pixels)).all(), (width, height, fit)
    context.close()


@pytest.mark.slow
def test_a_model_that_does_not_start_is_told(browser: Any, address: str) -> None:
    opened = Opened(browser, address)
    opened.page.locator("#trouble", has_text="The model cannot be opened").wait_for()
    assert "No photo leaves this device" in text(opened.page, "#limits")
    opened.context.close()


@pytest.fixture(scope="module")
def real_runtime() -> Iterator[Path]:
    given = os.environ.get("FIELDMARK_ORT_WEB")
    try:
        with page_runtime(Path(given) if given else None) as found:
            yield found
    except UserError as error:
        pytest.skip(str(error))


def photos_to_compare(folder: Path, shared_data: Path) -> list[Path]:
    """200 real photos without loss, so that both sides decode the same pixels."""
    sources = sorted((shared_data / "CUB_200_2011" / "images").rglob("*.jpg"))
    places = []
    for at, source in enumerate(sources[:: max(len(sources) // 200, 1)][:200]):
        places.append(folder / f"{at}.png")
        Image.open(source).convert("RGB").save(places[-1], compress_level=1)
    return places


@pytest.mark.slow
def test_200_photos_get_the_same_answer(browser: Any, real_runtime: Path, shared_data: Path, tmp_path: Path) -> None:
    model_file = write_model(tmp_path / "tiny.onnx")
    write_page(model_file, tmp_path / "page", runtime=real_runtime)
    model, places = open_model(model_file), photos_to_compare(tmp_path, shared_data)
    wanted = {
        place.name: (each.classes[0], each.probabilities[0])
        for place, each in zip(places, model.predict(places), strict=True)
    }
    for address in served(tmp_path / "page"):
        with Opened(browser, address) as page:
            page.set_default_timeout(120_000)
            page.locator("#files").set_input_files(places)
            answered(page, 200)
            names = page.locator(".card .file").all_inner_texts()
            answers = page.locator(".card .answer").all_inner_texts()
            shares = page.locator(".card .classes li:first-child .share").all_inner_texts()
            odd = layouts.picture(tmp_path / "odd.png", (60, 40))
            choose(page, odd, odd)
            page.locator(".compare").nth(0).click()
            page.locator(".compare").nth(1).click()
            page.locator("#comparison").wait_for()
            assert page.locator(".side .frame > *").count() == 2
    assert len(names) == 200
    assert dict(zip(names, answers, strict=True)) == {name: best for name, (best, _) in wanted.items()}
    for name, share in zip(names, shares, strict=True):
        assert abs(float(share.strip("<>% ")) / 100 - wanted[name][1]) < 0.011
