"""A photo on its way through the server."""

from collections.abc import Callable, Mapping

import numpy as np

from fieldmark.serving.refused import Unanswered


class Photo:
    """From ``data``, a file's bytes, over its ``view`` to its ``outputs``, or to the ``failure`` that ends it.

    ``names`` are the outputs that are asked for; ``view`` is uint8 (S, S, 3), and ``size`` the upright picture's width
    and height. ``on_end`` is called once, unless the photo is dropped before.
    """

    __slots__ = ("_on_end", "data", "failure", "is_decoded", "is_done", "names", "outputs", "size", "view")

    def __init__(self, data: bytes, names: tuple[str, ...], on_end: Callable[["Photo"], None]) -> None:
        self.data, self.names, self._on_end = data, names, on_end
        self.view: np.ndarray | None = None
        self.size: tuple[int, int] = (0, 0)
        self.outputs: Mapping[str, np.ndarray] | None = None
        self.failure = ""
        self.is_decoded = self.is_done = False

    def fail(self, reason: str) -> None:
        """There will be no outputs."""
        self.failure = reason
        self._end()

    def answer(self, outputs: Mapping[str, np.ndarray]) -> None:
        """Gives it its outputs, a row of each."""
        self.outputs = outputs
        self._end()

    def drop(self) -> None:
        """Nobody waits for it any more; what was not begun is left."""
        self.is_done, self.data, self.view = True, b"", None

    def found(self) -> Mapping[str, np.ndarray]:
        """Its outputs.

        Raises:
            Unanswered: there are none.
        """
        if self.outputs is None:
            raise Unanswered(self.failure)
        return self.outputs

    def _end(self) -> None:
        if not self.is_done:
            self.is_done, self.view = True, None
            self._on_end(self)
