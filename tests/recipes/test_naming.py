"""From what is typed to a part."""

import sys
from pathlib import Path

import pytest

from fieldmark.core.classifier import Average
from fieldmark.errors import UserError
from fieldmark.recipe import Part
from fieldmark.recipes import COMPOSITIONS, KNOWN, ROWS
from fieldmark.recipes.naming import composition_of, imported, imported_all, part_of, rows_of

MODULE = """
from fieldmark.papers.plain import Plain

class Mine:
    class Inner:
        pass

number = 3
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module in the working folder, which is not on Python's path."""
    (tmp_path / "fieldmark_test_own.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.delitem(sys.modules, "fieldmark_test_own", raising=False)
    return "fieldmark_test_own"


@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda composition: composition.name)
def test_papers_go_by_their_short_names(composition):
    assert composition_of(composition.name) is composition


@pytest.mark.parametrize("kind", KNOWN, ids=lambda kind: kind.__name__)
def test_every_known_class_goes_by_its_name(kind: type):
    assert part_of(kind.__name__, option="--term").kind is kind


@pytest.mark.parametrize(
    "spelling", ["PairwiseConfusion", "pairwise-confusion", "pairwise_confusion", "Pairwise Confusion"]
)
def test_spellings(spelling: str):
    assert part_of(spelling, option="--term") == Part("PairwiseConfusion")


def test_options_become_python_values():
    text = "linear,a=1,b=-2.5e-3,c=true,d=None,e=FALSE,f=word,g=,h='3',i=x=y"
    values = {"a": 1, "b": -0.0025, "c": True, "d": None, "e": False, "f": "word", "g": "", "h": "3", "i": "x=y"}
    part = part_of(text, option="--head")
    assert part == Part("Linear", values)
    assert {name: type(value) for name, value in part.options.items()} == {k: type(v) for k, v in values.items()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("averge", "--pool averge: choose one of .*average.*pairwise-confusion.*or package.module:Class"),
        ("", "--pool : choose one of"),
        ("average,3", "--pool: '3' is no name=value"),
        ("no.such.module:Class", "--pool no.such.module:Class: No module named 'no'; it is package.module:Class"),
        ("fieldmark.recipe:Nothing", "has no attribute 'Nothing'"),
        ("fieldmark.recipe:", "it is package.module:Class"),
        (":Class", "it is package.module:Class"),
        ("..recipe:Class", "it is package.module:Class"),
        ("fieldmark.recipe:FORMAT_VERSION", "that is no class"),
    ],
)
def test_mistakes_get_one_line(text: str, message: str):
    with pytest.raises(UserError, match=message) as caught:
        part_of(text, option="--pool")
    assert len(str(caught.value).splitlines()) == 1


def test_unknown_methods_are_told_the_names():
    with pytest.raises(UserError, match=r"--method nts: choose plain, pc.*, or package.module:Class"):
        composition_of("nts")
    with pytest.raises(UserError, match="--method pc takes no options here"):
        composition_of("pc,weight=3")


def test_rows_of_a_paper_by_its_name_or_its_file():
    pc = {name: row for name, row in ROWS.items() if name.startswith("pc/")}
    assert pc
    for spelling in ("pc", "PC", "pairwise_confusion", "pairwise-confusion", "pairwise_confusion.py"):
        assert rows_of(spelling) == pc
    assert rows_of() == ROWS


@pytest.mark.parametrize("name", ["nothing", "plain", "", "p", "a\nb"])
def test_a_paper_without_rows_is_told_the_choices(name: str):
    with pytest.raises(UserError, match=r"no paper with rows is called .*; choose .*\bpc\b") as caught:
        rows_of(name)
    assert len(str(caught.value).splitlines()) == 1


def test_a_row_by_its_own_name():
    assert rows_of("pc/cub-resnet50") == {"pc/cub-resnet50": ROWS["pc/cub-resnet50"]}
    with pytest.raises(UserError, match=r"^no row is called 'pc/cub-resnet5'; choose pc/cub-resnet50, "):
        rows_of("pc/cub-resnet5")
    with pytest.raises(UserError, match=r"^no row is called 'q/9'; fieldmark recipes lists them$"):
        rows_of("q/9")


def test_classes_of_the_working_folder(own_module: str):
    before = list(sys.path)
    assert imported(f"{own_module}:Mine", option="--method").__name__ == "Mine"
    assert imported(f"{own_module}:Mine.Inner", option="--method").__qualname__ == "Mine.Inner"
    assert imported_all([f"{own_module}:Mine", "fieldmark.core.classifier:Average"])[1] is Average
    assert part_of(f"{own_module}:Mine,a=2", option="--term").options == {"a": 2}
    with pytest.raises(UserError, match="that is no class"):
        imported(f"{own_module}:number", option="--method")
    assert sys.path == before


def test_a_method_of_ones_own_stands_in_the_plain_composition(own_module: str):
    composition = composition_of(f"{own_module}:Plain")
    assert composition.method == Part("Plain")
    assert composition.name == f"{own_module}:Plain"
    assert composition.terms == ()
