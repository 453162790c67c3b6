"""What ``predict`` is asked for, made ready from a run's folder or refused before a photo is read."""

from pathlib import Path

import numpy as np
import pytest

from fieldmark.confidence.conformal import scores_of, thresholds, true_scores
from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.confidence.taxonomy import Groups
from fieldmark.data.dataset import Level
from fieldmark.errors import UserError
from fieldmark.evaluation.demands import demands_of
from fieldmark.runs.folder import CONFIDENCE, HELD_OUT, write_groups
from sure_runs import random_answers, sure

CLASSES = ("ant", "bee", "cat")
INSECTS = Groups(CLASSES, (Level("kind", ("insects", "insects", "cat")),))


def test_nothing(own_run: Path) -> None:
    assert demands_of(own_run) is None


def test_groups_of_the_run_of_a_table_or_none(own_run: Path, tmp_path: Path) -> None:
    found = demands_of(own_run, certainty=0.9)
    assert found is not None
    assert found.groups == Groups(CLASSES)
    write_groups(own_run, INSECTS)
    assert demands_of(own_run, certainty=0.9).groups == INSECTS  # pyright: ignore[reportOptionalMemberAccess]
    table = tmp_path / "g.csv"
    table.write_text("class,pets\nant,\nbee,\ncat,pets\n")
    found = demands_of(own_run, certainty=0.9, groups=table)
    assert found is not None
    assert found.groups.levels == (Level("pets", ("ant", "bee", "pets")),)


def test_sets_by_held_out_photos(own_run: Path) -> None:
    answers = random_answers(40)
    sure(own_run, 2.0, answers)
    found = demands_of(own_run, coverage=0.8)
    assert found is not None
    assert found.limits is not None
    scores = scores_of(np.exp(log_probabilities(answers.logits, 2.0)))
    expected = thresholds(true_scores(scores, answers.labels), answers.labels, classes=3, coverage=0.8)
    np.testing.assert_array_equal(found.limits.scores, expected.scores)
    assert found.certainty is None


def test_refusals(own_run: Path, tmp_path: Path) -> None:
    for said, asked in {
        "--groups needs --certainty": {"groups": tmp_path / "g.csv", "coverage": 0.9},
        "--certainty 90": {"certainty": 90.0},
        "--coverage 2": {"coverage": 2.0},
        "the table cannot be read": {"certainty": 0.9, "groups": tmp_path / "g.csv"},
    }.items():
        with pytest.raises(UserError) as caught:
            demands_of(own_run, **asked)
        assert said in str(caught.value)
    sure(own_run, answers=random_answers(40))
    with pytest.raises(UserError, match="it needs 99 photos kept out of training, and the run has 40"):
        demands_of(own_run, coverage=0.99)
    (own_run / HELD_OUT).unlink()
    with pytest.raises(UserError, match=r"held_out\.npz cannot be read"):
        demands_of(own_run, coverage=0.8)
    (own_run / CONFIDENCE).unlink()
    with pytest.raises(UserError, match="--coverage: nothing is known of how sure the run may be; fieldmark calibrate"):
        demands_of(own_run, coverage=0.8)


def test_groups_of_another_run(own_run: Path) -> None:
    write_groups(own_run, Groups(("ant", "bee"), ()))
    with pytest.raises(UserError, match="is of other classes than"):
        demands_of(own_run, certainty=0.9)
    (own_run / "groups.json").write_text('{"format_version": 1, "classes": ["ant"], "levels": 3}')
    with pytest.raises(UserError, match=r"groups\.json: levels is 3"):
        demands_of(own_run, certainty=0.9)
