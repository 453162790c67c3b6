"""What is told before training: photos, network and epochs, the expected time, and what one should know."""

import time
from collections.abc import Iterator

from fieldmark.batches import Shuffled
from fieldmark.console import tell, working
from fieldmark.data.dataset import IMBALANCE
from fieldmark.recipe import Recipe
from fieldmark.recipes import COMPOSITIONS
from fieldmark.runs.checkpoint import EPOCHS, epoch_file
from fieldmark.training.automatic import epochs_after
from fieldmark.training.estimate import Budget, Expected, Work, expected_seconds
from fieldmark.training.loop import Loop
from fieldmark.training.preparing import Prepared
from fieldmark.training.runlog import clock
from fieldmark.training.starting import splits_of_start
from fieldmark.training.validation import photos_at_the_end, validation_photos


def announce(
    prepared: Prepared, loop: Loop, *, workers: int, features: bool, begun: float, budget: Budget | None = None
) -> Expected:
    """Says what is about to happen and how long the whole command will take; its epochs are first fitted to a budget.

    What is expected is returned, as how many epochs there will be may depend on the start.

    Args:
        prepared: data and recipe.
        loop: at the place where it is to begin or to go on.
        workers: the number of processes that read photos ahead.
        features: whether the head has yet to begin as a probe.
        begun: when the command began, on the clock of ``time.perf_counter``, put back by what its end will take.
        budget: the time that the user gave.

    Raises:
        UserError: memory runs out.
    """
    console, dataset, model = loop.log.console, prepared.dataset, loop.recipe.model
    per_batch = len(loop.recipe.batches.epoch(loop.labels, seed=loop.recipe.seed, epoch=0)[0])
    with working(console, "measuring how long it will take"):
        expected = _expected(prepared, loop, per_batch, workers=workers, features=features)
        if budget:
            budget.end -= expected.closing
            budget.epoch = loop.plan.per_epoch * expected.step + expected.validation
            least = loop.position.step // loop.plan.per_epoch + 1
            loop.keep_within(budget, least=least, before=expected.start)
    recipe, splits = loop.recipe, " + ".join(loop.recipe.train_on)
    bound = "at most " if features and recipe.length_by_start else ""
    tell(console, f"{len(loop.labels):,} photos of {len(dataset.classes)} classes ({dataset.layout}, {splits})")
    tell(
        console,
        f"{model.backbone} from {model.weights}, {recipe.pixels.size} px, epochs: {bound}{recipe.epochs}, "
        f"batches of {per_batch}, seed {recipe.seed}, {str(loop.fabric.device).removesuffix(':0')}",
    )
    if note := loop.learner.method.classifier.backbone.note:
        tell(console, note)
    if line := _fixed_line(recipe):
        tell(console, line)
    tell(console, _time_line(loop, expected, begun=begun, budget=budget, bound=bound))
    tell(console, *(line for paper in COMPOSITIONS for line in paper.notices(model, len(dataset.classes))))
    if prepared.about.headline != "top1" and recipe.stages and not _balances(recipe):
        uneven = f"the largest class has {IMBALANCE} times the photos of the smallest, or more"
        tell(console, f"{uneven}: look at mean per-class accuracy, and consider --balance logit-adjust")
    return expected


def announce_length(
    loop: Loop, share: float | None, expected: Expected, *, begun: float, budget: Budget | None = None
) -> None:
    """Says how many epochs there will be after a start as a probe, why, and how long the whole command will take.

    Args:
        loop: before its first step.
        share: of photos that the probe has right, out of fold; None where that cannot be told.
        expected: what ``announce`` returned.
        begun: as for ``announce``.
        budget: the time that the user gave.
    """
    count, photos = loop.recipe.epochs, len(loop.labels)
    why = "how good the probe is cannot be told" if share is None else "the better the probe, the fewer"
    if budget and count < epochs_after(share or 0.0, photos=photos):
        why = f"to end within {budget.words}"
    line = _time_line(loop, expected._replace(start=0.0), begun=begun)
    tell(loop.log.console, f"epochs: {count} ({why}); {line}")


def _fixed_line(recipe: Recipe) -> str:
    """What does not change in training, and which weights are kept; "" where all do, and the last, or none trains."""
    if not recipe.stages:
        return ""
    stages = f"the backbone's first {recipe.frozen_stages} stages" if recipe.frozen_stages else ""
    norms = "the statistics of its batch norms" if recipe.frozen_norms else ""
    fixed = " and ".join(filter(None, (stages, norms)))
    kept = "the final model is a weighted average of the weights over all steps" if recipe.average_degree else ""
    return "; ".join(filter(None, (f"fixed: {fixed}" if fixed else "", kept)))


def _expected(prepared: Prepared, loop: Loop, per_batch: int, *, workers: int, features: bool) -> Expected:
    """What this process's parts of the run will take."""
    count = loop.plan.share[1]
    looked_at = len(prepared.dataset.of(splits_of_start(prepared.data, loop.recipe))) if features else 0
    more = looked_at if looked_at > len(loop.labels) else 0  # they have a regression of their own
    work = Work(
        per_batch=-(-per_batch // count),
        measured=-(-len(validation_photos(prepared)) // count),
        features=-(-looked_at // count),
        fitted=len(loop.labels) + more if features else 0,
        closing=-(-photos_at_the_end(prepared, knows_features=features, picks=bool(loop.best_by)) // count),
        workers=workers,
    )
    return expected_seconds(loop.learner, loop.recipe, fabric=loop.fabric, photos=loop.photos, work=work)


def _time_line(loop: Loop, expected: Expected, *, begun: float, budget: Budget | None = None, bound: str = "") -> str:
    """How long the command will take in all."""
    step, per_epoch = loop.position.step, loop.plan.per_epoch
    steps = loop.course.steps - step
    now = time.perf_counter()
    seconds = now - begun + expected.of(steps=steps, epochs=-(-steps // per_epoch))
    line = f"expected time: {bound or 'about '}{clock(seconds)}" + (" (resumed)" if step else "")
    too_long = budget and begun + seconds - expected.closing > budget.end and steps <= per_epoch
    return f"{line}; not even one epoch fits into {budget.words}" if budget and too_long else line


def _balances(recipe: Recipe) -> bool:
    """Whether the recipe has a remedy for uneven classes, such as ``--balance`` gives it."""
    even = isinstance(recipe.batches, Shuffled) and recipe.batches.even
    return even or recipe.model.criterion.options.get("adjust") is True


def kept_lines(loop: Loop) -> Iterator[str]:
    """Which epochs' weights will lie in files of their own, and how large they are; which will not, and why."""
    asked, done, last = loop.position.files, loop.position.step // loop.plan.per_epoch, loop.course.epochs
    there = [epoch for epoch in asked if done < epoch <= last or (loop.run / epoch_file(epoch)).is_file()]
    if there:
        tensors = loop.learner.state_dict().values()
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6
        yield f"weights kept after epochs {', '.join(map(str, there))}: {loop.run / EPOCHS}, {size:,.1f} MB each"
    for epoch in asked:
        if epoch not in there:
            why = f"the run ends after epoch {last}" if epoch > last else "it is over, and its weights are gone"
            yield f"--keep-epochs {epoch}: {why}"
