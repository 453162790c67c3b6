"""Options about labels that do not go together are refused in a line."""

from pathlib import Path

import pytest

from fieldmark.errors import UserError
from fieldmark.label_audit.settings import LabelSettings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (LabelSettings(apply=Path("a.csv"), labels=True), "--apply writes"),
        (LabelSettings(test=True), "name their file with --apply"),
        (LabelSettings(run=Path("run"), backbone="resnet18"), "--run has a backbone"),
        (LabelSettings(backbone="resnet18"), "--backbone resnet18: it is for --labels"),
        (LabelSettings(out=Path("out")), "--out out: it is for --labels"),
        (LabelSettings(labels=True, size=0), "--size 0"),
    ],
)
def test_refusals(settings: LabelSettings, said: str) -> None:
    with pytest.raises(UserError, match=said):
        settings.refuse_contradictions()


def test_what_is_asked_for() -> None:
    for settings in (LabelSettings(), LabelSettings(labels=True), LabelSettings(run=Path("r"))):
        settings.refuse_contradictions()
    assert not LabelSettings().is_audit
    assert LabelSettings(run=Path("r")).is_audit
    assert LabelSettings().folder(Path("birds.csv")) == Path("labels-birds")
    assert LabelSettings(out=Path("x")).folder(Path("birds")) == Path("x")
