"""Boxes around the largest region of a heatmap, and how they agree with others."""

import numpy as np

from fieldmark.explanations.regions import boxes_of, clipped, distance, overlap


def largest(heatmap: np.ndarray, threshold: float) -> tuple[float, float, float, float]:
    """By flooding, cell by cell."""
    height, width = heatmap.shape
    inside = {(y, x) for y in range(height) for x in range(width) if heatmap[y, x] >= threshold * heatmap.max()}
    best: list[tuple[int, int]] = []
    while inside:
        region, front = [], [min(inside)]
        inside.remove(front[0])
        while front:
            y, x = front.pop()
            region.append((y, x))
            for cell in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if cell in inside:
                    inside.remove(cell)
                    front.append(cell)
        best = region if len(region) > len(best) else best
    rows, columns = [y for y, _ in best], [x for _, x in best]
    return min(columns) / width, min(rows) / height, (max(columns) + 1) / width, (max(rows) + 1) / height


def test_boxes_are_those_of_flooding():
    rng = np.random.default_rng(0)
    heatmaps = rng.random((40, 9, 12)) ** 2
    for threshold in (0.2, 0.5, 0.8):
        expected = np.array([largest(heatmap, threshold) for heatmap in heatmaps])
        np.testing.assert_allclose(boxes_of(heatmaps, threshold), expected)


def test_images_do_not_touch_and_nothing_has_no_box():
    heatmaps = np.zeros((3, 4, 4))
    heatmaps[0, 3], heatmaps[2, 0, 0] = 1, 1
    np.testing.assert_allclose(boxes_of(heatmaps), [[0, 0.75, 1, 1], [0, 0, 0, 0], [0, 0, 0.25, 0.25]])
    np.testing.assert_allclose(boxes_of(np.zeros((2, 4, 4))), np.zeros((2, 4)))
    np.testing.assert_allclose(boxes_of(np.ones((1, 4, 4))), [[0, 0, 1, 1]])


def test_overlap():
    first = np.array([[0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]], dtype=float)
    second = np.array([[1, 1, 3, 3], [0, 0, 1, 1], [1, 0, 2, 1], [0, 0, 0, 0]], dtype=float)
    np.testing.assert_allclose(overlap(first, second), [1 / 7, 1, 0, 0])


def test_distance_is_along_the_farther_axis():
    boxes = np.array([[10, 10, 20, 30]] * 4, dtype=float)
    points = np.array([[15, 15], [5, 33], [24, 20], [10, 30]], dtype=float)
    np.testing.assert_allclose(distance(points, boxes), [0, 5, 4, 0])


def test_the_part_of_a_box_in_another():
    boxes = np.array([[0, 0, 1, 1], [0, 0.3, 0.1, 0.7], [0.3, 0.3, 0.6, 0.4], [0.0, 0, 0, 0]])
    found = clipped(boxes, np.tile([0.2, 0, 0.5, 1], (4, 1)))
    np.testing.assert_allclose(found[[0, 2]], [[0.2, 0, 0.5, 1], [0.3, 0.3, 0.5, 0.4]])
    assert overlap(found, np.tile([0.0, 0, 1, 1], (4, 1)))[[1, 3]].tolist() == [0, 0]
