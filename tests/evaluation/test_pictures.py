"""Words of any script: fonts are found where there are some, and letters that none has are said once."""

from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure

from fieldmark.evaluation.pictures import FIRST, families_of, save_picture

HAWK, EYE, WATER = "\U00013143", "\U00013080", "\U00013216"  # hieroglyphs, which Matplotlib's own fonts lack


def write_font(path: Path, family: str, letters: str) -> Path:
    """A font with a box for each letter."""
    pen = TTGlyphPen(None)
    pen.moveTo((50, 0))
    for corner in ((50, 700), (550, 700), (550, 0)):
        pen.lineTo(corner)
    pen.closePath()
    names = [".notdef", *(f"u{ord(letter):x}" for letter in letters)]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({ord(letter): f"u{ord(letter):x}" for letter in letters})
    font.setupGlyf(dict.fromkeys(names, pen.glyph()))
    font.setupHorizontalMetrics(dict.fromkeys(names, (600, 50)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": family, "styleName": "Regular"})
    font.setupOS2(sTypoAscender=800, usWeightClass=400)
    font.setupPost()
    font.save(path)
    return path


@pytest.fixture
def fonts(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Fonts that are installed on the machine, and no others; Matplotlib's list of them is put back."""
    installed: list[Path] = []
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(path) for path in installed])
    own = [entry for entry in font_manager.fontManager.ttflist if "mpl-data" in entry.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    return installed


def test_latin_letters_need_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: pytest.fail("fonts are searched for"))
    assert families_of("Ivory Gull, Möwe, Жук, عربي\n") == ([FIRST], "")


def test_installed_fonts_are_found_and_used(fonts: list[Path], tmp_path: Path) -> None:
    assert families_of(f"a {HAWK}{EYE}") == ([FIRST], EYE + HAWK)
    fonts.append(write_font(tmp_path / "one.ttf", "One", HAWK + EYE))
    assert families_of(f"a {HAWK}{EYE}{WATER}") == ([FIRST, "One"], WATER)
    fonts.append(write_font(tmp_path / "other.ttf", "Other", WATER))
    families, lacking = families_of(f"a {HAWK}{EYE}{WATER}")
    assert (sorted(families[1:]), lacking) == (["One", "Other"], "")
    figure = Figure()
    figure.text(0.1, 0.5, f"a {HAWK}{EYE}{WATER}", fontfamily=families)
    figure.savefig(tmp_path / "a.png")  # a letter that is missing would be a warning, which is an error in tests


def test_few_fonts_are_better_than_many_and_sans_than_others(fonts: list[Path], tmp_path: Path) -> None:
    for family, letters in (("A Few", HAWK), ("B Serif", HAWK + EYE), ("C Sans", HAWK + EYE)):
        fonts.append(write_font(tmp_path / f"{family}.ttf", family, letters))
    assert families_of(HAWK + EYE) == ([FIRST, "C Sans"], "")


def test_files_that_are_no_fonts_are_passed_over(fonts: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.ttf").write_bytes(b"no font")
    gone = write_font(tmp_path / "gone.ttf", "Gone", HAWK)
    fonts += [tmp_path / "bad.ttf", gone]
    assert families_of(HAWK) == ([FIRST, "Gone"], "")
    gone.unlink()
    assert families_of(HAWK) == ([FIRST], HAWK)


def test_a_picture_whose_letters_are_missing_is_drawn_without_warnings(tmp_path: Path) -> None:
    figure = Figure()
    figure.text(0.1, 0.5, HAWK + EYE)
    save_picture(tmp_path / "a.png", figure)
    assert (tmp_path / "a.png").stat().st_size
