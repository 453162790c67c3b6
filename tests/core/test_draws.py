"""Draws are a function of (seed, purpose, step, row) alone, and look random."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.utils._python_dispatch import TorchDispatchMode

from fieldmark.core.draws import EVALUATION, Draws, TorchDraws, drawn, key_of

LIKE = torch.zeros(1, dtype=torch.float64)
MANY = 100_000


def numbers(seed: int = 0, purpose: str = "a", step: int = 0, count: int = MANY) -> np.ndarray:
    return Draws(seed, step).uniform(purpose, (count,), like=LIKE).numpy()


def test_the_same_key_gives_the_same_numbers_whatever_was_drawn_before():
    first = numbers(3, "gate", 7, 100)
    torch.manual_seed(5)
    torch.rand(10)
    numbers(3, "other", 7, 100)
    assert (numbers(3, "gate", 7, 100) == first).all()


def test_known_values_hold_on_every_platform():
    assert [key_of(0, "a", 0), key_of(1, "pairs", 12)] == [1278316521, 1961120536]
    drawn = Draws(1, 12).uniform("pairs", (3,), like=LIKE)
    assert (drawn * 2**24).tolist() == [6399719.0, 5795921.0, 6676769.0]


@pytest.mark.parametrize("other", [(1, "a", 0), (0, "b", 0), (0, "a", 1)], ids=["seed", "purpose", "step"])
def test_each_part_of_the_key_counts_and_leaves_no_correlation(other: tuple[int, str, int]):
    a, b = numbers(), numbers(*other)
    assert (a != b).mean() > 0.999
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(MANY)
    order = np.argsort(b)
    assert abs(np.corrcoef(a[order][1:], a[order][:-1])[0, 1]) < 4 / np.sqrt(MANY)


@pytest.mark.parametrize("kind", ["uniform", "rowwise"])
def test_numbers_are_uniform_and_neighbours_independent(kind: str):
    if kind == "uniform":
        drawn = numbers(11, "x", 3)
    else:
        rows = torch.arange(MANY // 50)
        drawn = Draws(11, 3, rows).rowwise("x", (50,), like=LIKE).numpy().ravel()
    assert 0 < drawn.min() < drawn.max() < 1
    assert stats.kstest(drawn, "uniform").pvalue > 1e-3
    assert stats.chisquare(np.histogram(drawn, 256, (0, 1))[0]).pvalue > 1e-3
    pairs = np.histogram2d(drawn[:-1], drawn[1:], 16, [(0, 1), (0, 1)])[0]
    assert stats.chisquare(pairs.ravel()).pvalue > 1e-3
    lowest_bit = (drawn * 2**23).astype(np.int64) & 1
    assert abs(lowest_bit.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(drawn))


def test_steps_and_neighbouring_rows_are_uncorrelated():
    by_step = np.stack([numbers(0, "a", step, 2000) for step in range(30)])
    by_row = Draws(0, 0, torch.arange(30)).rowwise("a", (2000,), like=LIKE).numpy()
    for table in (by_step, by_row):
        correlation = np.corrcoef(table)[np.triu_indices(30, 1)]
        assert abs(correlation).max() < 5 / np.sqrt(2000)
        assert stats.kstest(table.mean(1), stats.norm(0.5, np.sqrt(1 / 12 / 2000)).cdf).pvalue > 1e-3


def test_first_numbers_of_many_steps_are_uniform():
    first = np.array([numbers(0, "a", step, 1)[0] for step in range(3000)])
    assert stats.kstest(first, "uniform").pvalue > 1e-3


def test_a_row_does_not_depend_on_its_batch():
    rows = torch.tensor([7, 123_456, 0, 7, 2**31 + 5])
    together = Draws(1, 2, rows).rowwise("mask", (4, 3), like=torch.zeros(5))
    assert together.shape == (5, 4, 3)
    for place, row in enumerate(rows):
        alone = Draws(1, 2, row[None]).rowwise("mask", (4, 3), like=torch.zeros(1))
        assert torch.equal(alone[0], together[place])
    assert torch.equal(together[0], together[3])
    assert not torch.equal(together[0], together[2])
    assert Draws(1, 2, rows).rowwise("mask", (), like=torch.zeros(5)).shape == (5,)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000])
def test_permutations_are_permutations(count: int):
    order = Draws(4, 1).permutation("pairs", count, like=LIKE)
    assert order.dtype == torch.long
    assert sorted(order.tolist()) == list(range(count))


def test_permutations_take_every_order_equally_often():
    orders = np.stack([Draws(0, step).permutation("pairs", 4, like=LIKE).numpy() for step in range(2400)])
    codes = orders @ [64, 16, 4, 1]
    counts = np.unique(codes, return_counts=True)[1]
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3


def test_masks_keep_with_their_probability():
    for probability in (0.0, 0.1, 0.5, 1.0):
        mask = Draws(0).keep("drop", (MANY,), probability=probability, like=LIKE)
        assert mask.dtype == torch.bool
        assert abs(mask.double().mean().item() - probability) <= 4 * np.sqrt(probability * (1 - probability) / MANY)


def test_evaluation_draws_nothing():
    like = torch.zeros(3, dtype=torch.float64)
    assert (EVALUATION.uniform("a", (2, 2), like=like) == 0.5).all()
    assert EVALUATION.rowwise("a", (4,), like=like).shape == (3, 4)
    assert (Draws(rows=torch.arange(3)).rowwise("a", (4,), like=like) == 0.5).all()
    assert EVALUATION.permutation("a", 4, like=like).tolist() == [0, 1, 2, 3]
    assert EVALUATION.keep("a", (5,), probability=0.0, like=like).all()


def test_rowwise_draws_without_indices_are_a_programming_error():
    with pytest.raises(ValueError, match="global image indices"):
        Draws(0).rowwise("a", (2,), like=LIKE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_numbers_stay_inside_0_and_1_in_every_type(dtype: torch.dtype):
    drawn = Draws(0).uniform("a", (2_000_000,), like=torch.zeros(1, dtype=dtype))
    assert drawn.dtype == dtype
    assert drawn.min() > 0
    assert drawn.max() < 1


def test_single_precision_is_double_precision_exactly():
    single = Draws(0).uniform("a", (MANY,), like=torch.zeros(1))
    assert torch.equal(single.double(), torch.from_numpy(numbers()))


@pytest.mark.parametrize("generator", [None, torch.Generator()])
def test_draws_of_torch_follow_its_generator(generator: torch.Generator | None):
    draws, like = TorchDraws(generator), torch.zeros(3, dtype=torch.float64)

    def everything() -> list[torch.Tensor]:
        (generator or torch.default_generator).manual_seed(4)
        numbers = [draws.uniform("a", (2, 2), like=like), draws.rowwise("a", (4,), like=like)]
        masks = [draws.keep("a", (MANY,), probability=chance, like=like) for chance in (0.0, 0.3, 1.0)]
        return [*numbers, draws.permutation("a", 9, like=like), *masks]

    first, again = everything(), everything()
    assert all(torch.equal(numbers, other) for numbers, other in zip(first, again, strict=True))
    assert not torch.equal(draws.uniform("a", (2, 2), like=like), draws.uniform("a", (2, 2), like=like))
    uniform, rowwise, order, none, some, every = first
    assert (uniform.shape, rowwise.shape, uniform.dtype) == ((2, 2), (3, 4), torch.float64)
    assert sorted(order.tolist()) == list(range(9))
    assert not none.any()
    assert every.all()
    assert abs(some.double().mean().item() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / MANY)


def test_draws_are_those_given_or_torchs_in_training_and_none_in_evaluation():
    given = Draws(3, 1)
    assert drawn(given, training=True) is drawn(given, training=False) is given
    assert isinstance(drawn(None, training=True), TorchDraws)
    assert drawn(None, training=False) is EVALUATION
    assert [draws.random for draws in (given, TorchDraws(), EVALUATION)] == [True, True, False]


class Reads(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.name() not in ("aten::_local_scalar_dense", "aten::nonzero")
        return func(*args, **(kwargs or {}))


def test_nothing_is_read_back():
    draws = Draws(0, 1, torch.arange(4))
    with Reads():
        draws.uniform("a", (3,), like=LIKE)
        draws.rowwise("a", (3,), like=LIKE)
        draws.permutation("a", 5, like=LIKE)
        draws.keep("a", (3,), probability=0.5, like=LIKE)


@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_draws_of_torch_are_compiled_for_batches_of_any_size():
    def numbers(like: torch.Tensor) -> torch.Tensor:
        draws = TorchDraws()
        return draws.rowwise("a", (3,), like=like)[draws.permutation("b", len(like), like=like)]

    compiled = torch.compile(numbers, backend="eager", dynamic=True, fullgraph=True)
    for count in (4, 5, 7):
        torch.manual_seed(count)
        expected = numbers(torch.zeros(count))
        torch.manual_seed(count)
        assert torch.equal(compiled(torch.zeros(count)), expected)
