"""Halving a batch into pairs, and mining or drawing pairs in it, against loops over images."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fieldmark.core.draws import EVALUATION, Draws
from fieldmark.core.pairs import Mate, Pairs, halves, mine_pairs, random_pairs, root
from fieldmark.errors import UserError
from fieldmark.testing import no_reading_back

LIKE = torch.zeros(0)


@pytest.mark.parametrize("count", range(8))
def test_every_image_but_an_odd_one_is_in_one_pair(count: int):
    order = torch.randperm(count, generator=torch.Generator().manual_seed(count))
    first, second = halves(count, order=order, like=LIKE)
    assert len(first) == len(second) == count // 2
    assert first.tolist() + second.tolist() == order.tolist()[: count // 2 * 2]


def test_without_an_order_image_i_meets_image_i_plus_half():
    first, second = halves(7, order=None, like=LIKE)
    assert first.tolist() == [0, 1, 2]
    assert second.tolist() == [3, 4, 5]


def test_nothing_is_read_back():
    with no_reading_back():
        halves(6, order=torch.arange(6), like=LIKE)
        mine_pairs(torch.randn(6, 4), torch.arange(6) // 2, mates=2)
        random_pairs(torch.arange(6) // 2, 9, Draws(1))


RULES: list[tuple[Mate | None, Mate | None]] = [
    (intra, inter)
    for intra, inter in product(("similar", "dissimilar", None), repeat=2)
    if intra is not None or inter is not None
]


def random_batch(count: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, 3, dtype=torch.float64, generator=generator)
    return points, torch.randint(classes, (count,), generator=generator)


def naive_pairs(
    points: list[list[float]], labels: list[int], intra: str | None, inter: str | None, mates: int
) -> list[tuple[int, int, bool, bool]]:
    """(anchor, mate, same, valid): for each kind, image and place, the mate by looking at all images."""
    rows = []
    for rule, own_class in ((intra, True), (inter, False)):
        if rule is None:
            continue
        for i in range(len(points)):
            fitting = []
            for j in range(len(points)):
                if j != i and (labels[j] == labels[i]) == own_class:
                    distance = math.sqrt(sum((a - b) ** 2 for a, b in zip(points[i], points[j], strict=True)))
                    fitting.append((distance if rule == "similar" else -distance, j))
            ranked = [j for _, j in sorted(fitting)]
            for k in range(mates):
                exists = k < len(ranked)
                rows.append((i, ranked[k] if exists else i, own_class or not exists, exists))
    return rows


def as_rows(pairs: Pairs) -> list[tuple[int, int, bool, bool]]:
    return list(zip(*(field.tolist() for field in pairs), strict=True))


@pytest.mark.parametrize(("intra", "inter"), RULES)
@pytest.mark.parametrize("mates", [1, 2, 5])
def test_mined_pairs_are_those_of_a_look_at_all_images(intra: Mate | None, inter: Mate | None, mates: int):
    for seed, (count, classes) in enumerate([(12, 4), (9, 2), (6, 6), (5, 1), (1, 1), (2, 2)]):
        points, labels = random_batch(count, classes, seed)
        pairs = mine_pairs(points, labels, intra, inter, mates)
        kinds = (intra is not None) + (inter is not None)
        assert [field.shape for field in pairs] == 4 * [(count * kinds * mates,)]
        assert [field.dtype for field in pairs] == [torch.int64, torch.int64, torch.bool, torch.bool]
        assert as_rows(pairs) == naive_pairs(points.tolist(), labels.tolist(), intra, inter, mates)


def test_the_defaults_are_the_nearest_of_both_kinds():
    points = torch.tensor([[0.0], [1.0], [3.0], [10.0]])
    pairs = mine_pairs(points, torch.tensor([0, 1, 0, 1]))
    assert pairs.anchor.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert pairs.mate.tolist() == [2, 3, 0, 1, 1, 0, 1, 2]
    assert pairs.same.tolist() == 4 * [True] + 4 * [False]
    assert pairs.valid.all()


grid = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=8)


@given(grid, st.sampled_from(RULES), st.integers(1, 3))
@settings(max_examples=80, deadline=None)
def test_ties_copies_and_lonely_classes(
    batch: list[tuple[int, int, int]], rules: tuple[Mate | None, Mate | None], mates: int
):
    """Points on a tiny grid: many equal distances and many images twice, which meet by index, never themselves."""
    points, labels = [[float(x), float(y)] for x, y, _ in batch], [label for _, _, label in batch]
    pairs = mine_pairs(torch.tensor(points), torch.tensor(labels), *rules, mates)
    assert as_rows(pairs) == naive_pairs(points, labels, *rules, mates)
    for anchor, mate, _, valid in as_rows(pairs):
        assert (anchor != mate) == valid


def test_an_image_that_is_twice_in_the_batch_meets_its_copy():
    points = torch.tensor([[1.0, 2.0], [5.0, 5.0], [1.0, 2.0], [5.0, 5.0]])
    assert mine_pairs(points, torch.zeros(4, dtype=torch.long), inter=None).mate.tolist() == [2, 3, 0, 1]


def test_distances_of_near_images_survive_far_from_the_origin():
    """Taken by products, |x|^2 - 2 x y + |y|^2, these differences drown in float32."""
    points = 1000 + torch.tensor([[0.0], [0.03], [0.05], [0.09]]).repeat(1, 40)
    points = points.repeat(8, 1) + 7.0 * torch.arange(8).repeat_interleave(4)[:, None]
    pairs = mine_pairs(points, torch.zeros(32, dtype=torch.long), inter=None)
    assert pairs.mate.tolist() == [4 * block + mate for block in range(8) for mate in (1, 2, 1, 2)]


def test_half_types_are_compared_in_single_precision():
    points = torch.tensor([[256.0], [257.0], [300.0]], dtype=torch.float16).repeat(1, 300)
    pairs = mine_pairs(points * 100, torch.zeros(3, dtype=torch.long), inter=None)
    assert pairs.mate.tolist() == [1, 0, 1]


def test_mining_has_no_gradient_and_survives_what_is_not_finite():
    points = torch.tensor([[0.0], [math.nan], [3e38], [-3e38]], requires_grad=True)
    pairs = mine_pairs(points, torch.tensor([0, 0, 1, 1]))
    assert pairs.valid.all()
    assert pairs.mate.tolist()[:4] == [1, 0, 3, 2]
    assert not any(field.requires_grad for field in pairs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"intra": None, "inter": None}, "ask for 'similar' or 'dissimilar' of one kind or both"),
        ({"intra": "nearest"}, "intra of mine_pairs is 'nearest'; choose similar, dissimilar"),
        ({"inter": "random"}, "inter of mine_pairs is 'random'"),
        ({"mates": 0}, "mates of mine_pairs is 0; it must be at least 1"),
    ],
)
def test_what_cannot_be_mined_is_refused(options: dict[str, object], message: str):
    with pytest.raises(UserError, match=message) as caught:
        mine_pairs(torch.zeros(4, 2), torch.arange(4), **options)  # pyright: ignore[reportArgumentType]
    assert len(str(caught.value).splitlines()) == 1


@given(st.integers(2, 9), st.integers(1, 100), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_random_pairs_are_of_two_images_and_differ_while_they_can(images: int, count: int, step: int):
    labels = torch.arange(images) % 3
    pairs = random_pairs(labels, count, Draws(4, step))
    assert pairs.valid.all()
    assert [len(field) for field in pairs] == 4 * [count]
    drawn = list(zip(pairs.anchor.tolist(), pairs.mate.tolist(), strict=True))
    assert all(a != b and 0 <= a < images and 0 <= b < images for a, b in drawn)
    assert pairs.same.tolist() == [a % 3 == b % 3 for a, b in drawn]
    assert len(set(drawn)) == min(count, images * (images - 1))


def test_random_pairs_change_with_the_step_and_reach_every_pair():
    labels = torch.zeros(4, dtype=torch.long)
    pairs = {(p.anchor.item(), p.mate.item()) for p in (random_pairs(labels, 1, Draws(0, step)) for step in range(150))}
    assert len(pairs) == 12
    fixed = [random_pairs(labels, 5, EVALUATION).mate.tolist() for _ in range(2)]
    assert fixed[0] == fixed[1]


def test_one_image_makes_no_random_pair():
    pairs = random_pairs(torch.tensor([3]), 4, Draws(0))
    assert not pairs.valid.any()
    assert pairs.anchor.tolist() == pairs.mate.tolist() == [0, 0, 0, 0]
    assert pairs.same.all()


def test_roots_of_nothing_have_no_infinite_gradient():
    squared = torch.tensor([4.0, 0.0, 1e-30, 2.25], dtype=torch.float64, requires_grad=True)
    distances = root(squared)
    assert distances.tolist() == pytest.approx([2, 0, 1e-15, 1.5], rel=1e-12)
    (gradient,) = torch.autograd.grad(distances.sum(), squared)
    assert gradient[[0, 3]].tolist() == pytest.approx([1 / 4, 1 / 3])
    assert gradient.isfinite().all()
