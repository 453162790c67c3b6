"""A server for exported models, without torch."""
