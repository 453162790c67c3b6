"""Tensor and memory operations that PyTorch lacks."""
