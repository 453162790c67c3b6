"""The data of a run before it begins: looked through, cut, and held against what the run knew."""

import io
import json
from pathlib import Path

import layouts
import pytest
from PIL import Image
from rich.console import Console

import small_runs
from bolts import write_bolts
from fieldmark.data.split import read_splits
from fieldmark.errors import UserError
from fieldmark.runs.folder import METRICS, groups_of, read_run
from fieldmark.training.preparing import SCAN, Prepared, prepare_again, tell
from fieldmark.training.settings import Settings
from small_runs import QUIET, SMALL, prepare_small, small, write_photo, write_photos


def prepared(data: Path, run: Path, settings: Settings = SMALL) -> tuple[Prepared, list[str]]:
    console = Console(record=True, width=300, quiet=False, file=(run.parent / "told").open("w"))
    try:
        made = prepare_small(data, run, settings, console=console)
    finally:
        console.file.close()
    return made, console.export_text().splitlines()


def refused(data: Path, run: Path, settings: Settings = SMALL) -> str:
    with pytest.raises(UserError) as error:
        prepare_small(data, run, settings)
    assert 1 <= len(str(error.value).splitlines()) <= 3
    assert not run.exists()
    return str(error.value)


def test_an_unsplit_folder_is_cut_and_written_down(photos: Path, tmp_path: Path) -> None:
    made, told = prepared(photos, tmp_path / "run")
    assert told == []
    assert made.data.was_cut
    assert made.newly_cut
    assert made.counts == (8, 8, 8)
    assert not (tmp_path / "run").exists()
    made.write(tmp_path / "run")
    assert read_splits(tmp_path / "run/splits.csv") == {photo.name: photo.split for photo in made.dataset.photos}
    recipe, classes, about = read_run(tmp_path / "run")
    assert (recipe, classes, about.data) == (made.recipe, ("ant", "bee", "cat"), str(photos))
    again = prepare_again(photos, tmp_path / "run", console=QUIET, external={})
    assert (again.dataset, again.recipe, again.data.was_cut) == (made.dataset, made.recipe, True)


def test_a_cut_that_is_kept_is_not_new(photos: Path, tmp_path: Path) -> None:
    made, _ = prepared(photos, tmp_path / "run")
    pinned = {photo.name: photo.split for photo in made.dataset.photos}
    again = prepare_small(photos, tmp_path / "run", pinned=pinned)
    assert (again.data.was_cut, again.newly_cut) == (True, False)


def test_bolts_under_a_fixed_camera_are_in_every_split_and_told(tmp_path: Path) -> None:
    made, told = prepared(write_bolts(tmp_path / "bolts"), tmp_path / "run")
    assert [made.dataset.counts(split) for split in ("train", "val", "test")] == [(8,) * 3, (1,) * 3, (1,) * 3]
    (line,) = told
    assert line.startswith("30 photos of 3 classes look alike, as under a fixed camera")


def test_data_without_test_photos_are_told(tmp_path: Path) -> None:
    made, told = prepared(write_photos(tmp_path / "photos", photos=1), tmp_path / "run")
    assert made.dataset.of(["test"]) == ()
    assert told[0].startswith("warning: no test photos, nothing is left to measure on")


def test_damaged_photos_are_named_and_left_out(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "photos")
    (data / "ant" / "bad\x07.jpg").write_bytes(b"\xff\xd8 half")
    made, told = prepared(data, tmp_path / "run")
    (line,) = told
    assert line.startswith("left out: ant/bad\\x07.jpg: ")
    assert len(made.dataset.photos) == 30
    made.write(tmp_path / "run")
    again = prepare_again(data, tmp_path / "run", console=QUIET, external={})
    assert again.dataset.photos == made.dataset.photos
    assert "1 of 31 photos cannot be read" in refused(data, tmp_path / "strict", small(strict=True))


