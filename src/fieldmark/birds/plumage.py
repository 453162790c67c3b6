"""What an invented bird species is: its field marks, base colours and proportions. Nothing is drawn here."""

from dataclasses import dataclass
from typing import NamedTuple

Colour = tuple[int, int, int]
NONE = "none"


class Marks(NamedTuple):
    """The field marks of a species: the colour (or shape) of each, "none" where the species lacks it."""

    crown_stripe: str = NONE
    cap: str = NONE
    nape: str = NONE
    eye_ring: str = NONE
    eyebrow: str = NONE
    whisker: str = NONE
    throat: str = NONE
    breast_spots: str = NONE
    wing_bars: str = NONE
    rump: str = NONE
    tail_band: str = NONE
    bill: str = "thin"
    legs: str = "black"


class Palette(NamedTuple):
    """Base colours of the plumage, RGB 0 to 255."""

    back: Colour
    head: Colour
    wing: Colour
    breast: Colour
    belly: Colour
    tail: Colour
    bill: Colour


class Build(NamedTuple):
    """Proportions relative to a middling songbird (1.0); ``fork`` is the depth of the tail's notch."""

    depth: float
    head: float
    tail: float
    legs: float
    fork: float


@dataclass(frozen=True)
class Species:
    """A species of bird. ``twin`` names its look-alike, which differs in ``telling_mark`` alone (None: no twin)."""

    name: str
    marks: Marks
    palette: Palette
    build: Build
    twin: str | None = None
    telling_mark: str | None = None


COLOURS: dict[str, Colour] = {
    "white": (248, 246, 238),
    "buff": (236, 210, 156),
    "yellow": (244, 206, 62),
    "orange": (228, 132, 48),
    "rufous": (170, 82, 40),
    "chestnut": (110, 54, 34),
    "red": (188, 46, 42),
    "pink": (222, 156, 146),
    "grey": (146, 150, 156),
    "black": (34, 32, 36),
}

MARK_NAMES: tuple[str, ...] = Marks._fields
