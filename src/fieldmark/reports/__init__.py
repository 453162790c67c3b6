"""One page about a run, in a file of its own: figures, confusions with their photos, curves, data and provenance."""

from pathlib import Path

from rich.console import Console

from fieldmark.console import QUIET
from fieldmark.recipe import External

REPORT = "report.html"
"""Its name in a run's folder."""


def report(
    run: str | Path,
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    split: str | None = None,
    suspects: str | Path | None = None,
    device: str = "auto",
    external: External = (),
    console: Console = QUIET,
) -> Path:
    """Measures a run and writes a page about it, one file without anything from elsewhere; returns its path.

    Measuring test photos is logged in the run, as by ``evaluate``. Where the photos that the run was trained on are
    gone, or no split is left to measure, the page says so and shows the rest; a report.html with figures then stays.

    Args:
        run: the run's folder.
        data: labelled photographs; by default the data that the run was trained on.
        out: the file; by default report.html in the run's folder.
        split: train, val, test or all; by default test if the data have one, or else val.
        suspects: a list of doubted labels, as ``check_labels`` saves it, to name the mistakes that are among them; by
            default labels-NAME/suspects.csv in the working folder, NAME being that of the data, if it is there.
        device: auto, cpu, cuda, cuda:N or mps.
        external: classes of your own that the run's recipe names, or their names.
        console: for progress.

    Raises:
        UserError: a mistake that the user can correct.
    """
    from fieldmark.reports.writing import Asked, write_report

    folder = Path(run)
    photos, table = (None if path is None else Path(path) for path in (data, suspects))
    asked = Asked(photos, split, device, external, suspects=table, keeps=out is None)
    return write_report(folder, folder / REPORT if out is None else Path(out), asked, console=console)
