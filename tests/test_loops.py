"""The training loops in ``docs/loops.md`` run as they are, and learn."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "loops.md").read_text("utf-8")
ALL = dict(re.findall(r"^## ([^\n]+)\n.*?^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))
BLOCKS = {title: block for title, block in ALL.items() if "optimiser" in block}
ONE_BATCH = "images, labels = torch.randn(8, 3, 64, 64), torch.arange(8) % 4"


def test_there_is_one_for_each_paper():
    assert len(BLOCKS) == 5
    assert len(ALL) == TEXT.count("```python") == 6
    assert all(10 <= block.count("\n") <= 20 for block in ALL.values())


def test_a_loss_of_ones_own_keeps_the_contract():
    (block,) = (block for title, block in ALL.items() if title not in BLOCKS)
    assert "check_term(ConfidencePenalty)" in block
    exec(compile(block, "loops.md", "exec"), {"__name__": "loops"})


@pytest.mark.parametrize("paper", BLOCKS)
def test_it_runs_and_on_one_batch_its_loss_falls(paper: str):
    names: dict[str, Any] = {}
    torch.manual_seed(0)
    exec(compile(BLOCKS[paper], "loops.md", "exec"), names)
    assert names["loss"].isfinite()
    assert all(p.grad is not None for p in names["optimiser"].param_groups[0]["params"])
    assert ONE_BATCH in BLOCKS[paper]
    loop = (
        BLOCKS[paper].partition("\nfor _ in")[2].replace(ONE_BATCH, "pass").replace(" range(3)", "for _ in range(1)", 1)
    )
    losses = []
    for _ in range(40):
        exec(compile(loop, "loops.md", "exec"), names)
        losses.append(float(names["loss"].detach()))
    assert sum(losses[-5:]) < sum(losses[:5])
