"""The page as files: what it may load and run, its size, its contrasts, and that its parts fit each other."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
from PIL import Image

from canned_page import scripts, without_comments
from fieldmark.birds.plate import draw_plate
from fieldmark.birds.species import make_species
from fieldmark.serving.pages import pages
from page_elements import Elements
from page_pictures import PAIR, SEED

FOLDER = Path(str(files("fieldmark.serving") / "page"))
HTML = (FOLDER / "index.html").read_text("utf-8")
STYLE = (FOLDER / "style.css").read_text("utf-8")
ELEMENTS = Elements(HTML)
LOOKS = ("light", "dark", "dark")  # by default, by the system's wish, by the button

# What is written on what, and with which contrast at least; marks that are no text need three.
WRITTEN = (
    ("ink", "paper", 4.5), ("ink", "plate", 4.5), ("ink", "track", 4.5), ("quiet", "paper", 4.5),
    ("quiet", "plate", 4.5), ("quiet", "track", 4.5), ("leaf", "paper", 4.5), ("leaf", "plate", 4.5),
    ("rust", "paper", 4.5), ("rust", "plate", 4.5),
    ("on-leaf", "leaf", 4.5), ("paper", "ink", 4.5), ("ink", "veil", 4.5), ("rule", "paper", 3), ("rule", "plate", 3),
    ("leaf", "track", 3), ("bar", "track", 3),
)  # fmt: skip


def looks() -> list[tuple[str, dict[str, str]]]:
    """The colours by name, for each block that sets them."""
    blocks = re.findall(r"color-scheme: (\w+);\s+((?:--[\w-]+: #\w{6};\s*)+)", STYLE)
    return [(scheme, dict(re.findall(r"--([\w-]+): (#\w{6});", block))) for scheme, block in blocks]


def contrast(one: str, other: str) -> float:
    """WCAG's, of two colours."""

    def luminance(colour: str) -> float:
        parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_text_can_be_read_in_both_looks() -> None:
    found = looks()
    assert tuple(scheme for scheme, _ in found) == LOOKS
    assert found[1] == found[2]
    low = [(scheme, text, ground) for scheme, colours in found for text, ground, least in WRITTEN
           if contrast(colours[text], colours[ground]) < least]  # fmt: skip
    assert not low
    used = set(re.findall(r"var\(--([\w-]+)\)", STYLE))
    assert used <= set(found[0][1])


def test_nothing_comes_from_elsewhere_or_stands_in_the_markup() -> None:
    assert not ELEMENTS.open
    places = [value for _, names in ELEMENTS.found for key, value in names.items() if key in ("href", "src")]
    names = {place for place in places if place and not place.startswith("#")}
    assert names
    assert {f"/{name}" for name in names} <= set(pages())
    attributes = {name for _, given in ELEMENTS.found for name in given}
    assert not {"style", "srcset", "action", "srcdoc"} & attributes
    assert not [name for name in attributes if name.startswith("on")]
    assert not ELEMENTS.texts.get("style")
    assert not "".join(ELEMENTS.texts.get("script", []))
    for text in (HTML, STYLE, *scripts(FOLDER).values(), (FOLDER / "bird.svg").read_text()):
        assert not re.search(r"https?://", text.replace('xmlns="http://www.w3.org/2000/svg"', ""))
    assert "url(" not in STYLE


def test_names_can_only_become_text() -> None:
    forbidden = r"(inner|outer|Adjacent)HTML|document\.write|\beval\b|new Function|ContextualFragment|DOMParser"
    assert not [name for name, text in scripts(FOLDER).items() if re.search(forbidden, without_comments(text))]


def test_the_parts_fit_each_other() -> None:
    ids = [names["id"] for _, names in ELEMENTS.found if "id" in names]
    assert len(ids) == len(set(ids))
    classes = {kind for _, names in ELEMENTS.found for kind in (names.get("class") or "").split()}
    for name, text in scripts(FOLDER).items():
        wanted = set(re.findall(r'(?:byId|copyOf|getElementById)\("([\w-]+)"\)', text))
        assert wanted <= set(ids), name
        assert set(re.findall(r'\bpart\("([\w-]+)"\)', text)) <= classes, name
        for exports, module in re.findall(r'import \{([^}]+)\} from "\./([\w.]+)"', text):
            other = scripts(FOLDER)[module]
            for word in exports.split(","):
                assert re.search(rf"export (async )?(function|const|class) {word.strip()}\b", other), (name, word)
    for attribute in ("for", "aria-labelledby", "aria-describedby", "aria-controls"):
        assert {names[attribute] for _, names in ELEMENTS.found if attribute in names} <= set(ids)


def test_what_can_be_pressed_is_a_button_and_fields_have_names() -> None:
    assert all(names.get("type") in ("button", "submit") for names in ELEMENTS.all("button"))
    assert all("alt" in names for names in ELEMENTS.all("img"))
    assert re.search(r'<html lang="en">', HTML)
    for names in ELEMENTS.all("input"):
        labelled = f'for="{names.get("id")}"' in HTML or "aria-label" in names or names.get("role") == "combobox"
        assert labelled or re.search(rf'<label>[^<]*<input [^>]*id="{names["id"]}"', HTML), names


def test_the_page_is_small() -> None:
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert sizes["birds.webp"] + sizes["bird.svg"] < 60_000
    assert sum(sizes.values()) < 140_000
    assert {name for name in sizes if f"/{name}" not in pages()} == set()


@pytest.mark.parametrize(("name", "most"), [("main.js", 250), ("cards.js", 250), ("style.css", 250)])
def test_files_stay_short(name: str, most: int) -> None:
    assert len((FOLDER / name).read_text("utf-8").splitlines()) <= most


def test_the_pointers_end_beside_the_telling_mark() -> None:
    """`benchmarks/page_pictures.py` drew the plate; the page points at the rump of both birds, and names the two."""
    species = make_species(2 * PAIR + 2, seed=SEED)[2 * PAIR :]
    plate = draw_plate(species, width=320, seed=3)
    shown = re.search(r'<image href="birds.webp" x="0" y="(\d+)" width="(\d+)" height="(\d+)"', HTML)
    assert shown
    top, width, height = map(int, shown.groups())
    scale = width / plate.image.width
    with Image.open(FOLDER / "birds.webp") as drawn:
        assert drawn.size == (width, height)
    ends = re.findall(r"L(\d+) (\d+)", re.search(r'<g class="pointers".*?<path d="([^"]+)"', HTML, re.DOTALL)[1])
    assert len(ends) == len(plate.marks) == 2
    for (x, y), mark in zip(ends, plate.marks, strict=True):
        centre = ((mark.x + mark.width / 2) * scale, (mark.y + mark.height / 2) * scale + top)
        assert abs(int(x) - centre[0]) < 60
        assert abs(int(y) - centre[1]) < 60
    first, second = (each.name for each in species)
    assert f"<i>{first.split()[0]}</i> and <i>{second}</i>" in HTML
