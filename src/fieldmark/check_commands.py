"""What ``fieldmark check`` does with labels on the command line; imports are heavy only inside, as in ``cli``."""

from pathlib import Path

from rich.console import Console

from fieldmark.console import speaks, tell, working
from fieldmark.data.check import Report
from fieldmark.errors import printable
from fieldmark.label_audit.settings import LabelSettings


def look(data: Path, asked: LabelSettings, *, annotation: str, max_megapixels: float, console: Console) -> Report:
    """The report; where labels are looked at, the table and the sheet of suspects are written, and told."""
    from fieldmark.api import check, check_labels

    if not asked.is_audit:
        return check(
            data, annotation=annotation, max_megapixels=max_megapixels, corrections=asked.corrections, console=console
        )
    with working(console, "starting"):
        from fieldmark.label_audit.report import refuse_suspects
    folder = asked.folder(data)
    refuse_suspects(folder, photos=data)
    report = check_labels(
        data,
        run=asked.run,
        backbone=asked.backbone,
        weights=asked.weights,
        size=asked.size,
        splits=asked.label_splits,
        annotation=annotation,
        max_megapixels=max_megapixels,
        corrections=asked.corrections,
        device=asked.device,
        external=asked.external,
        console=console,
    )
    if speaks():
        table, sheet = report.save(folder)
        tell(
            console, f"photos to look at ({len(report.audit.suspects):,}): {sheet}", f"for your decisions: {table}", ""
        )
    return report


def apply(data: Path, decided: Path, asked: LabelSettings, *, annotation: str, console: Console) -> None:
    """Writes decisions on labels as the list that training reads, and says what that does."""
    from fieldmark.api import apply_labels

    done = apply_labels(data, decided, corrections=asked.corrections, test=asked.test, annotation=annotation)
    place = printable(str(done.place))
    if done.unmatched:
        count = f"{len(done.unmatched):,} row{'s' * (len(done.unmatched) > 1)} left out, of no single photo"
        tell(console, f"{count}: {'; '.join(done.unmatched[:3])}{'; ...' * (len(done.unmatched) > 3)}")
    if not done.left_out + done.relabelled:
        tell(console, f"every photo keeps its class: there is no list of corrected labels, {place}")
        return
    tell(console, f"from now on left out: {done.left_out:,}, relabelled: {done.relabelled:,} ({place})")
    if done.undecided:
        tell(console, f"without a decision, so as they are: {done.undecided:,}")
    if done.untouched:
        tell(
            console,
            f"official test photos left alone, so that figures compare with those of others: {done.untouched:,} "
            "(--test corrects them, too)",
        )
    named = f"; give it to train as --corrections {place}" if asked.corrections else ""
    tell(console, f"no photo was touched: removing that file undoes it{named}")
