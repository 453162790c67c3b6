"""From what is typed to a part."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fieldmark.errors import UserError
from fieldmark.recipe import Part
from fieldmark.recipes import COMPOSITIONS, PARTS, ROWS
from fieldmark.recipes.composition import Composition
from fieldmark.recipes.naming import composition_of, part_of, refuse_unknown, rows_of


@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda composition: composition.name)
def test_papers_go_by_their_short_names(composition):
    assert composition_of(composition.name) is composition


@pytest.mark.parametrize("place", PARTS)
def test_every_part_of_ours_goes_by_its_name_in_its_place_alone(place: str):
    for other, names in PARTS.items():
        for name in names:
            if other == place:
                assert part_of(name, option=f"--{place}") == Part(name)
                refuse_unknown(place, Part(name))
                continue
            with pytest.raises(UserError, match=rf"^--{place} {name}: that is a {other}; (choose|did you mean) "):
                part_of(name, option=f"--{place}")
            with pytest.raises(UserError, match=rf"^there is no {place} '{name}', which is a {other}; "):
                refuse_unknown(place, Part(name))


@pytest.mark.parametrize("place", PARTS)
def test_a_place_lists_its_own_names_and_no_others(place: str):
    with pytest.raises(UserError) as caught:
        refuse_unknown(place, Part("?"))
    assert str(caught.value) == f"there is no {place} '?'; choose {', '.join(PARTS[place])}"
    with pytest.raises(UserError) as caught:
        part_of("?", option=place)
    listed = str(caught.value).removeprefix(f"{place} ?: choose ").split(" (or ")[0].split(", ")
    assert [part_of(name, option=place).name for name in listed] == list(PARTS[place])


@pytest.mark.parametrize("place", PARTS)
def test_a_slip_of_the_pen_is_asked_about(place: str):
    for name in PARTS[place]:
        slip = name[:1] + name[2:]
        with pytest.raises(UserError, match=rf"; did you mean (.* or )?{name}( or |\?)"):
            refuse_unknown(place, Part(slip))


@pytest.mark.parametrize(
    "spelling", ["PairwiseConfusion", "pairwise-confusion", "pairwise_confusion", "Pairwise Confusion"]
)
def test_spellings(spelling: str):
    assert part_of(spelling, option="--term") == Part("PairwiseConfusion")


def test_options_become_python_values():
    text = 'linear,a=1,b=-2.5e-3,c=true,d=None,e=FALSE,f=word,g=,h="3",i=x=y'
    values = {"a": 1, "b": -0.0025, "c": True, "d": None, "e": False, "f": "word", "g": "", "h": "3", "i": "x=y"}
    part = part_of(text, option="--head")
    assert part == Part("Linear", values)
    assert {name: type(value) for name, value in part.options.items()} == {k: type(v) for k, v in values.items()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("averge", r"^--pool averge: did you mean average\? \(or package.module:Class for a class of your own\)$"),
        ("vit", "^--pool vit: choose average, maximum, hidden-maximum.* \\(or package.module:Class"),
        ("", "^--pool : choose "),
        ("a\nb", r"^--pool a\\nb: choose "),
        ("average,3", "^--pool: '3' must be name=value$"),
    ],
)
def test_mistakes_get_one_line(text: str, message: str):
    with pytest.raises(UserError, match=message) as caught:
        part_of(text, option="--pool")
    assert len(str(caught.value).splitlines()) == 1


def test_unknown_methods_are_told_the_names():
    with pytest.raises(UserError, match=r"^--method vit: choose plain, pc.* \(or package.module:Class for a method of"):
        composition_of("vit")
    with pytest.raises(UserError, match="--method pc takes no options"):
        composition_of("pc,weight=3")


def test_rows_of_a_paper_by_its_name_or_its_file():
    pc = {name: row for name, row in ROWS.items() if name.startswith("pc/")}
    assert pc
    for spelling in ("pc", "PC", "pairwise_confusion", "pairwise-confusion", "pairwise_confusion.py"):
        assert rows_of(spelling) == pc
    assert rows_of() == ROWS


@pytest.mark.parametrize("name", ["nothing", "plain", "", "p", "a\nb"])
def test_a_paper_without_rows_is_told_the_choices(name: str):
    with pytest.raises(UserError, match=r"no paper with rows is called .*; (choose|did you mean) .*\bpc\b") as caught:
        rows_of(name)
    assert len(str(caught.value).splitlines()) == 1


def test_a_row_by_its_own_name():
    assert rows_of("pc/cub-resnet50") == {"pc/cub-resnet50": ROWS["pc/cub-resnet50"]}
    with pytest.raises(UserError, match=r"^no row is called 'pc/cub-resnet5'; did you mean pc/cub-resnet50 or .*\?$"):
        rows_of("pc/cub-resnet5")
    with pytest.raises(UserError, match=r"^no row is called 'q/9'; choose one of \d+, such as pc/cub-resnet50-plain, "):
        rows_of("q/9")


def test_a_class_from_elsewhere_stands_by_its_name_and_is_not_imported():
    assert part_of("nowhere:Mine,a=2", option="--term") == Part("nowhere:Mine", {"a": 2})
    composition = composition_of("nowhere:Mine,weight=3")
    assert composition == Composition("nowhere:Mine", method=Part("nowhere:Mine", {"weight": 3}))


def test_names_are_checked_without_torch(tmp_path: Path):
    """Reading, changing and naming a recipe's parts, where nothing heavy can be imported."""
    (tmp_path / "recipe.json").write_text('{"format_version": 2, "model": {"pool": {"type": "Avrage"}}}', "utf-8")
    program = (
        "import sys; sys.modules['torch'] = sys.modules['timm'] = None\n"
        "from fieldmark.errors import UserError\n"
        "from fieldmark.recipe import Recipe\n"
        "from fieldmark.training.overrides import read_recipe, with_fields\n"
        "tries = (lambda: read_recipe('recipe.json'), lambda: with_fields(Recipe(), ['model.head.type=Linaer']))\n"
        "for attempt in tries:\n"
        "    try:\n"
        "        attempt()\n"
        "    except UserError as error:\n"
        "        print(error)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    first, second = done.stdout.splitlines()
    assert first.endswith("there is no pool 'Avrage'; did you mean Average?")
    assert second.endswith("there is no head 'Linaer'; did you mean Linear?")
