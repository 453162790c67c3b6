"""``benchmarks/bilinear_features.py`` on made-up maps: what is trained, on which photos, and what is told."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bilinear_features import BATCH, ROWS, SEEDS, Maps, batches, best_trial, record, right, run_of, table, trained

CLASSES = 3


def maps(count: int, *, seed: int = 0, views: int = 2) -> Maps:
    """Each class has strong channels of its own; the mirror images are 1 more throughout."""
    random, labels = np.random.default_rng(seed), np.arange(count) % CLASSES
    values = random.random((1, count, 512, 2, 2))
    for label in range(CLASSES):
        values[:, labels == label, 8 * label : 8 * label + 8] += 3
    return Maps(np.concatenate([values + view for view in range(views)]).astype(np.float16), labels)


def test_an_epoch_takes_each_photo_once_mirrored_or_not():
    splits = [maps(40), maps(30, seed=1)]
    seen = list(batches(splits, seed=0, epoch=0))
    numbers = torch.cat([chosen for _, _, chosen in seen]).tolist()
    assert [len(labels) for _, labels, _ in seen] == [BATCH, BATCH]
    assert len({*numbers}) == 2 * BATCH
    mirrored = 0
    for values, labels, chosen in seen:
        for row, at in enumerate(chosen.tolist()):
            split, place = (splits[0], at) if at < 40 else (splits[1], at - 40)
            assert labels[row] == split.labels[place]
            own = [torch.equal(values[row], torch.from_numpy(view[place]).float()) for view in split.values]
            assert sum(own) == 1
            mirrored += own[1]
    assert 0 < mirrored < 2 * BATCH
    assert not torch.equal(seen[0][2], next(batches(splits, seed=0, epoch=1))[2])


def test_what_comes_after_the_maps_learns():
    learner = trained(ROWS["vgg16"], 3, [maps(2 * BATCH)], seed=0, classes=CLASSES, epochs=2)
    assert right(learner, maps(30, seed=2, views=1)).mean() > 0.6


@pytest.mark.parametrize("name", ["pc-b-cnn", "mc-b-cnn"])
def test_a_row_with_a_loss_more_trains_nothing_before_the_maps(name: str):
    learner = trained(ROWS[name], 3, [maps(BATCH)], seed=0, classes=CLASSES, epochs=1)
    assert not list(learner.method.classifier.backbone.parameters())
    assert len(learner.terms) == 1
    assert all(value.isfinite().all() for value in learner.state_dict().values())


def test_equally_many_trials_and_baselines_that_differ_in_one_thing():
    assert {len(row.trials) for row in ROWS.values()} == {4}
    for row in ROWS.values():
        if row.term:
            without = ROWS[row.baseline]
            assert without.parts == row.parts
            assert without.term is None


def test_runs_are_recorded_and_told(tmp_path: Path):
    few = {"seed": 0, "classes": CLASSES, "epochs": 1}
    for trial in range(4):
        record(run_of("vgg16", trial, 0, tmp_path), ROWS["vgg16"], trial, [maps(BATCH)], maps(30, views=1), **few)
    assert best_trial("vgg16", tmp_path) in range(4)
    assert len([*table(tmp_path)]) == 2, "a row is told when all of its seeds are there"
    for seed in SEEDS:
        record(run_of("vgg16", None, seed, tmp_path), ROWS["vgg16"], 0, [maps(BATCH)], maps(30), **few | {"seed": seed})
    assert [*table(tmp_path)][2].startswith("| vgg16 | 0.3 | ")
