"""``fieldmark evaluate RUN --localization`` as a user types it, and ``fieldmark.evaluate(run, localization=True)``."""

import csv
import json
import shutil
from pathlib import Path

import layouts
import numpy as np
import pytest

import fieldmark
from fieldmark.birds.dataset import make_species, write_birds
from fieldmark.errors import UserError
from fieldmark.evaluation.evaluate import OPENINGS
from fieldmark.evaluation.output import FILES
from fieldmark.explanations.localization import Localization
from fieldmark.explanations.localization_output import COLUMNS, LOCALIZATION
from small_runs import KEYWORDS
from typed import ran, refused

BOXLESS = "ant/0.jpg"


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """CUB-200-2011 in miniature, and a run of S3N on it."""
    root = tmp_path_factory.mktemp("birds")
    data = layouts.cub(root / "CUB_200_2011", photos=6)
    return fieldmark.train(data, root / "run", **{**KEYWORDS, "epochs": 1, "method": "s3n"}), data


def boxed(table: Path, photos: Path, *, lacking: str = BOXLESS) -> Path:
    """A CSV of the photos with boxes: around the middle, but that of bee/0.jpg lies beside what the network sees."""
    rows = [["path", "label", "x", "y", "width", "height"]]
    for path in sorted(photos.glob("*/*.jpg")):
        name = path.relative_to(photos).as_posix()
        box = (
            [0, 0, 10, 10] if name == "bee/0.jpg" else [5, 10, 50, 45]
        )  # of 80 x 64 pixels the middle 56 x 56 are seen
        rows.append([str(path), path.parent.name, *([""] * 4 if name == lacking else map(str, box))])
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return table


def test_boxes_lie_in_the_photo_where_it_is_padded(own_run: Path, photos: Path, tmp_path: Path) -> None:
    recipe = json.loads((own_run / "recipe.json").read_text())
    (own_run / "recipe.json").write_text(json.dumps(recipe | {"pixels": recipe["pixels"] | {"fit": "pad"}}))
    table = boxed(tmp_path / "boxes.csv", photos)
    found = fieldmark.evaluate(own_run, table, split="all", localization=True, device="cpu").localization
    assert isinstance(found, Localization)
    np.testing.assert_allclose(found.extents, np.tile([0, 0.1, 1, 0.9], (29, 1)))  # 80 x 64 pixels
    for boxes in found.sights.boxes.values():
        assert (boxes[:, 1::2] >= 0.1).all()
        assert (boxes[:, 1::2] <= 0.9).all()


def test_what_is_printed_and_written(
    own_run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, figures, folder = boxed(tmp_path / "data" / "boxes.csv", photos), tmp_path / "f.json", tmp_path / "out"
    words = ("evaluate", own_run, "--data", table, "--split", "all", "--out", folder, "--json", figures)
    for _ in range(2):  # an earlier result is replaced
        assert ran(*words, "--localization") == 0
    said = " ".join(capsys.readouterr().out.split())
    for part in ("1 photos without a box are left out", "localisation: 29 photos", "Grad-CAM > 0.5", "whole picture"):
        assert part in said
    found = json.loads(figures.read_text())
    assert json.loads((folder / "metrics.json").read_text()) == found
    where = found["localization"]
    assert (found["n"], where["n"], where["n_without_box"], where["n_object_unseen"]) == (30, 29, 1, 1)
    seen = (55 - 12) * (55 - 10) / 56**2  # from 12 to 68 across, from 4 to 60 down
    assert where["box_share"] == pytest.approx(28 / 29 * seen)
    assert where["whole_picture"]["mean_iou"] == pytest.approx(28 / 29 * seen)
    assert where["whole_picture"]["localised"] == pytest.approx(28 / 29)
    assert where["peaks"] == {}
    assert {path.name for path in folder.iterdir()} == {*FILES, LOCALIZATION}
    with (folder / LOCALIZATION).open(newline="") as file:
        rows = {Path(row["path"]).relative_to(photos).as_posix(): row for row in csv.DictReader(file)}
    assert list(rows["ant/1.jpg"])[: len(COLUMNS)] == list(COLUMNS)
    assert len(rows) == 29
    assert BOXLESS not in rows
    assert rows["ant/1.jpg"]["box"] == "12.0 10.0 43.0 45.0"
    assert (rows["bee/0.jpg"]["box"], rows["bee/0.jpg"]["grad_cam_0.5_iou"]) == ("", "0.0000")
    assert ran(*words) == 0  # the table is that of earlier figures
    assert {path.name for path in folder.iterdir()} == {*FILES}
    assert "localization" not in json.loads(figures.read_text())


def test_in_python_and_beside_another_run(own_run: Path, photos: Path, tmp_path: Path) -> None:
    table = boxed(tmp_path / "boxes.csv", photos)
    result = fieldmark.evaluate(own_run, table, split="all", against=own_run, localization=True)
    assert isinstance(result.localization, Localization)
    assert result.against is not None
    assert set(result.to_json()) >= {"against", "localization"}
    right = result.logits.argmax(1) == result.labels
    boxes = [photo.box is not None for photo in result.photos]
    assert result.localization.right.tolist() == right[boxes].tolist()
    assert fieldmark.evaluate(own_run, table, split="all").localization is None


def test_a_method_with_branches_peaks_and_parts(
    birds: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, data = birds
    assert ran("evaluate", run, "--localization", "--out", tmp_path) == 0
    said = " ".join(capsys.readouterr().out.split())
    where = json.loads((tmp_path / "metrics.json").read_text())["localization"]
    names = ("grad_cam", "class", "class/original", "class/discriminative", "class/complementary")
    assert [(box["heatmap"], box["level"]) for box in where["boxes"]] == [
        (n, level) for n in names for level in (0.5, 0.2)
    ]
    peaks = where["peaks"]["response"]
    assert peaks["n_with_peaks"] > 0
    assert 0 <= peaks["hit_rate"] <= 1
    assert set(peaks["nearest_part"]) == {"strongest", "weakest"}
    counts = peaks["nearest_part"]["strongest"]
    assert sum(counts.values()) == peaks["n_with_peaks"]
    assert set(counts) <= {"back", "beak"}  # the left eye is nowhere visible
    assert "peaks of response: " in said
    assert "nearest to the strongest peak: " in said
    with (tmp_path / LOCALIZATION).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["response_peaks"]) > 0 for row in rows) == peaks["n_with_peaks"]
    assert {row["split"] for row in rows} == {"test"}
    assert data.is_dir()


