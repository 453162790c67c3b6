"""What is kept of a run: a JSON file and each photo's logits; both written all or nothing."""

import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from fieldmark.errors import UserError, printable
from fieldmark.files import replace_file, write_json
from fieldmark.plain import from_plain, to_plain

RESULTS = "results"
FORMAT_VERSION = 1
DONE: Literal["done"] = "done"
FAILED: Literal["failed"] = "failed"
# what zip files that were cut short or changed by a bit provoke, besides errors of values and of reading
_DAMAGE = (zipfile.BadZipFile, EOFError, zlib.error, struct.error, RuntimeError, MemoryError, SyntaxError)


@dataclass(frozen=True)
class Session:
    """Who worked at a run, and with what; results of an earlier Fieldmark do not know all of it.

    ``digest`` is of the program's files, ``code`` of those of classes from elsewhere, ``precision`` what "auto" was.
    """

    commit: str
    dirty: bool
    digest: str
    device: str
    host: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    precision: str = ""
    data_digest: str = ""
    weights_digest: str = ""


@dataclass(frozen=True)
class Asked:
    """All that a plan says of a run and that its result depends on: another answer makes another result."""

    trials: tuple[Mapping[str, Any], ...]
    kind: str = "train"
    recipe: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    train_on: tuple[str, ...] = ()
    annotation: str = "variant"
    tuning: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """A run, done or failed: what was asked for, what came of it, and where it comes from.

    ``trial`` is the place of a tuning run's trial; ``tuned`` what a final run's trials scored; ``recipe`` what was
    followed, as plain data; ``metrics`` are shares of the photos of ``measured_on``, ``levels`` those that are
    right at each level of groups that the data have, the finest first; ``photos`` counts those measured
    and, in a final run, those trained on; ``seconds`` of training; ``reason`` says in a line why a run failed.
    """

    key: str
    title: str
    entry: str
    order: int
    kind: Literal["train", "probe"]
    baseline: str
    data: str
    phase: Literal["tune", "final"]
    seed: int
    status: Literal["done", "failed"]
    asked: Asked
    command: str
    data_digest: str
    trial: int | None = None
    reason: str = ""
    trace: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    weights_digest: str = ""
    tuned: Mapping[str, Any] = field(default_factory=dict)
    sessions: tuple[Session, ...] = ()
    device: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    measured_on: str = ""
    photos: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    levels: Mapping[str, float] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()
    test_openings: int = 0

    def __post_init__(self) -> None:
        """Raises ``UserError`` for a run that cannot be what it says."""
        if self.trial is not None and not self.asked.trials:
            raise UserError("asked.trials is empty, though it is the run of a trial")
        needed = {"metrics.top1", "metrics.mean_per_class", "photos.measured", "photos.classes"}
        known = {f"metrics.{name}" for name in self.metrics} | {f"photos.{name}" for name in self.photos}
        if self.status == DONE and (missing := sorted(needed - known)):
            raise UserError(f"{missing[0]} is missing, though the run is done")


class Answers(NamedTuple):
    """A run's answers photo by photo: ``names`` (N,), ``labels`` int64 (N,), ``logits`` float32 (N, C)."""

    names: np.ndarray
    labels: np.ndarray
    logits: np.ndarray


def json_path(folder: Path, key: str) -> Path:
    """Where a run's figures lie in the folder of a comparison."""
    return folder / RESULTS / f"{key}.json"


def npz_path(folder: Path, key: str) -> Path:
    """Where a run's logits lie; the tuning runs of an earlier Fieldmark have none."""
    return folder / RESULTS / f"{key}.npz"


def write_result(folder: Path, result: Result, answers: Answers | None = None) -> None:
    """Writes a run's logits, then its figures: where the JSON file is, all is there."""
    if answers is not None:
        arrays = answers._asdict()
        replace_file(npz_path(folder, result.key), lambda path: np.savez_compressed(path, allow_pickle=False, **arrays))
    write_json(json_path(folder, result.key), {"format_version": FORMAT_VERSION} | to_plain(result))


def read_result(path: Path) -> Result:
    """Reads a run's figures; raises ``UserError`` for what is none of ours, or a copy under another name."""
    shown = printable(str(path))
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{shown}: no result that can be read ({printable(str(error))})") from error
    if not isinstance(value, dict) or value.pop("format_version", None) != FORMAT_VERSION:
        raise UserError(f"{shown}: another format than this Fieldmark reads")
    try:
        result = from_plain(value, Result)
    except UserError as error:
        raise UserError(f"{shown}: {error}; the file was changed by hand") from error
    if result.key != path.stem:
        raise UserError(f"{shown} holds the run {printable(result.key)}, so it is a copy of another file: delete it")
    return result


def read_results(folder: Path) -> list[Result]:
    """All results of a comparison, in the order of the plan.

    Raises:
        UserError: no folder with results, or a file that is none.
    """
    shown = printable(str(folder))
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise UserError(f"{shown}: {what}; name the folder that fieldmark bench run --out made")
    if folder.name == RESULTS and any(folder.glob("*.json")):
        raise UserError(f"{shown}: name the folder above, {printable(str(folder.parent))}")
    results = [read_result(path) for path in sorted((folder / RESULTS).glob("*.json"))]
    if not results:
        raise UserError(f"{shown}: no results here; make some: fieldmark bench run PLAN --out FOLDER")
    return sorted(results, key=lambda run: (run.data, run.order, run.entry, run.phase, run.trial or 0, run.seed))


def read_answers(folder: Path, key: str) -> Answers:
    """The logits of a run.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = npz_path(folder, key)
    try:
        with path.open("rb") as file, np.load(file) as arrays:  # of a damaged file numpy leaves its own open
            answers = Answers(*(arrays[name] for name in Answers._fields))
        _refuse_shapes(answers)
        return answers
    except (OSError, ValueError, KeyError, *_DAMAGE) as error:
        reason = printable(f"{type(error).__name__}: {error}")
        beside = json_path(folder, key).name
        raise UserError(
            f"{printable(str(path))} cannot be read ({reason}):\ndelete {beside} beside it and run it again"
        ) from error


def _refuse_shapes(answers: Answers) -> None:
    """Raises ``ValueError`` for arrays that are no answers photo by photo."""
    names, labels, logits = answers
    if names.ndim != 1 or labels.shape != names.shape or logits.shape[:-1] != names.shape or not logits.shape[-1]:
        raise ValueError(f"names, labels and logits of shapes {names.shape}, {labels.shape} and {logits.shape}")
    if (names.dtype.kind, labels.dtype.kind, logits.dtype.kind) != ("U", "i", "f"):
        raise ValueError(f"names, labels and logits are {names.dtype}, {labels.dtype} and {logits.dtype}")
    if labels.size and not 0 <= labels.min() <= labels.max() < logits.shape[1]:
        raise ValueError(f"labels are from {labels.min()} to {labels.max()}, and there are {logits.shape[1]} classes")
