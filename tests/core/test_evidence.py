"""Evidence without its graph."""

import torch

from fieldmark.core.evidence import Evidence


def test_detached_is_the_same_without_a_graph():
    part = torch.rand(2, 3, requires_grad=True)
    evidence = Evidence(2 * part, branches={"own": 3 * part}, peaks={"all": part > 0.5})
    alone = evidence.detached()
    assert torch.equal(alone.logits, evidence.logits)
    assert torch.equal(alone.branches["own"], evidence.branches["own"])
    assert torch.equal(alone.peaks["all"], evidence.peaks["all"])
    assert not alone.logits.requires_grad
    assert not alone.branches["own"].requires_grad
    assert not alone.gates
