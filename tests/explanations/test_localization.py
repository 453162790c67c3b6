"""The figures of localisation against plain loops."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from fieldmark.evaluation.statistics import seed_interval, share_interval
from fieldmark.explanations.localization import agreement, hits, inside
from fieldmark.explanations.sights import GRAD_CAM, Source
from sights_made_up import COUNT, HEIGHT, WIDTH, localization


def counted_iou(first: np.ndarray, second: np.ndarray) -> float:
    """By counting the squares of a grid of 100 x 100 that each box, in hundredths, covers."""
    grid = [np.zeros((100, 100), dtype=bool) for _ in range(2)]
    for squares, box in zip(grid, (first, second), strict=True):
        left, top, right, bottom = np.rint(100 * box).astype(int)
        squares[top:bottom, left:right] = True
    union = (grid[0] | grid[1]).sum()
    return (grid[0] & grid[1]).sum() / union if union else 0.0


def test_overlaps_are_those_of_counted_squares():
    result = localization()
    source = Source(GRAD_CAM, 0.5)
    expected = [counted_iou(*pair) for pair in zip(result.sights.boxes[source], result.objects, strict=True)]
    np.testing.assert_allclose(result.overlaps[source], expected)
    assert result.overlaps[source][:2].tolist() == [0, 0]  # no object, and no box
    figures = result.agreements[source]
    localised = [each >= 0.5 for each in expected]
    both = [each and right for each, right in zip(localised, result.right, strict=True)]
    assert figures.mean_iou == pytest.approx(seed_interval(expected))
    assert figures.localised == share_interval(sum(localised), COUNT)
    assert figures.top1_localised == share_interval(sum(both), COUNT)
    near = result.agreements[Source(GRAD_CAM, 0.2)]
    assert near.localised.mean > near.top1_localised.mean > figures.top1_localised.mean


def test_an_overlap_of_exactly_a_half_is_enough():
    figures = agreement(np.array([0.5, 0.49, 1.0]), np.array([True, True, False]))
    assert figures.localised.mean == pytest.approx(2 / 3)
    assert figures.top1_localised.mean == pytest.approx(1 / 3)


def test_a_box_around_everything_overlaps_by_the_object_s_share():
    result = localization()
    everything = np.tile([0.0, 0, 1, 1], (COUNT, 1))
    expected = [counted_iou(*pair) for pair in zip(everything, result.objects, strict=True)]
    np.testing.assert_allclose(result.covered, expected, atol=1e-12)
    for found, wanted in zip(result.whole, agreement(result.covered, result.right), strict=True):
        assert found == pytest.approx(wanted)
    left_half = replace(result, extents=np.tile([0.0, 0, 0.5, 1], (COUNT, 1)))
    expected = [counted_iou(*pair) for pair in zip(left_half.extents, result.objects, strict=True)]
    assert left_half.whole.mean_iou.mean == pytest.approx(np.mean(expected))


def test_hits_and_pointing_are_those_of_loops():
    result = localization()
    peaks = result.sights.peaks["response"]
    rates, by_hits = [], Counter()
    for row in range(COUNT):
        left, top, right, bottom = result.objects[row]
        filled, found, total = right > left and bottom > top, 0, 0
        for y in range(HEIGHT):
            for x in range(WIDTH):
                if peaks.cells[row, y, x]:
                    total += 1
                    found += filled and left <= (x + 0.5) / WIDTH <= right and top <= (y + 0.5) / HEIGHT <= bottom
        x, y = result.sights.point[row]
        assert result.pointed[row] == (filled and left <= x <= right and top <= y <= bottom)
        assert result.hits["response"][row] == found
        by_hits[str(found)] += 1
        rates += [found / total] if total else []
    assert len(rates) < COUNT
    assert result.hit_rate("response") == pytest.approx(seed_interval(rates))
    said = result.to_json()["peaks"]["response"]
    assert said["n_with_peaks"] == len(rates)
    assert {number: count for number, count in said["photos_by_hits"].items() if count} == by_hits
    assert sum(int(number) * count for number, count in said["photos_by_peaks"].items()) == peaks.cells.sum()


def test_the_nearest_parts_are_those_of_a_search():
    result = localization()
    peaks, expected = result.sights.peaks["response"], {"strongest": Counter(), "weakest": Counter()}
    for row in range(COUNT):
        for word, cells in (("strongest", peaks.strongest), ("weakest", peaks.weakest)):
            if cells[row] < 0 or np.isnan(result.parts.places[row]).all():
                continue
            y, x = divmod(int(cells[row]), WIDTH)
            left, top, width, height = result.frames[row]
            point = left + (x + 0.5) / WIDTH * width, top + (y + 0.5) / HEIGHT * height
            away = [np.hypot(*(place - point)) for place in result.parts.places[row]]
            expected[word][result.parts.names[int(np.argmin(away))]] += 1
    assert result.part_counts("response") == expected
    assert [*result.part_counts("response")["strongest"].values()] == sorted(expected["strongest"].values())[::-1]


def test_points_at_the_border_are_inside_and_empty_boxes_hold_none():
    box = np.array([[0.2, 0.2, 0.5, 0.5]] * 4 + [[1, 0.2, 1, 0.6]])
    points = np.array([[0.2, 0.5], [0.51, 0.3], [0.3, 0.19], [np.nan, np.nan], [1, 0.4]])
    assert inside(points, box).tolist() == [True, False, False, False, False]
    assert hits(np.ones((1, 10, 10), dtype=bool), box[:1]).tolist() == [9]
    assert hits(np.ones((1, 10, 10), dtype=bool), box[4:]).tolist() == [0]


def test_the_figures_as_plain_data():
    said = localization(boxless=4).to_json()
    assert set(said) == {
        "n", "n_without_box", "n_object_unseen", "box_share", "pointing", "pointing_interval", "boxes", "whole_picture",
        "peaks", "notes",
    }  # fmt: skip
    assert (said["n"], said["n_without_box"], said["n_object_unseen"]) == (COUNT, 4, 1)
    figures = ("mean_iou", "localised", "top1_localised")
    keys = {key for figure in figures for key in (figure, f"{figure}_interval")}
    assert set(said["whole_picture"]) == keys
    assert [(box["heatmap"], box["level"]) for box in said["boxes"]] == [
        ("grad_cam", 0.5), ("grad_cam", 0.2), ("class", 0.5), ("class", 0.2),
    ]  # fmt: skip
    assert all(set(box) == keys | {"heatmap", "level"} for box in said["boxes"])
    assert said == json.loads(json.dumps(said, allow_nan=False))


def test_no_peaks_have_no_rate_and_no_parts_no_counts():
    said = localization(peaked=0, parts=()).to_json()["peaks"]["response"]
    assert said == {"n_with_peaks": 0, "photos_by_peaks": {"0": COUNT}, "photos_by_hits": {"0": COUNT}}
