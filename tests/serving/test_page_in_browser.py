"""The server's page in a real browser, under its own policy: by mouse, keyboard, drop and paste; answers are canned.

With `-m slow`, too: what is said of answers that are no class, and corrections of photos without a folder.
"""

import csv
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import layouts
import numpy as np
import pytest
from PIL import Image

from canned_page import CLASSES, PIXEL, REFUSED, Canned, result
from fieldmark.data.corrections import apply_decisions
from fieldmark.data.reading import corrections_place, read_as_given, read_dataset
from opened_page import Opened, answered, choose, started_browser, text, write_photos
from server_process import Running
from tiny_models import CLASSES as TINY


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from started_browser()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("page") / "birds")


def test_several_photos_one_of_them_bad(browser: Any, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"nonsense")
    (tmp_path / "large.jpg").write_bytes(b"x" * 10_000_000)
    server = Canned(result(), {"status": 422, "message": "photo: not a picture"})
    with Opened(browser, server) as page:
        assert page.locator("#results").is_hidden()
        assert text(page, "#model") == "8 classes, model c0ffeec0"
        choose(page, photos / "ant/1.png")
        bad, large, good = choose(page, tmp_path / "bad.jpg", tmp_path / "large.jpg")
        assert good.locator(".answer").inner_text() == "ant"
        assert good.locator(".sure").inner_text() == "Probability 80 %."
        assert good.locator(".classes li").count() == 5
        assert good.locator(".classes li").first.inner_text().split() == ["ant", "80", "%"]
        assert good.locator(".near li").count() == 2
        assert good.locator(".near img").first.get_attribute("src") == PIXEL
        assert "cannot read it: not a picture." in bad.locator(".why").inner_text()
        assert not bad.locator(".retry").is_visible()
        assert "has 10.0 MB; the server takes 10 MB at most" in large.locator(".why").inner_text()
        assert "80 in 100" in text(page, "#calibration")
        assert page.locator("#course").is_hidden()
        page.locator("#live", has_text="All 3 photos are done.").wait_for(state="attached")
    sent = [query for path, query in server.asked if path == "/v1/predict"]
    assert sent == [{"top": "5", "maps": "1", "rival": "1", "neighbours": "4", "refuse": "0.05"}] * 2


def test_the_limit_is_the_server_s_own(browser: Any, tmp_path: Path) -> None:
    files = [tmp_path / f"{size}.jpg" for size in (12, 13, 20)]
    for file, size in zip(files, (12, 13, 20), strict=True):
        file.write_bytes(b"x" * size * 1_000_000)
    server = Canned(result(), result(), {"status": 413}, megabytes=19.5)
    with Opened(browser, server) as page:
        page.locator("#limits", has_text="up to 19.5 MB each").wait_for()
        first, second, third = choose(page, *files)
        assert [card.get_attribute("data-state") for card in (first, second, third)] == [
            "answered",
            "answered",
            "failed",
        ]
        assert "has 20.0 MB; the server takes 19.5 MB at most" in third.locator(".why").inner_text()
        first.locator(".compare").click()
        second.locator(".compare").click()
        page.locator(
            "#tray-compare-text", has_text="Both photos together may have 19.5 MB; these have 25.0 MB."
        ).wait_for()
        page.locator("#again").evaluate("button => button.click()")
        page.locator(".card .why", has_text="too large for this server: 19.5 MB at most").first.wait_for()


def test_what_a_model_cannot_say_is_not_asked_for(browser: Any, photos: Path) -> None:
    bare = result(answer=None, level=None, answer_probability=None, nearest=None, distance=None)
    bare = {key: value for key, value in bare.items() if key not in ("heatmaps", "neighbours")}
    server = Canned(
        bare, calibrated=False, offers={"maps": False, "neighbours": False, "refuse": None, "coverage": None}
    )
    with Opened(browser, server) as page:
        (card,) = choose(page, photos / "ant/1.png")
        assert card.locator(".sure").inner_text() == "Score 80 %, not calibrated."
        assert "not calibrated" in text(page, "#calibration")
        assert not card.locator(".views").is_visible()
        assert not card.locator(".near").is_visible()
        page.locator("#settings summary").click()
        assert [page.locator(f"#{name}-setting").is_visible() for name in ("refuse", "certainty", "coverage")] == [
            False
        ] * 3
    assert server.asked[-1] == ("/v1/predict", {"top": "5"})


