"""Selective Sparse Sampling (S3N; Ding et al., ICCV 2019): the method, its attention and its sampler."""

from fieldmark.core.class_maps import class_response_maps
from fieldmark.papers.selective_sparse_sampling.attention import (
    local_peaks,
    partition,
    response_map,
    sparse_attention,
    top_entropy,
)
from fieldmark.papers.selective_sparse_sampling.method import S3N
from fieldmark.papers.selective_sparse_sampling.sampler import inverse_grid, resample, sampling_grid

__all__ = [
    "S3N",
    "class_response_maps",
    "inverse_grid",
    "local_peaks",
    "partition",
    "resample",
    "response_map",
    "sampling_grid",
    "sparse_attention",
    "top_entropy",
]
