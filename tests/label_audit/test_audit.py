"""What an audit says of made-up features: suspects once each, copies by what is wrong with them, plain data."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_up import audited, clouds, dataset_of

from fieldmark.console import QUIET
from fieldmark.data.opening import OpenedData
from fieldmark.data.scan import Scan
from fieldmark.errors import UserError
from fieldmark.evaluation.inference import Inferred
from fieldmark.label_audit.audit import Network, audit, audit_features
from fieldmark.label_audit.network import pretrained

pytest.importorskip("cleanlab", reason="needs the extra [audit]")


def with_copies() -> tuple:
    made = clouds(classes=4, photos=30, wrong=0.05, apart=1.8)
    features = made.features.copy()
    features[40] = features[2]  # of another class
    features[12] = features[11]  # of the same class; in other splits below
    features[62] = features[60]  # of the same class and split
    features[100] = 15 * np.random.default_rng(3).normal(size=24)
    return made._replace(features=features), {2, 40}, {11, 12}, {60, 62}


def test_suspects_and_copies() -> None:
    made, classes, splits, same = with_copies()
    found = audited(made, splits=("train", "test"))
    assert [set(cluster) for cluster in found.copies_of_two_classes] == [classes]
    assert [set(cluster) for cluster in found.copies_across_splits] == [splits]
    assert [set(cluster) for cluster in found.other_copies] == [same]
    rows = [suspect.row for suspect in found.suspects]
    assert len(rows) == len(set(rows))
    assert rows[: len(found.doubts)] == found.doubts.tolist()
    assert classes | {100} <= set(rows)
    by_row = {suspect.row: suspect for suspect in found.suspects}
    assert any(why == "like class 0/2.jpg, which is class 0" for why in by_row[40].why)
    assert "unlike the other photos of its class" in by_row[100].why
    for row in found.doubts.tolist():
        assert by_row[row].suggested == int(found.predicted.labels[row]) != made.given[row]
        assert by_row[row].credible == found.predicted.probabilities[row, made.given[row]]


def test_a_typical_photo_is_no_suspect() -> None:
    made, *_ = with_copies()
    found = audited(made)
    suspects = {suspect.row for suspect in found.suspects}
    for label in range(4):
        row = found.typical(label)
        assert row is not None
        assert made.given[row] == label
        assert row not in suspects
    made = made._replace(given=np.where(made.given == 3, 2, made.given))
    assert audited(made, names=("a", "b", "c", "none")).typical(3) is None


def test_plain_data() -> None:
    found = audited(clouds(), splits=("train", "test"))
    value = json.loads(json.dumps(found.to_json()))
    assert value["photos"] == 240
    assert {row["file"] for row in value["suspects"]} == {found.photos[each.row].name for each in found.suspects}
    assert value["suspects"][0].keys() == {"file", "split", "given", "suggested", "credible", "why"}
    assert [each["label"] for each in value["classes"]] == list(found.dataset.classes)
    assert value["curve"]["exponent"].keys() == {"mean", "low", "high"}


def test_unjudged_photos_have_no_figure() -> None:
    made = clouds(classes=3, photos=12, wrong=0.0)
    made = made._replace(units=np.where(made.given == 2, 99, made.units))
    found = audited(made)
    assert np.isnan(found.credible(30))
    assert not any(suspect.suggested is not None for suspect in found.suspects if made.given[suspect.row] == 2)


def test_too_few_photos() -> None:
    dataset = dataset_of(np.array([0, 1]), ("a", "b"))
    read = Inferred(np.ones((2, 3), np.float32), dataset.photos, ())
    with pytest.raises(UserError, match="two photos each"):
        audit_features(dataset, read, np.arange(2), network="none", console=QUIET)


def test_photos_of_one_class_or_none(photos: Path) -> None:
    network = Network(*pretrained("test_resnet", "none", size=32, device="cpu"))
    alone = OpenedData(dataset_of(np.zeros(4, int), ("a",)), Scan(()))
    with pytest.raises(UserError, match="at least two classes"):
        audit(alone, network, console=QUIET)
    missing = OpenedData(dataset_of(np.array([0, 0, 1, 1]), ("a", "b")), Scan(()))
    with pytest.raises(UserError, match="4 of 4 photos cannot be read"):
        audit(missing, network, workers=0, console=QUIET)


def test_the_learning_curve_counts_doubted_photos_too() -> None:
    """They are mistakes of the fit to all photos by definition: without them, more photos would seem to help more."""
    found = audited(clouds(apart=0.8, wrong=0.0))
    judged = found.predicted.judged
    assert len(found.doubts)
    assert found.curve is not None
    assert found.curve.mistakes == pytest.approx((~found.predicted.hits[:, judged]).mean(1).tolist())
    assert sum(each.photos for each in found.growth) == judged.sum()