def test_a_real_server(browser: Any, photos: Path, tmp_path: Path, server: Running) -> None:
    """What is canned elsewhere: the form that is sent, heatmaps, neighbours, refusals, a pair."""
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xffnonsense")
    with Opened(browser, server.url) as page:
        cards = choose(page, photos / "ant/1.png", photos / "bee/3.png", tmp_path / "bad.jpg")
        assert [card.get_attribute("data-state") for card in cards] == ["answered", "answered", "failed"]
        assert "The server cannot read it: " in cards[2].locator(".why").inner_text()
        assert cards[0].locator(".answer").inner_text() in (*TINY, "None of these")
        assert cards[0].locator(".classes li").count() == len(TINY)
        assert cards[0].locator(".near li").count() == 4
        cards[0].get_by_label("Where it shows").check()
        assert cards[0].locator(".view-said").inner_text().startswith("Bright is where")
        cards[0].locator(".compare").click()
        cards[1].locator(".compare").click()
        page.locator("#comparison").wait_for()
        assert page.locator(".side .frame > *").count() == 2
        cards[2].locator(".remove").click()
        page.locator("#settings summary").click()
        page.locator("#refuse").uncheck()
        page.locator("#coverage").check()
        page.locator("#top").fill("2")
        page.locator("#again").click()
        answered(page, 2)
        assert cards[0].locator(".answer").inner_text() in TINY
        assert cards[0].locator(".set").inner_text().startswith("The set that was asked for")
        assert cards[0].locator(".classes li").count() == 2


@pytest.mark.slow
def test_none_of_these_groups_unsure_and_sets(browser: Any, photos: Path) -> None:
    group = {"answer": "insects", "level": "family", "answer_probability": 0.97, "set": ["ant", "bee"]}
    unsure = {"answer": None, "level": "unsure", "answer_probability": None, "set": []}
    server = Canned(result(**REFUSED), result(**group), result(**unsure))
    with Opened(browser, server) as page:
        page.locator("#settings summary").click()
        page.locator("#refuse-share").fill("2")
        page.locator("#certainty").check()
        page.locator("#coverage").check()
        said = {}
        for _ in range(3):
            card, *_ = choose(page, photos / "ant/1.png")
            shown = [card.locator(f".{kind}") for kind in ("answer", "sure", "set")]
            answer, *words = (each.inner_text() if each.is_visible() else "" for each in shown)
            said[answer] = words
        assert (server.asked[-1][1]["certainty"], server.asked[-1][1]["coverage"]) == ("0.9", "0.9")
        assert server.asked[-1][1]["refuse"] == "0.05"  # no less than the model can promise
    assert said == {
        "None of these": ["It looks like no class of this model. The nearest is bee, at a distance of 0.61.", ""],
        "insects": [
            "Probability 97 %. A group (family): which one of it is not certain.",
            "The set that was asked for: ant, bee.",
        ],
        "Unsure": [
            "No class and no group is certain enough.",
            "The set that was asked for is empty: no class is likely enough.",
        ],
    }  # fmt: skip


