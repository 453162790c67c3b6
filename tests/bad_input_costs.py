"""Seconds and memory of each kind of bad input on the way of ``check``, ``train`` or ``predict``.

    python tests/bad_input_costs.py COMMAND RUN PHOTO FOLDER

Prints a JSON object: for each file in the folder the seconds and the rise of the peak memory in MB above what the
process held before. Linux: the peak is reset before each file.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from fieldmark.data.dataset import Photo
from fieldmark.data.scan import scan_photos
from fieldmark.data.unlabelled import photos_of
from fieldmark.errors import UserError
from fieldmark.evaluation.predict import predict
from fieldmark.input.loading import Photographs
from fieldmark.recipe import Pixels
from fieldmark.runs.folder import Opened, open_run


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
    assert len(list(predict(opened, photos_of(path).photos))) == 1


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


if __name__ == "__main__":
    command, run, photo, folder = sys.argv[1], *map(Path, sys.argv[2:])
    print(json.dumps(measured(command, run, photo, sorted(path for path in folder.iterdir() if not path.is_dir()))))
