"""The model card: names stay text whatever they hold, figures have their intervals, and there is no path."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fieldmark.exporting.card import card_of, escaped, evaluations_of
from fieldmark.exporting.describing import manifest_of
from fieldmark.exporting.network import Shipped
from fieldmark.runs.folder import Opened
from fieldmark.ship.manifest import Licences, Manifest

DIGEST = "0123456789abcdef" * 4
NASTY = ("a|b", "<script>alert(1)</script>", "*bold* _it_ [x](javascript:y) `code`", "two\nlines", "# title", "1. item")


@pytest.fixture(scope="module")
def manifest(opened: Opened, network: Shipped) -> Manifest:
    return manifest_of(opened, network, licences=Licences("CC BY 4.0"))


def card(opened: Opened, manifest: Manifest) -> str:
    return card_of(opened, manifest, name="birds.onnx", size=13_500_000, digest=DIGEST)


def test_what_the_card_says(exported: Path, opened: Opened):
    text = exported.with_suffix(".md").read_text("utf-8")
    for said in (
        "birds.onnx: 3 classes by test", "3: ant, bee, cat", "Groups above them: kind", "Epochs | 2", "Not measured",
        "at temperature 2.00", "Scores of 40 held-out photos", "equal bit for bit", "CC BY 4.0",
        "none \\| &lt;b&gt;", "from fieldmark import open\\_model".replace("\\", ""),
    ):  # fmt: skip
        assert said in text, said
    assert text.count("```python") == 1


def test_use_is_a_few_lines_of_python(exported: Path, opened: Opened, manifest: Manifest):
    for text in (exported.with_suffix(".md").read_text(), card(opened, replace(manifest, takes="pixels"))):
        code = text.partition("```python\n")[2].partition("```")[0]
        assert len(code.splitlines()) <= 4
        compile(code, "card", "exec")


@pytest.mark.parametrize("name", NASTY)
def test_names_stay_text(name: str):
    text = escaped(name)
    assert len(text.splitlines()) == 1
    assert "<" not in text
    assert text.replace("\\|", "").count("|") == 0
    for mark in "*_[]`":
        assert text.count(mark) == text.count(f"\\{mark}"), mark
    assert not text.startswith("#")


def test_common_names_are_not_cluttered():
    for name in ("Band-tailed Redstart", "Grey's crow (male)", "3.5 mm bolt, 25 %", "Ä. ö"):
        assert escaped(name) == name


def test_nasty_classes_do_not_break_the_card(opened: Opened, manifest: Manifest):
    text = card(opened, replace(manifest, classes=NASTY, groups=None, held_out=None))
    assert "<script" not in text
    line = next(line for line in text.splitlines() if line.startswith("6: "))
    assert "two" in line
    assert "lines" in line


def test_accuracies_have_their_photos_and_intervals(opened: Opened, manifest: Manifest, own_run: Path):
    for split, figures in (("test", {"top1": 0.75, "n": 400}), ("val", {"top1": "high"}), ("all", [])):
        (own_run / "evaluation" / split).mkdir(parents=True)
        (own_run / "evaluation" / split / "metrics.json").write_text(json.dumps(figures))
    (own_run / "evaluation" / "train").mkdir()
    (own_run / "evaluation" / "train" / "metrics.json").write_text("{")
    assert evaluations_of(own_run) == {"test": {"top1": 0.75, "n": 400}}
    text = card(opened._replace(path=own_run), manifest)
    assert "| top-1, test | 75.0% of 400 photos (95 % interval: 70.5% to 79.0%) |" in text


def test_many_classes_are_not_all_named(opened: Opened, manifest: Manifest):
    many = tuple(f"class {number}" for number in range(200))
    text = card(opened, replace(manifest, classes=many, groups=None, held_out=None))
    assert "200: class 0" in text
    assert "and 150 more" in text
    assert "class 60" not in text


def test_what_is_not_known_is_said(opened: Opened, manifest: Manifest):
    plain = replace(
        manifest, calibrated=False, held_out=None, licences=Licences(), precision="int8", no_maps="no average"
    )
    text = card(opened._replace(confidence=None), plain)
    for said in (
        "they are not calibrated",
        "not stated",
        "8-bit whole numbers",
        "were measured with the network in 32 bits",
    ):
        assert said in text
    assert "no maps: no average" in text


def test_a_run_that_began_from_a_file_does_not_say_where_it_lay(opened: Opened, manifest: Manifest):
    model = replace(opened.recipe.model, weights="/home/somebody/secret folder/weights.safetensors")
    text = card(opened._replace(recipe=replace(opened.recipe, model=model)), manifest)
    assert "weights.safetensors" in text
    assert "secret folder" not in text
