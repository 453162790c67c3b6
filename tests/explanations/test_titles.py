"""Words above a picture: no wider than it, no more than there is room for, and nothing left out without a sign."""

import pytest

from fieldmark.explanations.titles import ELLIPSIS, Room, fitted, measure_of

ROOM = Room(4, 205.0, measure_of(["DejaVu Sans"], 9))
FILE = "a rather long name of a file that a camera and its owner made together 0001.jpg"
NAMES = (
    "BLACK-THROATED GREEN MOUNTAIN WARBLER OF THE WESTERN HIGHLANDS",
    "BLACK-THROATED GREEN MOUNTAIN WARBLER OF THE EASTERN HIGHLANDS",
    "W" * 90,
    "i" * 300,
    "ant",
)


def lines(title: str, *, names: tuple[str, ...] = NAMES, files: tuple[str, ...] = (FILE,)) -> list[str]:
    found = fitted(title, ROOM, names=names, files=files).split("\n")
    assert len(found) <= ROOM.lines
    assert all(ROOM.measure(line) <= ROOM.width for line in found), found
    return found


@pytest.mark.parametrize("first", NAMES)
@pytest.mark.parametrize("second", NAMES)
def test_both_names_of_a_reason_are_there(first: str, second: str) -> None:
    said = " ".join(lines(f"why {first}, not {second}"))
    assert said.startswith(f"why {first[:3]}")
    assert f"not {second[:2]}" in said
    assert said.endswith(second[-3:])
    if len(first + second) > 200:
        assert ELLIPSIS in said


def test_a_line_for_the_file_and_one_for_each_answer() -> None:
    found = lines("\n".join((FILE, *(f"{name}  {share}%" for name, share in zip(NAMES, (61, 30, 9), strict=False)))))
    file, first, second, third = found
    assert file.startswith("a rather")
    assert file.endswith("0001.jpg")
    for line, name, share in zip((first, second, third), NAMES, ("61%", "30%", "9%"), strict=False):
        assert line.startswith(name[:3])
        assert line.endswith(f"{name[-2:]}  {share}")
        assert ELLIPSIS in line


def test_what_fits_stays_as_it_is() -> None:
    for title in ("", "why ant", "a.jpg\nant  61%\nbee  39%", "two  blanks"):
        assert fitted(title, ROOM, names=NAMES) == title


def test_the_rest_that_has_no_room_is_told_by_an_ellipsis() -> None:
    assert lines("word " * 80, names=())[-1].endswith(ELLIPSIS)
    assert lines("\n".join("abcde"))[-1] == f"d{ELLIPSIS}"


def test_words_are_broken_only_where_they_are_too_wide() -> None:
    assert lines("one two " + "x" * 60, names=()) == ["one two", *lines("x" * 60, names=())]
    assert "".join(lines("MW" * 30, names=())) == "MW" * 30


def test_odd_letters_are_spelt() -> None:
    assert lines("a\x1bb\u202e.jpg", files=("a\x1bb\u202e.jpg",)) == [r"a\x1bb\u202e.jpg"]
