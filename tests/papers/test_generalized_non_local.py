"""The generalized non-local block against a loop over pairs of channels and positions."""

import pytest
import torch
from torch import Tensor, nn

from fieldmark.papers.generalized_non_local import GeneralizedNonLocal, generalized_attention

GENERATOR = torch.Generator().manual_seed(0)
THETA, PHI, G = (torch.randn(2, 4, 2, 2, dtype=torch.float64, generator=GENERATOR) for _ in range(3))


def naive(groups: int) -> Tensor:
    """y_i = sum over j of theta_i phi_j g_j, i and j being channels and positions of one group."""
    result, width = torch.zeros_like(THETA), 4 // groups
    for image in range(2):
        for group in range(groups):
            part = slice(group * width, (group + 1) * width)
            t, p, g = (x[image, part].flatten().tolist() for x in (THETA, PHI, G))
            y = [sum(t[i] * p[j] * g[j] for j in range(len(t))) for i in range(len(t))]
            result[image, part] = torch.tensor(y, dtype=torch.float64).view(width, 2, 2)
    return result


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_it_is_the_sum_over_all_pairs_of_a_group(groups: int):
    torch.testing.assert_close(generalized_attention(THETA, PHI, G, groups), naive(groups), rtol=0, atol=1e-12)


def test_it_starts_as_the_identity_and_its_parts_have_gradients():
    torch.manual_seed(0)
    neck, maps = GeneralizedNonLocal(16, groups=8).double(), torch.randn(2, 16, 3, 3, dtype=torch.float64)
    assert neck.groups == 8
    assert torch.equal(neck(maps), maps)
    norm = neck.w_z[1]
    assert isinstance(norm, nn.GroupNorm)
    nn.init.normal_(norm.weight)
    small = torch.randn(1, 16, 1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(neck, small)


@pytest.mark.parametrize(("channels", "groups"), [(6, 1), (12, 2), (20, 2), (96, 8)])
def test_groups_divide_the_channels(channels: int, groups: int):
    neck = GeneralizedNonLocal(channels)
    assert neck.groups == groups
    assert neck(torch.zeros(1, channels, 2, 2)).shape == (1, channels, 2, 2)
