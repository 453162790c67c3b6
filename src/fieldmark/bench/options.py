"""What a user says to ``fieldmark bench run`` besides the plan."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import TIMEOUT_MAX
from typing import Literal

from fieldmark.errors import UserError, printable


@dataclass(frozen=True)
class Options:
    """Settings of a call; none of them changes what a run comes to.

    Args:
        data: NAME=FOLDER, where a data set of the plan lies; repeat for several.
        weights: NAME=FILE, a .safetensors file for entries whose weights or backbone are called NAME; may repeat.
        only: an entry's name; repeat for several.
        phase: all, tune or final.
        limit: work at most so many runs.
        until: stop after so many seconds, in the middle of a run if need be.
        keep: keep the folders of finished runs.
        retry: work runs again that failed.
        device: auto, cpu or cuda.
        workers: processes that read photos ahead.
    """

    data: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    phase: Literal["all", "tune", "final"] = "all"
    limit: int | None = None
    until: float | None = None
    keep: bool = False
    retry: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int | None = None

    def refuse_numbers(self) -> None:
        """Raises ``UserError`` for a number out of its range."""
        for name, value, least in (("limit", self.limit, 1), ("until", self.until, 0), ("workers", self.workers, 0)):
            if value is not None and not value >= least:
                raise UserError(f"--{name} {value}: at least {least}")
        if self.until is not None and not self.until <= TIMEOUT_MAX:
            raise UserError(f"--until {self.until}: a number of seconds; leave it out to work until all is done")


def refuse_call(folder: Path, options: Options) -> None:
    """Raises ``UserError`` for what no plan can be worked with: several processes, a file for a folder, numbers."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # as torchrun says
        raise UserError(
            "fieldmark bench run works in one process: start it without torchrun; several calls may share one folder,\n"
            "each on a GPU of its own (CUDA_VISIBLE_DEVICES)"
        )
    nearest = next((path for path in (folder, *folder.parents) if path.exists()), None)
    if nearest and not nearest.is_dir():
        which = "" if nearest == folder else f"{printable(str(nearest))} "
        raise UserError(f"--out {printable(str(folder))}: {which}is a file; name a folder")
    options.refuse_numbers()


def named(words: Sequence[str], *, option: str) -> dict[str, Path]:
    """Paths by name, from NAME=PATH; raises ``UserError`` for another form, or a path that is not there."""
    paths: dict[str, Path] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (name and equals and text):
            raise UserError(f"{option} {word}: it is NAME=PATH, with a name of the plan's")
        if name in paths:
            raise UserError(f"{option} {word}: {name} is named twice")
        paths[name] = Path(text).expanduser()
        if not paths[name].exists():
            raise UserError(f"{option} {word}: there is no such file or folder")
    return paths


def command_of(plan: Path, folder: Path, options: Options, external: Sequence[str]) -> str:
    """The command that reproduces runs elsewhere: folders and files stand by their own names."""
    words = ["fieldmark", "bench", "run", plan.name if plan.is_absolute() else plan.as_posix(), "--out", folder.name]
    for option, given in (("--data", options.data), ("--weights", options.weights)):
        for name, path in named(given, option=option).items():
            words += [option, f"{name}={path.name}"]
    words += [word for name in external for word in ("--external", name)]
    return shlex.join(words)
