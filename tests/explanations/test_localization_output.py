"""A localisation's table by photo, and what is printed of it."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fieldmark.errors import UserError
from fieldmark.explanations.localization import Localization
from fieldmark.explanations.localization_output import (
    COLUMNS,
    LOCALIZATION,
    columns_of,
    print_localization,
    refuse_where,
)
from fieldmark.explanations.sights import Source
from sights_made_up import COUNT, FRAMES, localization


def printed(result: Localization) -> list[str]:
    console = Console(record=True, width=80, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        print_localization(result, console)
    return console.export_text().splitlines()


def test_the_table_has_a_row_for_each_photo():
    result = localization()
    columns = columns_of(result)
    assert {len(column) for column in columns.values()} == {COUNT}
    kinds = ("grad_cam_0.5", "grad_cam_0.2", "class_0.5", "class_0.2")
    assert list(columns) == [
        *COLUMNS,
        *(f"{key}_{what}" for key in kinds for what in ("box", "iou")),
        "response_peaks", "response_hits", "response_strongest", "response_weakest",
    ]  # fmt: skip
    assert columns["path"][:2] == ["0.jpg", "1.jpg"]
    assert (columns["box"][0], columns["grad_cam_0.5_box"][1]) == ("", "")
    left, top, width, height = map(float, columns["box"][2].split())
    right, bottom = (left + width, top + height)
    seen = (np.array([left, top, right, bottom]) - FRAMES[2][[0, 1, 0, 1]]) / FRAMES[2][[2, 3, 2, 3]]
    np.testing.assert_allclose(seen, result.objects[2], atol=0.005)
    assert [float(text) for text in columns["class_0.5_iou"]] == pytest.approx(
        result.overlaps[Source("class", 0.5)].tolist(), abs=1e-4
    )
    assert (columns["response_peaks"][1], columns["response_strongest"][1]) == ("0", "")
    assert set(columns["response_strongest"]) <= {"head", "tail", ""}
    assert columns["right"] == [str(int(right)) for right in result.right]


def test_what_is_printed():
    lines = printed(replace(localization(), notes=("a remark",)))
    assert lines[0] == "a remark"
    assert max(map(len, lines)) <= 100
    text = "\n".join(lines)
    for words in (
        "localisation: 30 photos", "Grad-CAM > 0.5", "class > 0.2", "whole picture", "Grad-CAM's maximum is in the box",
        "of 1 photos the network sees no part", "peaks of response:", "nearest to the strongest peak: ",
        "nearest to the weakest peak: ",
    ):  # fmt: skip
        assert words in text, words


def test_what_is_printed_of_little():
    result = localization(peaked=0, parts=())
    assert "peaks of response: none" in printed(result)
    one = replace(
        result,
        sights=result.sights._replace(
            photos=result.photos[2:3],
            boxes={source: boxes[2:3] for source, boxes in result.sights.boxes.items()},
            point=result.sights.point[2:3],
            peaks={},
        ),
        right=result.right[2:3],
        frames=FRAMES[2:3],
        objects=result.objects[2:3],
        extents=result.extents[2:3],
    )
    assert "nan" not in "\n".join(printed(one))
    assert one.to_json()["whole_picture"]["mean_iou_interval"] == [None, None]


def test_a_file_of_others_is_refused(tmp_path: Path):
    refuse_where(tmp_path)
    path = tmp_path / LOCALIZATION
    with path.open("w", newline="") as file:
        csv.writer(file).writerow([*COLUMNS, "more"])
    refuse_where(tmp_path)
    path.write_text("path,remark\n")
    with pytest.raises(UserError, match=r"its localization\.csv is not an earlier result"):
        refuse_where(tmp_path)
