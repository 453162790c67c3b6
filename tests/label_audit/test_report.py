"""The findings, and the two files that a person works with."""

import csv
import json
from pathlib import Path

import pytest
from made_up import audited, clouds

from fieldmark.data.check import Finding, Report
from fieldmark.errors import UserError
from fieldmark.files import write_csv
from fieldmark.label_audit.report import HEADER, SHEET, TABLE, findings_of, joined, refuse_suspects, table_of
from fieldmark.label_audit.small_pictures import Pictures

pytest.importorskip("cleanlab", reason="needs the extra [audit]")
PLAIN = Report("photos", "folder", 240, ("a",), {}, {}, {}, {}, (), (Finding("damaged", "error", 1, "x", "y"),))


def test_findings_and_the_whole_report() -> None:
    found = audited(clouds(apart=1.0, photos=24, seed=3), splits=("train", "test"))
    kinds = {finding.kind: finding for finding in findings_of(found)}
    assert kinds["likely_label_errors"].count == len(found.doubts) > 0
    assert {"confusable_classes", "more_photos"} <= kinds.keys()
    report = joined(PLAIN, found, Pictures({}, 64, ""))
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities, key=("error", "warning", "note").index)
    value = json.loads(json.dumps(report.to_json()))
    assert value["format_version"] == 1
    assert len(value["labels"]["suspects"]) == len(found.suspects)
    assert "audit" not in value


def test_the_table_leaves_the_decision_to_a_person(tmp_path: Path) -> None:
    names = ('=cmd|"x"', "new\nline", "comma, name", "plain", "a", "b")
    found = audited(clouds(), names=names)
    write_csv(tmp_path / TABLE, table_of(found))
    with (tmp_path / TABLE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found.suspects)
    assert {row["given"] for row in rows} <= {f"'{name}" if name.startswith("=") else name for name in names}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    assert all(row["decision"] == "" for row in rows)
    assert [float(row["credible"]) for row in rows[: len(found.doubts)]] == sorted(
        float(row["credible"]) for row in rows[: len(found.doubts)]
    )


def test_decisions_are_never_lost(tmp_path: Path) -> None:
    out, photos = tmp_path / "out", tmp_path / "photos"
    photos.mkdir()
    report = joined(PLAIN, audited(clouds()), Pictures({}, 64, ""))
    table, sheet = report.save(out)
    assert (table, sheet) == (out / TABLE, out / SHEET)
    report.save(out)  # over an earlier one without decisions
    rows = table.read_text().splitlines()
    table.write_text("\n".join([rows[0], rows[1] + "keep", *rows[2:]]))
    with pytest.raises(UserError, match=r"holds decisions \(1\), which would be lost"):
        report.save(out)
    assert "keep" in table.read_text()
    with pytest.raises(UserError, match="outside of the photos"):
        refuse_suspects(photos / "labels", photos=photos)
    (tmp_path / "other").mkdir()
    for name, text in ((TABLE, "path,label\n"), (SHEET, "<html>")):
        (tmp_path / "other" / name).write_text(text)
        with pytest.raises(UserError, match="not a result of this command"):
            refuse_suspects(tmp_path / "other", photos=photos)
        (tmp_path / "other" / name).unlink()


def test_nothing_found() -> None:
    found = audited(clouds(wrong=0.0, apart=9.0))
    assert [tuple(row) for row in table_of(found)] == [HEADER]
    assert not [finding for finding in findings_of(found) if finding.severity != "note"]
