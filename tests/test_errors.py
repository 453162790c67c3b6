"""What the user sees of names and reasons."""

from fieldmark.errors import UnreadableImage, UserError, printable


def test_names_stay_on_one_line_and_plain_text_is_untouched() -> None:
    assert printable("Käfer 1.jpg") == "Käfer 1.jpg"
    assert printable("a\nb\t\x1b[31m.jpg") == "a\\nb\\t\\x1b[31m.jpg"


def test_bytes_that_are_no_utf8_are_escaped() -> None:
    shown = printable(b"caf\xe9.jpg".decode("utf-8", "surrogateescape"))
    assert shown.isprintable()
    assert shown.startswith("caf")
    shown.encode("utf-8")


def test_an_unreadable_image_names_the_file_and_the_reason() -> None:
    error = UnreadableImage("a\nb.jpg", "truncated JPEG")
    assert isinstance(error, UserError)
    assert isinstance(error, ValueError)
    assert str(error) == "a\\nb.jpg: truncated JPEG"
    assert (error.name, error.reason) == ("a\nb.jpg", "truncated JPEG")
