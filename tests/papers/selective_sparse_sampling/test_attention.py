"""From class maps to attention: Eq. 2 to 6 against loops written from the paper, ties, faint peaks, constant maps."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fieldmark.errors import UserError
from fieldmark.papers.selective_sparse_sampling.attention import (
    extremes,
    local_peaks,
    partition,
    response_map,
    saliency_map,
    sparse_attention,
    top_entropy,
)
from fieldmark.testing import no_reading_back
from random_values import drawn, uniform

Rows = list[list[float]]


def same(actual: Tensor, expected: object) -> None:
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=actual.dtype), rtol=0, atol=1e-10)


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


def eq_2(logits: list[float], k: int) -> float:
    """H = -sum of p log p over the k largest probabilities."""
    return -sum(p * math.log(p) for p in sorted(softmax(logits), reverse=True)[:k])


def eq_3(maps: list[Rows], logits: list[float], threshold: float, k: int) -> Rows:
    """The first map or the sum of k, min-max."""
    order = sorted(range(len(logits)), key=lambda c: -logits[c])[:k]
    chosen = order[:1] if eq_2(logits, k) <= threshold else order
    cells = list(product(range(len(maps[0])), range(len(maps[0][0]))))
    total = {(y, x): sum(maps[c][y][x] for c in chosen) for y, x in cells}
    low, high = min(total.values()), max(total.values())
    width = len(maps[0][0])
    return [[(total[y, x] - low) / (high - low) for x in range(width)] for y in range(len(maps[0]))]


def is_peak(response: Rows, y: int, x: int, window: int) -> bool:
    """The largest in its window; no value occurs twice."""
    reach = window // 2
    ys = range(max(0, y - reach), min(len(response), y + reach + 1))
    xs = range(max(0, x - reach), min(len(response[0]), x + reach + 1))
    return response[y][x] == max(response[i][j] for i, j in product(ys, xs))


def eq_5_and_6(response: Rows, peaks: list[list[bool]], beta: float, inverse: bool) -> Rows:
    """The sum over peaks of R or 1/R times a Gaussian."""
    height, width = len(response), len(response[0])
    attention = [[0.0] * width for _ in range(height)]
    for i, j in product(range(height), range(width)):
        if not peaks[i][j] or response[i][j] == 0:
            continue
        value = response[i][j]
        for y, x in product(range(height), range(width)):
            distance = (x - j) ** 2 + (y - i) ** 2
            amplitude = 1 / value if inverse else value
            attention[y][x] += amplitude * math.exp(-distance / (value * beta**2))
    return attention


@pytest.mark.parametrize(("classes", "k"), [(9, 5), (5, 5), (3, 5), (2, 5), (9, 1)])
def test_top_entropy_is_eq_2(classes: int, k: int):
    logits = 3 * drawn(7, classes)
    same(top_entropy(logits, k), [eq_2(row, k) for row in logits.tolist()])


def test_top_entropy_of_a_certain_classifier_is_zero_with_a_gradient():
    logits = torch.tensor([[900.0, -900.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    entropy = top_entropy(logits)
    assert entropy.tolist() == pytest.approx([0, math.log(3)])
    entropy.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
@pytest.mark.parametrize(("classes", "k"), [(9, 5), (6, 3), (3, 5)])
def test_response_map_is_eq_3(classes: int, k: int, scale: float):
    maps, logits = drawn(6, classes, 4, 3), scale * drawn(6, classes, seed=2)
    expected = [eq_3(class_maps.tolist(), row, 0.2, k) for class_maps, row in zip(maps, logits.tolist(), strict=True)]
    same(response_map(maps, logits, 0.2, k), expected)


def test_the_threshold_decides_between_one_map_and_five():
    maps = torch.eye(9, dtype=torch.float64).view(1, 9, 3, 3)  # the map of class c is 1 in cell c alone
    logits = torch.tensor([[9.0, 8.0, 7.0, 6.0, 5.0, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    assert response_map(maps, logits).flatten().tolist() == pytest.approx([1, 1, 1, 1, 1, 0, 0, 0, 0])
    assert response_map(maps, logits, 2.0).flatten().tolist() == pytest.approx([1, 0, 0, 0, 0, 0, 0, 0, 0])
    assert response_map(maps, 10 * logits).flatten().tolist() == pytest.approx([1, 0, 0, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_constant_map_is_zero_with_a_graph(dtype: torch.dtype):
    maps = torch.full((2, 3, 4, 4), 0.7, dtype=dtype, requires_grad=True)
    response = response_map(maps, torch.zeros(2, 3, dtype=dtype))
    assert (response == 0).all()
    response.sum().backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_maps_that_cancel_up_to_rounding_are_constant():
    maps = torch.randn(3, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    maps = maps - maps.mean(1, keepdim=True)  # as the maps of a linear head that cross-entropy trained from zero
    assert maps.sum(1).abs().max() > 0
    assert (response_map(maps, torch.zeros(3, 5)) == 0).all()


def test_a_saliency_map_is_a_softmax_over_positions_by_its_largest_value():
    scores = 3 * drawn(2, 4, 3)
    expected = []
    for image in scores.tolist():
        chances = softmax([value for row in image for value in row])
        expected.append([[chances[3 * y + x] / max(chances) for x in range(3)] for y in range(4)])
    same(saliency_map(scores), expected)


@pytest.mark.parametrize("window", [1, 3, 5])
def test_local_peaks_are_the_largest_of_their_windows(window: int):
    response = uniform(3, 7, 6)
    actual = local_peaks(response, window)
    for image, row in zip(response.tolist(), actual.tolist(), strict=True):
        for y, x in product(range(7), range(6)):
            assert row[y][x] == is_peak(image, y, x, window), (y, x)


def test_of_equal_neighbours_the_first_is_the_peak():
    response = torch.zeros(1, 5, 5)
    response[0, 1:4, 1:4] = 1
    assert local_peaks(response)[0, 1:4, 1:4].nonzero().tolist() == [[0, 0]]
    assert local_peaks(torch.ones(2, 4, 4)).sum().item() == 2


@pytest.mark.parametrize("window", [0, 2, -3])
def test_windows_without_a_middle_are_refused(window: int):
    with pytest.raises(UserError, match=r"odd number of cells|window of local_peaks is .*; it must be at least 1"):
        local_peaks(torch.zeros(1, 3, 3), window)


def test_partition_is_eq_4():
    response, numbers = uniform(4, 5, 6), uniform(4, 5, 6, seed=1)
    peaks = uniform(4, 5, 6, seed=2) < 0.5
    strong, weak = partition(response, peaks, numbers)
    for b, y, x in product(range(4), range(5), range(6)):
        in_d = bool(peaks[b, y, x]) and response[b, y, x].item() > numbers[b, y, x].item()
        in_c = bool(peaks[b, y, x]) and not in_d
        assert (strong[b, y, x].item(), weak[b, y, x].item()) == (in_d, in_c)


def test_strong_peaks_are_discriminative_more_often():
    response, peaks = torch.full((4000, 1, 2), 0.2, dtype=torch.float64), torch.ones(4000, 1, 2, dtype=torch.bool)
    response[..., 1] = 0.9
    strong, weak = partition(response, peaks, uniform(4000, 1, 2))
    assert strong.double().mean((0, 1)).tolist() == pytest.approx([0.2, 0.9], abs=0.03)
    assert (strong ^ weak).all()


def test_a_peak_as_high_as_its_number_is_in_one_of_the_branches():
    half, peaks = torch.full((1, 2, 2), 0.5), torch.ones(1, 2, 2, dtype=torch.bool)
    strong, weak = partition(half, peaks, half)
    assert not strong.any()
    assert weak.all()


def test_extremes_are_the_highest_and_the_lowest_peak():
    response = torch.tensor([[[0.9, 0.1, 0.5], [0.3, 1.0, 0.2]], [[0.4, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    peaks = response > torch.tensor([0.25, 0.1])[:, None, None]
    peaks[0, 1, 1] = False
    highest, lowest = extremes(response, peaks)
    assert highest.nonzero().tolist() == [[0, 0, 0], [1, 0, 0]]
    assert lowest.nonzero().tolist() == [[0, 1, 0], [1, 0, 0]]
    assert not any(mask.any() for mask in extremes(response, torch.zeros_like(peaks)))


def test_of_equal_extremes_the_first_alone_is_taken():
    response = torch.zeros(3, 7, 9)
    peaks = torch.zeros(3, 7, 9, dtype=torch.bool)
    for y, x, value in ((1, 6, 0.3), (1, 8, 1.0), (3, 2, 1.0), (3, 4, 0.3), (5, 0, 0.3), (6, 8, 1.0)):
        response[0, y, x] = value
        peaks[0, y, x] = True
    response[1], peaks[1] = 0.5, True  # all of them highest and lowest
    response[2, 4, 4], peaks[2, 4, 4] = 1, True
    with no_reading_back():
        highest, lowest = extremes(response, peaks)
    assert highest.nonzero().tolist() == [[0, 1, 8], [1, 0, 0], [2, 4, 4]]
    assert lowest.nonzero().tolist() == [[0, 1, 6], [1, 0, 0], [2, 4, 4]]


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("beta", [0.7, 3.9, 13.0])
def test_sparse_attention_is_eq_5_and_6(inverse: bool, beta: float):
    response, peaks = uniform(3, 5, 7), uniform(3, 5, 7, seed=1) < 0.3
    response[0, 0, 0], peaks[0, 0, 0], peaks[2] = 0, True, False
    rows = zip(response.tolist(), peaks.tolist(), strict=True)
    expected = [eq_5_and_6(image, mask, beta, inverse) for image, mask in rows]
    actual = sparse_attention(response, peaks, torch.tensor(beta, dtype=torch.float64), inverse)
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-10)
    assert torch.equal(actual, sparse_attention(response, peaks, beta, inverse))
    assert (actual[2] == 0).all()


def test_a_strong_peak_is_higher_and_wider_and_inversely_lower():
    response, peaks = torch.zeros(1, 31, 31), torch.zeros(1, 31, 31, dtype=torch.bool)
    for column, value in ((6, 0.25), (24, 1.0)):
        response[0, 15, column], peaks[0, 15, column] = value, True
    straight, inverse = (sparse_attention(response, peaks, 3.0, how)[0] for how in (False, True))
    assert straight[15, 6] == pytest.approx(0.25)
    assert straight[15, 24] == pytest.approx(1)
    assert inverse[15, 6] == pytest.approx(4)
    assert inverse[15, 24] == pytest.approx(1)
    assert straight[12, 6] / straight[15, 6] == pytest.approx(math.exp(-4))
    assert straight[12, 24] / straight[15, 24] == pytest.approx(math.exp(-1))


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("value", [0.0, 1e-30, 1e-7, 1e-5, 1.0])
@pytest.mark.parametrize("beta", [0.0, 1e-8, 4.0])
def test_faint_peaks_and_narrow_radii_stay_finite(value: float, beta: float, inverse: bool):
    response = torch.zeros(2, 5, 5)
    response[0, 2, 3] = value
    response.requires_grad_()
    radius = torch.tensor(beta, requires_grad=True)
    attention = sparse_attention(response, torch.ones(2, 5, 5, dtype=torch.bool), radius, inverse)
    assert attention.isfinite().all()
    assert (attention[1] == 0).all()
    attention.sum().backward()
    for gradient in (response.grad, radius.grad):
        assert gradient is not None
        assert gradient.isfinite().all()


@pytest.mark.parametrize("inverse", [False, True])
def test_gradients_of_attention(inverse: bool):
    response = (0.2 + 0.7 * uniform(2, 3, 4)).requires_grad_()
    beta, peaks = torch.tensor(1.7, dtype=torch.float64, requires_grad=True), uniform(2, 3, 4, seed=1) < 0.6
    assert torch.autograd.gradcheck(lambda r, b: sparse_attention(r, peaks, b, inverse), (response, beta))


def test_gradients_of_maps():
    maps, logits = drawn(2, 4, 2, 3).requires_grad_(), 2 * drawn(2, 4, seed=2)
    assert torch.autograd.gradcheck(lambda m: response_map(m, logits, k=3), maps)
    assert torch.autograd.gradcheck(top_entropy, logits.requires_grad_())


def test_half_types_are_raised_also_under_autocast():
    response, peaks = uniform(2, 6, 6).float(), torch.ones(2, 6, 6, dtype=torch.bool)
    plain = sparse_attention(response, peaks, 2.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(sparse_attention(response, peaks, 2.0), plain)


@given(st.integers(2, 8), st.integers(2, 8), st.integers(2, 7), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_responses_span_0_to_1_and_have_a_peak_at_the_top(height: int, width: int, classes: int, seed: int):
    maps, logits = drawn(2, classes, height, width, seed=seed), 4 * drawn(2, classes, seed=seed + 1)
    response = response_map(maps, logits)
    assert (response.amin((1, 2)) == 0).all()
    assert (response.amax((1, 2)) == 1).all()
    peaks = local_peaks(response)
    assert peaks[response == 1].all()
    assert not peaks[response == 0].any()
    assert torch.equal(response, response_map(5 * maps + 2, logits)) or response.allclose(
        response_map(5 * maps + 2, logits)
    )
