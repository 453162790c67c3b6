"""Recipe, origin and epochs of a run, in words."""

from dataclasses import replace
from pathlib import Path

import pytest

from fieldmark.evaluation.evaluate import OPENINGS
from fieldmark.recipe import Pixels, Recipe
from fieldmark.reports.provenance import provenance_rows, read_history, recipe_rows
from fieldmark.runs.folder import METRICS, Start, digest_of, read_run, write_start


def test_the_recipe_in_words(trained: Path) -> None:
    rows = dict(recipe_rows(trained, read_run(trained)[0]))
    assert rows["Network"] == "test_resnet, from no earlier training"
    assert rows["Method"] == "Plain"
    assert rows["Loss"] == "CrossEntropy (smoothing 0.1)"
    assert rows["Epochs"] == "2, in batches: shuffled, 8"
    assert rows["Optimiser and learning rate"].startswith(("Sgd 0.05", "AdamW 0.05"))
    assert rows["What it sees"].startswith("64 × 64 pixels of the centre square of each photo")
    assert rows["Trained on"] == "train"
    assert "Start" not in rows
    assert "" not in rows.values()


@pytest.mark.parametrize(("fit", "said"), [("pad", "on grey"), ("stretch", "whatever its shape"), ("box", "box")])
def test_what_is_seen_of_a_photo(own_run: Path, fit: str, said: str) -> None:
    recipe = replace(Recipe(), pixels=Pixels(fit=fit, flip=False))  # pyright: ignore[reportArgumentType]
    seen = dict(recipe_rows(own_run, recipe))["What it sees"]
    assert said in seen
    assert "mirrored" not in seen


def test_a_start_as_a_probe_and_averages(own_run: Path) -> None:
    write_start(own_run, Start(("train",), 200, 150, 0.1))
    recipe = Recipe(start="probe", frozen_stages=3, frozen_norms=True, average_degree=2)
    rows = dict(recipe_rows(own_run, recipe))
    assert rows["Start"].endswith("features, right out of fold on 75.0 % of 200 photos")
    assert rows["Kept fixed"] == "the first 3 stages and the statistics of the batch norms"
    assert rows["Answers with"].startswith("the average of all steps' weights")
    alone = dict(recipe_rows(own_run, Recipe(start="probe", stages=())))
    assert alone["Epochs"] == "none"
    assert alone["Optimiser and learning rate"] == "none: the head alone, as logistic regression"


def test_where_a_run_comes_from(own_run: Path) -> None:
    about = read_run(own_run)[2]
    rows = dict(provenance_rows(own_run, about))
    assert rows["Digest of the weights"] == digest_of(own_run)
    assert rows["Splits"].startswith("cut by Fieldmark")
    assert rows["Looks at test photos"] == "none"
    assert "PyTorch" in rows["Trained with"]
    (own_run / OPENINGS).write_text("time,split\na,test\nb,test\n")
    assert dict(provenance_rows(own_run, about))["Looks at test photos"].startswith("2 (the best of many")
    held = dict(provenance_rows(own_run, replace(about, cut=False, held_out=0.25)))
    assert held["Splits"] == "official; 25 % of the training photos held out"


def test_the_history_is_read_as_it_was_written_and_after_a_spreadsheet(own_run: Path) -> None:
    rows = read_history(own_run)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert {"loss", "val_top1"} <= rows[0].keys()
    (own_run / METRICS).write_text("\ufeffepoch,loss,val_top1\n2,0.5,\n1,oops,nan\n,,\n", "utf-8")
    assert [(row["epoch"], row.get("loss")) for row in read_history(own_run)] == [(1, None), (2, 0.5)]
    (own_run / METRICS).unlink()
    assert read_history(own_run) == []
