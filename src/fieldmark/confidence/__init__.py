"""How far an answer can be trusted: groups of classes to fall back on, and sets of answers; NumPy alone."""