def test_what_was_looked_through_once_is_not_opened_again(
    photos: Path, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (own_run / SCAN).is_file()
    monkeypatch.setattr("fieldmark.data.scan.ask", None)
    again = prepare_again(photos, own_run, console=QUIET, external={})
    assert len(again.dataset.photos) == 30


def split_photos(root: Path) -> Path:
    for split, photos in (("train", 6), ("val", 2), ("test", 2)):
        for label, name in enumerate(("ant", "bee")):
            for number in range(photos):
                write_photo(root / split / name / f"{split} {number}.jpg", label=label, number=number + len(split) * 50)
    return root


def test_official_splits_stay_and_their_test_is_not_opened(tmp_path: Path) -> None:
    data = split_photos(tmp_path / "photos")
    (data / "test/ant/test 0.jpg").write_bytes(b"damaged")
    made, told = prepared(data, tmp_path / "run")
    assert told == []
    assert not made.data.was_cut
    assert len(made.dataset.of(["test"])) == 4
    assert {found.name.split("/")[0] for found in made.data.scan.facts} == {"train", "val"}
    both, _ = prepared(data, tmp_path / "both", small(train_on="train+val"))
    assert both.counts == (8, 8)
    assert both.recipe.train_on == ("train", "val")


def test_splits_that_are_not_there_are_refused(tmp_path: Path) -> None:
    data = split_photos(tmp_path / "photos")
    text = refused(data, tmp_path / "run", small(train_on="train+extra"))
    assert "'extra'" in text
    assert "test, train, val" in text


def test_a_class_that_is_never_trained_on_is_refused(tmp_path: Path) -> None:
    data = split_photos(tmp_path / "photos")
    write_photo(data / "test/cat/1.jpg", label=2, number=1)
    assert "cat" in refused(data, tmp_path / "run")


def test_boxes_are_asked_for_before_training(photos: Path, tmp_path: Path) -> None:
    text = refused(photos, tmp_path / "run", small(fit="box"))
    assert "30 of 30 photos have no box, such as ant/0.jpg" in text


def test_boxes_outside_of_their_photo_are_named_before_training(photos: Path, tmp_path: Path) -> None:
    rows = [f"{path},{path.parent.name},0,0,40,40" for path in sorted(photos.rglob("*.jpg"))]
    table = tmp_path / "list.csv"
    table.write_text("\n".join(["path,label,x,y,width,height", *rows, ""]))
    made, _ = prepared(table, tmp_path / "run", small(fit="box"))
    assert made.counts == (8, 8, 8)
    rows[7] = rows[7].replace(",0,0,40,40", ",400,0,40,40")
    table.write_text("\n".join(["path,label,x,y,width,height", *rows, ""]))
    text = refused(table, tmp_path / "run", small(fit="box"))
    assert "ant/7.jpg: the box" in text


def test_a_run_of_changed_data_is_refused(tmp_path: Path) -> None:
    data = small_runs.write_photos(tmp_path / "photos")
    made, _ = prepared(data, tmp_path / "run")
    made.write(tmp_path / "run")
    about = json.loads((tmp_path / "run/run.json").read_text())
    assert about["data_digest"] == made.about.data_digest
    (data / "ant" / "0.jpg").unlink()
    with pytest.raises(UserError, match="changed since"):
        prepare_again(data, tmp_path / "run", console=QUIET, external={})


def test_other_boxes_and_files_of_the_same_size_are_changed_data(tmp_path: Path) -> None:
    data = small_runs.write_photos(tmp_path / "photos")
    names = [f"{name}/{number}" for name in ("ant", "bee", "cat") for number in range(10)]
    Image.open(data / "ant" / "0.jpg").save(data / "ant" / "0.bmp")
    (data / "ant" / "0.jpg").unlink()
    paths = [f"{name}.{'bmp' if name == 'ant/0' else 'jpg'}" for name in names]
    table = data / "list.csv"

    def write(width: int) -> None:
        rows = [f"{path},{path[:3]},2,2,{width},30" for path in paths]
        table.write_text("\n".join(["path,label,x,y,width,height", *rows, ""]))

    write(40)
    made, _ = prepared(table, tmp_path / "run", small(fit="box"))
    made.write(tmp_path / "run")
    again = prepare_again(table, tmp_path / "run", console=QUIET, external={})
    assert again.dataset == made.dataset
    write(41)
    with pytest.raises(UserError, match="changed since"):
        prepare_again(table, tmp_path / "run", console=QUIET, external={})
    write(40)
    place = data / "ant" / "0.bmp"
    place.write_bytes(place.read_bytes()[:-3] + b"abc")
    with pytest.raises(UserError, match="changed since"):
        prepare_again(table, tmp_path / "run", console=QUIET, external={})


def test_a_run_of_a_class_from_elsewhere_asks_for_it_before_its_photos_are_read(own_run: Path) -> None:
    recipe = json.loads((own_run / "recipe.json").read_text())
    recipe["model"]["method"] = {"type": "elsewhere:Mine"}
    (own_run / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(UserError, match="--external elsewhere:Mine"):
        prepare_again(own_run / "no photos", own_run, console=QUIET, external={})


def test_names_are_told_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Console(), "photo [red]\n\udce9.jpg")
    assert capsys.readouterr().out == "photo [red]\\n\\udce9.jpg\n"


def test_official_training_photos_may_be_held_out(tmp_path: Path) -> None:
    data, run = tmp_path / "photos", tmp_path / "run"
    write_photos(data / "train")
    write_photos(data / "test", photos=3)
    made, told = prepared(data, run, small(hold_out=0.3))
    assert told == []
    assert not made.data.was_cut
    assert [len(made.dataset.of([split])) for split in ("train", "val", "test")] == [21, 9, 9]
    assert all(photo.name.startswith("train/") for photo in made.dataset.of(["val"]))
    assert made.dataset.counts("val") == (3, 3, 3)
    assert made.about.held_out == 0.3
    other = prepared(data, run, small(hold_out=0.3, seed=1))[0]
    assert other.dataset.of(["val"]) != made.dataset.of(["val"])
    made.write(run)
    again = prepare_again(data, run, console=QUIET, external={})
    assert again.dataset == made.dataset
    assert again.about.data_digest == made.about.data_digest
    write_photo(data / "train/ant/later.jpg", label=0, number=77)
    with pytest.raises(UserError, match="changed since"):
        prepare_again(data, run, console=QUIET, external={})


def test_nothing_is_held_out_where_validation_photos_are(photos: Path, tmp_path: Path) -> None:
    settings = small(hold_out=0.3)
    assert "--hold-out" in refused(photos, tmp_path / "run", settings)
    data = tmp_path / "photos"
    for split in ("train", "val", "test"):
        write_photos(data / split, photos=3)
    assert "leave it out" in refused(data, tmp_path / "run", settings)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"weights": "nowhere.safetensors"}, "no such file"),
        ({"weights": "old.pth"}, "fieldmark convert"),
        ({"weights": "lite0"}, "lite0 fits"),
        ({"weights": "hub"}, "weights of test_resnet cannot be fetched"),
        ({"backbone": "resnet18.nobody"}, "did you mean resnet18"),
        ({"set": ('model.backbone="no_such"',)}, "no backbone is called"),
        ({"recipe": "pc/cub-resnet50", "lr": None, "accumulate": 1, "weights": "nowhere.safetensors"}, "no such file"),
    ],
)
def test_weights_that_cannot_be_had_are_told_before_the_photos_are_opened(
    wrong: dict[str, object], said: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("the photos were looked through")

    def silent(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("fieldmark.data.opening.scan_photos", opened)
    monkeypatch.setattr("fieldmark.core.weights.Remote.is_here", lambda _: False)
    monkeypatch.setattr("fieldmark.core.weights.getproxies", dict)
    monkeypatch.setattr("socket.create_connection", silent)
    with pytest.raises(UserError, match=said):
        prepare_small(photos, tmp_path / "run", small(**wrong))
    with pytest.raises(AssertionError, match="looked through"):
        prepared(photos, tmp_path / "run")


BALANCED = 'batches={{"type": "Balanced", "classes": {}}}'.format
OF_OTHERS = 'batches={"type": "ExhaustivePairs", "size": 8}'


@pytest.mark.parametrize("is_split", [False, True])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"set": (BALANCED(4),)}, "batches of 4 classes need at least as many classes, not 3"),
        (
            {"recipe": "pc/cub-resnet50", "lr": None, "accumulate": 1, "set": (BALANCED(9),)},
            "need at least as many classes, not 3",
        ),
        ({"method": "api-net", "batch": 16}, "batches of 4 classes need at least as many classes, not 3"),
        ({"set": ('batches={"type": "ShuffledPairs", "size": 7}',)}, "even number of images"),
        ({"term": ("soft-channel-labels",), "accumulate": 2}, "use --micro-batch in place of"),
        ({"term": ("pairwise-confusion",), "accumulate": 8}, "last photo of 1 would have no partner"),
        ({"method": "api-net", "batch": None, "accumulate": 2}, "use --micro-batch in place of"),
    ],
)
def test_batches_that_cannot_be_made_are_told_before_the_photos_are_opened(
    wrong: dict[str, object], said: str, is_split: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "photos"
    for root in (data / "train", data / "val") if is_split else (data,):
        write_photos(root, photos=3)
    monkeypatch.setattr("fieldmark.data.opening.scan_photos", lambda *_, **__: pytest.fail("the photos were opened"))
    assert said in refused(data, tmp_path / "run", small(**wrong))


def test_pairs_of_classes_need_two_that_are_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos(tmp_path / "photos", classes=("ant",))
    monkeypatch.setattr("fieldmark.data.opening.scan_photos", lambda *_, **__: pytest.fail("the photos were opened"))
    assert "images of two classes" in refused(tmp_path / "photos", tmp_path / "run", small(set=(OF_OTHERS,)))


def test_batches_that_the_processes_cannot_share_are_told_before_the_photos_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "photos"
    for split in ("train", "val"):
        write_photos(data / split, photos=3)
    monkeypatch.setattr("fieldmark.training.preparing.processes.world", lambda: (0, 3))
    with monkeypatch.context() as patch:
        patch.setattr("fieldmark.data.opening.scan_photos", lambda *_, **__: pytest.fail("the photos were opened"))
        said = refused(data, tmp_path / "run", small(batch=4))
    assert "batches of 4 images cannot be split evenly among 3 processes: change --batch" in said
    unsplit = write_photos(tmp_path / "unsplit", photos=5)
    assert "batches of 8 images cannot be split evenly among 3" in refused(unsplit, tmp_path / "run", small(batch=8))
    assert (
        prepare_small(unsplit, tmp_path / "run", small(batch=15)).recipe.batches.size == 9
    )  # of 15, nine are trained on


def test_a_wrong_name_is_told_before_the_photos_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "no photos").mkdir()
    wrong = small(method="api-nett")
    assert refused(tmp_path / "no photos", tmp_path / "run", wrong).startswith(
        "--method api-nett: did you mean api-net?"
    )


