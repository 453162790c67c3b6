"""One run, from its claim to its record."""

import socket
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from fieldmark.bench.datasets import BenchData
from fieldmark.bench.entry_recipes import RecipeContext, described, recipe_of, shortened, weights_digest, with_weights
from fieldmark.bench.plan import PROBE, Plan
from fieldmark.bench.planned_runs import PlannedRun, trials_of
from fieldmark.bench.provenance import Source, device_name, versions
from fieldmark.bench.results import DONE, FAILED, Answers, Result, Session, json_path, read_result
from fieldmark.bench.run_folder import RunFolder
from fieldmark.bench.tuning import scores, told, winner
from fieldmark.core.device import precision_of
from fieldmark.errors import Interrupted, UserError, printable
from fieldmark.evaluation.evaluate import OPENINGS, evaluate, split_of_run
from fieldmark.evaluation.metrics import Metrics
from fieldmark.evaluation.probe import probe
from fieldmark.recipe import Recipe, recipe_from_json, recipe_from_plain
from fieldmark.runs.checkpoint import STATE, load_state
from fieldmark.runs.folder import RECIPE, open_run
from fieldmark.training.session import train
from fieldmark.training.settings import DataSettings, Destination, MachineSettings, RecipeSettings, Settings


@dataclass(frozen=True)
class Machine:
    """What runs are worked with here: device, processes that read ahead, files of weights by name.

    ``external`` are classes from elsewhere by the names that the user gave, ``code`` the digests of their files when
    they were imported; ``command`` is what reproduces the runs.
    """

    device: str
    workers: int | None
    weights: Mapping[str, Path]
    external: Mapping[str, type]
    source: Source
    command: str
    code: Mapping[str, str] = field(default_factory=dict)


