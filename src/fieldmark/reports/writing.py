"""``fieldmark report``: a run is measured, its mistakes are drawn, and all that it knows goes into one page."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from fieldmark.console import QUIET, counted, speaks, tell, working
from fieldmark.core import processes
from fieldmark.core.device import device_of
from fieldmark.core.weights import MODEL
from fieldmark.data.opening import OpenedData
from fieldmark.data.outputs import refuse_file
from fieldmark.errors import UserError, printable
from fieldmark.evaluation.evaluate import Evaluation, evaluate, refuse_unlogged, split_of_run
from fieldmark.files import write_text
from fieldmark.plain import to_plain
from fieldmark.recipe import External
from fieldmark.reports.findings import known_of, measurable_splits
from fieldmark.reports.measured import mistakes_of, pairs_of
from fieldmark.reports.page import Content, Measured, is_measured, is_report, rendered
from fieldmark.reports.pictures import gallery_of, wanted_photos
from fieldmark.reports.provenance import provenance_rows, read_history, recipe_rows
from fieldmark.reports.suspects import doubted_among, table_of_suspects
from fieldmark.runs.folder import Opened, groups_of, open_run, read_run

_CLOSED = (
    "There are no validation photos, and training leaves test photos closed: "
    "fieldmark report RUN measures the run on them, and logs that it did."
)
_NONE_LEFT = (
    "No photos are left to measure on, as the run was trained on all of them: "
    "fieldmark report RUN --data PHOTOS measures it on others."
)


_NOT_MEASURED = "The photos could not be measured"


@dataclass(frozen=True)
class Asked:
    """What to measure, and with what.

    Args:
        data: labelled photos; None for those that the run was trained on.
        split: of them; None for test if there is one that was not trained on, or else val.
        device: to measure on.
        external: classes of the user's own that the recipe names.
        until: the moment, on the clock of ``time.perf_counter``, after which no more time may be taken.
        opens_test: whether test photos may be measured where the user named no split, and is told why nothing was.
        keeps: whether an earlier page with figures stays where nothing can be measured now.
        suspects: a list of doubted labels; by default the one that ``check --labels`` left here for these data.
    """

    data: Path | None = None
    split: str | None = None
    device: str = "auto"
    external: External = ()
    until: float | None = None
    opens_test: bool = True
    keeps: bool = False
    suspects: Path | None = None

    @property
    def is_explicit(self) -> bool:
        """Whether the user named what to measure, so that the lack of it is a mistake."""
        return self.data is not None or self.split is not None


class _Chosen(NamedTuple):
    """A split and its photos, or why there are none."""

    split: str
    photos: OpenedData | None
    problem: str = ""


def write_report(run: Path, out: Path, asked: Asked, *, console: Console) -> Path:
    """Measures a run and writes the page; returns its path.

    Raises:
        UserError: no run, photos or a split that the user named and that are not there, a page that cannot be written
            or is to stay.
    """
    recipe, classes, about = read_run(run)
    refuse_file(out, option="--out", is_ours=is_report)
    suspects = table_of_suspects(asked.data or Path(about.data), asked.suspects)
    chosen, remarks, measured = _chosen(run, asked, recipe.train_on), (), None
    if chosen.photos:
        opened = _opened(run, asked)
        remarks = opened.remarks
        result = _measured(opened, chosen, asked, console)
        if isinstance(result, str):
            chosen = chosen._replace(problem=result)
        elif speaks():
            measured = _drawn(opened, result, chosen.photos, asked, console)
            if suspects is not None:
                measured = replace(measured, suspects=doubted_among(result, measured.mistakes, suspects))
    if not speaks():  # the other processes have done their share
        return out
    if chosen.problem:
        _refuse_loss(out, chosen.problem, asked)
        tell(console if asked.opens_test else QUIET, " ".join(chosen.problem.split()))
    with working(console, "writing the report"):
        content = Content(
            run=run,
            classes=classes,
            known=known_of(run, classes, about, train_on=recipe.train_on),
            history=read_history(run),
            recipe=recipe_rows(run, recipe),
            provenance=provenance_rows(run, about),
            settings=to_plain(recipe),
            remarks=remarks,
            problem=chosen.problem,
            measured=measured,
        )
        write_text(out, rendered(content))
    return out


def _refuse_loss(out: Path, problem: str, asked: Asked) -> None:
    """Refuses to put a page without figures in the place of one with some, unless the user named it."""
    if asked.keeps and out.exists() and is_measured(out):
        reason = " ".join(problem.split())
        raise UserError(f"{reason}\n{printable(str(out))} has figures and stays as it is; --out FILE writes a new page")


def _chosen(run: Path, asked: Asked, train_on: tuple[str, ...]) -> _Chosen:
    """What is to be measured; where the user named nothing, the lack of it is no mistake."""
    left = measurable_splits(run, train_on=train_on)
    split = asked.split or next((name for name in left if asked.opens_test or name != "test"), "")
    if not split and not asked.data:
        return _Chosen("", None, _CLOSED if left else _NONE_LEFT)
    split = split or "all"
    if not (run / MODEL).is_file():
        return _Chosen(split, None, "The run cannot answer yet: it has no weights. Training it with --resume goes on.")
    try:
        photos = split_of_run(run, asked.data, split)
    except UserError as error:
        if asked.is_explicit:
            raise
        return _Chosen(split, None, f"{_NOT_MEASURED}: {error}")
    refuse_unlogged(run, split)
    return _Chosen(split, photos)


def _opened(run: Path, asked: Asked) -> Opened:
    device = device_of(asked.device)
    opened = open_run(run, external=asked.external)
    processes.join(device)
    opened.learner.to(device)
    return opened


def _measured(opened: Opened, chosen: _Chosen, asked: Asked, console: Console) -> Evaluation | str:
    """The answers; or why there are none, where the user named nothing."""
    assert chosen.photos, "asked before"
    with counted(console, f"evaluating {chosen.split}", len(chosen.photos.dataset.photos)) as tick:

        def progress(more: int) -> None:
            tick(more)
            if asked.until is not None and time.perf_counter() > asked.until:
                raise UserError("there was no time left for it")

        try:
            result = evaluate(opened, chosen.photos, split=chosen.split, progress=progress)
            return replace(result, groups=groups_of(opened.path))
        except UserError as error:
            if asked.is_explicit:
                raise
            return f"{_NOT_MEASURED}: {error}"


def _drawn(opened: Opened, result: Evaluation, photos: OpenedData, asked: Asked, console: Console) -> Measured:
    pairs, mistakes = pairs_of(result), mistakes_of(result)
    wanted = wanted_photos(result, pairs, mistakes)
    with counted(console, "explaining mistakes", len(wanted)) as tick:
        gallery = gallery_of(
            opened, result, wanted, packed=photos.dataset.pixels, until=asked.until, progress=lambda more: tick(more)
        )
    return Measured(result, tuple(pairs), tuple(mistakes), gallery)
