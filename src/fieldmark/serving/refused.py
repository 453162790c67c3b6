"""What the server refuses, and how it says so."""

from collections.abc import Mapping


class Refused(Exception):
    """A request that is not answered: ``status`` of HTTP, ``code`` for programs, ``message`` for people.

    ``headers`` go with the answer; ``retry_after`` is in whole seconds, for what may succeed later.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = dict(headers or {}) | ({} if retry_after is None else {"Retry-After": str(retry_after)})


class Unanswered(Exception):
    """A photo without an answer; ``reason`` says why in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def busy(message: str, *, retry_after: int = 1) -> Refused:
    """The refusal of what there is no room for at the moment."""
    return Refused(503, "busy", message, retry_after=retry_after)
