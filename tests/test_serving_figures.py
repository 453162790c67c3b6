"""``benchmarks/serving.py`` in its short form, with a network of a few numbers; figures are not looked at.

make test-serving
"""

import json
from pathlib import Path

import pytest

import serving
from small_runs import write_photos
from tiny_models import write_model

KEYS = {
    "throughput": {"per_cpu_second", "share"},
    "overhead": {"alone_ms", "served_ms", "overhead_ms"},
    "latency": {"p50_ms", "p99_ms", "ratio"},
    "overload": {"goodput", "refusals_p99_ms"},
    "slow": {"p99_ms", "ratio"},
    "memory": {"megabytes", "growth"},
}


@pytest.mark.slow
@pytest.mark.parametrize("command", KEYS)
def test_each_figure_has_its_command(tmp_path: Path, command: str) -> None:
    model, photos = write_model(tmp_path / "tiny.onnx"), write_photos(tmp_path / "photos", photos=8)
    words = [command, model, photos, "--json", tmp_path / "found.json", "--seconds", 1, "--rounds", 1]
    serving.main([*map(str, words), "--requests", "400", "--senders", "40"])
    found = json.loads((tmp_path / "found.json").read_text())
    assert KEYS[command] <= found.keys()
    if command == "overload":
        assert found["seen"]["refused_without_retry_after"] == 0
        assert set(found["seen"]["statuses"]) <= {"200", "429", "503"}
        assert found["seen"]["broken"] == {}
