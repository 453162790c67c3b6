"""What a run remembers of added classes comes back; damage is said in a line."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fieldmark.errors import UserError
from fieldmark.recipe import Recipe
from fieldmark.runs.added import ADDED, ORIGINAL_RECIPE, ORIGINAL_TENSORS, AddedClass, Additions, read_additions

WASP = AddedClass("wasp", ("a.jpg", "b.jpg"), "runs/old", "0123", "2026-01-01T00:00:00+00:00", "0.1.0", 2, 600, 1)
MOTH = AddedClass("moth", ("c.jpg",), "runs/old-wasp", "4567", "2026-01-02T00:00:00+00:00", "0.1.0", None, 600, 0)


def written(run: Path, additions: Additions) -> None:
    run.mkdir(exist_ok=True)
    for name, text in additions.texts().items():
        (run / name).write_text(text, "utf-8")
    if additions.tensors:
        save_file(dict(additions.tensors), run / ORIGINAL_TENSORS)


def test_it_comes_back(tmp_path: Path) -> None:
    assert read_additions(tmp_path) is None
    both = Additions((), Recipe(seed=4), {"terms.0.means": torch.eye(2)}).with_class(WASP).with_class(MOTH)
    assert both.names == ("wasp", "moth")
    written(tmp_path / "run", both)
    again = read_additions(tmp_path / "run")
    assert again is not None
    assert (again.classes, again.recipe) == ((WASP, MOTH), both.recipe)
    assert torch.equal(again.tensors["terms.0.means"], torch.eye(2))
    assert again.without("wasp").names == ("moth",)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (ADDED, "{"),
        (ADDED, '{"format_version": 99, "classes": []}'),
        (ADDED, '{"format_version": 1, "classes": [{"name": 3}]}'),
        (ORIGINAL_RECIPE, "no recipe"),
        (ORIGINAL_RECIPE, None),
        (ORIGINAL_TENSORS, "no tensors"),
    ],
)
def test_damage_gets_a_line(tmp_path: Path, file: str, content: str | None) -> None:
    written(tmp_path, Additions((WASP,), Recipe(), {}))
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match="cannot be read") as refused:
        read_additions(tmp_path)
    assert len(str(refused.value).splitlines()) == 1
