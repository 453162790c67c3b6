"""The page: what the template shows, and how it is made so that nothing but its own style and script can run in it."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fieldmark.errors import printable
from fieldmark.evaluation.evaluate import Evaluation
from fieldmark.plain import json_text
from fieldmark.reports.findings import Known, examples_in_words
from fieldmark.reports.matrix import Matrix, matrix_of
from fieldmark.reports.measured import (
    ClassRow,
    Figure,
    Mistake,
    Pair,
    Range,
    class_rows,
    figures_of,
    most_confident,
    ranges_of,
)
from fieldmark.reports.pictures import MOST, SURE, Gallery, Wanted, asked_of, examples_of
from fieldmark.reports.plots import BOTTOM, LEFT, RIGHT, TOP, Chart, Reliability, charts_of, reliability_of
from fieldmark.reports.provenance import Row
from fieldmark.reports.suspects import Suspects

MARK, MARK_UNMEASURED = "Fieldmark report", "Fieldmark report, not measured"
WORST = 12
"""Mistakes that are shown for themselves, beside the most confident ones."""
UNTRIMMED = 30
"""Classes of which the table is shown at its full height."""
DOUBTED = 30
"""Mistakes with a doubted label that are listed."""
NAMES = 10
"""Files of a cell that are named where there is no picture of them."""


class Told(NamedTuple):
    """The photos of a class that were taken for another: mistakes with pictures, names of others, and all of them."""

    true: int
    predicted: int
    pictured: tuple[Mistake, ...]
    named: tuple[str, ...]
    photos: int


@dataclass(frozen=True)
class Measured:
    """What was measured, as the page shows it: answers, pairs of look-alikes, mistakes worst first, pictures.

    ``suspects`` are the mistakes whose labels are doubted; None where no list of these is known.
    """

    result: Evaluation
    pairs: tuple[Pair, ...]
    mistakes: tuple[Mistake, ...]
    gallery: Gallery
    suspects: Suspects | None = None

    @property
    def figures(self) -> list[Figure]:
        """The figures, the headline first."""
        return figures_of(self.result)

    @property
    def subject(self) -> str:
        """What was measured: "585 test photos of 20 classes"."""
        kinds = {"train": "training ", "val": "validation ", "test": "test "}
        photos = count(self.result.metrics.n, f"{kinds.get(self.result.split, '')}photo")
        return f"{photos} of {count(len(self.result.classes), 'class', 'classes')}"

    def name_of(self, row: int) -> str:
        """Of a photo."""
        return self.result.photos[row].name

    def photos_of(self, label: int) -> int:
        """Photos of a class that were measured."""
        return int(self.result.metrics.confusion[label].sum())

    @cached_property
    def matrix(self) -> Matrix:
        """The confusion matrix."""
        return matrix_of(self.result.metrics.confusion)

    @cached_property
    def ranges(self) -> tuple[Range, ...]:
        """How sure the answers are, and how often they are right."""
        return ranges_of(self.result)

    @property
    def is_own_measure(self) -> bool:
        """Whether the photos measured are those that the temperature was chosen by."""
        known = self.result.confidence
        return known is not None and known.temperature.is_known and known.splits == (self.result.split,)

    @property
    def reliability(self) -> Reliability:
        """The same as a diagram."""
        return reliability_of(self.ranges)

    @cached_property
    def surest(self) -> list[Mistake]:
        """The most confident mistakes."""
        return most_confident(list(self.mistakes), SURE)

    @property
    def worst(self) -> list[Mistake]:
        """The worst of the others."""
        return [mistake for mistake in self.mistakes if mistake not in self.surest][:WORST]

    @cached_property
    def numbers(self) -> dict[Wanted, int]:
        """Of the pictures."""
        return {wanted: number for number, wanted in enumerate(self.gallery.pictures)}

    def number(self, wanted: Wanted) -> int | None:
        """Of a picture; None where there is none."""
        return self.numbers.get(wanted)

    @cached_property
    def cells(self) -> list[Told]:
        """The mistakes by true class and answer, the most frequent first; those with a cell or a picture to show."""
        groups: dict[tuple[int, int], list[Mistake]] = {}
        for mistake in self.mistakes:
            groups.setdefault((mistake.true, mistake.predicted), []).append(mistake)
        in_matrix = {(cell.true, cell.predicted) for row in self.matrix.rows for cell in row if cell}
        told = [self._told(key, group) for key, group in groups.items()]
        shown = (each for each in told if each.pictured or (each.true, each.predicted) in in_matrix)
        return sorted(shown, key=lambda each: -each.photos)

    def _told(self, key: tuple[int, int], group: Sequence[Mistake]) -> Told:
        pictured = tuple(mistake for mistake in group if asked_of(mistake) in self.numbers)
        others = [self.name_of(mistake.row) for mistake in group if asked_of(mistake) not in self.numbers]
        return Told(*key, pictured, tuple(others[:NAMES]), len(group))


@dataclass(frozen=True)
class Content:
    """All that a page is made of; ``measured`` is None where ``problem`` says why nothing was measured."""

    run: Path
    classes: Sequence[str]
    known: Known
    history: Sequence[Mapping[str, float]]
    recipe: Sequence[Row]
    provenance: Sequence[Row]
    settings: Any
    remarks: Sequence[str] = ()
    problem: str = ""
    measured: Measured | None = None

    @property
    def charts(self) -> list[Chart]:
        """Losses and accuracies by epoch."""
        return charts_of(self.history)

    @property
    def class_rows(self) -> list[ClassRow]:
        """A row per class."""
        assert self.measured, "asked for where there is one"
        return class_rows(self.measured.result, self.known.trained)


def rendered(content: Content) -> str:
    """The page as HTML."""
    style, script = (Markup(text_of(name)) for name in ("report.css", "report.js"))
    return (
        environment_of("fieldmark.reports")
        .get_template("report.html.j2")
        .render(
            content=content,
            m=content.measured,
            policy=policy(style, script),
            style=style,
            script=script,
            mark=MARK,
            generator=MARK if content.measured else MARK_UNMEASURED,
            asked_of=asked_of,
            examples_of=examples_of,
            examples_in_words=examples_in_words,
            heading=heading_of(content),
            settings=json_text(content.settings).splitlines(),
            limits={"photos": MOST, "untrimmed": UNTRIMMED, "doubted": DOUBTED},
            area={"left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM},
        )
    )


def environment_of(package: str) -> Environment:
    """Of the templates in a package: all that is filled in is escaped and on one line, and nothing may be missing."""
    environment = Environment(
        loader=PackageLoader(package, ""),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else printable(str(value)),
    )
    environment.filters |= {"percent": percent, "points": points, "count": count, "sentence": sentence}
    return environment


def heading_of(content: Content) -> str:
    """The run's name."""
    return content.run.resolve().name or str(content.run)


