"""``benchmarks/pointing.py``: hits, chance and fidelity beside counts by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pointing
from fieldmark.birds.dataset import make_species, write_birds
from fieldmark.evaluation.statistics import seed_interval
from pointing import KINDS, REACH, SIDE, Row, Shot, fidelity, over_pairs, pictures_of, report


def test_pictures_are_the_test_pictures_with_their_marks(tmp_path: Path):
    species = make_species(3, seed=0)  # the last without a twin
    splits = {"train": 0.5, "test": 0.5}
    data = write_birds(tmp_path / "birds", species=species, images=4, seed=0, size=64, splits=splits)
    pictures = pictures_of(data, side=64)
    assert len(pictures) == 4
    assert all(picture.path.is_file() for picture in pictures)
    assert {picture.species for picture in pictures} == {bird.name for bird in species[:2]}
    assert len({picture.pair for picture in pictures}) == 1
    for picture in pictures:
        left, top, right, bottom = picture.box
        assert 0 <= left < right <= 1.01
        assert 0 <= top < bottom <= 1.01


@pytest.mark.parametrize("box", [(0.4, 0.4, 0.5, 0.6), (0.0, 0.9, 0.3, 1.0)])
def test_chance_is_the_share_of_places_that_hit(box: tuple[float, float, float, float]):
    places = (np.arange(SIDE) + 0.5) / SIDE
    x, y = np.meshgrid(places, places)
    points = np.stack([x.ravel(), y.ravel()], 1)
    away = SIDE * pointing.distance(points, np.array([box] * len(points)))
    assert pointing._chance(box) == pytest.approx((away <= REACH).mean(), abs=0.01)


class Bright(nn.Module):
    """Logit 0 is the mean of the upper left quarter, logit 1 nothing."""

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2] // 2, images.shape[3] // 2
        first = images[:, :, :height, :width].mean((1, 2, 3))
        return torch.stack([first, torch.zeros_like(first)], 1)


def test_fidelity_is_best_for_a_heatmap_that_lies_on_what_decides():
    images = torch.zeros(2, 3, 224, 224)
    images[:, :, 16:48, 16:48] = 1
    on, off = torch.zeros(2, 56, 56), torch.zeros(2, 56, 56)
    on[:, 4:12, 4:12], off[:, 40:48, 40:48] = 1, 1
    answer, other = torch.zeros(2, dtype=torch.long), torch.ones(2, dtype=torch.long)
    model: Any = Bright()
    deleted, inserted = fidelity(model, images, on, answer, other)
    deleted_off, inserted_off = fidelity(model, images, off, answer, other)
    assert (deleted < deleted_off - 0.1).all()
    assert (inserted > inserted_off + 0.1).all()


def test_pairs_count_alike_however_many_pictures_they_have():
    interval = over_pairs([("a", 1.0), ("a", 0.0), ("b", 1.0), ("c", 0.0), ("c", 0.0)])
    assert interval == seed_interval([0.5, 1.0, 0.0])
    assert np.isnan(over_pairs([]).mean)


def shots(*, hits: set[str]) -> dict[str, Shot]:
    return {kind: Shot(kind in hits, 0.5, 0.5) for kind in KINDS}


def test_the_report_keeps_right_and_wrong_answers_apart():
    first, *_, last = KINDS
    rows = [Row(f"pair {n}", True, 0.003, 0.05, shots(hits={first, last} if n else {first})) for n in range(4)]
    rows += [Row("pair 9", False, 0.03, 0.2, shots(hits=set()))]
    lines = report(rows)

    def line(title: str) -> str:
        return next(line for line in lines[lines.index(title) :] if line.startswith(f"| {first}"))

    right = line("### right answers: 4 pictures of 4 pairs")
    assert right.startswith(f"| {first} | 100.0 (100.0 to 100.0) | +25.0")
    assert line("### wrong answers: 1 pictures of 1 pairs").startswith(f"| {first} | 0.0")
    assert "### right answers, mark large (2 % or more): 0 pictures of 0 pairs" in lines


def test_a_network_is_asked_for_its_answer_and_not_for_the_truth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    pictures = [pointing.Picture(tmp_path / name, name, twin, (0, 0, 1, 1)) for name, twin in (("a", "b"), ("b", "a"))]
    asked: list[tuple[list[int], list[int]]] = []

    def shots_of(model: nn.Module, images: Tensor, answer: Tensor, other: Tensor, *_: object) -> list[Shot]:
        asked.append((answer.tolist(), other.tolist()))
        return [Shot(True, 0.0, 1.0)] * 2

    class AlwaysTheFirst(nn.Module):
        classifier = SimpleNamespace(backbone=SimpleNamespace(mean=torch.zeros(1)))

        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([[1.0, 0.0]]).expand(len(images), 2)

    monkeypatch.setattr(pointing, "_shots", shots_of)
    loaded: Any = SimpleNamespace(model=AlwaysTheFirst(), transform=lambda _: torch.zeros(3, 8, 8), classes=("a", "b"))
    rows = list(pointing.measured(loaded, pictures))
    assert set(map(str, asked)) == {"([0, 0], [1, 1])"}
    assert [row.right for row in rows] == [True, False]
