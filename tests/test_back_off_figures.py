"""``benchmarks/back_off.py``: three ways to choose nodes beside counts by hand, and what it prints of stored logits."""

from pathlib import Path

import numpy as np
import pytest

from back_off import main, measured, temperatures, torn
from fieldmark.confidence.taxonomy import Groups
from fieldmark.data.dataset import Level

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
GROUPS = Groups(("gull", "kittiwake", "robin"), (Level("family", ("Laridae", "Laridae", "robin")),))


def test_three_ways_by_hand() -> None:
    shares = np.array([[0.35, 0.25, 0.4], [0.1, 0.8, 0.1]])  # the likeliest class of the first lies in no gull family
    found = measured(shares, np.array([0, 1]), GROUPS)
    assert found.right.tolist() == [[1, 1], [0.5, 1], [0.5, 0.5]]
    assert found.contradictory.tolist() == [0, 0.5, 0]
    assert torn(np.array([[0, 0], [1, 1], [2, 1]]), GROUPS).tolist() == [False, True, False]


def test_answers_of_cub_contradict_each_other_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    results = sorted((BENCHMARKS / "cub20_start/results").glob("cub20-default-seed*.npz"))
    main([str(path) for path in (BENCHMARKS / "cub20_families.csv", *results[:2])])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| nodes | class, % | family, % | contradictory photos, % |"
    (path,) = [line for line in lines if line.startswith("| on the path")]
    assert path.endswith("| 0.0 |")
    assert sum(line.startswith(("| 80%", "| 90%", "| 95%")) for line in lines) == 3


def test_a_run_s_own_temperature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = BENCHMARKS / "cub20_start/results/cub20-default-seed10.npz"
    known = BENCHMARKS / "calibration/cub20-10.confidence.json"
    (value,) = temperatures([path], [known])
    assert value == pytest.approx(0.779752)
    with np.load(path, allow_pickle=False) as arrays:
        np.savez(tmp_path / "divided.npz", labels=arrays["labels"], logits=arrays["logits"] / np.float64(value))
    families = str(BENCHMARKS / "cub20_families.csv")
    main([families, str(path), "--confidence", str(known)])
    told = capsys.readouterr().out
    main([families, str(tmp_path / "divided.npz")])
    assert capsys.readouterr().out == told
    with pytest.raises(SystemExit, match="name one for each"):
        main([families, str(path), str(path), "--confidence", str(known)])
