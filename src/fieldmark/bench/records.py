"""What is kept of a run: a JSON file and each photo's logits; both written all or nothing."""

import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fieldmark.bench.shape import complaint
from fieldmark.errors import UserError, printable
from fieldmark.files import replace_file

RESULTS = "results"
FORMAT_VERSION = 1
DONE, FAILED = "done", "failed"
# what zip files that were cut short or changed by a bit provoke, besides errors of values and of reading
_DAMAGE = (zipfile.BadZipFile, EOFError, zlib.error, struct.error, RuntimeError, MemoryError, SyntaxError)


@dataclass(frozen=True)
class Result:
    """A run, done or failed: what was asked for, what came of it, and where it comes from.

    ``asked`` is what the plan said; ``trial`` the place of a tuning run's trial; ``tuned`` what a final run's trials
    scored; ``recipe`` what was followed; ``sessions`` the sources and machines that took part; ``metrics`` are shares
    of the photos of ``measured_on``; ``seconds`` of training; ``reason`` says in a line why a run failed.
    """

    key: str
    title: str
    entry: str
    order: int
    kind: str
    baseline: str
    data: str
    phase: str
    seed: int
    status: str
    asked: Mapping[str, Any]
    command: str
    data_digest: str
    trial: int | None = None
    reason: str = ""
    trace: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    weights_digest: str = ""
    tuned: Mapping[str, Any] = field(default_factory=dict)
    sessions: tuple[Mapping[str, Any], ...] = ()
    device: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    measured_on: str = ""
    photos: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()
    test_openings: int = 0


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
        arrays = {name: getattr(answers, name) for name in Answers._fields}
        replace_file(npz_path(folder, result.key), lambda path: _save(path, arrays))
    text = json.dumps({"format_version": FORMAT_VERSION} | asdict(result), indent=2, ensure_ascii=False) + "\n"
    replace_file(json_path(folder, result.key), lambda path: path.write_text(text, "utf-8", "backslashreplace"))


def read_result(path: Path) -> Result:
    """Reads a run's figures; raises ``UserError`` for what is none of ours, or a copy under another name."""
    shown = printable(str(path))
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{shown}: no result that can be read ({printable(str(error))})") from error
    if not isinstance(value, dict) or value.pop("format_version", None) != FORMAT_VERSION:
        raise UserError(f"{shown}: another format than this Fieldmark reads")
    names = {one.name for one in fields(Result)}
    if wrong := names.symmetric_difference(value):
        raise UserError(f"{shown}: {min(wrong)!r} is missing or unknown; the file was changed by hand")
    if said := printable(complaint(value)):
        raise UserError(f"{shown}: {said}; the file was changed by hand")
    if value["key"] != path.stem:
        raise UserError(f"{shown} holds the run {printable(value['key'])}, so it is a copy of another file: delete it")
    found: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
    return Result(**found)


def read_results(folder: Path) -> list[Result]:
    """All results of a comparison, in the order of the plan.

    Raises:
        UserError: no folder with results, or a file that is none.
    """
    found = [read_result(path) for path in sorted((folder / RESULTS).glob("*.json"))]
    if not found:
        raise UserError(f"{printable(str(folder))}: no results here; make some: fieldmark bench run PLAN --out FOLDER")
    return sorted(found, key=lambda one: (one.data, one.order, one.entry, one.phase, one.trial or 0, one.seed))


def read_answers(folder: Path, key: str) -> Answers:
    """The logits of a run.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = npz_path(folder, key)
    try:
        with path.open("rb") as file, np.load(file) as found:  # of a damaged file numpy leaves its own open
            answers = Answers(*(found[name] for name in Answers._fields))
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


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
