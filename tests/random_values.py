"""Random tensors and probability vectors for tests."""

import torch
from hypothesis import strategies as st
from torch import Tensor


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal values."""
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 0) -> Tensor:
    """Float64 values, uniform in [0, 1)."""
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def probabilities(count: int) -> st.SearchStrategy[list[float]]:
    """``count`` shares that sum to 1."""
    shares = st.lists(st.floats(0, 1), min_size=count, max_size=count).filter(lambda values: sum(values) > 1e-3)
    return shares.map(lambda values: [value / sum(values) for value in values])
