"""A run looks at photos that it has not learnt; at others, the network that it began from."""

from pathlib import Path

import pytest
import torch

import small_runs
from fieldmark.data.reading import read_dataset
from fieldmark.errors import UserError
from fieldmark.label_audit.network import known_labels, of_run, pretrained
from fieldmark.runs.folder import open_run
from small_runs import small, train_small


def test_a_run_does_not_judge_what_it_has_learnt(trained: Path, photos: Path, tmp_path: Path) -> None:
    opened = open_run(trained)
    own, notes = of_run(opened, read_dataset(photos).photos, device="cpu")
    assert own.name == "test_resnet (none)"
    assert "was trained on" in notes[0]
    assert own.method is not opened.learner.method
    assert own.pixels == opened.recipe.pixels
    for number in range(3):
        small_runs.write_photo(tmp_path / "new" / "ant" / f"{number}.jpg", label=7, number=number)
    new, notes = of_run(opened, read_dataset(tmp_path / "new").photos, device="cpu")
    assert new.method is opened.learner.method
    assert (new.name, notes) == (f"the run {trained.name}", ())


def test_pretrained_features_are_those_of_a_probe() -> None:
    network = pretrained("test_resnet", "none", size=48, device="cpu")
    assert (network.pixels.size, network.pixels.eval_size) == (48, 48)
    with torch.inference_mode():
        features = network.method.classifier.pooled(torch.zeros(2, 3, 48, 48))
    assert features.ndim == 2
    assert not network.method.training
    with pytest.raises(UserError, match="nosuchnet"):
        pretrained("nosuchnet", "none", size=48, device="cpu")


def test_a_run_on_weights_that_have_learnt_these_labels_goes_back_before_them(
    trained: Path, photos: Path, tmp_path: Path
) -> None:
    train_small(photos, tmp_path / "run", small(weights=str(trained), epochs=1))
    everything = read_dataset(photos).photos
    network, _ = of_run(open_run(tmp_path / "run"), everything, device="cpu")
    assert network.name == "test_resnet (none)"
    assert "trained on 24 of these photos" in known_labels(str(trained), everything)[0]
    assert known_labels("none", everything) == known_labels(None, everything) == ()
