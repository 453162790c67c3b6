"""One run, from its recipe to its record."""

import json
import shutil
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from fieldmark.bench.datasets import BenchData
from fieldmark.bench.entry_recipes import are_alike, described, recipe_of, shortened, with_weights
from fieldmark.bench.plan import PROBE, Plan, PlannedRun, trials_of
from fieldmark.bench.provenance import file_digest
from fieldmark.bench.results import DONE, FAILED, Answers, Result, Session, json_path, read_result
from fieldmark.bench.tuning import scores, told, winner
from fieldmark.core.device import precision_of
from fieldmark.core.weights import weights_file
from fieldmark.errors import Interrupted, UserError, printable
from fieldmark.evaluation.evaluate import OPENINGS, Evaluation, evaluate, split_of_run
from fieldmark.evaluation.levels import shares_by_level
from fieldmark.evaluation.probe import Probed, probe
from fieldmark.files import write_json
from fieldmark.plain import from_plain, to_plain
from fieldmark.recipe import Recipe, recipe_from_json, recipe_from_plain
from fieldmark.runs.checkpoint import STATE, load_state
from fieldmark.runs.folder import RECIPE, open_run
from fieldmark.training.session import train
from fieldmark.training.settings import DataSettings, Destination, MachineSettings, RecipeSettings, Settings


@dataclass(frozen=True)
class Machine:
    """What runs are worked with here: device, processes that read ahead, files of weights by name.

    ``external`` are classes from elsewhere by the names that the user gave; ``session`` says who works, and with what;
    ``command`` is what reproduces the runs.
    """

    device: Any
    workers: int | None
    weights: Mapping[str, Path]
    external: Mapping[str, type]
    session: Session
    command: str

    @property
    def readers(self) -> int:
        """The processes that read ahead where photos are measured."""
        return 1 if self.workers is None else self.workers


class RunFolder:
    """``runs/KEY`` of a comparison's folder, where a run is trained, and beside it the sessions that worked on it."""

    def __init__(self, folder: Path, key: str) -> None:
        self.path = folder / "runs" / key
        self._sessions = folder / "runs" / f"{key}.sessions.json"

    @property
    def sessions(self) -> tuple[Session, ...]:
        """All that have a share in the run that lies here, the last one last; none where no run does."""
        if not ((self.path / RECIPE).is_file() and self._sessions.is_file()):
            return ()
        return from_plain(json.loads(self._sessions.read_text("utf-8")), tuple[Session, ...])

    def enter(self, session: Session) -> tuple[Session, ...]:
        """Writes down that a session begins, unless the last was its like, and returns all of them."""
        sessions = self.sessions if self.sessions[-1:] == (session,) else (*self.sessions, session)
        write_json(self._sessions, to_plain(sessions))
        return sessions

    def goes_on(self, recipe: Recipe, session: Session) -> bool:
        """Whether a half-done run follows this very recipe on the same photos; one of an earlier plan does not."""
        if not self.sessions:
            return False
        last = self.sessions[-1]
        try:
            known = recipe_from_json((self.path / RECIPE).read_text("utf-8"))
        except (UserError, UnicodeDecodeError):  # cut short, as by a power failure: there is nothing to go on with
            return False
        alike = (last.data_digest, last.weights_digest) == (session.data_digest, session.weights_digest)
        return alike and are_alike(known, recipe)

    def delete(self) -> None:
        """Deletes what lies here."""
        shutil.rmtree(self.path, ignore_errors=not self.path.exists())
        self._sessions.unlink(missing_ok=True)


