"""What is printed of a report: notes, counts by split and class, findings with a few examples."""

import io
from pathlib import Path

from rich.console import Console

from fieldmark.data.check import Finding, Report
from fieldmark.data.report import print_report

SPREAD = {axis: {"min": 120.0, "median": 120.0, "max": 120.0} for axis in ("width", "height")}


def printed(
    counts: dict[str, tuple[int, ...]],
    *,
    cut: dict[str, tuple[int, ...]] | None = None,
    notes: tuple[str, ...] = (),
    findings: tuple[Finding, ...] = (),
) -> list[str]:
    classes = tuple(f"bird {at}" for at in range(len(next(iter(counts.values())))))
    report = Report(str(Path("birds")), "folder", 9, classes, counts, cut or {}, SPREAD, {}, notes, findings)
    text = io.StringIO()
    print_report(report, Console(file=text, width=100))
    return text.getvalue().splitlines()


def test_notes_come_first_and_nothing_to_fix_only_without_any() -> None:
    note = "900 files that are not images left out, e.g. [a]/1.dng"
    lines = printed({"all": (3, 4)}, notes=(note + "\n",))
    assert lines[:2] == ["birds  (folder)", f"note: {note}\\n"]
    assert "Nothing to fix." not in lines
    assert "Nothing to fix." in printed({"all": (3, 4)})


def test_a_finding_has_three_examples() -> None:
    items = tuple((f"broken [{at}]\n.jpg", "truncated") for at in range(5))
    lines = printed({"all": (17, 12)}, findings=(Finding("damaged", "error", 5, "unreadable", "Mend.", items),))
    assert "error: unreadable: 5" in lines
    assert sum("] = " in line or "= truncated" in line for line in lines) == 3
    assert any("broken [0]\\n.jpg = truncated" in line for line in lines)
    assert any("and 2 more" in line for line in lines)
    assert "Nothing to fix." not in lines


def test_counts_by_split_and_by_class_and_of_the_cut() -> None:
    words = [
        line.split() for line in printed({"all": (17, 12)}, cut={"train": (13, 10), "val": (2, 1), "test": (2, 1)})
    ]
    assert ["all", "29", "2", "12", "14", "17"] in words
    assert ["cut:", "test", "3", "2", "1", "1", "2"] in words
    assert ["class", "all", "cut:", "train", "cut:", "val", "cut:", "test"] in words
    assert ["bird", "0", "17", "13", "2", "2"] in words
    assert ["bird", "1", "12", "10", "1", "1"] in words


def test_of_many_classes_the_smallest_and_the_largest_are_shown() -> None:
    counts = tuple(100 - at for at in range(40))
    rows = [line.split() for line in printed({"train": counts, "test": counts}) if line.startswith(("bird ", "..."))]
    assert [row[:2] for row in rows[:2]] == [["bird", "39"], ["bird", "38"]]
    assert rows[5][:3] == ["...", "30", "between"]
    assert rows[-1] == ["bird", "0", "100", "100"]
    assert len(rows) == 11
    assert sum(line.startswith("bird ") for line in printed({"train": counts[:30]})) == 30
