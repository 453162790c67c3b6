"""Which images stand together, and that a run goes on where it stopped."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest

from fieldmark.batches import Balanced, BatchSampler, ExhaustivePairs, Shuffled, ShuffledPairs, WholeRun
from fieldmark.errors import UserError

LABELS = [0] * 30 + [1] * 12 + [2] * 3 + [3] * 20 + [4] * 7


def test_shuffled_has_every_image_once_and_leaves_the_remainder_out():
    batches = Shuffled(10).epoch(LABELS, seed=0, epoch=0)
    assert [len(batch) for batch in batches] == [10] * 7
    seen = np.concatenate(batches)
    assert len(set(seen.tolist())) == 70
    assert set(seen.tolist()) < set(range(72))
    whole = np.concatenate(Shuffled(12).epoch(LABELS, seed=0, epoch=0))
    assert sorted(whole.tolist()) == list(range(72))


def test_different_images_are_left_out_each_epoch():
    left_out = [set(range(72)) - set(np.concatenate(Shuffled(10).epoch(LABELS, seed=0, epoch=e))) for e in range(20)]
    assert len(set.union(*left_out)) > 10


def test_a_set_smaller_than_a_batch_makes_one_batch():
    (batch,) = Shuffled(32).epoch([0, 1, 0], seed=0, epoch=0)
    assert sorted(batch.tolist()) == [0, 1, 2]


@pytest.mark.parametrize(
    "plan", [Shuffled(8), Shuffled(8, even=True), Balanced(3, 2), ShuffledPairs(8), ExhaustivePairs(8)]
)
def test_plans_are_functions_of_labels_seed_and_epoch(plan):
    first, again = plan.epoch(LABELS, seed=1, epoch=2), plan.epoch(LABELS, seed=1, epoch=2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, plan.epoch(LABELS, seed=1, epoch=3))
    assert not np.array_equal(first, plan.epoch(LABELS, seed=2, epoch=2))


def test_even_draws_every_class_equally_often():
    epochs = [np.concatenate(Shuffled(9, even=True).epoch(LABELS, seed=0, epoch=e)) for e in range(100)]
    drawn = np.array(LABELS)[np.concatenate(epochs)]
    assert len(drawn) == 100 * 72
    share = np.bincount(drawn) / len(drawn)
    np.testing.assert_allclose(share, 0.2, atol=5 * np.sqrt(0.2 * 0.8 / len(drawn)))


def test_balanced_has_its_shape_and_different_classes():
    batches = Balanced(3, 4).epoch(LABELS, seed=0, epoch=0)
    assert len(batches) == len(LABELS) // 12
    for batch in batches:
        labels = np.array(LABELS)[batch].reshape(3, 4)
        assert (labels == labels[:, :1]).all()
        assert len(set(labels[:, 0].tolist())) == 3


def test_balanced_repeats_an_image_in_a_batch_only_where_a_class_has_too_few():
    for epoch in range(30):
        for batch in Balanced(3, 5).epoch(LABELS, seed=0, epoch=epoch):
            for row in batch.reshape(3, 5):
                most = max(Counter(row.tolist()).values())
                assert most == (2 if LABELS[row[0]] == 2 else 1)


def test_balanced_takes_all_images_of_a_class_before_one_comes_again():
    labels = [0] * 7 + [1] * 50
    taken = np.concatenate(Balanced(2, 3).epoch(labels, seed=3, epoch=0))
    small = Counter(taken[np.array(labels)[taken] == 0].tolist())
    assert len(small) == 7
    assert max(small.values()) - min(small.values()) <= 1


def test_balanced_shows_all_classes_before_one_comes_again():
    labels = list(range(6)) * 10
    rows = np.array(labels)[np.array(Balanced(2, 2).epoch(labels, seed=0, epoch=0))][:, ::2]
    for start in range(0, len(rows) - 2, 3):
        assert sorted(rows[start : start + 3].ravel().tolist()) == list(range(6))
    uneven = Counter(np.array(LABELS)[np.array(Balanced(2, 1).epoch(LABELS, seed=0, epoch=0))].ravel().tolist())
    assert set(uneven) == set(range(5))


def pairs_of(batches: list[np.ndarray]) -> list[tuple[int, int]]:
    """Image i of each batch with image i + B/2."""
    halves = [(batch[: len(batch) // 2], batch[len(batch) // 2 :]) for batch in batches]
    return [(int(a), int(b)) for first, second in halves for a, b in zip(first, second, strict=True)]


def test_shuffled_pairs_are_two_orders_of_the_whole_set():
    batches = ShuffledPairs(12).epoch(LABELS, seed=0, epoch=0)
    assert [len(batch) for batch in batches] == [12] * 12
    first, second = zip(*pairs_of(batches), strict=True)
    assert sorted(first) == sorted(second) == list(range(72))
    assert first != second
    assert len(ShuffledPairs(10).epoch(LABELS, seed=0, epoch=0)) == 14  # 72 pairs in batches of five
    same = [a == b for epoch in range(200) for a, b in pairs_of(ShuffledPairs(2).epoch(LABELS, seed=0, epoch=epoch))]
    assert 0.5 < 72 * np.mean(same) < 2  # an image meets itself as often as any other


def test_exhaustive_pairs_meet_all_images_of_other_classes_once_a_round():
    labels = [0, 0, 0, 1, 1, 2, 2, 2, 2]
    wanted = {(a, b) for a in range(9) for b in range(9) if labels[a] != labels[b]}
    (everything,) = [pairs_of(ExhaustivePairs(2, partners=None).epoch(labels, seed=0, epoch=3))]
    assert sorted(everything) == sorted(wanted)
    plan = ExhaustivePairs(2)
    epochs = [pairs_of(plan.epoch(labels, seed=0, epoch=epoch)) for epoch in range(7)]
    for epoch in epochs:
        assert sorted(a for a, _ in epoch) == list(range(9))
    for image, label in enumerate(labels):
        met = [b for epoch in epochs for a, b in epoch if a == image]
        others = {b for b in range(9) if labels[b] != label}
        assert set(met[: len(others)]) == others
        assert met[len(others) :] == met[: 7 - len(others)]
    assert {pair for epoch in epochs for pair in epoch} == wanted


@pytest.mark.parametrize("partners", [1, 3, 50, None])
@pytest.mark.parametrize("size", [2, 10, 1000])
def test_exhaustive_pairs_fill_their_last_batch_and_leave_none_out(size: int, partners: int | None):
    plan = ExhaustivePairs(size, partners)
    batches = plan.epoch(LABELS, seed=1, epoch=2)
    counts = Counter(LABELS)
    distinct = sum(min(partners or 72, 72 - counts[label]) for label in LABELS)
    found = pairs_of(batches)
    assert {len(batch) for batch in batches} == {min(size, 2 * distinct)}
    assert len(set(found)) == distinct
    assert distinct <= len(found) < distinct + size // 2
    assert all(LABELS[a] != LABELS[b] for a, b in found)
    assert len(plan.epoch(LABELS, seed=1, epoch=5)) == len(batches)


def test_exhaustive_pairs_are_evenly_spread_over_the_partners():
    met = Counter(
        b
        for seed in range(400)
        for a, b in pairs_of(ExhaustivePairs(2).epoch([0, 0, 1, 1, 1], seed=seed, epoch=0))
        if a == 0
    )
    assert set(met) == {2, 3, 4}
    assert min(met.values()) > 90


def test_wrong_plans_are_refused():
    with pytest.raises(UserError, match="6 classes need at least as many classes, not 5"):
        Balanced(6, 2).epoch(LABELS, seed=0, epoch=0)
    with pytest.raises(UserError, match="at least 1"):
        Balanced(2, 0).epoch(LABELS, seed=0, epoch=0)
    with pytest.raises(UserError, match="at least one image"):
        Shuffled(0).epoch(LABELS, seed=0, epoch=0)
    with pytest.raises(UserError, match="no images"):
        Shuffled(4).epoch([], seed=0, epoch=0)
    for plan in (ShuffledPairs(3), ShuffledPairs(0), ExhaustivePairs(5)):
        with pytest.raises(UserError, match="an even number of images"):
            plan.epoch(LABELS, seed=0, epoch=0)
    with pytest.raises(UserError, match="no images"):
        ShuffledPairs(4).epoch([], seed=0, epoch=0)
    with pytest.raises(UserError, match="at least 1, or null"):
        ExhaustivePairs(4, partners=0).epoch(LABELS, seed=0, epoch=0)
    for labels in ([], [3, 3]):
        with pytest.raises(UserError, match="two classes"):
            ExhaustivePairs(4).epoch(labels, seed=0, epoch=0)


def test_every_plan_says_how_large_its_batches_are():
    for plan in (Shuffled(6), Balanced(2, 3), ShuffledPairs(6), ExhaustivePairs(6)):
        assert plan.size == len(plan.epoch(LABELS, seed=0, epoch=0)[0]) == 6


def test_a_tiny_set_still_gives_one_balanced_batch():
    (batch,) = Balanced(2, 5).epoch([0, 1], seed=0, epoch=0)
    assert Counter(batch.tolist()) == {0: 5, 1: 5}


def test_batch_sampler_gives_the_epoch_it_was_set_to():
    sampler = BatchSampler(Shuffled(10), LABELS, seed=4)
    sampler.set_epoch(2)
    assert list(sampler) == [batch.tolist() for batch in Shuffled(10).epoch(LABELS, seed=4, epoch=2)]
    assert len(sampler) == 7


@pytest.mark.parametrize("plan", [Shuffled(10), Balanced(2, 5), ShuffledPairs(20), ExhaustivePairs(22)])
def test_whole_run_goes_on_where_it_stopped(plan):
    run = list(WholeRun(plan, LABELS, seed=0, epochs=3))
    assert len(run) == len(WholeRun(plan, LABELS, seed=0, epochs=3)) == 21
    assert [batch[0][0] for batch in run] == [epoch for epoch in range(3) for _ in range(7)]
    assert [index for _, index in run[8]] == plan.epoch(LABELS, seed=0, epoch=1)[1].tolist()
    for first in (0, 1, 6, 7, 13, 20, 21):
        rest = WholeRun(plan, LABELS, seed=0, epochs=3, first=first)
        assert list(rest) == run[first:]
        assert len(rest) == len(run) - first


def test_several_processes_share_every_batch_and_refuse_one_that_does_not_divide():
    labels = [0, 1] * 12
    whole = list(WholeRun(Shuffled(8), labels, seed=3, epochs=2))
    shares = [list(WholeRun(Shuffled(8), labels, seed=3, epochs=2, share=(rank, 4))) for rank in range(4)]
    assert [list(chain(*parts)) for parts in zip(*shares, strict=True)] == whole
    with pytest.raises(UserError, match="batches of 8 images cannot be split evenly among 3 processes: change --batch"):
        WholeRun(Shuffled(8), labels, seed=3, epochs=2, share=(0, 3))
