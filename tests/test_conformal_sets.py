"""``benchmarks/conformal.py``: its scores beside counts by hand, and what it promises of the stored logits."""

from pathlib import Path

import numpy as np
import pytest

from conformal import WAYS, adaptive, count, main, regularised, table
from fieldmark.confidence.probabilities import log_probabilities

REPOSITORY = Path(__file__).resolve().parent.parent
CHOSEN = "**least ambiguous, by class where photos allow**"


def test_scores_by_hand() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(7), 20)
    for row, sums, penalised in zip(shares, adaptive(shares), regularised(shares, weight=0.3, free=2), strict=True):
        for label, share in enumerate(row):
            likelier = [other for other in row if other >= share]
            assert sums[label] == pytest.approx(sum(likelier))
            assert penalised[label] == pytest.approx(sum(likelier) + 0.3 * max(0, len(likelier) - 2))


def test_counts_of_made_up_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 200)
    logits = (rng.normal(size=(200, 4)) + 2 * np.eye(4)[labels]).astype(np.float32)
    counted = count(np.exp(log_probabilities(logits)), labels, WAYS[CHOSEN], coverage=0.8, splits=5)
    assert counted.photos.sum() == 5 * 100
    assert counted.covered.sum() == pytest.approx(counted.coverage.sum() * 100)
    assert 0 < counted.own.mean() < 4  # 25 held-out photos are needed, and there are about as many
    (row,) = [line for line in table({"mine": counted}, 0.8) if "mine" in line]
    assert row.startswith(f"| mine | {100 * counted.coverage.mean():.2f} ({100 * counted.coverage.std(ddof=1):.2f}) |")
    np.savez(tmp_path / "r.npz", labels=labels, logits=logits)
    main([str(tmp_path / "r.npz"), "--coverage", "0.8", "--splits", "5", "--json", str(tmp_path / "r.json")])
    assert row.replace("mine", CHOSEN) in capsys.readouterr().out.splitlines()
    assert (tmp_path / "r.json").is_file()
    (tmp_path / "confidence.json").write_text('{"temperature": {"value": 2.0}}')
    main(
        [
            str(tmp_path / "r.npz"),
            "--coverage",
            "0.8",
            "--splits",
            "5",
            "--confidence",
            str(tmp_path / "confidence.json"),
        ]
    )
    cold = count(np.exp(log_probabilities(logits, 2.0)), labels, WAYS[CHOSEN], coverage=0.8, splits=5)
    assert f"| {cold.size.mean():.2f} (" in capsys.readouterr().out


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "benchmarks/flowers_start/results").glob("*.npz")), ids=lambda p: p.stem
)
def test_flowers_are_covered_as_asked(path: Path) -> None:
    """The mean of 50 random splits of the stored logits lies within half a point of 90 %."""
    with np.load(path, allow_pickle=False) as arrays:
        labels, logits = arrays["labels"], arrays["logits"]
    counted = count(np.exp(log_probabilities(logits)), labels, WAYS[CHOSEN], coverage=0.9, splits=50)
    assert abs(counted.coverage.mean() - 0.9) < 0.005
    assert counted.size.mean() < 1.2
