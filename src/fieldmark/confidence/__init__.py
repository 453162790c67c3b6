"""What a run knows of its own certainty: pure NumPy where it is applied, so that it goes wherever the network goes."""
