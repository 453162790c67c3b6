"""What ``fieldmark check`` prints of a report."""

import statistics

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fieldmark.data.check import EXAMPLES, Finding, Report
from fieldmark.errors import printable

COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}
# Up to ALL classes are all shown; of more, the FEW smallest and the FEW largest.
ALL, FEW = 30, 5


def print_report(report: Report, console: Console) -> None:
    """The reader's notes, photos per split and class, then each finding with examples and what to do."""
    console.print(f"{printable(report.data)}  ({report.layout})", markup=False, highlight=False)
    for note in report.notes:
        console.print(Text("note: ", COLOURS["note"]) + Text(printable(note), "default"), soft_wrap=True)
    console.print(_by_split(report))
    for axis, spread in report.sizes.items():
        console.print(f"{axis:6} {spread['min']:,.0f} to {spread['max']:,.0f}, median {spread['median']:,.0f} pixels")
    console.print("")
    console.print(_by_class(report))
    console.print("" if report.findings or report.notes else "Nothing to fix.")
    for finding in report.findings:
        _print_finding(finding, console)


def _by_split(report: Report) -> Table:
    table = Table("split", box=None, pad_edge=False)
    for heading in ("photos", "classes", "fewest per class", "median", "most"):
        table.add_column(heading, justify="right")
    for split, counts in _columns(report).items():
        present = [count for count in counts if count] or [0]
        numbers = (sum(counts), sum(count > 0 for count in counts), min(present))
        table.add_row(split, *map("{:,}".format, (*numbers, int(statistics.median(present)), max(present))))
    return table


def _by_class(report: Report) -> Table:
    columns = _columns(report)
    table = Table("class", box=None, pad_edge=False)
    for split in columns:
        table.add_column(split, justify="right")
    sizes = [sum(counts) for counts in zip(*report.counts.values(), strict=True)] or [0] * len(report.classes)
    rows = [
        (Text(printable(name)), *(f"{counts[label]:,}" for counts in columns.values()))
        for label, name in enumerate(report.classes)
    ]
    if len(rows) > ALL:
        by_size = [rows[label] for label in sorted(range(len(rows)), key=lambda label: sizes[label])]
        between = f"... {len(rows) - 2 * FEW:,} between (--json FILE lists all)"
        rows = [*by_size[:FEW], (between,), *by_size[-FEW:]]
    for row in rows:
        table.add_row(*row)
    return table


def _columns(report: Report) -> dict[str, tuple[int, ...]]:
    """Photos per class of each split; of unsplit data also of the splits that ``train`` would make."""
    return report.counts | {f"cut: {split}": counts for split, counts in report.cut.items()}


def _print_finding(finding: Finding, console: Console) -> None:
    console.print(
        Text(f"{finding.severity}: ", COLOURS[finding.severity]) + Text(f"{finding.text}: {finding.count:,}", "default")
    )
    for example in finding.examples:
        console.print(Text(f"    {example}", "dim"))
    if len(finding.items) > EXAMPLES:
        console.print(Text(f"    and {len(finding.items) - EXAMPLES:,} more (--json FILE lists all)", "dim"))
    console.print(Text(f"    {finding.advice}"))
