"""From a file's bytes to an upright RGB image, guarded."""
