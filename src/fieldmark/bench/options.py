"""What a user says to ``fieldmark bench run`` besides the plan."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import TIMEOUT_MAX
from typing import Annotated, Literal

from fieldmark.data.outputs import refuse_folder
from fieldmark.errors import UserError, printable
from fieldmark.plain import Count, Natural, Range, from_plain, to_plain


@dataclass(frozen=True)
class RunOptions:
    """Settings of a call; none of them changes what a run comes to.

    Args:
        data: NAME=FOLDER, where a data set of the plan lies; repeat for several.
        weights: NAME=FILE, a .safetensors file or a run, for entries whose weights or backbone are called NAME.
        only: an entry's name; repeat for several.
        phase: all, tune or final.
        limit: work at most so many runs.
        until: stop after so many seconds, in the middle of a run if need be.
        keep: keep the folders of finished runs.
        retry: work runs again that failed.
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
        workers: processes that read photos ahead.
    """

    data: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    phase: Literal["all", "tune", "final"] = "all"
    limit: Count | None = None
    until: Annotated[float, Range(least=0, most=TIMEOUT_MAX)] | None = None
    keep: bool = False
    retry: bool = False
    device: str = "auto"
    workers: Natural | None = None


def refuse_call(folder: Path, options: RunOptions) -> None:
    """Raises ``UserError`` for what no plan can be worked with: several processes, a folder that cannot be, numbers."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # as torchrun says
        raise UserError(
            "fieldmark bench run works in one process: start it without torchrun; several calls may share one folder,\n"
            "each on a GPU of its own (CUDA_VISIBLE_DEVICES)"
        )
    nearest = next((path for path in (folder, *folder.parents) if path.exists()), None)
    if nearest and not nearest.is_dir():
        which = "" if nearest == folder else f"{printable(str(nearest))} "
        raise UserError(f"--out {printable(str(folder))}: {which}is a file; name a folder")
    from_plain(to_plain(options), RunOptions)
    for photos in named(options.data, option="--data").values():
        refuse_folder(folder, option="--out", photos=photos)


def named(words: Sequence[str], *, option: str) -> dict[str, Path]:
    """Paths by name, from NAME=PATH; raises ``UserError`` for another form, or a path that is not there."""
    paths: dict[str, Path] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (name and equals and text):
            raise UserError(f"{option} {word}: expected NAME=PATH, with a name from the plan")
        if name in paths:
            raise UserError(f"{option} {word}: {name} is given twice")
        paths[name] = Path(text).expanduser()
        if not paths[name].exists():
            raise UserError(f"{option} {word}: there is no such file or folder")
    return paths


def command_of(plan: Path, folder: Path, options: RunOptions, external: Sequence[str]) -> str:
    """The command that reproduces runs elsewhere: folders and files stand by their own names."""
    words = ["fieldmark", "bench", "run", plan.name if plan.is_absolute() else plan.as_posix(), "--out", folder.name]
    for option, given in (("--data", options.data), ("--weights", options.weights)):
        for name, path in named(given, option=option).items():
            words += [option, f"{name}={path.name}"]
    words += [word for name in external for word in ("--external", name)]
    return shlex.join(words)
