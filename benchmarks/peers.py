"""Fieldmark beside other ways to fine-tune a network: accuracy and time with the same photos, weights and machine.

    python benchmarks/peers.py DATA [DATA ...] --weights FILE --out FOLDER [--seeds 0 1 2] [--systems fieldmark ...]

All systems begin with the same backbone and weights, train on the same photos (the official training split, with the
validation split where there is one) and see them at the same size. They take turns in one process, seed by seed; the
threads and the freed memory that it keeps are the same for all. The test photos give the last figure and nothing else.

- ``fieldmark``: ``fieldmark.train`` with its defaults.
- ``fastai-8``: ``fine_tune(8)`` of fastai's ``vision_learner``, nine epochs with the one in which the backbone is
  frozen. All else is fastai's own: batches of 64, fp32, timm's statistics of the pixels. The views are those of
  chapter 2 of its book: photos shrunk to 320 px gain nothing from the enlargement of other chapters. The rate is the
  default, 2e-3, as there: what ``lr_find`` draws is read by eye (the tutorial on breeds of pets reads 3e-3).
- ``timm-style``: the defaults of timm's ``train.py``, for 20 epochs: SGD with Nesterov momentum, a rate of 0.1 for 256
  photos, weight decay 2e-5, five epochs of warm-up, a cosine, label smoothing 0.1, fp32, random crops and mirroring;
  but batches of 16, Fieldmark's on a processor, in place of 128, and no jitter of colours.
- ``fastai-time``, ``timm-time``: the same with as many epochs as fit into the time of ``fieldmark`` with that seed, by
  the epochs of ``fastai-8`` and ``timm-style``, which are worked, too.

FOLDER/DATA/SYSTEM-SEED.json is written as each run ends, with the machine, versions and commit; runs that are there
are not worked again. Seconds are those from the names of the files to the trained weights, in Fieldmark's case with the
scan of the photos and a run on disk; those of the processor count the processes that read, too.
"""

import argparse
import importlib
import importlib.util
import json
import os
import time
from collections import Counter
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fieldmark.bench.provenance import file_digest, session_here
from fieldmark.core.device import device_of, precision_of
from fieldmark.data.dataset import Dataset, labels_of
from fieldmark.data.reading import read_dataset
from fieldmark.data.split import digest
from fieldmark.files import write_csv, write_json
from fieldmark.ops.memory import keep_freed_memory
from peer_systems import FASTAI, SYSTEMS, System, Task, Train, train_fastai

MAY_DIFFER = ("commit", "dirty", "host")
"""Of the runs of a table; the digest of the program may not."""


def work(task: Task, train: Train, epochs: int) -> dict[str, Any]:
    """One run: its figures."""
    ends: list[float] = []
    begun, processor = time.perf_counter(), sum(os.times()[:4])
    trained = train(task, epochs, lambda: ends.append(time.perf_counter() - begun))
    seconds, processor_seconds = time.perf_counter() - begun, sum(os.times()[:4]) - processor
    right = trained.predicted() == np.array(labels_of(task.test))
    return {
        "epochs": trained.epochs,
        "seconds": seconds,
        "processor_seconds": processor_seconds,
        "first_epoch": ends[0] if ends else None,
        "top1": float(right.mean()),
        "right": "".join(map(str, right.astype(int))),  # a digit for each test photo, to compare systems by photos
    }


def fitting(seconds: float, timed: dict[str, Any]) -> int:
    """The epochs that fit into ``seconds``: the first, with all that comes before it, and others of mean length."""
    mean = (timed["seconds"] - timed["first_epoch"]) / (timed["epochs"] - 1)
    return max(2, 1 + int((seconds - timed["first_epoch"]) / mean))


def has_fastai() -> bool:
    """Whether it is installed."""
    return importlib.util.find_spec("fastai") is not None


def systems_of(names: list[str]) -> dict[str, System]:
    """The systems in order, with those whose times they need; what they import is imported, which is nobody's time."""
    timed = [SYSTEMS[name].timed_by for name in names if SYSTEMS[name].timed_by]
    needed = {*names, *timed, *(["fieldmark"] if timed else [])}
    systems = {name: system for name, system in SYSTEMS.items() if name in needed}
    if any(system.train is train_fastai for system in systems.values()):
        if not has_fastai():
            raise SystemExit("fastai is missing: pip install 'fieldmark[peers]', or name other --systems")
        importlib.import_module(FASTAI)
    importlib.import_module("fieldmark.training.session")
    return systems


