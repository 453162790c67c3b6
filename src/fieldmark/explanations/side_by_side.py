"""Photos beside each other as a frozen value: what tells two classes apart, and what each photo resembles."""

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fieldmark.errors import printable
from fieldmark.explanations.drawing import Panel, panels_writer
from fieldmark.explanations.explanation import FORMAT_VERSION, Explanation, save_arrays
from fieldmark.explanations.neighbours import Neighbour
from fieldmark.files import replace_files


@dataclass(frozen=True, eq=False)
class Compared:
    """A photo: why the first class and not the second, why the other way round, and its neighbours in both."""

    explanation: Explanation
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Photos beside each other, each asked what there tells one of two classes from the other.

    Args:
        classes: the two.
        rows: one per photo.
        notes: what is missing, for the user.
    """

    classes: tuple[str, str]
    rows: tuple[Compared, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All but the pictures, as plain data."""
        return {
            "format_version": FORMAT_VERSION,
            "classes": list(self.classes),
            "photos": [
                row.explanation.to_json()
                | {
                    "neighbours": [
                        {"photo": printable(near.photo), "class": near.name, "similarity": near.similarity}
                        for near in row.neighbours
                    ]
                }
                for row in self.rows
            ],
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """What is said of each photo, and of its neighbours."""
        lines = []
        for row in self.rows:
            answer = row.explanation.answers[0]
            near = [f"{near.name} {Path(near.photo).name} ({near.similarity:.2f})" for near in row.neighbours]
            found = f"; nearest: {', '.join(near)}" if near else ""
            lines.append(f"{row.explanation.photo}  {answer.name} {100 * answer.probability:.0f} %{found}")
        return lines

    def panels(self) -> list[list[Panel]]:
        """A row for each photo: what speaks for the one class and for the other, on one scale."""
        return [
            [
                *_on_one_scale(row.explanation),
                *(
                    Panel(near.picture, None, f"nearest {near.name}\n{Path(near.photo).name}  {near.similarity:.2f}")
                    for near in row.neighbours
                ),
            ]
            for row in self.rows
        ]

    def save(self, folder: Path, name: str, *, lacking: set[str] | None = None) -> Path:
        """Writes NAME.png, NAME.npz (the heatmaps) and NAME.json, all or none; returns the picture's path.

        ``lacking`` takes up the letters that no font on this machine has.

        Raises:
            UserError: they cannot be written.
        """
        heatmaps = {
            f"photo_{number}_heatmap_{place}": reason.heatmap
            for number, row in enumerate(self.rows, 1)
            for place, reason in enumerate(row.explanation.reasons, 1)
        }
        words = json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"
        title = f"{self.classes[0]}  ·  {self.classes[1]}"
        classes = [each for row in self.rows for each in row.explanation.names]
        photos = [row.explanation.photo for row in self.rows] + [
            near.photo for row in self.rows for near in row.neighbours
        ]
        files = [Path(photo).name for photo in photos]
        contents = {
            f"{name}.png": panels_writer(
                self.panels(), title=title, names=[*self.classes, *classes], files=files, lacking=lacking
            ),
            f"{name}.npz": partial(save_arrays, arrays=heatmaps),
            f"{name}.json": lambda draft: draft.write_text(words, "utf-8", "backslashreplace"),
        }
        replace_files(folder, contents)
        return folder / f"{name}.png"


def _on_one_scale(explanation: Explanation) -> list[Panel]:
    """The panels, heatmaps that are weaker than the strongest being paler."""
    most = max(reason.strength for reason in explanation.reasons) or 1.0
    pale = [replace(each, heatmap=each.heatmap * (each.strength / most)) for each in explanation.reasons]
    return [*replace(explanation, reasons=tuple(pale)).panels()]
