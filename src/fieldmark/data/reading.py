"""``read_dataset``: tells what kind of data a path holds (a benchmark, class folders, a table), and reads it."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fieldmark.data.benchmarks import cifar, matlab, text_lists
from fieldmark.data.benchmarks.inaturalist import with_levels_by_name
from fieldmark.data.corrections import chosen_list, corrected, place_of
from fieldmark.data.dataset import Dataset
from fieldmark.data.entries import subfolders
from fieldmark.data.folder import WHAT_TO_NAME, read_folder
from fieldmark.data.table import TABLE_SUFFIXES, read_table
from fieldmark.errors import UserError, printable


class Benchmark(NamedTuple):
    """A benchmark's own layout: ``recognises`` looks at a folder, ``read`` returns its photos."""

    name: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path], Dataset]


AIRCRAFT = Benchmark("FGVC-Aircraft", text_lists.is_aircraft, text_lists.read_aircraft)
BENCHMARKS = (
    Benchmark("CUB-200-2011", text_lists.is_cub, text_lists.read_cub),
    Benchmark("NABirds", text_lists.is_nabirds, text_lists.read_nabirds),
    AIRCRAFT,
    Benchmark("Stanford Cars", matlab.is_cars, matlab.read_cars),
    Benchmark("Stanford Dogs", matlab.is_dogs, matlab.read_dogs),
    Benchmark("Flowers-102", matlab.is_flowers, matlab.read_flowers),
    Benchmark("CIFAR-10", cifar.is_cifar10, cifar.read_cifar10),
    Benchmark("CIFAR-100", cifar.is_cifar100, cifar.read_cifar100),
)


def read_dataset(
    source: str | os.PathLike[str], *, annotation: str = "variant", corrections: str | os.PathLike[str] | None = None
) -> Dataset:
    """The photographs of ``source``: a benchmark's folder, a CSV, or a folder of class folders.

    If a sub-folder holds a benchmark, it is read from there, with a note. ``annotation`` chooses the
    classes of FGVC-Aircraft ("variant", "family" or "manufacturer"). A list of corrected labels that lies with the
    data, or ``corrections``, is honoured, with a note (``corrections.py``). No image is opened. Raises ``UserError``
    where there is nothing to read, or a list is damaged.
    """
    dataset = read_as_given(source, annotation=annotation)
    place = corrections_place(source, dataset, annotation=annotation)
    chosen = chosen_list(place, Path(corrections) if corrections else None)
    return corrected(dataset, chosen) if chosen else dataset


def corrections_place(source: str | os.PathLike[str], dataset: Dataset, *, annotation: str = "variant") -> Path:
    """Where the list of corrected labels of ``dataset``, read from ``source``, lies or would lie."""
    return place_of(dataset, _existing(source), annotation=annotation)


def read_as_given(source: str | os.PathLike[str], *, annotation: str = "variant") -> Dataset:
    """``read_dataset`` without corrections of labels."""
    if annotation not in text_lists.AIRCRAFT_LEVELS:
        raise UserError(f"annotation '{printable(annotation)}' must be variant, family or manufacturer.")
    path = _existing(source)
    benchmark, place = _benchmark(path) if path.is_dir() else (None, path)
    if benchmark is not AIRCRAFT and annotation != "variant":
        raise UserError(f"{printable(str(path))}: annotation applies to FGVC-Aircraft only; leave it out.")
    if benchmark is None:
        return with_levels_by_name(_plain(path))
    dataset = text_lists.read_aircraft(place, annotation) if benchmark is AIRCRAFT else benchmark.read(place)
    if place == path:
        return dataset
    return replace(dataset, notes=(f"{benchmark.name} read from the folder {printable(place.name)}", *dataset.notes))


def _existing(source: str | os.PathLike[str]) -> Path:
    text = os.fspath(source)
    # An absolute path, so that the photos are still found after a change of directory.
    path = Path(os.path.abspath(os.path.expanduser(text)))
    if not text or not os.path.exists(path):
        raise UserError(f"{printable(text) or 'the empty path'}: there is no such file or folder.\n{WHAT_TO_NAME}")
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        raise UserError(f"{printable(str(path))}: the folder cannot be read (Permission denied).")
    if not path.is_dir() and not path.is_file():
        raise UserError(f"{printable(str(path))}: neither a folder nor a CSV file.")
    return path


def _benchmark(folder: Path) -> tuple[Benchmark | None, Path]:
    """The benchmark that ``folder`` or one of its sub-folders holds, and the folder that holds it."""
    for benchmark in BENCHMARKS:
        if benchmark.recognises(folder):
            return benchmark, folder
    inner = [Path(folder, entry.name) for entry in subfolders(folder) if os.access(entry.path, os.X_OK)]
    choices = [(benchmark, place) for place in inner for benchmark in BENCHMARKS if benchmark.recognises(place)]
    if len(choices) > 1:
        names = ", ".join(printable(place.name) for _, place in choices)
        raise UserError(f"{printable(str(folder))}: several benchmarks lie here ({names}); name one of them.")
    return choices[0] if choices else (None, folder)


def _plain(path: Path) -> Dataset:
    """A folder of class folders, or a table."""
    if path.is_dir():
        dataset = read_folder(path)
        enclosing = [benchmark.name for benchmark in BENCHMARKS if benchmark.recognises(path.parent)]
        hint = tuple(f"name the folder above for the official split of {name}" for name in enclosing)
        return replace(dataset, notes=(*hint, *dataset.notes))
    if path.suffix.lower() in (".xlsx", ".xlsm", ".xls", ".ods", ".numbers"):
        raise UserError(f"{printable(str(path))}: a spreadsheet; save it as 'CSV UTF-8' and name that file.")
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise UserError(f"{printable(str(path))}: this file is not a CSV.\n{WHAT_TO_NAME}")
    return read_table(path)
