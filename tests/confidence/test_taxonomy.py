"""Groups of classes: read from tables as people write them, refused in words where they contradict each other."""

from pathlib import Path

import pytest

from fieldmark.confidence.taxonomy import Groups, read_groups
from fieldmark.data.dataset import Level
from fieldmark.errors import UserError
from fieldmark.plain import from_plain, to_plain

BIRDS = ("Herring Gull", "Common Gull", "Black Tern", "Robin")
GOOD = """class,genus,family
Herring Gull,Larus,Laridae
Common Gull,Larus,Laridae
Black Tern,Chlidonias,Laridae
Robin,,
"""


def table(folder: Path, text: str) -> Path:
    path = folder / "groups.csv"
    path.write_text(text, "utf-8")
    return path


def refused(folder: Path, text: str) -> str:
    with pytest.raises(UserError) as caught:
        read_groups(table(folder, text), BIRDS)
    said = str(caught.value)
    assert said.startswith(str(folder))
    assert len(said.splitlines()) <= 3
    return said


def test_levels_from_fine_to_coarse(tmp_path: Path) -> None:
    groups = read_groups(table(tmp_path, GOOD), BIRDS)
    assert groups.names == ("class", "genus", "family")
    assert groups.nodes == (BIRDS, ("Larus", "Chlidonias", "Robin"), ("Laridae", "Robin"))
    assert [list(positions) for positions in groups.positions] == [[0, 1, 2, 3], [0, 0, 1, 2], [0, 0, 0, 1]]


def test_the_order_of_classes_is_the_run_s(tmp_path: Path) -> None:
    groups = read_groups(table(tmp_path, GOOD), BIRDS[::-1])
    assert groups.classes == BIRDS[::-1]
    assert groups.levels[1] == Level("family", ("Robin", "Laridae", "Laridae", "Laridae"))


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace(",", ";"),
        "\ufeff" + GOOD.replace("\n", "\r\n"),
        GOOD.replace("class,", "Class ,").replace("Larus", " Larus "),
        GOOD + "Robin,,\nCommon Gull,Larus,Laridae\n",  # as a table of photos has it
        GOOD.replace("Robin,,", "Robin"),
    ],
)
def test_what_spreadsheets_and_people_do(text: str, tmp_path: Path) -> None:
    assert read_groups(table(tmp_path, text), BIRDS) == read_groups(table(tmp_path, GOOD), BIRDS)


def test_the_class_need_not_come_first(tmp_path: Path) -> None:
    rows = [line.split(",") for line in GOOD.splitlines()]
    text = "\n".join(f"{genus},{name},{family}" for name, genus, family in rows)
    assert read_groups(table(tmp_path, text), BIRDS) == read_groups(table(tmp_path, GOOD), BIRDS)


@pytest.mark.parametrize(("ours", "theirs"), [("Caf\u00e9", "Cafe\u0301"), ("Cafe\u0301", "Caf\u00e9")])
def test_one_name_in_two_spellings(ours: str, theirs: str, tmp_path: Path) -> None:
    groups = read_groups(table(tmp_path, f"class,group\n{theirs},\nbar,\n"), (ours, "bar"))
    assert groups.classes == groups.levels[0].groups == (ours, "bar")


def test_there_and_back() -> None:
    groups = Groups(BIRDS, (Level("family", ("Gulls", "Gulls", "Terns", "Robin")),))
    assert from_plain(to_plain(groups), Groups) == groups
    assert Groups(BIRDS).names == ("class",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found: nothing"),
        ("class\nRobin\n", "such as class,genus,family;\nfound: class"),
        ("species,family\nRobin,Thrushes\n", "found: species, family"),
        ("class,,family\nRobin,a,b\n", "column 2 has no name"),
        ("class,family,Family\nRobin,a,b\n", "two columns are called Family"),
        ("class,family,family\nRobin,a,b\n", "two columns are called family"),
        (GOOD.replace("genus", "unsure"), "levels are called unsure, family"),
        (GOOD + ",Larus,Laridae\n", "row 6: the class is empty"),
        (GOOD.replace("Robin,,", "Robin,a,b,c"), "row 5: 4 values for 3 columns"),
        (GOOD.replace("Robin,,\n", ""), "no row for 1 of the run's 4 classes: Robin;\nadd them, with empty cells"),
        (GOOD + "Robbin,,\n", "one row is of classes that the run does not know: Robbin; did you mean Robin?"),
        (GOOD + "Robin,Turdus,\n", "rows 5 and 6: 'Robin' has different groups"),
        (
            GOOD.replace("Common Gull,Larus,Laridae", "Common Gull,Larus,Gulls"),
            "the genus 'Larus' lies in the family 'Laridae' by the class 'Herring Gull', in 'Gulls' by 'Common Gull'",
        ),
        (GOOD.replace("Common Gull,Larus", "Common Gull,larus"), "the genus is written 'Larus' and 'larus'"),
        (
            GOOD.replace("Larus", "Robin"),
            "row 5: the genus is empty, and other rows have the genus 'Robin'; write it here",
        ),
        (GOOD.replace(",Laridae", ",Robin"), "row 5: the family is empty, and other rows have the family 'Robin'"),
        (
            GOOD.replace(",Laridae", ",Robin").replace("Robin,,", "Robin,,Turdidae"),
            "the family 'Robin' is called like a class that does not lie in it; rename one of the two",
        ),
        (
            GOOD.replace("Robin,,", "Robin,,Larus"),
            "the family 'Larus' is called like a genus that does not lie in it; rename one of the two",
        ),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str, tmp_path: Path) -> None:
    assert said in refused(tmp_path, text)


def test_many_missing_classes_are_counted(tmp_path: Path) -> None:
    classes = tuple(f"bird {at}" for at in range(30))
    with pytest.raises(UserError, match=r"no row for 29 of the run's 30 classes: bird 1, .*bird 5, \.\.\.;"):
        read_groups(table(tmp_path, "class,group\nbird 0,birds\n"), classes)


def test_a_group_may_be_called_like_a_class_or_group_inside_it() -> None:
    levels = (Level("family", ("Saab 2000", "Gripen")), Level("manufacturer", ("Saab", "Saab")))
    assert Groups(("Saab 2000", "Gripen E"), levels).nodes[2] == ("Saab",)
    Groups(("gull", "tern"), (Level("family", ("gull", "gull")),))


def test_levels_that_lack_classes() -> None:
    with pytest.raises(UserError, match="does not give each class a group"):
        Groups(BIRDS, (Level("family", ("Gulls",)),))


def test_a_class_more_and_a_class_less(tmp_path: Path) -> None:
    groups = read_groups(table(tmp_path, GOOD), BIRDS)
    alone = groups.with_class("Jay")
    assert alone.classes == (*BIRDS, "Jay")
    assert [level.groups[-1] for level in alone.levels] == ["Jay", "Jay"]
    for group, path in (
        ("Larus", ["Larus", "Laridae"]),
        ("Laridae", ["Little Gull", "Laridae"]),
        ("Robin", ["Robin"] * 2),
    ):
        wider = groups.with_class("Little Gull", group)
        assert [level.groups[-1] for level in wider.levels] == path
        assert wider.without_class(len(BIRDS)) == groups
    assert groups.without_class(0).classes == BIRDS[1:]
    for name, group, said in (
        ("Jay", "Larus gulls", "is no group of the run's classes"),
        ("Larus", "", "is a group of classes already"),
    ):
        with pytest.raises(UserError, match=said):
            groups.with_class(name, group)
    with pytest.raises(UserError, match="is no group"):
        Groups(BIRDS).with_class("Jay", "Larus")