def limited(dataset: Dataset, limit: int, table: Path) -> Dataset:
    """The first photos of each class and split, as a table lists them."""
    counts, rows = Counter[tuple[int, str]](), [("path", "label", "split")]
    for photo in dataset.photos:
        assert photo.label is not None
        counts[photo.label, photo.split] += 1
        if counts[photo.label, photo.split] <= limit:
            rows.append((str(photo.path.resolve()), dataset.classes[photo.label], photo.split))
    write_csv(table, rows)
    return read_dataset(table)


def setting_of(task: Task, dataset: Dataset) -> dict[str, Any]:
    """What figures depend on besides system and seed."""
    device = device_of("auto")
    session = session_here(device, {})
    session = replace(
        session,
        versions={**session.versions, **({"fastai": version("fastai")} if has_fastai() else {})},
        precision=precision_of("auto", device),  # Fieldmark's: the others compute in fp32
        data_digest=digest(dataset),
        weights_digest=file_digest(task.weights),
    )
    scripts = "+".join(file_digest(Path(__file__).with_name(name)) for name in ("peers.py", "peer_systems.py"))
    options = {"backbone": task.backbone, "size": task.size, "workers": task.workers, "scripts": scripts}
    return asdict(session) | options


def finished(file: Path, setting: dict[str, Any]) -> dict[str, Any] | None:
    """The record of an earlier run; None if there is none."""
    if not file.is_file():
        return None
    record = json.loads(file.read_text("utf-8"))
    if other := [name for name in setting if name not in MAY_DIFFER and record.get(name) != setting[name]]:
        raise SystemExit(f"{file}: its run had another {', '.join(other)}; choose another --out, or delete it")
    return record


def compare(task: Task, systems: dict[str, System], setting: dict[str, Any], out: Path) -> None:
    """The runs of a data set with one seed, a line for each."""
    records: dict[str, dict[str, Any]] = {}
    for name, system in systems.items():
        file = out / f"{name}-{task.seed}.json"
        record = finished(file, setting)
        if record is None:
            timed = records.get(system.timed_by)
            epochs = fitting(records["fieldmark"]["seconds"], timed) if timed else system.epochs
            record = {"system": name, "seed": task.seed} | work(task, system.train, epochs) | setting
            write_json(file, record)
        records[name] = record
        seconds = f"{record['seconds']:9.1f} {record['processor_seconds']:9.1f}"
        print(f"{name:<12} {task.seed:4} {record['top1']:8.1%} {seconds} {record['epochs']:6}", flush=True)


def main() -> None:
    """Parses the command line, works what is missing and prints a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="photos with an official split, such as CUB_200_2011")
    parser.add_argument("--weights", type=Path, required=True, help="of the backbone, a .safetensors file as timm's")
    parser.add_argument("--out", type=Path, required=True, help="folder of the records")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--threads", type=int, help="of all systems; by default as many as PyTorch takes")
    parser.add_argument("--workers", type=int, help="processes that read; by default each system's own choice")
    parser.add_argument("--limit-photos", type=int, help="photos of each class and split, to try the script")
    said = parser.parse_args()
    systems = systems_of(said.systems)
    keep_freed_memory()  # as training in Fieldmark does, and then for all systems, whichever comes first
    if said.threads:
        torch.set_num_threads(said.threads)
    for data in said.data:
        out, dataset = said.out / data.resolve().name, read_dataset(data)
        if said.limit_photos:
            data = out / "photos.csv"
            dataset = limited(dataset, said.limit_photos, data)
        train, test = dataset.of(("train", "val")), dataset.of("test")
        if not (train and test):
            raise SystemExit(f"{data}: it has no official training and test photos")
        task = Task(data, dataset.classes, train, test, said.backbone, said.weights, said.size, said.workers)
        setting = setting_of(task, dataset)
        print(f"{data}: {len(train):,} training and {len(test):,} test photos; {setting['device']}")
        print(f"{'system':<12} seed {'top-1':>8} {'seconds':>9} {'processor':>9} epochs")
        for seed in said.seeds:
            compare(replace(task, seed=seed), systems, setting, out)


if __name__ == "__main__":
    main()
