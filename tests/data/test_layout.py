"""Where class and split folders lie, in the spellings and depths that people and data sets have."""

from pathlib import Path

import pytest

from fieldmark.data.folder import read_folder
from fieldmark.data.layout import SPLIT_WORDS, inner_splits, is_container, is_plain_split, layout_of, split_of
from fieldmark.errors import UserError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    "form", ["{}", "{}_set", "{}-set", "{} set", "{}set", "{}_data", "{}Images", "{}_images", "{}2017"]
)
@pytest.mark.parametrize("before", ["", "seg_", "cars_", "my-", "1_", "X "])
@pytest.mark.parametrize("turned", [str, str.lower, str.title, str.upper])
def test_a_split_in_any_spelling(form: str, before: str, turned: object) -> None:
    assert callable(turned)
    for word, split in SPLIT_WORDS.items():
        name = turned(before + form.format(word))
        assert split_of(name) == split, name


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(("train_val", "train"), ("TrainVal", "train"), ("trainTest", ""), ("train_val_test_split", "")),
        *(
            ("", ""),
            ("trainer", ""),
            ("contest", ""),
            ("latest", ""),
            ("valley", ""),
            ("restraint", ""),
            ("strain", ""),
        ),
        *(("attestation", ""), ("testament", ""), ("device", ""), ("cat", ""), ("日本", ""), ("évaluation", "")),
    ],
)
def test_words_that_are_no_splits(name: str, split: str) -> None:
    assert split_of(name) == split


def test_plain_words_and_containers() -> None:
    assert is_plain_split("Train")
    assert not is_plain_split("train set")
    assert is_container("Images")
    assert not is_container("image set")


# Each is read as classes cat and dog, three training photos and two for testing.
SPLIT = {
    "plain": ("train/{}", "test/{}"),
    "sets": ("training_set/{}", "test_set/{}"),
    "capitals": ("Training/{}", "TESTING/{}"),
    "data": ("train_data/{}", "test_data/{}"),
    "glued": ("trainset/{}", "testset/{}"),
    "years": ("train2017/{}", "test2017/{}"),
    "twice": ("seg_train/seg_train/{}", "seg_test/seg_test/{}"),
    "twice, other words": ("train_data/train/{}", "test_data/test/{}"),
    "inner images": ("train/images/{}", "test/images/{}"),
    "outer images": ("images/train/{}", "images/test/{}"),
    "one wrapper": ("dataset/train/{}", "dataset/test/{}"),
    "three wrappers": ("archive/my pets/v2/train/{}", "archive/my pets/v2/test/{}"),
    "wrapper and images": ("archive/training_set/images/{}", "archive/test_set/images/{}"),
    "in each class": ("{}/train", "{}/test"),
    "in each class, other words": ("{}/training_images", "{}/test_images"),
    "in each class, in images": ("images/{}/images/train", "images/{}/images/test"),
    "trained on both": ("trainval/{}", "test/{}"),
    "held out": ("training/{}", "evaluation/{}"),
}


@pytest.mark.parametrize("layout", SPLIT)
@pytest.mark.parametrize("beside", ["", "labels/a.txt", "annotations/deep/a.json", "README.md"])
def test_splits_are_recognised_at_any_depth(layout: str, beside: str, tmp_path: Path) -> None:
    train, test = SPLIT[layout]
    for number in range(3):
        touch(tmp_path, *(f"{train.format(name)}/{number}.jpg" for name in ("cat", "dog")))
    for number in range(2):
        touch(tmp_path, *(f"{test.format(name)}/{number}.jpg" for name in ("cat", "dog")))
    if beside and not ("wrapper" in layout and "/" in beside):
        touch(tmp_path, beside)
    dataset = read_folder(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert (dataset.counts("train"), dataset.counts("test")) == ((3, 3), (2, 2))
    assert {photo.group for photo in dataset.photos} == {""}
    assert all(photo.path.is_file() and photo.path == dataset.root / photo.name for photo in dataset.photos)
    if layout not in ("plain", "capitals", "inner images"):  # what is not as plain is told
        assert dataset.notes


@pytest.mark.parametrize("beside", ["masks", "Segmentations", "ground truth", "SegmentationClass"])
@pytest.mark.parametrize("above", ["", "train/"])
def test_masks_beside_the_images_are_no_class(beside: str, above: str, tmp_path: Path) -> None:
    names = [f"{above}{folder}/{name}/1.png" for folder in ("images", beside) for name in ("ant", "bee")]
    dataset = read_folder(touch(tmp_path, *names, *(["test/ant/2.png", "test/bee/2.png"] if above else [])))
    assert dataset.classes == ("ant", "bee")
    assert len(dataset.photos) == (4 if above else 2)
    assert above or any(beside in note for note in dataset.notes)


def test_masks_may_be_a_class(tmp_path: Path) -> None:
    dataset = read_folder(touch(tmp_path, "masks/1.png", "no masks/1.png", "images/1.png"))
    assert dataset.classes == ("images", "masks", "no masks")


def test_how_names_were_read_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "training_set/cat/1.jpg", "training_set/dog/1.jpg", "test/cat/1.jpg", "extra/cat/1.jpg")
    assert read_folder(tmp_path).notes == (
        "folders read as splits: training_set as train",
        "1 folder beside the splits left out, e.g. extra",
    )
    touch(tmp_path / "b", "cat/train/1.jpg", "cat/val/1.jpg", "dog/train/1.jpg")
    assert read_folder(tmp_path / "b").notes == ("folders inside the classes read as splits: train, val",)


