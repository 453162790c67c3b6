"""The sheet of suspects: one HTML file to look through, in which nothing but its own style can take effect."""

from pathlib import Path

from markupsafe import Markup

from fieldmark.label_audit.audit import Audit, Suspect
from fieldmark.label_audit.growth import Growth
from fieldmark.label_audit.small_pictures import MOST, Pictures
from fieldmark.reports.page import environment_of, policy, text_of

MARK = "Fieldmark labels"
PAIRS = 40
"""Confusable pairs that are shown."""


def rendered(audit: Audit, pictures: Pictures) -> str:
    """The sheet as HTML."""
    style = Markup(text_of("report.css") + text_of("sheet.css", package="fieldmark.label_audit"))
    shown = audit.suspects[:MOST]
    return (
        environment_of("fieldmark.label_audit")
        .get_template("sheet.html.j2")
        .render(
            audit=audit,
            pictures=pictures,
            suspects=shown,
            others=audit.suspects[MOST:],
            examples=_examples(audit, shown),
            pairs=audit.pairs[:PAIRS],
            growth=sorted(audit.growth, key=_by_gain),
            heading=audit.dataset.root.name or str(audit.dataset.root),
            policy=policy(style, ""),
            style=style,
            mark=MARK,
        )
    )


def is_sheet(path: Path) -> bool:
    """Whether a file is a sheet of this kind."""
    with path.open("rb") as file:
        return f'content="{MARK}"'.encode() in file.read(4096)


def _examples(audit: Audit, suspects: tuple[Suspect, ...]) -> dict[int, int | None]:
    """By class, the position of a typical photo; of the classes that suspects concern."""
    labels = {int(audit.labels[each.row]) for each in suspects}
    labels |= {each.suggested for each in suspects if each.suggested is not None}
    return {label: audit.typical(label) for label in sorted(labels)}


def _by_gain(each: Growth) -> tuple[bool, float]:
    return (each.gain is None, -(each.gain.mean if each.gain else 0.0))
