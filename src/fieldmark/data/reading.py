"""The one way in: whatever a user names as data is told apart by looking at it."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fieldmark.data.benchmarks import cifar, matlab, text_lists
from fieldmark.data.dataset import Dataset
from fieldmark.data.folder import read_folder, subfolders
from fieldmark.data.table import read_table
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


def read_dataset(source: str | os.PathLike[str], *, annotation: str = "variant") -> Dataset:
    """The photographs of ``source``: a benchmark's folder, a CSV, or a folder of class folders.

    A folder that holds one benchmark in a sub-folder is read from there, with a note. ``annotation`` chooses the
    classes of FGVC-Aircraft ("variant", "family" or "manufacturer"). No image is opened. Raises ``UserError``
    where there is nothing to read, or a list is damaged.
    """
    if annotation not in text_lists.AIRCRAFT_LEVELS:
        raise UserError(f"annotation '{printable(annotation)}' must be variant, family or manufacturer.")
    path = _existing(source)
    if path.is_file():
        found, place = None, path
    elif path.is_dir():
        if not os.access(path, os.R_OK | os.X_OK):
            raise UserError(f"{printable(str(path))}: the folder may not be read (Permission denied).")
        found, place = _benchmark(path)
    else:
        raise UserError(f"{printable(str(path))}: neither a folder nor a CSV file.")
    if found is not AIRCRAFT and annotation != "variant":
        raise UserError(f"{printable(str(path))}: annotation is for FGVC-Aircraft alone; leave it out.")
    if found is None:
        return _plain(path)
    read = partial(text_lists.read_aircraft, annotation=annotation) if found is AIRCRAFT else found.read
    dataset = read(place)
    if place == path:
        return dataset
    return replace(dataset, notes=(f"{found.name} read from the folder {printable(place.name)}", *dataset.notes))


def _existing(source: str | os.PathLike[str]) -> Path:
    text = os.fspath(source)
    # An absolute path: the photos are still found after a change of directory.
    path = Path(os.path.abspath(Path(text).expanduser()))
    try:
        os.stat(path)
    except (OSError, ValueError):
        text = ""
    if not text:
        raise UserError(
            f"{printable(os.fspath(source)) or 'the empty path'}: there is no such file or folder.\n"
            "Name a folder with one folder of images a class, a CSV with the columns path and label, or a benchmark."
        )
    return path


def _benchmark(folder: Path) -> tuple[Benchmark | None, Path]:
    """The benchmark that ``folder`` is, or that lies in one of its sub-folders, and where."""
    for benchmark in BENCHMARKS:
        if benchmark.recognises(folder):
            return benchmark, folder
    inner = [Path(folder, entry.name) for entry in subfolders(folder) if os.access(entry.path, os.X_OK)]
    found = [(benchmark, place) for place in inner for benchmark in BENCHMARKS if benchmark.recognises(place)]
    if len(found) > 1:
        names = ", ".join(printable(place.name) for _, place in found)
        raise UserError(f"{printable(str(folder))}: several benchmarks lie here ({names}); name one of them.")
    return found[0] if found else (None, folder)


def _plain(path: Path) -> Dataset:
    """A folder of class folders, or a table."""
    if path.is_dir():
        dataset = read_folder(path)
        around = [benchmark.name for benchmark in BENCHMARKS if benchmark.recognises(path.parent)]
        hint = tuple(f"name the folder above for the official split of {name}" for name in around)
        return replace(dataset, notes=(*hint, *dataset.notes))
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise UserError(
            f"{printable(str(path))}: this file is no CSV.\n"
            "Name a folder with one folder of images a class, a CSV with the columns path and label, or a benchmark."
        )
    return read_table(path)