def test_groups_inside_splits_inside_classes(tmp_path: Path) -> None:
    touch(tmp_path, "cat/train/nest 1/a.jpg", "cat/train/b.jpg", "cat/test/images/nest 2/c.jpg", "dog/train/d.jpg")
    photos = {photo.name: (photo.split, photo.group) for photo in read_folder(tmp_path).photos}
    assert photos == {
        "cat/train/nest 1/a.jpg": ("train", "cat/nest 1"),
        "cat/train/b.jpg": ("train", ""),
        "cat/test/images/nest 2/c.jpg": ("test", "cat/nest 2"),
        "dog/train/d.jpg": ("train", ""),
    }


@pytest.mark.parametrize(
    ("photos", "words"),
    [
        (["training_set/1.jpg", "test_set/1.jpg"], "no class folders .*\n.*\nfolders read as splits: test_set as test"),
        (["cars_train/cars_train/1.jpg", "cars_test/cars_test/1.jpg"], "no class folders"),
        (["train/images/1.jpg", "train/labels/1.txt", "val/images/1.jpg"], "no class folders"),
        (["images/train/1.jpg", "images/val/1.jpg", "labels/train/1.txt"], "no class folders"),
        (["cat/train/1.jpg", "cat/test/1.jpg", "dog/1.jpg"], r"class folders hold split folders \(cat\), .* \(dog\)"),
        (["cat/train/1.jpg", "cat/test/1.jpg", "cat/2.jpg", "dog/train/1.jpg"], r"\(cat\), .* \(cat\)"),
        (["cat/train/1.jpg", "cat/test/1.jpg", "dog/nest/1.jpg"], "into its folders train, val and test, or of none"),
    ],
)
def test_what_cannot_be_told_is_refused(photos: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words) as error:
        read_folder(touch(tmp_path, *photos))
    assert len(str(error.value).splitlines()) <= 3


@pytest.mark.parametrize(
    ("photos", "classes"),
    [
        (["car/1.jpg", "train/1.jpg", "bus/1.jpg"], ["bus", "car", "train"]),
        (["control/1.jpg", "test/1.jpg", "test/old/2.jpg"], ["control", "test"]),
        (["bullet train/1.jpg", "steam train/1.jpg"], ["bullet train", "steam train"]),
        (["bullet train/day 1/1.jpg", "steam train/day 2/1.jpg"], ["bullet train", "steam train"]),
        (["train set/1.jpg", "test tube/1.jpg", "doll/1.jpg"], ["doll", "test tube", "train set"]),
        (["trains/train 1/1.jpg", "trains/train 2/1.jpg", "cars/1.jpg"], ["cars", "trains"]),
        (["images/1.jpg", "drawings/1.jpg"], ["drawings", "images"]),
        (["only/images/1.jpg"], ["only"]),
    ],
)
def test_classes_may_have_such_names(photos: list[str], classes: list[str], tmp_path: Path) -> None:
    dataset = read_folder(touch(tmp_path, *photos))
    assert list(dataset.classes) == classes
    assert not dataset.is_split


def test_folders_named_like_splits_are_never_classes_in_silence(tmp_path: Path) -> None:
    touch(tmp_path, "training_set/cat/1.jpg", "test_set/1.jpg", "other/cat/1.jpg")
    (note,) = layout_of(tmp_path).notes
    assert note.startswith("named like splits, but taken for classes")
    assert note.endswith("test_set, training_set")
    assert read_folder(tmp_path).notes == (note,)


def test_several_folders_of_one_split_that_hold_the_same_classes(tmp_path: Path) -> None:
    touch(tmp_path, "train_1/cat/1.jpg", "train_1/dog/1.jpg", "train_2/cat/1.jpg")
    assert read_folder(tmp_path).counts("train") == (2, 1)


def test_images_without_meaning_make_no_group(tmp_path: Path) -> None:
    photos = read_folder(touch(tmp_path, "cat/images/1.jpg", "cat/images/nest/2.jpg", "dog/Photos/3.jpg")).photos
    assert [photo.group for photo in photos] == ["", "cat/nest", ""]


def test_links_are_no_wrappers(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "cat/1.jpg", "dog/1.jpg")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    assert layout_of(tmp_path / "root").root == tmp_path / "root"


def test_inner_splits_need_training_and_another() -> None:
    assert inner_splits(Path("x"), {"a": {"train 1", "train 2"}, "b": {""}}) == ()
    assert inner_splits(Path("x"), {"a": {"val", "test"}, "b": {""}}) == ()
    assert inner_splits(Path("x"), {"a": {"train", "test"}, "b": {"train"}}) == ("test", "train")