def test_a_network_that_is_shown_the_box(photos: Path, tmp_path: Path) -> None:
    table = boxed(tmp_path / "boxes.csv", photos, lacking="")
    run = fieldmark.train(table, tmp_path / "run", **{**KEYWORDS, "epochs": 1, "fit": "box"})
    found = fieldmark.evaluate(run, split="train", localization=True).localization
    assert isinstance(found, Localization)
    assert found.covered.min() > 0.5
    assert len(found.notes) == 1
    assert "--fit box" in found.notes[0]


def test_what_lacks_boxes_is_refused_before_the_network_is_read(
    own_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_run / "model.safetensors").unlink()
    words = ("evaluate", own_run, "--localization", "--split", "val")
    assert "none of these 3 photos has one" in refused(capsys, *words)
    assert not (own_run / OPENINGS).exists()
    assert not (own_run / "evaluation").exists()


def test_the_marks_of_drawn_birds_are_boxes_too(tmp_path: Path) -> None:
    """The folder itself has none; its table has those of the telling marks."""
    drawn = write_birds(tmp_path / "birds", species=make_species(2, seed=0), images=8, seed=0, size=64)
    run = fieldmark.train(drawn, tmp_path / "run", **{**KEYWORDS, "epochs": 1})
    with pytest.raises(UserError, match="--localization needs boxes around the objects"):
        fieldmark.evaluate(run, localization=True)
    found = fieldmark.evaluate(run, drawn / "marks.csv", split="all", localization=True).localization
    assert isinstance(found, Localization)
    assert len(found.photos) == 16
    assert found.covered.mean() < 0.2  # a mark is small


def test_a_file_of_others_is_not_written_over(
    own_run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    words = ("evaluate", own_run, "--data", boxed(tmp_path / "data" / "boxes.csv", photos), "--split", "all")
    assert ran(*words, "--out", folder) == 0
    (folder / LOCALIZATION).write_text("path,remark\na.jpg,mine\n")
    assert "its localization.csv is not" in refused(capsys, *words, "--out", folder, "--localization")
    assert ran(*words, "--out", folder) == 0
    assert (folder / LOCALIZATION).read_text() == "path,remark\na.jpg,mine\n"


def test_real_photos(shared_data: Path, tmp_path: Path) -> None:
    """The boxes and parts of twelve photos of CUB-200-2011, and a network that knows nothing."""
    source = shared_data / "CUB_200_2011"
    listed = (source / "images.txt").read_text().splitlines()
    lines = [*listed[:6], *listed[-6:]]  # of the first and of the last class
    data, ids = tmp_path / "CUB_200_2011", {line.split()[0] for line in lines}
    for line in lines:
        name = line.split()[1]
        (data / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (data / "images" / name).symlink_to((source / "images" / name).resolve())
    (data / "parts").mkdir()
    for name in ("images", "image_class_labels", "train_test_split", "bounding_boxes", "parts/part_locs"):
        kept = [line for line in (source / f"{name}.txt").read_text().splitlines() if line.split()[0] in ids]
        (data / f"{name}.txt").write_text("\n".join(kept) + "\n")
    for name in ("classes", "parts/parts"):
        shutil.copy(source / f"{name}.txt", data / f"{name}.txt")
    rows = (data / "train_test_split.txt").read_text().splitlines()
    (data / "train_test_split.txt").write_text("".join(f"{row.split()[0]} {at % 2}\n" for at, row in enumerate(rows)))
    run = fieldmark.train(data, tmp_path / "run", **{**KEYWORDS, "epochs": 1, "method": "s3n", "batch": 2})
    found = fieldmark.evaluate(run, localization=True).localization
    assert isinstance(found, Localization)
    assert len(found.photos) == 6
    assert 0.1 < found.covered.mean() < 0.9  # birds fill much of these pictures
    assert len(found.parts.names) == 15
    boxes, shown = found.objects, found.frames
    for photo, (left, top, right, bottom), frame in zip(found.photos, boxes, shown, strict=True):
        assert photo.box is not None
        assert left < right
        assert top < bottom
        x = [frame[0] + share * frame[2] for share in (left, right)]
        assert x[0] == pytest.approx(max(photo.box.x, frame[0]))
        assert x[1] == pytest.approx(min(photo.box.x + photo.box.width, frame[0] + frame[2]))
