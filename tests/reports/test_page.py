"""The page as a file: its policy, its size, hostile names, contrasts, and what it says where something is missing."""

import base64
import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from fieldmark.confidence.record import Confidence
from fieldmark.confidence.taxonomy import Groups
from fieldmark.confidence.temperature import Temperature
from fieldmark.data.dataset import Level
from fieldmark.reports.page import is_report, policy, rendered, text_of
from fieldmark.reports.pictures import BYTES, MOST, room_for
from made_up_pages import HOSTILE, answers, content, page, shown
from page_elements import Elements

CLASSES = [f"class {at}" for at in range(6)]


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def contrast(one: str, other: str) -> float:
    """WCAG's, of two colours."""

    def luminance(colour: str) -> float:
        parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_only_its_own_style_and_script_may_run() -> None:
    elements = Elements(page(CLASSES))
    (rule,) = (a["content"] for a in elements.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert rule is not None
    assert rule.startswith("default-src 'none'; img-src data:; ")
    for kind in ("style", "script"):
        (text,) = elements.texts[kind]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in rule
    assert rule == policy(text_of("report.css"), text_of("report.js"))
    assert "unsafe" not in rule
    attributes = {name for _, names in elements.found for name in names}
    assert not {"style", "srcset", "action"} & attributes
    assert not [name for name in attributes if name.startswith("on")]


def test_everything_is_in_the_file() -> None:
    elements = Elements(page(CLASSES))
    places = [
        value for _, names in elements.found for key, value in names.items() if key in ("href", "src", "xlink:href")
    ]
    assert places
    assert all(place and place.startswith(("#", "data:")) for place in places)
    ids = [names["id"] for _, names in elements.found if "id" in names]
    assert len(ids) == len(set(ids))
    assert {place[1:] for place in places if place and place.startswith("#")} <= set(ids)
    assert {names["aria-controls"] for _, names in elements.found if "aria-controls" in names} <= set(ids)


def test_what_can_be_pressed_is_a_button_or_a_link_and_pictures_say_what_they_are() -> None:
    elements = Elements(page(CLASSES))
    assert all(names["type"] == "button" for names in elements.all("button"))
    assert all(names.get("aria-label") for names in elements.all("button") if "data-cell" in names)
    for names in elements.all("svg"):
        assert names.get("aria-hidden") == "true" or names.get("aria-label") or names.get("aria-labelledby")
    assert all("tabindex" in names for _, names in elements.found if "scroll" in (names.get("class") or "").split())


def test_the_script_is_small_and_makes_no_elements_of_names() -> None:
    script = text_of("report.js")
    assert len(script.encode()) < 8000
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function\(|fetch|XMLHttp", script)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name: str) -> None:
    plain, hostile = Elements(page(["ant", "bee", "cat"])), Elements(page([name, "bee", "cat"]))
    assert not hostile.open
    assert [tag for tag, _ in hostile.found] == [tag for tag, _ in plain.found]
    assert name in "".join(hostile.texts["strong"])
    assert hostile.texts["script"] == plain.texts["script"]


def test_names_from_right_to_left_are_set_apart_from_numbers() -> None:
    name = "\u05e2\u05d5\u05e8\u05d1 2"
    elements = Elements(page([name, "bee", "cat"]))
    assert name in elements.texts["bdi"]
    for tag in ("p", "li", "figcaption", "td", "summary"):
        assert not [text for text in elements.texts[tag] if name in text and f"{name}/" not in text], tag
    assert "strong, em, h3 span, th span, .file { unicode-bidi: isolate; }" in text_of("report.css")


def test_control_characters_and_odd_bytes_are_spelt() -> None:
    text = page(["a\nb", "c\u202ed", "e\udce9f"])
    text.encode("utf-8")
    for spelt in (r"a\nb", r"c\u202ed", r"e\udce9f"):
        assert spelt in text


@pytest.mark.parametrize(("photos", "easy"), [(4000, 2.0), (10_000, 0.5)])
def test_200_classes_make_less_than_five_megabytes(photos: int, easy: float) -> None:
    """With as many bytes of pictures as a page may have."""
    text = page([f"{at:03d}.A rather long name of a class" for at in range(200)], photos=photos, easy=easy)
    assert text.count("<symbol") == 2 * MOST
    words = re.sub('base64,[^"]+', "", text)
    assert len(words.encode()) + BYTES * 4 / 3 < 5_000_000


@pytest.mark.slow
def test_the_more_classes_the_fewer_bytes_of_pictures() -> None:
    classes = [f"{at:04d}.A rather long name of a class" for at in range(2000)]
    words = re.sub('base64,[^"]+', "", page(classes, photos=3000, easy=3.0))
    assert len(words.encode()) + room_for(classes) * 4 / 3 < 5_000_000
    assert room_for(classes[:200]) == BYTES
    assert 0 < room_for(classes) < BYTES
    assert room_for(classes * 5) == 0


def test_1000_classes_show_a_matrix_of_those_with_most_mistakes() -> None:
    text = page([f"class {at}" for at in range(1000)], photos=5000, easy=3.0)
    elements = Elements(text)
    assert len(elements.all("tr")) < 1000 + 200
    assert "Shown are 60 of the" in text
    assert len(text.encode()) < 4_000_000


def test_pictures_hold_no_data_of_a_camera() -> None:
    for place in re.findall(r'href="data:image/jpeg;base64,([^"]+)"', page(CLASSES)):
        content = base64.b64decode(place)
        image = Image.open(io.BytesIO(content))
        assert not image.getexif()
        assert b"Exif" not in content


def test_what_was_not_measured_is_said_and_the_rest_is_there() -> None:
    text = rendered(content(None, problem="The photos could not be measured: they are gone."))
    elements = Elements(text)
    assert not elements.open
    assert "Not measured. The photos could not be measured: they are gone." in text
    assert {"training", "data", "provenance"} <= {names.get("id") for names in elements.all("section")}
    assert "polyline" in text


@pytest.mark.parametrize(("classes", "photos"), [(["ant", "bee"], 1), (["ant", "bee"], 2), (["ant", "bee", "cat"], 9)])
def test_few_photos_and_no_mistakes(classes: list[str], photos: int) -> None:
    text = rendered(content(shown(answers(classes, photos=photos, easy=50.0))))
    assert not Elements(text).open
    assert "Not one is wrong." in text
    assert 'id="mistakes"' not in text
    assert "Never confused here" in text


def test_confidence_is_told_with_what_chance_makes_of_it() -> None:
    result = answers(["ant", "bee"], photos=200)
    unknown = rendered(content(shown(result)))
    assert "is what chance alone makes of a perfectly calibrated network" in unknown
    assert "are not calibrated: fieldmark calibrate RUN" in unknown
    known = Confidence("ab", "validation", ("test",), 200, 150, Temperature(2.0, 1.8, 2.2))
    page = rendered(content(shown(replace(result, confidence=known))))
    assert "Probabilities are those at temperature 2.00 (95 % interval: 1.80 to 2.20), by 200 photos of test." in page
    assert "The photos measured here are those that the temperature was chosen by." in page


def test_levels_are_there_where_classes_have_groups() -> None:
    result = answers(["ant", "bee", "<cat>"], photos=90)
    assert 'id="levels"' not in rendered(content(shown(result)))
    groups = Groups(result.classes, (Level("<kind>", ("insect", "insect", "beast")),))
    page = rendered(content(shown(replace(result, groups=groups))))
    assert page.count("levels") >= 2  # the section, and the way to it
    assert "&lt;kind&gt;</th><td>2</td>" in page
    assert "<kind>" not in page


def test_a_page_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page(CLASSES), "utf-8")
    (tmp_path / "letter.html").write_text("<p>dear</p>", "utf-8")
    assert is_report(tmp_path / "report.html")
    assert not is_report(tmp_path / "letter.html")


@pytest.mark.parametrize("mode", ["light", "dark", "print"])
def test_text_can_be_read(mode: str) -> None:
    """At least 4.5 for all pairs of text and ground, as WCAG's level AA has it; 3 for lines of diagrams."""
    style = text_of("report.css")
    blocks = {"light": style, "dark": style.partition("scheme: dark")[2], "print": style.partition("@media print")[2]}
    known = colours(blocks[mode].partition("}")[0])
    for ground in ("paper", "panel"):
        for ink in ("ink", "quiet", "mark", "wrong"):
            assert contrast(known[ink], known[ground]) >= 4.5, (ink, ground)
    for kind in "rw":
        for level in (1, 2, 3):
            assert contrast(known["on-pale"], known[f"{kind}{level}"]) >= 4.5, (kind, level)
        for level in (4, 5):
            assert contrast(known[f"on-{kind}{level}"], known[f"{kind}{level}"]) >= 4.5, (kind, level)
    assert all(contrast(known[f"l{at}"], known["paper"]) >= 4.5 for at in range(6))
    assert contrast(known["ink"], known["w1"]) >= 4.5
