"""Diagrams whose words may be of any script: fonts that have the letters, from those installed on the machine."""

import logging
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from fieldmark.files import replace_file

LOG = logging.getLogger(__name__)
FIRST = "DejaVu Sans"
"""Matplotlib's own font."""
DPI = 110
"""Of pictures, in dots an inch."""


def families_of(text: str) -> tuple[list[str], str]:
    """Families of fonts that together have the letters of a text, the first of them first; and the letters of none.

    Installed fonts are looked through only where Matplotlib's own lacks a letter.
    """
    letters = {letter for letter in text if not letter.isspace()}
    missing, families = letters - _letters_in(font_manager.findfont(FIRST), letters), [FIRST]
    fonts = dict(_installed()) if missing else {}
    covered = {family: _letters_in(file, missing) for family, file in sorted(fonts.items())}
    while missing and covered:
        # of equals one without serifs, as the first font is
        best = max(covered, key=lambda family: (len(covered[family] & missing), "Sans" in family))
        if not covered[best] & missing:
            break
        families.append(best)
        missing -= covered.pop(best)
    return families, "".join(sorted(missing))


def without_font(picture: str, letters: Iterable[str]) -> list[str]:
    """A line for the user where letters of a picture have no font; ``picture`` is what to call it, or several."""
    lacking = "".join(sorted(letters))[:40]
    return [f"{picture}: no font on this machine has {lacking}; install one, such as Noto"] if lacking else []


def _installed() -> Iterator[tuple[str, str]]:
    """Family and file of each upright font; the one nearest to the usual weight comes last."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for file in set(font_manager.findSystemFonts()) - known:  # newer than Matplotlib's list, which it keeps on disk
        try:
            font_manager.fontManager.addfont(file)
        except (OSError, RuntimeError, ValueError) as error:
            LOG.info("%s: no font that can be used (%s)", file, error)
    upright = (entry for entry in font_manager.fontManager.ttflist if entry.style == "normal")
    for entry in sorted(upright, key=lambda entry: -abs(_weight(entry.weight) - 400)):
        if not entry.name.startswith("Last Resort"):  # Matplotlib's own has a box for every letter there is
            yield entry.name, entry.fname


def _weight(weight: int | str) -> int:
    return weight if isinstance(weight, int) else font_manager.weight_dict.get(weight, 400)


def _letters_in(file: str, letters: set[str]) -> set[str]:
    try:
        font = FT2Font(file)
    except (OSError, RuntimeError) as error:  # the list names a font that is gone, or damaged
        LOG.info("%s: no font that can be used (%s)", file, error)
        return set()
    return {letter for letter in letters if font.get_char_index(ord(letter))}


def save_picture(path: Path, figure: Figure) -> None:
    """Writes a diagram with all that is around it as PNG, all or nothing; letters that no font has show as boxes."""
    replace_file(path, lambda draft: save_figure(draft, figure))


def save_figure(path: Path, figure: Figure) -> None:
    """The same into a draft that is there already."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(path, dpi=DPI, bbox_inches="tight", pad_inches=0.15)