def test_heatmaps_look_as_those_of_explain(browser: Any, photos: Path) -> None:
    """Pixel by pixel as `explanations/drawing.py` lights a picture, away from the lines."""
    drawing = pytest.importorskip("fieldmark.explanations.drawing", reason="needs the extra [train]")
    picture = np.asarray(Image.open(photos / "ant/1.png").convert("RGB"))
    with Opened(browser, Canned()) as page:
        (card,) = choose(page, photos / "ant/1.png")
        views = card.locator(".views")
        assert views.locator("label").all_inner_texts() == ["Photo", "Where it shows", "Why not bee?"]
        canvas = card.locator("canvas")
        read = "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"

        def pixels() -> np.ndarray:
            card.locator(".frame:not([aria-busy])").wait_for()
            return np.array(canvas.evaluate(read)).reshape(60, 80, 4)[..., :3]

        _is_the_photo(card, picture)
        views.get_by_label("Where it shows").check()
        assert card.locator(".view-said").inner_text().startswith("Bright is where ant is seen.")
        shown = pixels()
        views.get_by_label("Why not bee?").check()
        assert "speaks for ant and not for bee" in card.locator(".view-said").inner_text()
        card.locator("canvas[aria-label*='speaks for ant and not for bee']").wait_for()
        views.get_by_label("Photo").check()
        _is_the_photo(card, picture)
        large = page.evaluate("""async () => {
            const { enlarged } = await import("./heatmaps.js");
            return [...enlarged(new Float32Array([1, 0.5, 0, 0, 0.5, 0.25, 0, 0, 0, 0, 0, 0]), [4, 3], [60, 60])];
        }""")
    values = np.array([[255, 128, 0, 0], [128, 64, 0, 0], [0, 0, 0, 0]], np.float32) / 255
    map_ = np.array([[1, 0.5, 0, 0], [0.5, 0.25, 0, 0], [0, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(np.reshape(large, (60, 60)), drawing.enlarged_to(map_, (60, 60)), atol=2e-6)
    expected = drawing.lit(picture, np.zeros((2, 2), np.float32)).astype(int)
    expected[:, 10:70] = drawing.lit(picture[:, 10:70], values)
    off = np.abs(shown - expected).max(-1)
    assert (off <= 1).mean() > 0.8  # the rest are lines
    assert (off[:, :8] <= 1).all()
    assert (off[45:] <= 1).all()
    assert (off > 30).any()


def _is_the_photo(card: Any, picture: np.ndarray) -> None:
    """A small picture, of which not more than that is kept: no canvas."""
    card.locator(".frame:not([aria-busy]) img").wait_for()
    assert card.locator("canvas").count() == 0
    drawn = card.locator(".frame img").evaluate("""async (image) => {
        await image.decode();
        const pen = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
        pen.drawImage(image, 0, 0);
        return [...pen.getImageData(0, 0, image.naturalWidth, image.naturalHeight).data];
    }""")
    shown = np.array(drawn).reshape(*picture.shape[:2], 4)[..., :3]
    blocks = [pixels.reshape(3, 20, 4, 20, 3).mean((1, 3)) for pixels in (shown, picture)]  # a JPEG, and of noise
    assert np.abs(blocks[0] - blocks[1]).max() < 8


def test_pictures_are_read_when_they_can_be_seen_and_kept_small(browser: Any, tmp_path: Path) -> None:
    files = [layouts.picture(tmp_path / f"{at}.png", (80, 60), seed=at) for at in range(12)]
    server = Canned()
    with Opened(browser, server, viewport={"width": 900, "height": 600}) as page:
        page.clock.install()
        page.evaluate("window.given = new Set(); void (URL.revokeObjectURL = (address) => given.add(address))")
        server.lost = 2
        page.locator("#files").set_input_files(files)
        page.locator(".card .frame img").first.wait_for()
        last = page.locator(".card").last
        assert last.locator("img").count() == 0
        last.scroll_into_view_if_needed()
        last.locator(".frame img").wait_for()
        assert page.locator(".card .frame:empty").count() > 0
        wait_out(page, "answered", 12)
        answered(page, 12)
        assert page.locator("canvas").count() == 0
        files[0].unlink()  # a heatmap of what is gone is drawn over the small picture
        page.locator(".card").first.get_by_label("Where it shows").check()
        page.locator(".card canvas").wait_for()
        page.locator(".remove").first.click()
        page.locator("#clear").click()
        assert page.evaluate("window.given.size") == 12


def test_the_keyboard_alone(browser: Any, photos: Path) -> None:
    with Opened(browser, Canned()) as page, page.expect_file_chooser() as chosen:
        stops = []
        for _ in range(4):
            page.keyboard.press("Tab")
            stops.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert stops[0] == "skip"
        assert stops[1:3] == ["theme", "choose"]
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        chosen.value.set_files([photos / "ant/1.png", photos / "bee/3.png"])
        first, _ = answered(page, 2)
        _follow_the_keys(page, first)


def _follow_the_keys(page: Any, first: Any) -> None:
    """From the first card's views through a correction and its download to the comparison."""
    focused = "(e => e.textContent.trim() || e.value || e.id)(document.activeElement)"
    page.locator("#compare-two").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.value") == "photo"
    page.keyboard.press("ArrowRight")
    assert first.locator(".view-said").inner_text().startswith("Bright")
    assert page.evaluate("getComputedStyle(document.activeElement.nextElementSibling).outlineStyle") == "solid"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Correct it"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "combobox"
    page.keyboard.type("e")
    page.keyboard.press("ArrowDown")
    assert page.locator("[role=option][aria-selected=true]").inner_text() == "eel"
    assert (
        page.evaluate(
            "document.getElementById(document.activeElement.getAttribute('aria-activedescendant')).textContent"
        )
        == "eel"
    )
    page.keyboard.press("Enter")
    assert first.locator(".corrected span").inner_text() == "Corrected to eel"
    assert page.evaluate(focused) == "Correct it"
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert page.evaluate(focused) == "Correct it"
    page.locator("#live", has_text="1.png: Corrected to eel.").wait_for(state="attached")
    page.locator("#download").focus()
    with page.expect_download() as loaded:
        page.keyboard.press("Enter")
    assert loaded.value.suggested_filename == "corrections.csv"
    page.locator("#compare-two").focus()
    page.keyboard.press("Enter")
    page.locator("#comparison").wait_for()
    assert page.evaluate("document.activeElement.id") == "comparison-title"
    page.locator("#comparison-close").press("Enter")
    assert page.evaluate("document.activeElement.id") == "results-title"
    page.locator(".remove").first.press("Enter")
    assert page.evaluate(focused) == "Remove"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "choose"
    assert page.locator("#results").is_hidden()


TRANSFER = """([kind, names]) => {
    const held = new DataTransfer();
    for (const name of names) {
        const bytes = Uint8Array.from(atob("PIXEL"), (letter) => letter.charCodeAt(0));
        held.items.add(new File([bytes], name, { type: "image/png" }));
    }
    const made = kind === "paste" ? new ClipboardEvent(kind, { clipboardData: held, bubbles: true, cancelable: true })
        : new DragEvent(kind, { dataTransfer: held, bubbles: true, cancelable: true });
    return !document.body.dispatchEvent(made);
}""".replace("PIXEL", PIXEL.partition(",")[2])


def test_photos_are_dropped_and_pasted(browser: Any) -> None:
    with Opened(browser, Canned()) as page:
        page.evaluate(TRANSFER, ["dragenter", ["a.png"]])
        assert page.locator("#drop").is_visible()
        assert page.evaluate(TRANSFER, ["dragover", ["a.png"]])  # so the browser does not open the file itself
        assert page.evaluate(TRANSFER, ["drop", ["a.png", "b.png"]])
        answered(page, 2)
        assert page.locator("#drop").is_hidden()
        page.evaluate(TRANSFER, ["paste", ["image.png"]])
        page.evaluate(TRANSFER, ["paste", ["image.png"]])
        answered(page, 4)
        assert set(page.locator(".card .file").all_inner_texts()) == {"a.png", "b.png", "pasted-1.png", "pasted-2.png"}
        assert page.evaluate(TRANSFER, ["paste", []]) is False  # text is pasted as ever


def test_a_short_outage_is_sat_out(browser: Any, photos: Path) -> None:
    server = Canned()
    with Opened(browser, server) as page:
        page.clock.install()
        server.lost = 3
        page.locator("#files").set_input_files([photos / "ant/1.png", photos / "bee/3.png", photos / "bee/4.png"])
        page.locator(
            ".state", has_text="cannot be reached. See that it runs and that you are connected. Trying"
        ).first.wait_for()
        wait_out(page, "answered", 3)
        assert page.locator("#retry-all").is_hidden()
        server.answers = [{"status": 502}, result()]
        page.locator("#files").set_input_files(photos / "ant/2.png")
        wait_out(page, "answered", 4)


def test_after_a_long_outage_one_button_tries_all_again(browser: Any, photos: Path, tmp_path: Path) -> None:
    server = Canned()
    (tmp_path / "large.jpg").write_bytes(b"x" * 10_000_000)
    with Opened(browser, server) as page:
        page.clock.install()
        server.is_there = False
        page.locator("#files").set_input_files([tmp_path / "large.jpg", *sorted(photos.rglob("*.png"))])
        wait_out(page, "failed", 5)
        sent = [path for path, _ in server.asked if path == "/v1/predict"]
        assert len(sent) <= 10  # five times two photos; those that waited were not tried
        assert "cannot be reached" in page.locator(".card .why").last.inner_text()
        server.is_there = True
        page.locator("#retry-all", has_text="Try all 4 failed photos again").click()
        assert page.evaluate("document.activeElement.id") == "results-title"
        wait_out(page, "answered", 4)
        assert page.locator("#retry-all").is_hidden()


def test_a_photo_that_cannot_be_sent_fails_alone(browser: Any, photos: Path) -> None:
    server = Canned()
    with Opened(browser, server) as page:
        page.clock.install()
        server.lost = 5
        page.locator("#files").set_input_files(photos / "ant/1.png")
        wait_out(page, "failed", 1)
        assert "This photo cannot be sent." in page.locator(".card .why").inner_text()
        page.locator("#files").set_input_files(photos / "ant/2.png")
        wait_out(page, "answered", 1)


def wait_out(page: Any, state: str, count: int) -> None:
    """Lets the page's clock run until so many cards are in a state."""
    for _ in range(60):
        if page.locator(f".card[data-state={state}]").count() == count:
            return
        page.clock.run_for(3000)
    raise AssertionError(page.locator("#cards").inner_text())


def test_what_is_passed_over_is_told_by_its_reason(browser: Any, photos: Path, tmp_path: Path) -> None:
    data = shutil.copytree(photos, tmp_path / "birds")
    (data / "ant" / "notes.txt").write_text("no picture")
    server = Canned()
    intake = server.files["/intake.js"]
    server.files["/intake.js"] = replace(intake, body=intake.body.replace(b"MOST = 500", b"MOST = 4"))
    with Opened(browser, server) as page:
        page.locator("#folder").set_input_files(data)
        answered(page, 4)
        assert page.locator("#passed").is_visible()
        assert text(page, "#passed") == "1 file passed over: no picture."
        page.locator("#live", has_text="1 file passed over: no picture.").wait_for(state="attached")
        choose(page, photos / "ant/1.png")
        assert page.locator("#passed").is_hidden()
        for name in "567":
            (data / "bee" / f"{name}.png").write_bytes(b"")
        (data / "bee" / "notes.txt").write_text("no picture")
        page.locator("#folder").set_input_files(data)
        answered(page, 9)
        said = "2 files passed over: no pictures. 3 photos passed over: this page takes 4 at once. Choose them next."
        assert text(page, "#passed") == said
        page.locator("#clear").click()
        assert page.locator("#passed").is_hidden()


def test_two_photos_side_by_side(browser: Any, photos: Path) -> None:
    with Opened(browser, Canned()) as page:
        cards = choose(page, photos / "ant/1.png", photos / "bee/3.png", photos / "bee/4.png")
        assert page.locator("#compare-two").is_hidden()
        cards[0].locator(".compare").click()
        assert cards[0].locator(".compare").get_attribute("aria-pressed") == "true"
        assert text(page, "#tray-compare-text") == "1.png: now choose the photo to compare it with"
        cards[2].locator(".compare").click()
        page.locator("#comparison").wait_for()
        assert text(page, "#comparison-said") == "What tells ant from bee in these two photos."
        assert page.locator(".side .file").all_inner_texts() == ["1.png", "4.png"]
        assert page.locator(".side .answer").all_inner_texts() == ["ant", "bee"]
        said = page.locator(".side .view-said").all_inner_texts()
        assert [words.partition("\n")[0] for words in said] == [
            "Bright is what speaks for ant and not for bee.", "Bright is what speaks for bee and not for ant."
        ]  # fmt: skip
        assert page.locator("#comparison-table tbody tr").count() == 2
        assert page.locator("#tray").is_hidden()


def test_corrections_are_read_by_check(browser: Any, photos: Path, tmp_path: Path) -> None:
    """A folder, so that photos are known by their folders: one gets another class, one is left out, one is undone."""
    data = shutil.copytree(photos, tmp_path / "birds")
    with Opened(browser, Canned()) as page:
        page.locator("#folder").set_input_files(data)
        answered(page, 4)
        for name, label in (("1.png", "bee"), ("3.png", None), ("4.png", "ant")):
            card = page.locator(".card", has_text=name)
            card.locator(".correct").click()
            (
                card.locator(".leave-out") if label is None else card.get_by_role("option", name=label, exact=True)
            ).click()
        page.locator(".card", has_text="4.png").locator(".undo").click()
        with page.expect_download() as loaded:
            page.locator("#download").click()
        loaded.value.save_as(tmp_path / "corrections.csv")
        assert "fieldmark check PHOTOS --apply corrections.csv" in text(page, "#how-to")
    rows = list(csv.reader((tmp_path / "corrections.csv").read_text("utf-8").splitlines()))
    assert sorted(rows) == sorted(
        [["file", "given", "decision"], ["ant/1.png", "ant", "bee"], ["bee/3.png", "bee", "drop"]]
    )
    given = read_as_given(data)
    done = apply_decisions(given, tmp_path / "corrections.csv", corrections_place(data, given))
    assert (done.left_out, done.relabelled, done.undecided) == (1, 1, 0)
    after = read_dataset(data)
    assert {photo.name: after.classes[photo.label or 0] for photo in after.photos} == {
        "ant/1.png": "bee", "ant/2.png": "ant", "bee/4.png": "bee"
    }  # fmt: skip


@pytest.mark.slow
def test_single_photos_are_corrected_too_and_names_used_twice_are_told(
    browser: Any, photos: Path, tmp_path: Path
) -> None:
    data, odd = shutil.copytree(photos, tmp_path / "birds"), ("drop", "=ant", 'a "b", c', *CLASSES[:2])
    twin = layouts.picture(tmp_path / "elsewhere" / "2.png", (80, 60), seed=9)
    layouts.picture(data / "=ant" / "=5.png", (80, 60), seed=7)
    layouts.picture(data / "drop" / "6.png", (80, 60), seed=8)
    server = Canned(result(odd), classes=odd)
    with Opened(browser, server) as page:
        choose(page, data / "ant/1.png", data / "ant/2.png", twin, data / "=ant/=5.png")
        labels = ("drop", "bee", "ant", "ant")
        for card, label in zip(page.locator(".card").all(), labels, strict=True):
            card.locator(".correct").click()
            card.get_by_role("option", name=label, exact=True).click()
        assert "several photos have this name and different corrections: 2.png." in text(
            page, "#tray-corrections-trouble"
        )
        with page.expect_download() as loaded:
            page.locator("#download").click()
        loaded.value.save_as(tmp_path / "corrections.csv")
    assert sorted((tmp_path / "corrections.csv").read_bytes().split(b"\r\n")) == sorted(
        [b"file,given,decision", b"1.png,,class:drop", b"'=5.png,,ant", b""]
    )
    given = read_as_given(data)
    apply_decisions(given, tmp_path / "corrections.csv", corrections_place(data, given))
    after = read_dataset(data)
    labels = {photo.name: after.classes[photo.label or 0] for photo in after.photos}
    assert (labels["ant/1.png"], labels["=ant/=5.png"]) == ("drop", "ant")
