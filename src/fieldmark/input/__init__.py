"""From photos to batches: the views of training and evaluation, and the loader."""
