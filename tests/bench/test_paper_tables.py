"""The map of the papers' tables: every row that is printed in them, and ours where it was run."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from canned import result_of

from fieldmark.bench import tables
from fieldmark.bench.paper_tables import by_table, printed, tables_of_papers
from fieldmark.bench.results import Asked, write_result
from fieldmark.errors import UserError
from fieldmark.recipes import ROWS
from typed import ran, refused

COUNTS = """
pc       Table 1: 10 data sets, 2 columns                                                   20
pc       Table 2: 6 data sets, 3 networks with and without; 19 quoted                       55
pc       Table 3: 3 networks with and without, 4 data sets                                  24
pc       Table 4: 5 networks with and without                                               10
mc-loss  Table I: 4 data sets, 3 columns                                                    12
mc-loss  Table II: 4 data sets, 2 networks                                                   8
mc-loss  Table III: 3 own, 6 quoted                                                          9
mc-loss  Table IV: 3 networks on 3 data sets, 36 quoted                                     45
mc-loss  Table V: xi 1, 2, 3, 5, 6 and 512 channels on 4 data sets                          24
mc-loss  Table VI: 8 losses on 2 networks and 4 data sets                                   64
mc-loss  Table VII: 5 variants on 4 data sets                                               20
mc-loss  Table VIII: 2 losses on 3 data sets                                                 6
mc-loss  Table IX: 5 categories                                                              5
api-net  Table 1: 2                                                                          2
api-net  Table 2: 7                                                                          7
api-net  Table 3: 2 gates, 2 losses                                                          4
api-net  Table 4: random, 8 rules                                                            9
api-net  Table 5: 3 numbers of classes, 3 of images, 3 of both                               9
api-net  Table 6: 3 networks and TripletNet, 25 quoted                                      29
api-net  Table 7: 3 networks, 16 quoted                                                     19
api-net  Table 8: 3 networks, 17 quoted                                                     20
api-net  Table 9: 3 networks, 9 quoted                                                      12
api-net  Table 10: 3 networks, 4 quoted                                                      7
cin      Table 1: 13                                                                        13
cin      Table 1, time: 13                                                                  13
cin      Table 2: 2 networks on 3 data sets, 25 quoted                                      31
cin      Table 3: CIN, NTS and NTS+CIN on 3 data sets                                        9
s3n      Table 1: 3 data sets                                                                3
s3n      Table 2: 5 settings in all, localised, and branch by branch (10)                   20
s3n      Table 3: 3                                                                          3
s3n      Table 4: 3                                                                          3
s3n      Table 5: 3 data sets, S3N and FT ResNet; 27 quoted                                 33
"""


def test_every_row_of_every_table_is_there():
    typed = re.findall(r"^(\S+) +(Table [^:]+):.* (\d+)$", COUNTS, re.MULTILINE)
    found = Counter((row.paper, row.table) for row in tables_of_papers() if row.table.startswith("Table"))
    assert found == {(paper, table): int(count) for paper, table, count in typed}


def test_all_that_can_be_followed_is_named_and_nothing_claims_to_have_run():
    rows = tables_of_papers()
    assert {row.recipe for row in rows if row.recipe} == {*ROWS}
    own = [row for row in rows if row.kind == "own" and row.unit == "% top-1"]
    assert all(row.ours.startswith(("not run: needs ", "by fieldmark ")) for row in own)
    assert (printed(91.0), printed(78.15)) == ("91.0", "78.15")


def test_runs_that_followed_a_row_stand_beside_it(tmp_path: Path):
    asked = Asked((), recipe="pc/cub-resnet50")
    for seed, top1 in ((11, 0.85), (12, 0.86), (13, 0.87)):
        write_result(tmp_path, replace(result_of("pc", seed, top1=top1), asked=asked))
    changed = replace(asked, changes={"stages.0.epochs": 1})
    write_result(tmp_path, replace(result_of("plain", 11, top1=0.5), asked=changed))
    (row,) = (row for row in tables("pc", results=tmp_path) if row.recipe == "pc/cub-resnet50")
    apart = "; 50.0 (1 seed; 20 photos of birds; with epochs 1)"
    assert row.ours == "86.0 (3 seeds, 83.5 to 88.5; 20 photos of birds)" + apart
    assert row.figure == "80.21"


def test_only_seeds_of_one_entry_are_averaged(tmp_path: Path):
    """Not those that were given other photos, nor one seed twice; and a share stays one."""
    asked, folders = Asked((), recipe="pc/cub-resnet50"), (tmp_path / "a", tmp_path / "b")
    for folder in folders:
        write_result(folder, replace(result_of("pc", 11, top1=0.05), asked=asked))
    write_result(folders[0], replace(result_of("pc", 12, top1=0.95), asked=asked))
    more = replace(asked, train_on=("train", "val"))
    write_result(folders[1], replace(result_of("plain", 11, top1=0.8), asked=more))
    (row,) = (row for row in tables_of_papers("pc", results=folders) if row.recipe == "pc/cub-resnet50")
    apart = "80.0 (1 seed; 20 photos of birds; with training on train + val)"
    assert row.ours == f"50.0 (2 seeds, 0.0 to 100.0; 20 photos of birds); {apart}"


def test_what_tuning_chose_is_told(tmp_path: Path):
    trials = ({}, {"stages.0.optimiser.lr": 0.5})
    tuned = {"winner": 1, "trials": [{"changes": dict(trial), "top1": 0.5, "runs": 1} for trial in trials]}
    asked = Asked(trials, recipe="pc/cub-resnet50")
    write_result(tmp_path, replace(result_of("pc", 11, top1=0.85), asked=asked, tuned=tuned))
    (row,) = (row for row in tables("pc", results=tmp_path) if row.recipe == "pc/cub-resnet50")
    assert row.ours == "85.0 (1 seed; 20 photos of birds; with learning rate 0.5)"
    write_result(tmp_path, replace(result_of("pc", 11, top1=0.85), asked=asked, tuned={"winner": 5, "trials": []}))
    with pytest.raises(UserError, match=r"seed11\.json: its trials cannot be read; the file was changed by hand"):
        tables("pc", results=tmp_path)


def test_statistics_are_counted_from_the_data(tmp_path: Path):
    for split, photos in (("train", 6), ("test", 2)):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(photos):
                (tmp_path / split / name / f"{number}.jpg").write_bytes(b"")
    rows = [row for row in tables("mc-loss", data=f"Flowers-102={tmp_path}") if row.data == "Flowers-102"]
    found = {row.system: row.ours for row in rows if row.table == "Table I"}
    assert found == {"classes": "2", "training photos": "12", "test photos": "4"}
    with pytest.raises(UserError, match=r"--data Flowers: no table has statistics of it; did you mean Flowers-102\?"):
        tables("mc-loss", data=f"Flowers={tmp_path}")


def test_groups_of_channels_are_those_of_table_ii():
    rows = [row for row in tables_of_papers("mc-loss") if row.table == "Table II"]
    assert [row.ours for row in rows] == [row.figure for row in rows]


def test_times_stand_beside_those_of_the_paper():
    rows = [row for row in tables_of_papers("cin", times={"cin/cub-resnet50": 3.14159}) if row.unit == "ms a photo"]
    assert [row.ours for row in rows if row.system == "resnet50"] == ["3.1"]
    with pytest.raises(UserError, match="--time: no table of pc has times; that of cin has"):
        tables("pc", time=True)


def test_as_it_is_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert ran("bench", "tables", "s3n", "--json", tmp_path / "t.json") == 0
    said = capsys.readouterr().out
    assert said.startswith("s3n, Table 1\nCUB-200-2011  peaks inside the object's box  94.63  % of peaks")
    written = json.loads((tmp_path / "t.json").read_text())["tables"]
    assert len(written) == sum(len(rows) for _, rows in by_table(tables_of_papers("s3n")))
    assert "no paper with rows is called" in refused(capsys, "bench", "tables", "nothing")
