"""What a call may say."""

from pathlib import Path

import pytest

from fieldmark.bench import RunOptions, command_of, named, refuse_call
from fieldmark.errors import UserError


def test_paths_by_name(tmp_path: Path) -> None:
    assert named([f"a={tmp_path}", f"b={tmp_path}"], option="--data") == {"a": tmp_path, "b": tmp_path}
    for words in (["a"], ["=x"], ["a="], [f"a={tmp_path}", f"a={tmp_path}"], [f"a={tmp_path / 'nowhere'}"]):
        with pytest.raises(UserError, match=f"^--data {words[-1]}: "):
            named(words, option="--data")


@pytest.mark.parametrize(
    "wrong", [RunOptions(limit=0), RunOptions(until=-1.0), RunOptions(workers=-1), RunOptions(until=float("inf"))]
)
def test_numbers(wrong: RunOptions, tmp_path: Path) -> None:
    refuse_call(tmp_path, RunOptions(limit=1, until=1e6, workers=0))
    with pytest.raises(UserError, match="it must be at least"):
        refuse_call(tmp_path, wrong)


def test_the_command_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").touch()
    options = RunOptions(data=(f"a={tmp_path}",), weights=(f"lite0={tmp_path / 'w.safetensors'}",), limit=3)
    told = command_of(tmp_path / "plan.toml", tmp_path / "out", options, ["my.module:Mine"])
    wanted = f"fieldmark bench run plan.toml --out out --data a={tmp_path.name} --weights lite0=w.safetensors"
    assert told == f"{wanted} --external my.module:Mine"
    assert "benchmarks/cub20.toml" in command_of(Path("benchmarks/cub20.toml"), Path("x"), RunOptions(), [])
