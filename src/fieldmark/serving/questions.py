"""What a request asks for, by the words of its query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fieldmark.errors import UserError
from fieldmark.plain import Count, Range, from_plain, value_of
from fieldmark.serving.refused import Refused

MOST_NEIGHBOURS = 9
Inside = Annotated[float, Range(above=0, below=1)]


@dataclass(frozen=True)
class Question:
    """How many classes (``top``), and what beyond them; the words are those of ``fieldmark predict``.

    ``maps`` asks for a heatmap of the answer, ``rival`` for one of the answer less the runner-up, and ``neighbours``
    for so many of the most similar photos of the gallery.
    """

    top: Count = 5
    certainty: Inside | None = None
    coverage: Inside | None = None
    refuse: Inside | None = None
    maps: bool = False
    rival: bool = False
    neighbours: Annotated[int, Range(least=0, most=MOST_NEIGHBOURS)] = 0

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the network must give."""
        names = ("logits",)
        names += ("maps",) if self.maps or self.rival else ()
        names += ("embedding",) if self.looks_around else ()
        return names

    @property
    def looks_around(self) -> bool:
        """Whether the gallery is searched, which takes some milliseconds where it is large."""
        return self.neighbours > 0 or self.refuse is not None


FLAGS = ("maps", "rival")
_TRUTH = {"1": True, "true": True, "0": False, "false": False}


def question_of(query: bytes) -> Question:
    """What a query asks for.

    Raises:
        Refused: 400 for a word that is unknown, or said twice, or whose value is none that it can have.
    """
    if not query:
        return Question()
    try:
        words = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=16, errors="strict")
    except ValueError:
        raise Refused(400, "bad_query", "the query cannot be read") from None
    try:
        return from_plain(_values(words), Question)
    except UserError as error:
        raise Refused(400, "bad_query", str(error)) from None


def _values(words: Sequence[tuple[str, str]]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for word, text in words:
        if word in found:
            raise UserError(f"{word!r} is said twice")
        found[word] = _value(word, text)
    return found


def _value(word: str, text: str) -> Any:
    if word in FLAGS:
        return _TRUTH.get(text, text)
    value = value_of(text.removesuffix("%"))
    return value / 100 if text.endswith("%") and isinstance(value, int | float) else value
