"""The compact bilinear sketch: the outer product of two vectors in a few numbers."""

from typing import Annotated

import torch
from torch import Tensor, nn

from fieldmark.core.draws import Draws
from fieldmark.core.inputs import refuse_misfits
from fieldmark.plain import Count

Rows = Annotated[Tensor, "P D"]


class TensorSketch(nn.Module):
    """The outer product of two vectors sketched into a few numbers (Gao et al., CVPR 2016, Algorithm 2).

    Both are count-sketched with hashes and signs of their own, and the sketches convolved circularly, in the
    frequency domain. Hashes and signs depend on the sizes alone, so they need not be saved.

    Args:
        inputs: length of each vector.
        outputs: length of the sketch.
    """

    buckets: Tensor
    signs: Tensor

    def __init__(self, inputs: Count, outputs: Count) -> None:
        super().__init__()
        refuse_misfits(TensorSketch, inputs, outputs)
        self.outputs = outputs
        # the purpose is part of the hashes of every run that has been saved
        numbers = Draws(0).uniform("api_net tensor sketch", (2, 2, inputs), like=torch.empty(0, dtype=torch.float64))
        self.register_buffer("buckets", (numbers[0] * outputs).long(), persistent=False)
        self.register_buffer("signs", torch.where(numbers[1] < 0.5, -1.0, 1.0), persistent=False)

    def forward(self, x1: Rows, x2: Rows) -> Tensor:
        """(P, inputs) and (P, inputs), in float32 or better, to (P, outputs)."""
        refuse_misfits(TensorSketch.forward, x1, x2, sizes={"D": self.signs.shape[1]})
        first, second = (torch.fft.rfft(self.count(x, side)) for side, x in enumerate((x1, x2)))
        return torch.fft.irfft(first * second, n=self.outputs)

    def of_products(self, products: Annotated[Tensor, "P D D"]) -> Tensor:
        """The sketch (P, outputs) of sums of outer products (P, inputs, inputs): the sum of the sketches of each.

        Each product of a number and another lies in the bucket whose place is the sum of theirs, with both signs.
        """
        refuse_misfits(TensorSketch.of_products, products, sizes={"D": self.signs.shape[1]})
        places = ((self.buckets[0][:, None] + self.buckets[1]) % self.outputs).flatten()
        signed = products * (self.signs[0][:, None] * self.signs[1]).to(products.dtype)
        empty = products.new_zeros(products.shape[0], self.outputs)  # its len() is a constant to exporters
        return empty.index_add(1, places, signed.flatten(1))

    def count(self, x: Tensor, side: int) -> Tensor:
        """Each number of x (P, inputs), with its sign, added into its bucket; ``side`` 0 or 1 has its own hashes."""
        signed = x * self.signs[side].to(x.dtype)
        empty = x.new_zeros(x.shape[0], self.outputs)
        return empty.scatter_add(1, self.buckets[side].expand_as(x), signed)
