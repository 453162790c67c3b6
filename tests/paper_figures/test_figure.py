"""What the papers' pictures are made of."""

import numpy as np
import torch

from fieldmark.paper_figures.figure import heat


def test_heat_is_a_share_of_each_maps_own_maximum():
    maps = torch.tensor([[[-1.0, 2.0], [4.0, 0.0]], [[-3.0, -1.0], [-2.0, -5.0]]])
    np.testing.assert_allclose(heat(maps), [[[0, 0.5], [1, 0]], [[0, 0], [0, 0]]])
    assert heat(maps).dtype == np.float32
