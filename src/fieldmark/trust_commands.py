"""Commands on when to trust an answer; imports are heavy only inside, as in ``cli``."""

from pathlib import Path

from fieldmark.bench.commands import Speaking
from fieldmark.commands import External, JsonFile, refuse_json, write_figures
from fieldmark.console import tell, working


def calibrate(
    run: Path,
    *,
    data: Path | None = None,
    folds: int | None = None,
    json_file: JsonFile = None,
    device: str = "auto",
    external: External = (),
    console: Speaking,
) -> None:
    """Measure how sure a run may be, by photos kept out of its training; predict, evaluate and report keep to it.

    Training does so by itself, by its validation photos. Where these are few or none, networks are trained by the same
    recipe, each without a part of the photos, which takes as many times as long as there are networks, less one.

    Args:
        run: the run's folder, which the result is written to.
        data: labelled photos; by default the data it was trained on.
        folds: the number of networks to train like this; by default three, and only where there are too few validation
            photos.
        json_file: also write the result as JSON to this file.
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
        external: a class of your own (package.module:Class) that the run's recipe names; repeat for several.
    """
    with working(console, "starting"):
        from fieldmark.plain import to_plain
        from fieldmark.trust import calibrate as run_calibration
    refuse_json(json_file, "temperature", "source")
    confidence = run_calibration(run, data, folds=folds, device=device, external=external, console=console)
    tell(console, confidence.line)
    write_figures(json_file, to_plain(confidence))
