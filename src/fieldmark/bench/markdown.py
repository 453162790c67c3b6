"""Tables and figures in Markdown as GitHub shows it: shares in % with one digit after the point, numbers aligned."""

import math
from collections.abc import Iterable, Sequence

from fieldmark.evaluation.statistics import Interval


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns whose title begins with ">" stand to the right, as numbers do."""
    titles = [title.removeprefix(">") for title in head]
    rules = ["---:" if title.startswith(">") else "---" for title in head]
    lines = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in (titles, rules, *rows))
    return "\n".join(f"| {line} |" for line in lines)


def listed(lines: Iterable[str]) -> str:
    """A list, a point a line."""
    return "\n".join(f"- {line}" for line in lines)


def percent(share: float) -> str:
    """A share in %, without its sign."""
    return "" if math.isnan(share) else f"{100 * share:.1f}"


def signed(share: float) -> str:
    """A difference in percentage points, with its sign."""
    text = f"{100 * share:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def share_interval(interval: Interval) -> str:
    """A share and its interval in %, which ends at 0 and 100, of which Student's knows nothing."""
    return _with_ends([percent(min(max(one, 0.0), 1.0)) if one == one else "" for one in interval])


def difference_interval(interval: Interval) -> str:
    """A difference and its interval in percentage points."""
    return _with_ends(["" if math.isnan(one) else signed(one) for one in interval])


def p_value(value: float) -> str:
    """A p-value in three digits after the point; "" where there is none."""
    if math.isnan(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _with_ends(words: Sequence[str]) -> str:
    mean, low, high = words
    return f"{mean} ({low} to {high})" if low else mean
