"""What an exported model is asked for beyond classes: as for the run that it comes from, and refused in words."""

from pathlib import Path

import numpy as np
import pytest

from fieldmark.confidence.conformal import thresholds
from fieldmark.confidence.refusal import refusal_of
from fieldmark.confidence.taxonomy import Groups
from fieldmark.data.dataset import Level
from fieldmark.errors import UserError
from fieldmark.ship.demands import demands_of
from tiny_models import CLASSES, gallery, held_out, manifest

INSECTS = Groups(CLASSES, (Level("kind", ("insects", "insects", "cat")),))


def test_nothing() -> None:
    assert demands_of(manifest(), None) is None


def test_groups_of_the_file_of_a_table_or_none(tmp_path: Path) -> None:
    found = demands_of(manifest(), None, certainty=0.9)
    assert found is not None
    assert (found.groups, found.certainty, found.limits, found.refusal) == (Groups(CLASSES), 0.9, None, None)
    own = demands_of(manifest(groups=INSECTS), None, certainty=0.9)
    assert own is not None
    assert own.groups == INSECTS
    table = tmp_path / "g.csv"
    table.write_text("class,pets\nant,\nbee,\ncat,pets\n")
    other = demands_of(manifest(groups=INSECTS), None, certainty=0.9, groups=table)
    assert other is not None
    assert other.groups.levels == (Level("pets", ("ant", "bee", "pets")),)


def test_sets_and_refusals_by_held_out_photos() -> None:
    scores, photos = held_out(), gallery()
    found = demands_of(manifest(held_out=scores), photos, coverage=0.8, refuse="10%")
    assert found is not None
    assert found.limits is not None
    expected = thresholds(np.array(scores.doubts), np.array(scores.labels), classes=3, coverage=0.8)
    np.testing.assert_array_equal(found.limits.scores, expected.scores)
    assert found.refusal == refusal_of(np.array(scores.logits), np.array(scores.cosines), photos, share=0.1)


def test_refusals_in_words(tmp_path: Path) -> None:
    known = manifest(held_out=held_out())
    none = manifest(classes=("ant", "bee", "none of these"), held_out=held_out())
    for said, told, asked in (
        ("--groups needs --certainty", known, {"groups": tmp_path / "g.csv", "coverage": 0.9}),
        ("--certainty 90", known, {"certainty": 90.0}),
        ("--coverage 2", known, {"coverage": 2.0}),
        ("--refuse 120%: it must be", known, {"refuse": "120%"}),
        ("the table cannot be read", known, {"certainty": 0.9, "groups": tmp_path / "g.csv"}),
        ("it needs 99 photos kept out of training", known, {"coverage": 0.99}),
        ("it needs 99 photos kept out of training", known, {"refuse": 0.01}),
        ("--coverage: nothing is known of how sure the model may be; fieldmark cal", manifest(), {"coverage": 0.9}),
        ("--refuse: nothing is known of how sure the model may be; fieldmark cal", manifest(), {"refuse": 0.1}),
        ("the model is itself called 'none of these'", none, {"refuse": 0.1}),
    ):
        with pytest.raises(UserError) as caught:
            demands_of(told, gallery(), **asked)
        assert said in str(caught.value)
        assert len(str(caught.value).splitlines()) <= 3
    with pytest.raises(UserError, match="the model has no gallery of training photos; export it with one"):
        demands_of(known, None, refuse=0.1)
