"""Exported models, opened and asked without torch."""
