"""Several processes against one: gradients of every method and term, evaluation, a whole training run."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import small_runs
from fieldmark.core import processes
from fieldmark.core.classifier import Features
from fieldmark.core.contract import Encoded
from fieldmark.core.draws import Draws
from fieldmark.errors import UserError
from fieldmark.recipes import COMPOSITIONS, PAPERS

PROGRAM = Path(__file__).parents[1] / "processes_program.py"
TRANSFORMER = ("--backbone", "test_vit", "--size", "160", "--epochs", "1")
"""A network without batch norms, whose statistics would be those of a process's own images."""
CONTRAST = "ContrastiveChannelInteraction"
TERMS = ("PairwiseConfusion", "MutualChannelLoss", "SoftChannelLabels", "CenterLoss", CONTRAST)
OTHERWISE = (
    "api-net, random pairs",
    "api-net, a frozen backbone",
    "cin, {'pairs': 'all'}",
    "cin, {'pairs': 'hard'}",
    "cin, {'loss': 'triplet'}",
    "cin, {'loss': 'triplet', 'pairs': 'hard'}",
    "s3n over cin",
    "api-net over cin",
)
"""Learners of ``processes_program.py`` with other options than the papers', or of two papers."""


def under_torchrun(count: int, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)])
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("processes")
    photos = small_runs.write_photos(folder / "photos", photos=3)
    done = under_torchrun(request.param, str(PROGRAM), str(photos), str(folder / "found.json"), cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "found.json").read_text()) | {"count": request.param}


def test_gradients_are_those_of_one_process(measured: dict[str, Any]):
    differences = measured["differences"]
    assert {name: value for name, value in differences.items() if not value <= 1e-5} == {}


def test_reseeding_torchs_generator_changes_no_loss(measured: dict[str, Any]):
    assert measured["moved by reseeding"] == [[]] * measured["count"]


def test_every_paper_was_measured_with_every_term_that_fits(measured: dict[str, Any]):
    papers = [paper.COMPOSITION.name for paper in PAPERS]
    both = {(paper, term) for paper in papers for term in TERMS if term != CONTRAST or paper == "cin"}
    expected = {
        *(composition.name for composition in COMPOSITIONS),
        *(f"{paper} + all" for paper in papers),
        *(f"{paper} + {term}" for paper, term in both),
    }
    assert {name for name in measured["differences"] if name not in OTHERWISE} == expected
    assert set(OTHERWISE) < set(measured["differences"])


def test_every_parameter_of_every_learner_had_a_gradient(measured: dict[str, Any]):
    """Else two zeros would have been compared."""
    names = [f"method.classifier.backbone.network.{layer}" for layer in (0, 2)]
    frozen = [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]
    assert measured["without gradient"] == {"api-net, a frozen backbone": frozen}


def test_a_run_with_batch_norms_is_validated_and_kept_as_the_first_process_has_it(measured: dict[str, Any]):
    held = measured["held"]
    assert len(held) == measured["count"]
    assert all(values == held[0] for values in held)
    *validated, live, average, saved, saved_average = held[0]
    assert len(set(validated)) == 3
    assert validated[-1] == average, "the average is what is validated"
    assert (live, average) == (saved, saved_average)


def test_the_contrastive_loss_saw_pairs_of_both_kinds(measured: dict[str, Any]):
    pairs = measured["pairs"]
    assert len([name for name in pairs if name.startswith("cin, ")]) == 2  # triplets have a loss of their own
    assert {"cin", f"cin + {CONTRAST}", "cin + all", "s3n over cin", "api-net over cin"} <= set(pairs)
    assert {name: kinds for name, kinds in pairs.items() if kinds != ["other, near", "same class"]} == {}


def test_evaluation_counts_every_photo_once(measured: dict[str, Any]):
    assert len(measured["evaluated"]) == measured["count"]
    assert sum(measured["evaluated"]) == 7


def test_what_the_first_process_refuses_is_refused_in_all(measured: dict[str, Any]):
    assert measured["refusals"] == [["this is refused"]] * measured["count"]


@pytest.mark.slow
def test_a_run_on_two_processes_learns_what_one_learns(tmp_path: Path):
    photos = small_runs.write_photos(tmp_path / "photos", photos=4)
    words = [*small_runs.spelt(*TRANSFORMER), "--term", "pairwise-confusion"]
    done = under_torchrun(2, "-m", "fieldmark", "train", str(photos), *words, "--out", "two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("the run is in two") == 1  # one process speaks
    settings = small_runs.small(backbone="test_vit", size=160, epochs=1, term=("pairwise-confusion",))
    small_runs.train_small(photos, tmp_path / "one", settings)
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert first.keys() == second.keys()
    start = max(float(value.float().norm()) for value in first.values())
    for name, value in first.items():
        torch.testing.assert_close(
            second[name], value, rtol=1e-4, atol=1e-6 * start, msg=lambda text, n=name: f"{n}: {text}"
        )


def test_one_process_changes_nothing():
    encoded = Encoded(Features(*(torch.ones(2, 1) for _ in range(4))), torch.ones(2, 1), {})
    labels, draws = torch.zeros(2), Draws(1, 2, torch.arange(2))
    assert processes.gather(encoded, labels, draws) == (encoded, labels, draws)
    assert processes.world() == (0, 1)
    assert processes.is_first()
    assert processes.from_first(lambda: "made") == "made"
    assert processes.from_each(3) == [3]
    assert processes.any_of(True)
    assert not processes.any_of(False)
    kept = torch.ones(2)
    processes.follow_first([kept])
    assert kept.tolist() == [1, 1]
    assert processes.means({"loss": labels[0]}) == {"loss": labels[0]}


@pytest.mark.parametrize(
    ("device", "gpus", "said"),
    [
        ("cuda:1", 4, "--device cuda:1: several processes take a GPU each (--device cuda)"),
        ("mps", 0, "--device mps: several processes take a GPU each (--device cuda)"),
        ("cuda", 1, "2 processes need 2 GPUs, and there are 1: torchrun --nproc-per-node 1"),
    ],
)
def test_a_device_that_processes_cannot_share_is_refused_in_a_line(
    device: str, gpus: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(UserError) as caught:
        processes.join(device)
    assert str(caught.value).startswith(said)