def test_groups_of_the_dataset_or_of_a_table_are_kept(photos: Path, tmp_path: Path) -> None:
    made, told = prepared(photos, tmp_path / "run")
    made.write(tmp_path / "run")
    assert made.groups is None
    assert groups_of(tmp_path / "run") is None
    planes = layouts.aircraft(tmp_path / "planes")
    made, told = prepared(planes, tmp_path / "planes_run")
    assert "groups above the 3 classes: family (3), manufacturer (2)" in told
    made.write(tmp_path / "planes_run")
    assert made.groups == groups_of(tmp_path / "planes_run")
    assert made.groups is not None
    assert made.groups.levels == made.dataset.levels
    table = tmp_path / "g.csv"
    table.write_text("class,country\n707-320,USA\nF/A-18,USA\nSaab 2000,Sweden\n")
    made, told = prepared(planes, tmp_path / "third", small(groups=table))
    assert made.groups is not None
    assert made.groups.names == ("class", "country")
    table.write_text("class,country\n707-320,USA\n")
    assert "no row for 2 of the run's 3 classes" in refused(planes, tmp_path / "third", small(groups=table))


def test_groups_of_the_dataset_that_are_no_tree_are_left_out(tmp_path: Path) -> None:
    planes = layouts.aircraft(tmp_path / "planes")
    for path in (planes / "data").glob("*famil*.txt"):  # a family that is called like a variant of another one
        path.write_text(path.read_text().replace("Saab 2000", "707-320"))
    made, told = prepared(planes, tmp_path / "run")
    assert made.groups is None
    assert "its groups of classes are left out: the family '707-320' is called like a class" in " ".join(told)


def test_weights_of_an_unfinished_run_are_taken_with_a_line(photos: Path, own_run: Path, tmp_path: Path) -> None:
    told = io.StringIO()
    settings = small(weights=str(own_run))
    for run in ("whole", "part"):
        (tmp_path / run).mkdir()
        prepare_small(photos, tmp_path / run, settings, console=Console(file=told, width=500))
        assert ("has done 1 of 2 epochs" in told.getvalue()) == (run == "part")
        (own_run / METRICS).write_text("epoch,loss\n0,\n1,0.5\n")
