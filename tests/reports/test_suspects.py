"""Mistakes with a doubted label: which they are, and how a report names them."""

from dataclasses import replace
from pathlib import Path

import pytest

import fieldmark
from fieldmark.errors import UserError
from fieldmark.evaluation.evaluate import Evaluation
from fieldmark.reports.measured import mistakes_of
from fieldmark.reports.page import rendered
from fieldmark.reports.suspects import doubted_among, table_of_suspects
from made_up_pages import HOSTILE, answers, content, shown
from small_runs import write_photos
from typed import ran, refused

HEADER = "file,split,given,suggested,why,credible,decision\n"


def doubted(result: Evaluation, rows: list[str], table: Path) -> list[tuple[str, str]]:
    table.write_text(HEADER + "".join(rows))
    found = doubted_among(result, mistakes_of(result), table)
    assert found.table == table
    return [(result.photos[each.mistake.row].name, each.suggested) for each in found.doubted]


def test_only_mistakes_of_doubted_labels_that_nobody_keeps(tmp_path: Path) -> None:
    result = answers(("ant", "bee"), easy=0.5)
    wrong = [result.photos[mistake.row] for mistake in mistakes_of(result)][:5]
    names = [(photo.name, result.classes[photo.label or 0]) for photo in wrong]
    right = next(
        photo.name for photo in result.photos if photo not in {result.photos[m.row] for m in mistakes_of(result)}
    )
    other = {"ant": "bee", "bee": "ant"}
    rows = [
        f"{names[1][0]},test,{names[1][1]},{other[names[1][1]]},doubted,0.1,\n",
        f"{names[0][0]},test,{names[0][1]},{other[names[0][1]]},doubted,0.2,drop\n",
        f"{names[2][0]},test,{names[2][1]},{other[names[2][1]]},doubted,0.2,Keep\n",
        f"{names[3][0]},test,{names[3][1]},,unlike its class,0.2,\n",
        f"{names[4][0]},test,{other[names[4][1]]},{names[4][1]},of labels before,0.2,\n",
        f"{right},test,ant,bee,doubted,0.2,\n",
        "gone.jpg,test,ant,bee,doubted,0.2,\n",
    ]
    assert doubted(result, rows, tmp_path / "s.csv") == [
        (names[1][0], other[names[1][1]]),
        (names[0][0], other[names[0][1]]),
    ]


def test_names_are_text_on_the_page(tmp_path: Path) -> None:
    result = answers(HOSTILE[:2], photos=80, easy=0.0)
    first = mistakes_of(result)[0]
    row = [result.photos[first.row].name, "test", result.classes[first.true], HOSTILE[2], "", "", ""]
    (tmp_path / "s.csv").write_text(HEADER + ",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n")
    found = doubted_among(result, mistakes_of(result), tmp_path / "s.csv")
    assert len(found.doubted) == 1
    page = rendered(content(replace(shown(result), suspects=found)))
    assert "1 mistake is also among the likely label errors of" in page
    assert not [text for text in HOSTILE[:3] if text in page]
    many = rendered(content(replace(shown(result), suspects=replace(found, doubted=found.doubted * 33))))
    assert "<li>and 3 more</li>" in many
    assert "doubted" not in rendered(content(shown(result)))


def test_as_it_is_typed(
    own_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_photos(tmp_path / "photos", classes=("bee", "ant"))
    table = tmp_path / "mine.csv"
    table.write_text(HEADER + "".join(f"bee/{at}.jpg,,bee,ant,doubted,0.1,\n" for at in range(10)))
    out = tmp_path / "page.html"
    words = ("report", own_run, "--data", photos, "--split", "all", "--out", out, "--device", "cpu")
    monkeypatch.chdir(tmp_path)
    assert ran(*words, "--suspects", table) == 0
    assert "10 mistakes are also among the likely label errors" in out.read_text("utf-8")
    assert "no such file" in refused(capsys, *words, "--suspects", tmp_path / "none.csv")
    assert "not a list that" in refused(capsys, *words, "--suspects", photos / "bee" / "0.jpg")
    (tmp_path / "labels-photos").mkdir()
    (tmp_path / "labels-photos" / "suspects.csv").write_text(HEADER)
    fieldmark.report(own_run, photos, split="all", out=out, device="cpu")
    assert "None of these mistakes is among the likely label errors" in out.read_text("utf-8")


def test_the_usual_place_may_hold_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert table_of_suspects(tmp_path / "birds", None) is None
    (tmp_path / "labels-birds").mkdir()
    (tmp_path / "labels-birds" / "suspects.csv").write_text("a,b\n1,2\n")
    assert table_of_suspects(tmp_path / "birds", None) is None
    with pytest.raises(UserError, match="--suspects labels-birds: no such file"):
        table_of_suspects(tmp_path / "birds", Path("labels-birds"))