def text_of(name: str, *, package: str = "fieldmark.reports") -> str:
    """A file of a package as it stands in the page."""
    return files(package).joinpath(name).read_text("utf-8")


def policy(style: str, script: str) -> str:
    """What a browser may do with the page: show the pictures in it, and use this one style and this one script."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    styles, scripts = (f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; img-src data:; style-src {styles}; script-src {scripts}; "
        "base-uri 'none'; form-action 'none'"
    )


def is_report(path: Path) -> bool:
    """Whether a file is a page of this kind."""
    return _generator(MARK) in _head(path) or _generator(MARK_UNMEASURED) in _head(path)


def is_measured(path: Path) -> bool:
    """Whether a file is a page of this kind with figures; those of earlier versions without any count as well."""
    return _generator(MARK) in _head(path)


def _generator(mark: str) -> bytes:
    return f'content="{mark}"'.encode()


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def sentence(line: str) -> str:
    """A line for the terminal as a sentence."""
    return f"{line[:1].upper()}{line[1:]}."


def percent(share: float, digits: int = 1) -> Markup:
    """A share in %, which stays on one line."""
    return Markup("{}&nbsp;%").format(f"{100 * share:.{digits}f}")


def points(share: float) -> str:
    """A share in %, without the sign."""
    return f"{100 * share:.1f}"


def count(number: int, one: str, several: str = "") -> str:
    """A number of things: "1 photo", "2,000 photos"."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"