class Executor:
    """Works the runs of a plan.

    Args:
        plan: what is to be compared.
        folder: of the comparison.
        datasets: the data sets by name.
        machine: what to work with.
        console: is told what happens.
    """

    def __init__(
        self, plan: Plan, folder: Path, *, datasets: Mapping[str, BenchData], machine: Machine, console: Console
    ) -> None:
        self.plan, self.folder, self.datasets = plan, folder, datasets
        self.machine, self.console = machine, console

    def execute(self, run: PlannedRun, place: RunFolder) -> tuple[Result, Answers | None]:
        """Trains (or goes on), measures, and returns what is to be recorded; a run that fails is recorded as such.

        Raises:
            Interrupted: the user stopped the run; its state is saved.
        """
        blank = self._blank(run)
        try:
            recipe = self.recipe(run)
            tuned = told(scores(self.trials(run))) if run.entry.trials and run.trial is None else {}
            blank = replace(blank, recipe=described(recipe), weights_digest=weights_digest(recipe), tuned=tuned)
            if run.entry.kind == PROBE:
                return self._probed(run, recipe, blank)
            return self._trained(run, recipe, replace(blank, sessions=(self._session(recipe, blank),)), place=place)
        except Interrupted:
            raise
        except Exception as error:  # whatever a method of anybody's raises: the list goes on, and the record says it
            if isinstance(error, UserError):
                return replace(blank, reason=printable(" ".join(str(error).split()))), None
            line = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            return replace(blank, reason=printable(line), trace=traceback.format_exc()), None

    def recipe(self, run: PlannedRun) -> Recipe:
        """What is followed in a run: the entry's recipe, with its trial or the trial that won.

        Raises:
            UserError: what the plan says does not stand in a recipe, or no trial came to an end.
        """
        changes = run.entry.trials[run.trial] if run.trial is not None else self._won(run)
        return with_weights(self._planned(run, changes), self.machine.weights)

    def possible(self, run: PlannedRun) -> list[Recipe]:
        """What a run may come to follow, whichever trial wins; weights stand as the plan calls them.

        Raises:
            UserError: what the plan says does not stand in a recipe.
        """
        if run.trial is not None:
            return [self._planned(run, run.entry.trials[run.trial])]
        return [self._planned(run, changes) for changes in run.entry.trials or ({},)]

    def _planned(self, run: PlannedRun, changes: Mapping[str, Any]) -> Recipe:
        data, entry = self.datasets[run.data], run.entry
        recipe = replace(recipe_of(entry, self._context(run), changes=changes), seed=run.seed)
        recipe = replace(recipe, train_on=entry.train_on or data.source.train_on or recipe.train_on)
        if run.trial is None:
            return recipe
        without = tuple(split for split in recipe.train_on if split != "val")
        if not without:
            raise UserError(f"{entry.name}: its trials would be trained on nothing, as train_on is validation alone")
        return shortened(replace(recipe, train_on=without), self.plan.tuning.epochs)

    def trials(self, run: PlannedRun) -> list[Result]:
        """The results, so far, of the tuning runs that a final run waits for."""
        recorded = (self.recorded(trial) for trial in trials_of(self.plan, run))
        return [result for result in recorded if result is not None]

    def recorded(self, run: PlannedRun) -> Result | None:
        """What is recorded of a run; one that failed under other settings or with other photos counts as none.

        Raises:
            UserError: a file that cannot be read.
        """
        path = json_path(self.folder, run.key)
        if not path.is_file():
            return None
        result = read_result(path)
        return None if result.status == FAILED and self.misfit(result, run) else result

    def misfit(self, result: Result, run: PlannedRun) -> str:
        """In what a result is another than the plan asks for now; "" where it is the same."""
        if result.asked != run.asked(self.plan):
            return f"made by other settings than the plan has now for {run.entry.name}"
        if result.data_digest != self.datasets[run.data].digest:
            return f"made from other photos, labels or splits than {run.data} has now"
        if result.recipe and run.entry.kind != PROBE and not self._follows(result, run):
            return f"made by another recipe than this Fieldmark makes of {run.entry.name}"
        return ""

    def _follows(self, result: Result, run: PlannedRun) -> bool:
        """Whether a run followed what it would follow now; weights may lie elsewhere, and trials be still to come."""
        if run.trial is None and any(self.recorded(trial) is None for trial in trials_of(self.plan, run)):
            return True
        try:
            recipe = self.recipe(run)
        except UserError:  # of an entry that is not worked now, with a class that nobody has named: it cannot be told
            return True
        try:
            known = recipe_from_plain(result.recipe)
        except UserError:  # a field that there is no more
            return False
        return recipe == replace(known, model=replace(known.model, weights=recipe.model.weights))

    def _won(self, run: PlannedRun) -> Mapping[str, Any]:
        if not run.entry.trials:
            return {}
        best = winner(scores(self.trials(run)))
        if best is None:
            raise UserError("none of its trials came to an end")
        return best.changes

    def _context(self, run: PlannedRun) -> RecipeContext:
        data = self.datasets[run.data]
        photos = len(data.of(run.entry.train_on or data.source.train_on or ("train",)))
        classes = len(data.dataset.classes)
        return RecipeContext(photos, classes, self.machine.device, self.plan.path.parent, self.machine.external)

    def _blank(self, run: PlannedRun) -> Result:
        """A failed run: what is known before it is tried."""
        source, device = self.machine.source, device_name(self.machine.device)
        session = Session(
            source.commit, source.dirty, source.digest, device, socket.gethostname(), versions(), self.machine.code
        )
        return Result(
            key=run.key,
            title=self.plan.title,
            entry=run.entry.name,
            order=run.entry.order,
            kind=run.entry.kind,
            baseline=run.entry.baseline,
            data=run.data,
            phase=run.phase,
            seed=run.seed,
            status=FAILED,
            asked=run.asked(self.plan),
            command=self.machine.command,
            data_digest=self.datasets[run.data].digest,
            trial=run.trial,
            sessions=(session,),
            device=device,
            versions=session.versions,
        )

    def _session(self, recipe: Recipe, blank: Result) -> Session:
        """The session of a run that is trained: the precision that "auto" is here, and made of what."""
        precision = precision_of(recipe.precision, self.machine.device)
        digests = {"data_digest": blank.data_digest, "weights_digest": blank.weights_digest}
        return replace(blank.sessions[0], precision=precision, **digests)

    def _trained(
        self, run: PlannedRun, recipe: Recipe, blank: Result, *, place: RunFolder
    ) -> tuple[Result, Answers | None]:
        data = self.datasets[run.data]
        if not self._goes_on(place, recipe, blank.sessions[0]):
            place.delete()
        sessions = place.enter(blank.sessions[0])
        train(
            data.path,
            Destination(place.path, resume=True),
            self._settings(run, data, going_on=(place.path / STATE).is_file()),
            console=self.console,
            external=tuple(self.machine.external),
            recipe=recipe,
            opened=data.opened,
        )
        split = "test" if run.trial is None else "val"
        opened = open_run(place.path, external=tuple(self.machine.external))
        opened.learner.to(self.machine.device)
        workers = 1 if self.machine.workers is None else self.machine.workers
        measured = evaluate(opened, split_of_run(place.path, data.dataset, split), split=split, workers=workers)
        openings, state = place.path / OPENINGS, load_state(place.path)
        trained = len(data.of(recipe.train_on)) if run.trial is None else None
        result = replace(
            _measured(blank, measured.metrics, split, classes=len(measured.classes), trained=trained),
            sessions=sessions,
            seconds=round(state["position"]["seconds"], 3) if state else 0.0,
            damaged=(*data.opened.damaged, *measured.damaged),
            test_openings=len(openings.read_text("utf-8").splitlines()) - 1 if openings.is_file() else 0,
        )
        return result, _answers(measured.names, measured.labels, measured.logits)

    def _settings(self, run: PlannedRun, data: BenchData, *, going_on: bool = False) -> Settings:
        """What ``train`` is told beside the recipe; trials hold photos out where there is no validation split."""
        here = MachineSettings(self.machine.device, self.machine.workers)
        if going_on:  # all else is the run's own, and what would be said again would be told to be left aside
            return Settings(machine=here)
        held_out = self.plan.tuning.hold_out if run.trial is not None and not data.dataset.of(["val"]) else 0.0
        return Settings(RecipeSettings(seed=run.seed), DataSettings(data.source.annotation, hold_out=held_out), here)

    def _goes_on(self, place: RunFolder, recipe: Recipe, session: Session) -> bool:
        """Whether a half-done run follows this very recipe on the same photos; one of an earlier plan does not."""
        if not place.sessions:
            return False
        try:
            known = recipe_from_json((place.path / RECIPE).read_text("utf-8"))
        except (UserError, UnicodeDecodeError):  # cut short, as by a power failure: there is nothing to go on with
            return False
        last = place.sessions[-1]
        alike = (last.data_digest, last.weights_digest) == (session.data_digest, session.weights_digest)
        return alike and described(known) == described(recipe)

    def _probed(self, run: PlannedRun, recipe: Recipe, blank: Result) -> tuple[Result, Answers]:
        data = self.datasets[run.data]
        measured = probe(
            data.dataset,
            backbone=recipe.model.backbone,
            weights=recipe.model.weights,
            train_on=recipe.train_on,
            split="test",
            size=recipe.pixels.size,
            device=self.machine.device,
            workers=1 if self.machine.workers is None else self.machine.workers,
        )
        settings = {
            "backbone": measured.backbone,
            "weights": Path(recipe.model.weights).name,
            "size": recipe.pixels.size,
        }
        result = replace(
            _measured(blank, measured.metrics, "test", classes=len(data.dataset.classes), trained=measured.trained),
            recipe=settings | {"penalty": measured.strength, "train_on": list(recipe.train_on)},
            seconds=round(measured.feature_seconds + measured.fit_seconds, 3),
            damaged=(*data.opened.damaged, *measured.damaged),
            test_openings=1,
        )
        return result, _answers(measured.names, measured.labels, measured.scores)


def _measured(blank: Result, metrics: Metrics, split: str, *, classes: int, trained: int | None) -> Result:
    shares = {name: getattr(metrics, name) for name in ("top1", "mean_per_class", "macro_f1")}
    shares |= {} if metrics.top5 is None else {"top5": metrics.top5}
    photos = {"measured": metrics.n, "classes": classes} | ({} if trained is None else {"trained": trained})
    return replace(blank, status=DONE, measured_on=split, metrics=shares, photos=photos)


def _answers(names: tuple[str, ...], labels: np.ndarray, logits: np.ndarray) -> Answers:
    return Answers(np.array([printable(name) for name in names]), labels, logits.astype(np.float32))
