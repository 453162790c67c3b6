"""What a file says of itself, from the run."""

from pathlib import Path

import numpy as np
import pytest

from exported_networks import TEMPERATURE
from fieldmark.confidence.probabilities import log_probabilities
from fieldmark.exporting.describing import held_out_scores, manifest_of, width_of
from fieldmark.exporting.network import Shipped
from fieldmark.runs.folder import CONFIDENCE, Opened, open_run
from fieldmark.ship.manifest import UNSTATED
from sure_runs import random_answers


def test_scores_are_those_of_the_held_out_photos(opened: Opened):
    answers, scores = random_answers(40), held_out_scores(opened)
    assert scores is not None
    assert scores.labels == tuple(answers.labels.tolist())
    probabilities = np.exp(log_probabilities(answers.logits, TEMPERATURE))
    np.testing.assert_allclose(scores.doubts, 1 - probabilities[np.arange(40), answers.labels], atol=1e-7)
    np.testing.assert_allclose(scores.logits, answers.logits.max(1), atol=1e-7)
    assert scores.cosines == ()


def test_a_run_that_knows_nothing_of_its_certainty(own_run: Path):
    (own_run / CONFIDENCE).unlink()
    unsure = open_run(own_run)
    network = Shipped(unsure.learner.method, temperature=unsure.temperature)
    manifest = manifest_of(unsure, network, licences=UNSTATED)
    assert held_out_scores(unsure) is None
    assert (manifest.held_out, manifest.calibrated, manifest.temperature) == (None, False, 1.0)


def test_the_width_of_the_embedding(opened: Opened, network: Shipped):
    assert width_of(network.method, size=64) == 96
    manifest = manifest_of(opened, network, licences=UNSTATED)
    assert manifest.embedding == 96
    assert manifest.outputs == network.names
    assert manifest.mean == pytest.approx(network.method.classifier.backbone.mean.tolist())
