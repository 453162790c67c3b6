"""The page in a real browser: sorting, searching, cells, keyboard, widths, print; nothing foreign is fetched or run."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fieldmark.reports.page import rendered
from made_up_pages import HOSTILE, answers, content, page, shown
from opened_page import started_browser

WIDTHS = (320, 360, 768, 1280)
CLASSES = ("ant 10", "ant 9", "bee", "cat", "dog", "eel")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from started_browser()


class Opened:
    """A page in the browser, and what it complained of or asked for that is not in the file."""

    def __init__(self, browser: Any, path: Path, **look: Any) -> None:
        self.context = browser.new_context(**look)
        self.page, self.said = self.context.new_page(), []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self._asked(request.url, path))
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => console.log('policy', event.violatedDirective))"
        )
        self.page.goto(path.as_uri())

    def _asked(self, url: str, path: Path) -> None:
        if not url.startswith("data:") and url.partition("#")[0] != path.as_uri():
            self.said.append(url)

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, kind: object, *_: object) -> None:
        self.context.close()
        assert kind or not self.said, self.said


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("page") / "report.html"
    place.write_text(page(CLASSES, photos=120), "utf-8")
    return place


def texts(page: Any, column: int) -> list[str]:
    cells = page.locator(f"#classes-table tbody tr:visible > :nth-child({column})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_columns_sort(browser: Any, path: Path) -> None:
    with Opened(browser, path) as page:
        name = page.locator("#classes-table th").first
        name.get_by_role("button").click()
        assert name.get_attribute("aria-sort") == "ascending"
        assert texts(page, 1) == ["ant 9", "ant 10", "bee", "cat", "dog", "eel"]
        name.get_by_role("button").press("Enter")
        assert name.get_attribute("aria-sort") == "descending"
        assert texts(page, 1)[0] == "eel"
        page.get_by_role("button", name="accuracy", exact=False).first.click()
        shares = [int(text.split("\u00a0")[0]) for text in texts(page, 2)]
        assert shares == sorted(shares)
        assert page.locator("#classes-table th[aria-sort=none]").count() == 6


def test_search_leaves_rows_with_all_words(browser: Any, path: Path) -> None:
    with Opened(browser, path) as page:
        page.locator("#classes-search").fill("  ANT 1 ")
        assert texts(page, 1) == ["ant 10"]
        found = page.locator("#classes-found").inner_text()
        assert found == f"{len(texts(page, 1))} of 6 classes"
        page.locator("#classes-search").fill("no such class")
        assert texts(page, 1) == []
        page.locator("#classes-search").fill("")
        assert len(texts(page, 1)) == 6


def test_a_number_shows_its_photos_alone(browser: Any, path: Path) -> None:
    with Opened(browser, path) as page:
        number = page.locator("#matrix button").nth(2)
        said, photos = number.get_attribute("aria-label"), int(number.inner_text())
        number.click()
        assert number.get_attribute("aria-expanded") == "true"
        (cell,) = page.locator(".cell:visible").all()
        assert cell.locator(".card:visible").count() == photos
        assert said.split(":")[0] in cell.locator("summary").inner_text()
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
        drawn = cell.locator("svg.picture").first.bounding_box()
        assert drawn["width"] > 60
        assert abs(drawn["width"] - drawn["height"]) < 1
        page.locator("#all-cells").click()
        assert page.locator(".cell:visible").count() == page.locator(".cell").count() > 8


def test_the_link_of_a_pair_opens_its_cell(browser: Any, path: Path) -> None:
    with Opened(browser, path) as page:
        link = page.locator("a[data-cell]").first
        link.click()
        assert page.locator(f"#{link.get_attribute('data-cell')}[open]").is_visible()


def test_the_keyboard_reaches_everything(browser: Any, path: Path) -> None:
    with Opened(browser, path) as page:
        wanted = page.evaluate(
            "[...document.querySelectorAll('a[href], button, summary, input, [tabindex=\"0\"]')]"
            ".filter((e) => e.tabIndex >= 0 && e.checkVisibility()).length"
        )
        stops, outlines = [], []
        for _ in range(wanted):
            page.keyboard.press("Tab")
            stops.append(page.evaluate("(e => e.id || e.className || e.tagName)(document.activeElement)"))
            outlines.append(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))
        assert stops[0] == "skip"
        assert "BODY" not in stops
        assert "classes-search" in stops
        assert set(outlines) == {"solid"}
        assert page.locator("#matrix button[tabindex='0']").count() == 1
        page.locator("#matrix button[tabindex='0']").focus()
        before = page.evaluate("document.activeElement.dataset.cell")
        page.keyboard.press("ArrowRight")
        after = page.evaluate("document.activeElement.dataset.cell")
        assert before != after
        page.keyboard.press("Enter")
        assert page.locator(f"#{after}[open]").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_widths(browser: Any, path: Path, width: int, scheme: Any) -> None:
    """Nothing sticks out of the page at any width; FIELDMARK_SCREENSHOTS=FOLDER keeps pictures."""
    with Opened(browser, path, viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if folder := os.environ.get("FIELDMARK_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"report-{width}-{scheme}.png", full_page=True)


def test_without_a_script_all_can_be_read(browser: Any, path: Path) -> None:
    with Opened(browser, path, java_script_enabled=False) as page:
        assert page.locator(".cell").last.is_visible()
        assert not page.locator("#classes-search").is_visible()
        page.locator(".cell summary").first.click()
        assert page.locator(".cell").first.locator(".card").first.is_visible()


def test_on_paper_everything_is_open(browser: Any, path: Path) -> None:
    with Opened(browser, path) as page:
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        assert page.locator(".cell").last.locator(".card").first.is_visible()
        assert not page.locator("nav").is_visible()
        assert len(page.pdf(format="A4")) > 10_000
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]").count() == 0


@pytest.mark.slow
def test_no_number_of_a_large_matrix_is_cut_on_paper(browser: Any, tmp_path: Path) -> None:
    place = tmp_path / "report.html"
    place.write_text(page([f"class {at}" for at in range(60)], photos=9000, easy=2.5), "utf-8")
    with Opened(browser, place, viewport={"width": 680, "height": 1000}) as opened:  # A4 with its margins
        opened.emulate_media(media="print")
        cut = opened.evaluate(
            "[...document.querySelectorAll('#matrix tbody td')]"
            ".filter((cell) => { const range = document.createRange(); range.selectNodeContents(cell);"
            " return cell.textContent && range.getBoundingClientRect().width > cell.clientWidth + 0.5; }).length"
        )
        assert cut == 0


def test_hostile_names_do_nothing(browser: Any, tmp_path: Path) -> None:
    """No dialog, no error, no element: and the table and the matrix work with them."""
    place = tmp_path / "report.html"
    place.write_text(page([*HOSTILE, "x" * 300], photos=120, easy=0.5), "utf-8")
    with Opened(browser, place, viewport={"width": 360, "height": 700}) as opened:
        assert opened.locator("img").count() == 0
        assert opened.evaluate("document.documentElement.scrollWidth") <= 360
        opened.locator("#classes-table th button").first.click()
        assert set(HOSTILE) <= set(texts(opened, 1))
        opened.locator("#matrix button").first.click()
        assert opened.locator(".cell:visible").count() == 1


def test_the_policy_stops_what_is_not_its_own(browser: Any, tmp_path: Path) -> None:
    text = page(CLASSES).replace("</main>", "<script>document.title = 'run'</script></main>")
    (tmp_path / "report.html").write_text(text, "utf-8")
    opened = Opened(browser, tmp_path / "report.html")
    assert opened.page.title() != "run"
    assert any("policy" in line for line in opened.said)
    opened.context.close()


def test_a_page_without_measurement_and_one_without_mistakes(browser: Any, tmp_path: Path) -> None:
    for at, measured in enumerate((None, shown(answers(["ant", "bee"], easy=50.0)))):
        place = tmp_path / f"{at}.html"
        place.write_text(rendered(content(measured, problem="" if measured else "No photos.")), "utf-8")
        with Opened(browser, place, viewport={"width": 320, "height": 700}) as opened:
            assert opened.evaluate("document.documentElement.scrollWidth") <= 320
            assert opened.locator("h2", has_text="Training").is_visible()
