"""Classes that a trained run gets, or loses again, without training."""
