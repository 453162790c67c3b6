"""Every method and part on every family of networks, exported and compared, with random statistics in all norms.

``pytest -m slow tests/exporting/test_every_network.py`` takes some 20 minutes of a processor's time;
``python benchmarks/export_matrix.py RESULTS.csv`` does the same, may be stopped, and leaves the figures.
"""

import pytest

from export_matrix import FIGURES, Case, cases, compared, recipe_of, row_of, table
from fieldmark.exporting.parity import faults_of
from fieldmark.recipes import PARTS
from fieldmark.ship.parity import limit_of


@pytest.mark.slow
@pytest.mark.parametrize("case", [*cases()], ids=" on ".join)
def test_the_file_answers_as_the_network_does(case: Case):
    parity = compared(case)
    assert not list(faults_of(parity))
    assert (parity.logits if parity.fixed_grid is None else parity.fixed_grid) <= limit_of(parity.largest)


def test_every_part_that_inference_has_is_among_them():
    models = [recipe_of(case).model for case in cases()]
    used = {part.name for model in models for _, part in model.parts}
    wanted = {name for place, names in PARTS.items() if place in ("neck", "pool", "head", "method") for name in names}
    assert wanted <= used


def test_what_fails_is_a_row_of_its_own(monkeypatch: pytest.MonkeyPatch):
    def broken(case: Case) -> None:
        raise RuntimeError("not\nsupported")

    monkeypatch.setattr("export_matrix.compared", broken)
    row = row_of(Case("plain", "resnet18"))
    assert row[:2] == ["plain", "resnet18"]
    assert row[2 + len(FIGURES)] == "not supported"


def test_the_table_has_methods_beside_networks():
    def row(method: str, family: str, logits: str, grid: str = "", fault: str = "") -> dict[str, str]:
        return {"method": method, "family": family, "logits": logits, "fixed_grid": grid, "fault": fault}

    rows = [
        row("plain", "resnet18", "1e-6"),
        row("s3n", "resnet18", "2e-3", "1e-5"),
        row("maximum", "resnet18", "", fault="no"),
    ]
    assert table([*rows, row("plain", "vgg16", "3e-6")]) == [
        "| network | plain | s3n |",
        "|---|---|---|",
        "| resnet18 | 1e-6 | 1e-5 (2e-3) |",
        "| vgg16 | 3e-6 |  |",
        "",
        "| on the first of them | difference of logits |",
        "|---|---|",
        "| maximum | **no** |",
    ]
