"""The place of ``read_image`` before ``fieldmark.images``, kept for scripts that import it from here."""

from fieldmark.images.decode import read_image

__all__ = ["read_image"]
