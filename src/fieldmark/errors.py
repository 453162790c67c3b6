"""What a user can mend: one exception whose text is shown as it stands, without a traceback."""

import shlex


class UserError(ValueError):
    """A mistake that the user can mend. The text is one to three lines and says what to do."""


class Interrupted(Exception):
    """The user stopped a run; ``--resume`` goes on. The text says what the run is good for as it is."""


class UnreadableImage(UserError):
    """An image that the guarded decode refuses.

    ``name`` is the file as the user knows it, ``reason`` a few words such as ``"truncated JPEG"``. The text is
    one line, with control characters of the name escaped.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{printable(name)}: {reason}")
        self.name = name
        self.reason = reason


def shell_word(path: object) -> str:
    """A path as a word of a command that the user may copy: on one line, in quotes where a shell needs them."""
    return shlex.quote(printable(str(path)))


def printable(text: str) -> str:
    """``text`` on one line: control characters, newlines and undecodable bytes are escaped."""
    escaped = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text
    )
    return escaped.encode("utf-8", "backslashreplace").decode("utf-8")
