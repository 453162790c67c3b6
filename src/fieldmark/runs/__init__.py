"""The folder of a run, and the tensors in it."""
