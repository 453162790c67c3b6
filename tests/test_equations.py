"""Papers' files read for their equations, without importing them."""

import subprocess
import sys
from pathlib import Path

import pytest

from fieldmark import equations as word
from fieldmark.equations import PACKAGE, Equation, Listed, Tagged, equations, listed, name_of, tagged
from fieldmark.errors import UserError
from fieldmark.recipes import PAPERS

PAPER = '''"""A paper.

Nobody. arXiv:0000.00000.

Equations
    Eq. 1   half      a half of
        what is given
    Eq. 12  Whole.go  all of it
    Eq. 3 none        one space is no column
        and this goes on with what is no row
    Eq. 5   half      the same
    Eq. 6 to 8 are elsewhere, so that the sentence is
    a note of two lines.

      Eq. 9   half    deeper
        than the others
      and no more

Paper and released code
    Eq. 4   nothing   stands outside of the block
"""


def half(x):
    """Not here: # Eq. 1"""
    text = "# Eq. 1"
    return x / 2  # (halved) Eq. 1


class Whole:
    def go(self, x):
        y = x  # Eq. 12, in part
        return y  # Eq. 12


z = 1  # Eq. 9
'''


def test_rows_of_the_block_alone():
    assert listed(PAPER) == [
        Listed(1, "half", "a half of what is given"),
        Listed(12, "Whole.go", "all of it"),
        Listed(5, "half", "the same"),
        Listed(9, "half", "deeper than the others"),
    ]
    assert listed('"""No block."""\n') == []
    assert listed("x = 1\n") == []


def test_tags_are_comments_at_the_end_of_a_line_with_all_that_they_lie_in():
    lines = PAPER.splitlines()
    found = tagged(PAPER)
    assert [(tag.number, tag.inside) for tag in found] == [(1, ("half",)), (12, ("Whole", "go")), (9, ())]
    assert [lines[tag.line - 1].strip() for tag in found] == [
        "return x / 2  # (halved) Eq. 1",
        "return y  # Eq. 12",
        "z = 1  # Eq. 9",
    ]
    assert isinstance(found[0], Tagged)


def test_all_papers_by_name():
    found = equations()
    assert [(one.paper, one.number, one.function) for one in found if one.paper == "pc"] == [
        ("pc", 2, "jeffreys_divergence"),
        ("pc", 3, "jeffreys_bound"),
        ("pc", 5, "euclidean_confusion"),
        ("pc", 6, "confusion_between"),
        ("pc", 7, "confusion_between"),
        ("pc", 8, "energy_distance"),
        ("pc", 9, "PairwiseConfusion"),
        ("pc", 10, "PairwiseConfusion"),
    ]
    for one in found:
        assert one.file.read_text("utf-8").splitlines()[one.line - 1].rstrip().endswith(f"Eq. {one.number}")
        assert one.meaning
        assert not one.meaning.endswith("."), f"{one.function}: a note is no part of a meaning"


@pytest.mark.parametrize("spelling", ["pc", "PC", "pairwise_confusion", "pairwise-confusion", "pairwise_confusion.py"])
def test_one_paper_by_its_name_or_its_file(spelling: str):
    assert equations(spelling) == [one for one in equations() if one.paper == "pc"]


@pytest.mark.parametrize("name", ["nothing", "", "plain", "../papers/pc", "a\nb"])
def test_other_names_are_told_the_choices(name: str):
    with pytest.raises(UserError, match=r"no paper is called .*; choose .*\bpc\b") as caught:
        equations(name)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.__name__)
def test_names_are_those_of_the_compositions(paper: object):
    file = Path(str(paper.__file__))  # pyright: ignore[reportAttributeAccessIssue]
    assert name_of(PACKAGE / "papers" / file.name) == paper.COMPOSITION.name  # pyright: ignore[reportAttributeAccessIssue]


def test_a_paper_without_a_recipe_goes_by_its_file():
    assert name_of(PACKAGE / "papers" / "new_paper.py") == "new-paper"
    assert name_of(PACKAGE / "papers" / "new_paper" / "method.py") == "new-paper"


def test_the_word_in_python_is_the_function_though_the_module_has_its_name():
    import fieldmark.api
    import fieldmark.equations as module_or_word

    assert fieldmark.equations is word is equations is fieldmark.api.equations is module_or_word
    assert isinstance(fieldmark.equations("pc")[0], Equation)
    assert fieldmark.recipes.ROWS


def test_no_torch_is_needed():
    text = "import sys; sys.modules['torch'] = None; import fieldmark; print(len(fieldmark.equations()))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) == len(equations())


def test_the_list_of_pairwise_confusion_says_which_plan_makes_the_pairs_of_eq_9():
    (found,) = (equation for equation in equations("pc") if equation.number == 9)
    assert "ExhaustivePairs (batches.py)" in found.meaning


def test_files_of_a_paper_go_under_its_name_in_the_order_of_its_equations():
    found = equations("s3n")
    assert [equation.number for equation in found] == sorted(equation.number for equation in found)
    assert {equation.number for equation in found} == set(range(1, 10))
    assert {equation.paper for equation in found} == {"s3n"}
    assert {equation.file.parent.name for equation in found} == {"selective_sparse_sampling"}
