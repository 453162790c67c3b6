"""Invents species of birds in look-alike pairs that differ in exactly one field mark, and names them."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from operator import ne
from typing import NamedTuple

import numpy as np

from fieldmark.birds.plumage import COLOURS, MARK_NAMES, NONE, Build, Marks, Palette, Species
from fieldmark.errors import UserError


class _Kind(NamedTuple):
    """A mark's values, the palette's parts it lies on, epithets with and without it, and what it clashes with."""

    values: tuple[str, ...]
    grounds: tuple[str, ...]
    having: str
    lacking: str = ""
    clashes: tuple[str, ...] = ()


_KINDS: dict[str, _Kind] = {
    "crown_stripe": _Kind(("white", "buff", "yellow", "black"), ("head",), "Stripe-crowned", "Plain-crowned", ("cap",)),
    "cap": _Kind(
        ("black", "chestnut", "grey", "rufous", "red"), ("head",), "{}-capped", "Plain-headed", ("crown_stripe",)
    ),
    "nape": _Kind(("rufous", "grey", "white", "black", "yellow"), ("head",), "{}-naped", "Plain-naped"),
    "eye_ring": _Kind(("white", "yellow", "buff", "red"), ("head",), "Ring-eyed", "Plain-eyed", ("eyebrow",)),
    "eyebrow": _Kind(("white", "buff", "yellow", "black"), ("head",), "{}-browed", "Plain-browed", ("eye_ring",)),
    "whisker": _Kind(("black", "white", "chestnut"), ("head", "breast"), "Whiskered", "Plain-cheeked"),
    "throat": _Kind(("white", "black", "rufous", "yellow", "red"), ("breast",), "{}-throated", "Plain-throated"),
    "breast_spots": _Kind(("black", "chestnut", "white"), ("breast",), "Spot-breasted", "Plain-breasted"),
    "wing_bars": _Kind(("white", "buff", "yellow"), ("wing",), "Bar-winged", "Plain-winged"),
    "rump": _Kind(("white", "yellow", "rufous", "black"), ("back",), "{}-rumped", "Plain-rumped"),
    "tail_band": _Kind(("white", "buff", "black", "rufous"), ("tail",), "Band-tailed", "Plain-tailed"),
    "bill": _Kind(("thin", "stout", "hooked", "curved"), (), "{}-billed"),
    "legs": _Kind(("black", "pink", "orange", "grey"), (), "{}-legged"),
}
_CHANCE = 0.3  # of a mark that does not tell the pair apart
_CONTRAST = 100.0  # RGB distance below which a mark could not be seen on its ground

_PALETTES = (
    Palette((118, 124, 74), (124, 130, 84), (86, 84, 68), (230, 204, 92), (242, 230, 172), (84, 82, 64), (58, 52, 48)),
    Palette(
        (130, 118, 102), (124, 114, 100), (94, 84, 74), (212, 200, 180), (238, 232, 218), (88, 78, 68), (50, 46, 44)
    ),
    Palette((154, 94, 56), (148, 96, 62), (112, 74, 52), (226, 188, 146), (242, 226, 202), (128, 76, 48), (96, 78, 62)),
    Palette((90, 112, 140), (84, 106, 136), (66, 76, 96), (220, 148, 98), (240, 222, 200), (62, 74, 94), (52, 54, 62)),
    Palette(
        (62, 112, 180), (58, 108, 178), (52, 80, 132), (208, 124, 74), (242, 236, 228), (46, 82, 146), (48, 48, 54)
    ),
    Palette((122, 108, 84), (126, 108, 82), (98, 84, 66), (216, 118, 56), (234, 228, 216), (96, 82, 64), (70, 60, 52)),
    Palette(
        (216, 184, 70), (226, 192, 72), (60, 56, 54), (242, 210, 78), (248, 232, 158), (54, 52, 52), (206, 148, 96)
    ),
    Palette((66, 126, 112), (62, 122, 110), (50, 92, 88), (186, 212, 190), (232, 238, 224), (48, 90, 84), (54, 58, 58)),
    Palette(
        (146, 96, 92), (182, 96, 100), (108, 80, 76), (218, 130, 134), (240, 214, 210), (96, 70, 68), (126, 102, 88)
    ),
    Palette((92, 92, 100), (80, 80, 88), (72, 72, 80), (122, 122, 130), (238, 238, 238), (62, 62, 70), (216, 168, 150)),
    Palette(
        (176, 150, 110),
        (170, 144, 106),
        (128, 106, 78),
        (228, 208, 172),
        (246, 238, 222),
        (120, 98, 72),
        (142, 116, 88),
    ),
    Palette(
        (144, 98, 64), (138, 138, 142), (108, 78, 56), (200, 196, 190), (228, 224, 216), (104, 80, 62), (84, 78, 74)
    ),
    Palette(
        (108, 92, 146), (112, 94, 152), (78, 70, 106), (190, 174, 206), (234, 228, 238), (74, 66, 104), (64, 58, 66)
    ),
    Palette((166, 56, 48), (182, 54, 46), (92, 58, 54), (200, 76, 60), (220, 140, 118), (88, 52, 50), (178, 136, 104)),
    Palette((88, 140, 72), (96, 150, 76), (72, 100, 62), (162, 198, 102), (224, 230, 168), (66, 94, 58), (66, 66, 58)),
    Palette((76, 78, 84), (84, 86, 92), (60, 60, 66), (236, 236, 234), (246, 246, 244), (50, 50, 56), (44, 42, 44)),
    Palette(
        (58, 138, 158), (64, 146, 166), (52, 96, 118), (232, 196, 130), (246, 236, 206), (48, 92, 114), (50, 54, 58)
    ),
    Palette(
        (160, 130, 110), (164, 126, 102), (112, 100, 96), (198, 164, 136), (238, 226, 178), (92, 86, 86), (60, 54, 52)
    ),
)

# Build, bill and what birders call such a bird.
_GROUPS: tuple[tuple[Build, str, tuple[str, ...]], ...] = (
    (Build(0.94, 0.98, 0.95, 1.0, 0.10), "thin", ("Warbler", "Vireo", "Gnatcatcher", "Prinia")),
    (Build(1.08, 1.08, 0.92, 0.9, 0.20), "stout", ("Finch", "Bunting", "Sparrow", "Seedeater")),
    (Build(1.06, 0.98, 1.0, 1.3, 0.0), "thin", ("Thrush", "Chat", "Wheatear", "Redstart")),
    (Build(0.98, 1.12, 1.25, 0.9, 0.0), "hooked", ("Shrike", "Flycatcher", "Tyrant", "Whistler")),
    (Build(0.92, 0.94, 1.2, 1.1, 0.0), "curved", ("Thrasher", "Babbler", "Honeyeater", "Creeper")),
    (Build(1.16, 1.14, 0.68, 1.0, 0.0), "thin", ("Wren", "Tit", "Kinglet", "Robin")),
    (Build(0.88, 0.94, 1.4, 1.25, 0.12), "thin", ("Wagtail", "Pipit", "Forktail", "Yuhina")),
    (Build(1.02, 1.02, 0.98, 0.85, 0.06), "stout", ("Tanager", "Lark", "Waxwing", "Weaver")),
)
_PLACES = (
    "Marsh", "Meadow", "Reed", "Alder", "Willow", "Heath", "Moor", "Canyon", "Coast", "Island", "Lake", "River",
    "Valley", "Forest", "Thicket", "Juniper", "Cedar", "Oak", "Birch", "Aspen", "Bramble", "Clover", "Prairie",
    "Savanna", "Steppe", "Tundra", "Fjord", "Delta", "Lagoon", "Bay", "Dune", "Cliff", "Quarry", "Orchard",
    "Garden", "Hedge", "Bamboo", "Palm", "Mangrove", "Fern", "Moss", "Lichen", "Pine", "Spruce", "Larch", "Hazel",
    "Rowan", "Maple", "Sedge", "Thistle", "Heather", "Saltbush", "Plateau", "Mountain", "Glacier", "Cloud", "Mist",
    "Monsoon", "Harbour", "Vineyard", "Olive", "Acacia", "Baobab", "Tamarisk",
)  # fmt: skip
_REALMS = (
    "",
    "Northern ",
    "Southern ",
    "Eastern ",
    "Western ",
    "Highland ",
    "Lowland ",
    "Lesser ",
    "Greater ",
    "Common ",
)


def make_species(count: int, *, seed: int) -> tuple[Species, ...]:
    """``count`` species; the 2k-th and the next are look-alikes that differ in exactly one mark.

    Different pairs differ in palette or build, or else in at least two marks. An odd count leaves the last species
    without a twin. The first species of a larger count are those of a smaller one.
    Raises ``UserError`` for a count below 1.
    """
    if count < 1:
        raise UserError(f"{count} species cannot be made: ask for at least 1")
    pairs = itertools.islice(_pairs(seed), (count + 1) // 2)
    species = tuple(itertools.chain.from_iterable(pairs))
    if count % 2:
        return (*species[: count - 1], replace(species[count - 1], twin=None, telling_mark=None))
    return species


def _pairs(seed: int) -> Iterator[tuple[Species, Species]]:
    """Look-alike pairs without end, no two alike and no name used twice."""
    looks: dict[tuple[int, int], list[Marks]] = {}
    names: set[str] = set()
    for index in itertools.count():
        rng = np.random.default_rng([seed, index, 1])
        palette, group = _base_of(index, seed)
        build, bill, nouns = _GROUPS[group]
        taken = looks.setdefault((palette, group), [])
        base = _varied(_PALETTES[palette], rng)
        telling = _telling_mark(index, seed)
        first, second = _new_marks(base, bill, telling, taken, rng)
        taken += [first, second]
        titles = _new_names(first, second, telling, nouns=nouns, used=names, rng=rng)
        names.update(titles)
        first_name, second_name = titles
        yield (
            Species(first_name, first, base, build, twin=second_name, telling_mark=telling),
            Species(second_name, second, base, build, twin=first_name, telling_mark=telling),
        )


def _telling_mark(index: int, seed: int) -> str:
    """The mark of the index-th pair: every mark once before any returns."""
    turn, place = divmod(index, len(MARK_NAMES))
    return MARK_NAMES[np.random.default_rng([seed, turn, 2]).permutation(len(MARK_NAMES))[place]]


def _base_of(index: int, seed: int) -> tuple[int, int]:
    """Palette and group of the index-th pair: all palettes once before any returns, each time with another group."""
    order = np.random.default_rng([seed, 0]).permutation(len(_PALETTES))
    turn, place = divmod(index, len(_PALETTES))
    return int(order[place]), (place * 3 + turn + seed) % len(_GROUPS)


def _varied(palette: Palette, rng: np.random.Generator) -> Palette:
    """The palette a little lighter or darker, warmer or colder."""
    shift = rng.normal(0.0, 5.0) + rng.normal(0.0, 3.5, size=3)
    shifted = [tuple(int(v) for v in np.clip(np.rint(np.array(colour) + shift), 0, 255)) for colour in palette]
    return Palette(*((r, g, b) for r, g, b in shifted))


def _new_marks(
    palette: Palette, bill: str, telling: str, taken: list[Marks], rng: np.random.Generator
) -> tuple[Marks, Marks]:
    """Marks of two twins that differ in ``telling``; both two marks or more away from all ``taken``."""
    for _ in range(1000):
        first = _random_marks(palette, bill, telling, rng)
        second = first._replace(**{telling: _other_value(first, telling, rng)})
        if all(sum(map(ne, old, new)) >= 2 for old in taken for new in (first, second)):
            return (second, first) if rng.random() < 0.5 else (first, second)
    raise UserError("no further species can be told apart from those made so far: ask for fewer")


def _random_marks(palette: Palette, bill: str, telling: str, rng: np.random.Generator) -> Marks:
    values = {"bill": bill, "legs": str(rng.choice(_KINDS["legs"].values))}
    for name in MARK_NAMES[:-2]:
        draw, choice = rng.random(), _visible_value(name, palette, rng)
        barred = any(other == telling or values.get(other, NONE) != NONE for other in _KINDS[name].clashes)
        if name == telling or (draw < _CHANCE and not barred):
            values[name] = choice
    return Marks(**values)


def _visible_value(name: str, palette: Palette, rng: np.random.Generator) -> str:
    """A colour for the mark that stands out from its ground."""
    kind = _KINDS[name]
    grounds = [np.array(getattr(palette, part), float) for part in kind.grounds]
    contrast = {v: min(float(np.linalg.norm(np.array(COLOURS[v]) - ground)) for ground in grounds) for v in kind.values}
    distinct = [value for value in kind.values if contrast[value] >= _CONTRAST]
    return str(rng.choice(distinct)) if distinct else max(contrast, key=contrast.__getitem__)


def _other_value(marks: Marks, telling: str, rng: np.random.Generator) -> str:
    """What the twin shows instead: nothing, or another bill or leg colour."""
    kind = _KINDS[telling]
    if kind.lacking:
        return NONE
    return str(rng.choice([value for value in kind.values if value != getattr(marks, telling)]))


def _new_names(
    first: Marks, second: Marks, telling: str, *, nouns: tuple[str, ...], used: set[str], rng: np.random.Generator
) -> tuple[str, str]:
    """Names such as "Ring-eyed Marsh Warbler" and "Plain-eyed Marsh Warbler": letters, hyphens and spaces."""
    for attempt in itertools.count():
        realm = str(rng.choice(_REALMS[: 1 + attempt // 8]))
        home = f"{realm}{rng.choice(_PLACES)} {rng.choice(nouns)}"
        names = tuple(f"{_epithet(telling, getattr(marks, telling))} {home}" for marks in (first, second))
        if used.isdisjoint(names):
            return names[0], names[1]
    raise AssertionError("unreachable: itertools.count does not end")


def _epithet(mark: str, value: str) -> str:
    kind = _KINDS[mark]
    return kind.lacking if value == NONE else kind.having.format(value.capitalize())
