"""What an audit of labels adds to the report of ``check``: findings, and the files that a person works with."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fieldmark.data.check import Finding, Report
from fieldmark.data.corrections import COLUMNS, TABLE, shielded
from fieldmark.data.outputs import is_table_with, refuse_file, refuse_folder
from fieldmark.data.spreadsheet import read_rows
from fieldmark.errors import UserError, printable
from fieldmark.files import replace_files, write_csv
from fieldmark.label_audit.audit import Audit
from fieldmark.label_audit.sheet import is_sheet, rendered
from fieldmark.label_audit.small_pictures import Pictures

SHEET = "suspects.html"
HEADER = ("file", "split", "given", "suggested", "why", "credible", "decision")
PAIRS = 20
"""Confusable pairs that are reported; the JSON has all."""
HELPED = 0.005
"""The share of a class that twice the photos must at least bring to be worth a line."""


@dataclass(frozen=True)
class LabelReport(Report):
    """The report of ``check`` with what was found about labels; ``audit`` has all of it, ``pictures`` the photos."""

    audit: Audit
    pictures: Pictures

    def to_json(self) -> dict[str, Any]:
        """The whole report as plain values; what concerns labels is under ``labels``."""
        return self.plain.to_json() | {"labels": self.audit.to_json()}

    @property
    def plain(self) -> Report:
        """The report as ``check`` prints it."""
        return Report(**{field.name: getattr(self, field.name) for field in fields(Report)})

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Writes ``suspects.csv``, to be filled in, and ``suspects.html``, to be looked at; returns their paths.

        Raises:
            UserError: an earlier table there holds decisions, or a file cannot be written.
        """
        # a table lies among other files, and its results may lie there, too
        refuse_suspects(folder, photos=None if self.layout == "table" else Path(self.data))
        page = rendered(self.audit, self.pictures).encode("utf-8", "backslashreplace")
        replace_files(
            folder,
            {TABLE: lambda path: write_csv(path, table_of(self.audit)), SHEET: lambda path: path.write_bytes(page)},
        )
        return folder / TABLE, folder / SHEET


def joined(report: Report, audit: Audit, pictures: Pictures) -> LabelReport:
    """The report of ``check`` with the findings about labels before the others of their severity."""
    order = ("error", "warning", "note")
    found = [*findings_of(audit), *report.findings]
    values = {field.name: getattr(report, field.name) for field in fields(Report)}
    values["findings"] = tuple(sorted(found, key=lambda finding: order.index(finding.severity)))
    return LabelReport(**values, audit=audit, pictures=pictures)


def table_of(audit: Audit) -> Iterator[Sequence[str]]:
    """The header and the rows of ``suspects.csv``; the decision is left to a person."""
    yield HEADER
    for row, suggested, credible, why in audit.suspects:
        photo, likely = audit.photos[row], "" if suggested is None else audit.dataset.classes[suggested]
        shown = "" if credible != credible else f"{credible:.4f}"
        cells = (photo.name, photo.split, audit.class_of(row), likely, "; ".join(why), shown, "")
        yield tuple(map(shielded, cells))


def findings_of(audit: Audit) -> Iterator[Finding]:
    """Likely errors, copies, photos unlike their class, confusable pairs, and classes that more photos would help."""
    names, classes = [photo.name for photo in audit.photos], audit.dataset.classes
    doubts = [suspect for suspect in audit.suspects if suspect.suggested is not None]
    look = "Look at them in suspects.html, decide in suspects.csv, then: fieldmark check DATA --apply suspects.csv"
    yield from _found(
        "likely_label_errors",
        "warning",
        [
            (names[each.row], f"{audit.class_of(each.row)}, but looks like {classes[each.suggested or 0]}")
            for each in doubts
        ],
        text="photos whose label is likely wrong, the least credible first",
        advice=look,
    )
    for kind, severity, clusters, text in (
        ("look_alikes_across_classes", "warning", audit.copies_of_two_classes, "of several classes"),
        ("look_alikes_across_splits", "warning", audit.copies_across_splits, "in several splits"),
        ("look_alikes_by_features", "note", audit.other_copies, "of one class"),
    ):
        yield from _found(
            kind,
            severity,
            [tuple(names[at] for at in cluster) for cluster in clusters],
            text=f"photos that a network finds nearly the same, {text}, though their pixels differ",
            advice=look if severity == "warning" else "Harmless if few: as often the same object, or a cropped copy.",
        )
    unlike = [(names[row], audit.class_of(row)) for row in audit.unlike.tolist()]
    yield from _found("unlike_their_class", "note", unlike, text="photos unlike the others of their class", advice=look)
    pairs = [
        (
            classes[pair.first],
            f"{classes[pair.second]} ({pair.first_as_second} and {pair.second_as_first} photos"
            f"{f', {pair.doubted} of them with doubted labels' if pair.doubted else ''})",
        )
        for pair in audit.pairs[:PAIRS]
    ]
    yield from _found(
        "confusable_classes",
        "note",
        pairs,
        text="pairs of classes that are taken for each other, out of fold",
        advice="Photos that show what tells them apart help most: fieldmark compare RUN --classes A B",
    )
    helped = [each for each in audit.growth if each.gain and each.needed is not None and each.gain.mean >= HELPED]
    yield from _found(
        "more_photos",
        "note",
        [
            (classes[each.label], f"{each.needed:,} more for a fifth fewer mistakes")
            for each in sorted(helped, key=lambda each: -(each.gain.mean if each.gain else 0))
        ],
        text="classes that more photos would help, by a learning curve of frozen features, the most helped first",
        advice="suspects.html has each class with its interval, and those of which nothing can be said.",
    )


def _found(kind: str, severity: str, items: Sequence[tuple[str, ...]], *, text: str, advice: str) -> Iterator[Finding]:
    if items:
        yield Finding(kind, severity, len(items), text, advice, tuple(items))


def refuse_suspects(folder: Path, *, photos: Path | None) -> None:
    """Refuses, before the work, to write into a folder of photos, over other files, or over decisions of a person."""
    refuse_folder(folder, option="--out", photos=photos or Path(os.devnull))
    table = folder / TABLE
    refuse_file(table, option="", is_ours=is_table_with(*HEADER))
    refuse_file(folder / SHEET, option="", is_ours=is_sheet)
    if not table.is_file():
        return
    header, *rows = read_rows(table)
    at = [cell.strip() for cell in header.cells].index(COLUMNS[-1])
    decided = sum(len(row.cells) > at and bool(row.cells[at].strip()) for row in rows)
    if decided:
        raise UserError(
            f"{printable(str(table))} holds decisions ({decided:,}), which would be lost;\n"
            "apply them with --apply and move the file away, or name another folder with --out"
        )
