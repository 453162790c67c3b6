"""The server's page, opened in a real browser: what tests of it share."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import layouts
import pytest

from canned_page import HOME, Canned

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip


def started_browser() -> Iterator[Any]:
    """A browser without a window; skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright, which drives the browser")
    if BROWSER is None:
        pytest.skip("install the browser Chromium, such as Debian's package chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=OPTIONS)
        yield started
        started.close()


class Opened:
    """The page of a server, canned or at an address; what it complained of, or asked for elsewhere, fails the test."""

    def __init__(self, browser: Any, server: Canned | str, **look: Any) -> None:
        self.context, self.home = browser.new_context(**look), HOME if isinstance(server, Canned) else server
        if isinstance(server, Canned):
            self.context.route("**/*", server)
        self.page, self.said = self.context.new_page(), []
        self.page.set_default_timeout(10_000)
        self.page.on("console", lambda message: self._complained(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => console.log('policy', event.violatedDirective))"
        )
        self.page.goto(self.home)

    def _complained(self, text: str) -> None:
        if not text.startswith("Failed to load resource"):  # what the browser itself says of a refusal
            self.said.append(text)

    def _asked(self, url: str) -> None:
        if not url.startswith((self.home, "data:", "blob:")):
            self.said.append(url)

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, kind: object, *_: object) -> None:
        self.context.close()
        assert kind or not self.said, self.said


def write_photos(root: Path) -> Path:
    """Photos of 80 x 60 in folders of their classes."""
    for at, name in enumerate(("ant/1.png", "ant/2.png", "bee/3.png", "bee/4.png")):
        layouts.picture(root / name, (80, 60), seed=at)
    return root


def answered(page: Any, count: int) -> list[Any]:
    """The cards, once none waits for an answer or for its picture."""
    page.locator(".card").nth(count - 1).wait_for()
    page.locator(".card:is([data-state=waiting], :has(.frame:empty))").first.wait_for(state="detached")
    return page.locator(".card").all()


def choose(page: Any, *paths: Path) -> list[Any]:
    """Chooses photos, and gives the cards, the newest photos first, once all are answered."""
    page.locator("#files").set_input_files(list(paths))
    return answered(page, len(paths))


def text(page: Any, where: str) -> str:
    """What an element says, on one line."""
    return " ".join(page.locator(where).inner_text().split())
