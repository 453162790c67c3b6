"""The earlier place of ``read_image``."""

from fieldmark.data import decode
from fieldmark.images.decode import read_image


def test_it_is_the_function_of_images() -> None:
    assert decode.read_image is read_image
