"""Where exported files go, and what they may replace."""

import json
from pathlib import Path

import pytest

from fieldmark.errors import UserError
from fieldmark.exporting.targets import MARK, card_beside, is_export, name_of, parity_beside, refuse_target


def test_variants_lie_beside_each_other():
    names = {name_of(pixels=pixels, precision=bits) for pixels in (False, True) for bits in ("fp32", "fp16", "int8")}
    assert len(names) == 6
    assert name_of(pixels=False, precision="fp32") == "model.onnx"
    beside = {function(Path(name)) for name in names for function in (card_beside, parity_beside)}
    assert len(beside) == 12
    assert card_beside(Path("a/model.pixels.int8.onnx")) == Path("a/model.pixels.int8.md")


def test_an_earlier_export_may_be_replaced(exported: Path, tmp_path: Path):
    refuse_target(tmp_path / "new" / "model.onnx")
    assert not list(tmp_path.iterdir())
    refuse_target(exported)
    assert is_export(exported)
    assert not is_export(tmp_path)


@pytest.mark.parametrize("name", ["model", "model.pt", "model.onnx.zip", "photo.jpg"])
def test_the_name_says_what_it_is(name: str, tmp_path: Path):
    with pytest.raises(UserError, match=r"name a file that ends in \.onnx"):
        refuse_target(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.onnx", "notes"),
        ("model.md", f"# Notes\n{MARK}"),
        ("model.parity.json", json.dumps({"batches": 1})),
        ("model.parity.json", "[]"),
    ],
)
def test_other_files_may_not(name: str, content: str, tmp_path: Path):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match="is not a result of this command"):
        refuse_target(tmp_path / "model.onnx")
    assert (tmp_path / name).read_text() == content


def test_a_folder_of_that_name_may_not(tmp_path: Path):
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        refuse_target(tmp_path / "model.onnx")