class Executor:
    """Works the runs of a plan in the folder of a comparison, on data sets by name."""

    def __init__(
        self, plan: Plan, folder: Path, *, datasets: Mapping[str, BenchData], machine: Machine, console: Console
    ) -> None:
        self.plan, self.folder, self.datasets = plan, folder, datasets
        self.machine, self.console = machine, console

    def recipe(self, run: PlannedRun) -> Recipe:
        """What is followed in a run: the entry's recipe, with its trial or the trial that won.

        Raises:
            UserError: what the plan says does not stand in a recipe, or no trial came to an end.
        """
        options = run.options
        if run.trial is None and options:
            best = winner(scores(self.trials(run)))
            if best is None:
                raise UserError("none of its trials came to an end")
            options = (best.changes,)
        return with_weights(self._planned(run, *options), self.machine.weights)

    def possible(self, run: PlannedRun) -> list[Recipe]:
        """What a run may come to follow, whichever trial wins; weights stand as the plan calls them.

        Raises:
            UserError: what the plan says does not stand in a recipe.
        """
        return [self._planned(run, changes) for changes in run.options or ({},)]

    def _planned(self, run: PlannedRun, changes: Mapping[str, Any] | None = None) -> Recipe:
        data, named = self.datasets[run.data], run.asked(self.plan).train_on
        recipe = recipe_of(
            run.entry,
            photos=len(data.of(named or ("train",))),
            classes=len(data.dataset.classes),
            device=self.machine.device,
            folder=self.plan.path.parent,
            external=self.machine.external,
            changes=changes or {},
        )
        recipe = replace(recipe, seed=run.seed, train_on=named or recipe.train_on)
        if run.trial is None:
            return recipe
        without = tuple(split for split in recipe.train_on if split != "val")
        if not without:
            raise UserError(f"{run.entry.name}: its trials would be trained on nothing: train_on is validation alone")
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
        if not self._follows(result, run):
            return f"made by another recipe than this Fieldmark makes of {run.entry.name}"
        return ""

    def _follows(self, result: Result, run: PlannedRun) -> bool:
        """Whether a run followed what it would follow now, as far as that is known; weights may lie elsewhere."""
        waits = len(self.trials(run)) < len(trials_of(self.plan, run))
        if run.entry.kind == PROBE or not result.recipe or waits:
            return True
        try:
            recipe = self.recipe(run)
        except UserError:  # of an entry that is not worked now, with a class that nobody has named: it cannot be told
            return True
        try:
            known = recipe_from_plain(result.recipe)
        except UserError:  # a field that there is no more
            return False
        return are_alike(recipe, replace(known, model=replace(known.model, weights=recipe.model.weights)))

    def execute(self, run: PlannedRun) -> tuple[Result, Answers | None]:
        """Trains (or goes on), measures, and returns what is to be recorded; a run that fails is recorded as such.

        Raises:
            Interrupted: the user stopped the run; its state is saved.
        """
        result = self._blank(run)
        try:
            recipe = self.recipe(run)
            tuned = told(scores(self.trials(run))) if run.entry.trials and run.trial is None else {}
            weights = file_digest(weights_file(recipe.model.weights))
            result = replace(result, recipe=described(recipe), weights_digest=weights, tuned=tuned)
            work = self._probed if run.entry.kind == PROBE else self._trained
            result, measured, logits = work(run, recipe, result)
            names = np.array([printable(name) for name in measured.names])
            return self._done(run, result, measured), Answers(names, measured.labels, logits.astype(np.float32))
        except Interrupted:
            raise
        except Exception as error:  # whatever a method of anybody's raises: the list goes on, and the record says it
            if isinstance(error, UserError):
                return replace(result, reason=printable(" ".join(str(error).split()))), None
            line = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            return replace(result, reason=printable(line), trace=traceback.format_exc()), None

    def _blank(self, run: PlannedRun) -> Result:
        """A failed run: what is known before it is tried."""
        session = self.machine.session
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
            device=session.device,
            versions=session.versions,
        )

    def _trained(self, run: PlannedRun, recipe: Recipe, result: Result) -> tuple[Result, Evaluation, np.ndarray]:
        data, place, machine = self.datasets[run.data], RunFolder(self.folder, run.key), self.machine
        session = replace(
            machine.session,
            precision=precision_of(recipe.precision, machine.device),
            data_digest=result.data_digest,
            weights_digest=result.weights_digest,
        )
        if not place.goes_on(recipe, session):
            place.delete()
        sessions, external = place.enter(session), tuple(machine.external)
        settings = self._settings(run, going_on=(place.path / STATE).is_file())
        train(
            data.path,
            Destination(place.path, resume=True),
            settings,
            console=self.console,
            external=external,
            recipe=recipe,
            opened=data.opened,
        )
        split = "test" if run.trial is None else "val"
        opened = open_run(place.path, external=external)
        opened.learner.to(machine.device)
        chosen = split_of_run(place.path, data.dataset, split)
        measured = evaluate(opened, chosen, split=split, workers=machine.readers)
        openings, state = place.path / OPENINGS, load_state(place.path)
        result = replace(
            result,
            recipe=described(opened.recipe),
            sessions=sessions,
            seconds=round(state["position"]["seconds"], 3) if state else 0.0,
            photos={"trained": len(data.of(recipe.train_on))} if run.trial is None else {},
            test_openings=len(openings.read_text("utf-8").splitlines()) - 1 if openings.is_file() else 0,
        )
        return result, measured, measured.logits

    def _settings(self, run: PlannedRun, *, going_on: bool = False) -> Settings:
        """What ``train`` is told beside the recipe; trials hold photos out where there is no validation split."""
        here, data = MachineSettings(self.machine.device, self.machine.workers), self.datasets[run.data]
        if going_on:  # all else is the run's own, and what would be said again would be told to be left aside
            return Settings(machine=here)
        held_out = self.plan.tuning.hold_out if run.trial is not None and not data.dataset.of(["val"]) else 0.0
        return Settings(RecipeSettings(seed=run.seed), DataSettings(data.source.annotation, hold_out=held_out), here)

    def _probed(self, run: PlannedRun, recipe: Recipe, result: Result) -> tuple[Result, Probed, np.ndarray]:
        model, size = recipe.model, recipe.pixels.size
        measured = probe(
            self.datasets[run.data].dataset,
            backbone=model.backbone,
            weights=model.weights,
            train_on=recipe.train_on,
            split="test",
            size=size,
            device=self.machine.device,
            workers=self.machine.readers,
        )
        followed = {"backbone": measured.backbone, "weights": Path(model.weights).name, "size": size}
        result = replace(
            result,
            recipe=followed | {"penalty": measured.strength, "train_on": list(recipe.train_on)},
            seconds=round(measured.feature_seconds + measured.fit_seconds, 3),
            photos={"trained": measured.trained},
            test_openings=1,
        )
        return result, measured, measured.scores

    def _done(self, run: PlannedRun, result: Result, measured: Evaluation | Probed) -> Result:
        metrics, data = measured.metrics, self.datasets[run.data]
        shares = {name: getattr(metrics, name) for name in ("top1", "top5", "mean_per_class", "macro_f1")}
        known = measured.scores if isinstance(measured, Probed) else measured.log_probabilities
        return replace(
            result,
            status=DONE,
            measured_on="test" if run.trial is None else "val",
            metrics={name: share for name, share in shares.items() if share is not None},
            levels=shares_by_level(known, measured.labels, data.dataset),
            photos={"measured": metrics.n, "classes": len(data.dataset.classes), **result.photos},
            damaged=(*data.opened.damaged, *measured.damaged),
        )
