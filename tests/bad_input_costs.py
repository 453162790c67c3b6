"""Seconds and memory of each kind of bad input on the way of ``check``, ``train`` and ``predict``.

    python tests/bad_input_costs.py

Prints a JSON object: for each command the longest time in seconds and the highest rise of the peak memory in MB above
what the process held before that file, each with its kind. Linux: the peak is reset before each file.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from fieldmark.data.dataset import Photo
from fieldmark.data.scan import scan_photos
from fieldmark.errors import UserError
from fieldmark.evaluation.predict import photos_of, predict
from fieldmark.input.loading import Photographs
from fieldmark.recipe import Pixels
from fieldmark.runs.folder import Opened, open_run
from small_runs import train_small, write_photos

sys.path.insert(0, str(Path(__file__).parent / "data"))
from bad_inputs import write_bad_inputs


def held(key: str) -> int:
    """Kilobytes, from the system's status of this process."""
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key))


def looked_through(path: Path) -> None:
    """What ``check``, and the first pass of ``train``, do with a file, without the process around it."""
    scan_photos([Photo(path=path, name=path.name, label=0)], workers=0)


def drawn(path: Path) -> None:
    """What a step of ``train`` does with a file that became bad after the first pass."""
    with contextlib.suppress(UserError):  # "99 photos after it cannot be read either": there is but this one
        Photographs([Photo(path=path, name=path.name, label=0)], Pixels(64, 64)).__getitems__([(0, 0)])


def cost(read: Callable[[Path], object], path: Path) -> tuple[float, float]:
    """Seconds of the processor, whatever else it has to do, and MB above what was held."""
    Path("/proc/self/clear_refs").write_text("5")
    before, begun = held("VmRSS"), time.process_time()
    read(path)
    return time.process_time() - begun, (held("VmHWM") - before) / 1024


def predicted(opened: Opened, path: Path) -> None:
    """What ``predict`` does with a file once the model is there."""
    assert len(list(predict(opened, photos_of([path])))) == 1


COMMANDS: dict[str, Callable[[Path], Callable[[Path], None]]] = {
    "check": lambda run: looked_through,
    "train": lambda run: drawn,
    "predict": lambda run: partial(predicted, open_run(run)),
}


def measured(command: str, run: Path, photo: Path, paths: list[Path]) -> dict[str, list[float]]:
    """Seconds and MB a file, in this process, which has read one good photo before."""
    torch.set_num_threads(1)
    read = COMMANDS[command](run)
    read(photo)
    return {path.name: list(cost(read, path)) for path in paths}


def main() -> None:
    """Writes the files and a run to predict with; each command is measured in a fresh process of its own."""
    if len(sys.argv) > 1:
        command, run, photo, bad = sys.argv[1], *map(Path, sys.argv[2:])
        paths = sorted(path for path in bad.iterdir() if not path.is_dir())
        print(json.dumps(measured(command, run, photo, paths)))
        return
    worst: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        photos, run, bad = write_photos(Path(folder) / "photos", photos=4), Path(folder) / "run", Path(folder) / "bad"
        train_small(photos, run)
        bad.mkdir()
        kinds = {str(path): kind for kind, path in write_bad_inputs(bad).items()}
        words = [str(run), str(photos / "ant" / "0.jpg"), str(bad)]
        started = {
            command: subprocess.Popen([sys.executable, __file__, command, *words], stdout=subprocess.PIPE, text=True)
            for command in COMMANDS
        }
        for command, process in started.items():
            said, _ = process.communicate()
            costs = {kinds[str(bad / name)]: value for name, value in json.loads(said).items()}
            slowest, largest = (max(costs, key=lambda kind, at=at: costs[kind][at]) for at in (0, 1))
            worst[command] = {"seconds": [costs[slowest][0], slowest], "megabytes": [costs[largest][1], largest]}
            worst["kinds"] = len(costs)
    print(json.dumps(worst))


if __name__ == "__main__":
    main()
