"""Work on tensors and memory that PyTorch leaves to us."""
