"""How the server's page looks, and bears what goes wrong, in a real browser.

With `-m slow`, too: a busy server, one that is gone, one that wants a token, and less motion.
FIELDMARK_SCREENSHOTS=FOLDER keeps pictures of all widths.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import layouts
import pytest

from canned_page import Canned, heatmap, result
from made_up_pages import HOSTILE
from opened_page import Opened, answered, choose, started_browser, write_photos


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from started_browser()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("page") / "birds")


@pytest.mark.slow
def test_a_busy_server_is_asked_again_and_one_that_is_gone_is_told(browser: Any, photos: Path) -> None:
    busy = {"status": 429, "headers": {"Retry_After": "1"}}
    server = Canned(busy, {"status": 500}, result())
    with Opened(browser, server) as page:
        page.locator("#files").set_input_files(photos / "ant/1.png")
        page.locator(".state", has_text="Trying again in 1 second.").wait_for()
        (card,) = answered(page, 1)
        assert "The server failed (500), request 7f." in card.locator(".why").inner_text()
        card.locator(".retry").click()
        page.locator(".card[data-state=answered]").wait_for()
        page.context.unroute("**/*")
        page.context.route("**/*", lambda route: route.abort())
        page.locator("#settings summary").click()
        page.locator("#top").fill("3")
        page.locator("#top").press("Enter")
        page.locator("#again").click()
        page.locator(".state", has_text="The server cannot be reached.").wait_for()


@pytest.mark.slow
def test_a_token_is_asked_for_once_and_forgotten_with_the_tab(browser: Any, photos: Path) -> None:
    with Opened(browser, Canned(token="sesame")) as page:
        page.locator("#token").wait_for()
        assert page.evaluate("document.activeElement.id") == "token-input"
        page.keyboard.press("Escape")
        page.locator("#trouble", has_text="wants a token").wait_for()
        page.locator("#trouble-again").click()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        page.locator("#token-wrong").wait_for()
        page.keyboard.type(" sesame ")
        page.keyboard.press("Enter")
        page.locator("#token").wait_for(state="hidden")
        choose(page, photos / "ant/1.png", photos / "ant/2.png")
        assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 1]
        page.reload()
        page.locator("#model", has_text="8 classes").wait_for()
        assert page.locator("#token").is_hidden()


def test_hostile_names_stay_text(browser: Any, tmp_path: Path) -> None:
    names = [*HOSTILE, "x" * 300]
    said = result(
        names, neighbours=[{"class": HOSTILE[0], "similarity": 0.5, "thumbnail": "http://elsewhere.example/x.png"}]
    )
    said["heatmaps"] = {"class": heatmap(HOSTILE[0]), "rival": heatmap(HOSTILE[0], HOSTILE[1])}
    file = layouts.picture(tmp_path / "<img src=x onerror=alert(4)>.png", (80, 60))
    with Opened(browser, Canned(said, classes=names), viewport={"width": 320, "height": 700}) as page:
        before = page.locator("img, script, style, iframe, object").count()
        first, _ = choose(page, file, file)
        assert first.locator(".answer").inner_text() == HOSTILE[0]
        assert first.locator(".file").inner_text() == file.name
        first.get_by_label(f"Why not {HOSTILE[1]}?").check()
        first.locator("canvas").wait_for()
        first.locator(".correct").click()
        first.get_by_role("option", name=HOSTILE[1], exact=True).click()
        page.locator("#compare-two").click()
        page.locator("#comparison").wait_for()
        found = page.locator("img, script, style, iframe, object").count()
        assert found == before + 3  # silhouettes of the neighbours, and the second photo
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_widths_and_looks(browser: Any, photos: Path, scheme: Any) -> None:
    """Nothing sticks out of the page from 320 pixels on; the button turns the look, which is remembered."""
    with Opened(browser, Canned(), viewport={"width": 1280, "height": 800}, color_scheme=scheme) as page:
        for stage in ("start", "cards"):
            if stage == "cards":
                first, second = choose(page, photos / "ant/1.png", photos / "bee/3.png")
                first.get_by_label("Where it shows").check()
                first.locator(".correct").click()
                first.get_by_role("option", name="bee", exact=True).click()
                page.locator("#compare-two").click()
                page.locator("#comparison").wait_for()
                second.locator(".correct").click()
            for width in (1280, 768, 360, 320):
                page.set_viewport_size({"width": width, "height": 800})
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (stage, width)
                if folder := os.environ.get("FIELDMARK_SCREENSHOTS"):
                    page.screenshot(path=Path(folder) / f"page-{stage}-{width}-{scheme}.png", full_page=True)
        ground = "getComputedStyle(document.documentElement).backgroundColor"
        was, button = page.evaluate(ground), page.locator("#theme")
        assert button.get_attribute("aria-pressed") == str(scheme == "dark").lower()
        button.click()
        now = page.evaluate(ground)
        assert now != was
        page.reload()
        assert page.evaluate(ground) == now


@pytest.mark.slow
def test_nothing_moves_for_those_who_asked_for_that(browser: Any, photos: Path) -> None:
    moving = "[...document.querySelectorAll('*')].filter((e) => { const s = getComputedStyle(e);" \
        " return s.animationName !== 'none' || parseFloat(s.transitionDuration) > 0; }).length"  # fmt: skip
    for motion, some in (("no-preference", True), ("reduce", False)):
        with Opened(browser, Canned(), reduced_motion=motion) as page:
            choose(page, photos / "ant/1.png")
            assert bool(page.evaluate(moving)) is some
            assert (page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "smooth") is some


def test_without_scripts_the_page_says_what_to_do(browser: Any) -> None:
    with Opened(browser, Canned(), java_script_enabled=False) as page:
        assert page.locator("noscript").inner_text().startswith("This page needs JavaScript.")
