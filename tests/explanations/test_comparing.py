"""Two photos or two classes side by side: the right questions, neighbours, and words for what is missing."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import fieldmark
from fieldmark.data.split import read_splits
from fieldmark.errors import UserError
from fieldmark.explanations.comparing import EACH, questions_of_pair


def test_each_photo_is_asked_both_ways(trained: Path, photos: Path):
    first, second = photos / "ant" / "0.jpg", photos / "bee" / "1.jpg"
    answers = [prediction.classes[0] for prediction in fieldmark.predict(trained, [first, second])]
    result = fieldmark.compare(trained, first, second)
    assert [Path(row.explanation.photo) for row in result.rows] == [first, second]
    one, other = result.classes
    assert one == answers[0]
    assert one != other
    if answers[0] != answers[1]:
        assert other == answers[1]
    for row in result.rows:
        asked = [(reason.name, reason.against) for reason in row.explanation.reasons]
        assert asked == [(one, other), (other, one)]
        assert all(reason.strength >= 0 for reason in row.explanation.reasons)
        assert [near.name for near in row.neighbours] == [one, other]
        assert all(-1 <= near.similarity <= 1 + 1e-6 for near in row.neighbours)
    assert not result.notes


def test_classes_may_be_named_beside_photos(trained: Path, photos: Path):
    result = fieldmark.compare(trained, photos / "ant" / "0.jpg", photos / "ant" / "1.jpg", classes=("cat", "bee"))
    assert result.classes == ("cat", "bee")


def test_neighbours_are_the_nearest_of_training_and_never_the_photo_itself(trained: Path, photos: Path):
    loaded = fieldmark.load(trained)
    result = fieldmark.compare(trained, photos / "ant" / "0.jpg", photos / "bee" / "0.jpg", classes=("ant", "bee"))

    def embedding(path: Path) -> np.ndarray:
        with torch.no_grad():
            features = loaded.model.classifier.features(loaded.transform(path)[None])
        return (features.embedding / features.embedding.norm()).numpy()[0]

    of_training = [photos / name for name, split in read_splits(trained).items() if split == "train"]
    for row in result.rows:
        own = Path(row.explanation.photo)
        for near in row.neighbours:
            training = [path for path in of_training if path.parent.name == near.name]
            similar = {path: float(embedding(own) @ embedding(path)) for path in training if path != own}
            assert photos / near.photo == max(similar, key=similar.__getitem__)
            assert near.similarity == pytest.approx(max(similar.values()), abs=1e-5)


def test_typical_and_hardest_photos_of_two_classes(trained: Path, photos: Path):
    result = fieldmark.compare(trained, classes=("ant", "cat"), split="train")
    assert result.classes == ("ant", "cat")
    names = [row.explanation.photo for row in result.rows]
    assert len(names) == len(set(names)) == 4 * EACH
    assert [name.split("/")[0] for name in names] == ["ant"] * 2 * EACH + ["cat"] * 2 * EACH
    margins = []
    for row in result.rows[: 2 * EACH]:
        shares = {answer.name: answer.probability for answer in row.explanation.answers}
        margins.append(np.log(shares["ant"]) - np.log(shares["cat"]))
    assert margins == sorted(margins, reverse=True)


def test_without_its_photos_a_run_still_compares(own_run: Path, photos: Path, tmp_path: Path):
    about = (own_run / "run.json").read_text().replace(str(photos), str(tmp_path / "moved"))
    (own_run / "run.json").write_text(about)
    result = fieldmark.compare(own_run, photos / "ant" / "0.jpg", photos / "bee" / "0.jpg")
    assert result.notes == ("the training photos are not here, so no neighbours are shown",)
    assert not any(row.neighbours for row in result.rows)
    with pytest.raises(UserError, match=r"does not exist; use --data"):
        fieldmark.compare(own_run, classes=("ant", "bee"))
    again = fieldmark.compare(own_run, classes=("ant", "bee"), data=shutil.copytree(photos, tmp_path / "found"))
    assert len(again.rows) > 1


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (["ant/0.jpg"], {}, "name two photos"),
        ([], {}, "name two photos"),
        (["ant", "bee/0.jpg"], {}, "two photos are compared, not 11"),
        ([], {"classes": "ab"}, "classes is 'ab'; two classes"),
        ([], {"classes": ("ant", "bee", "cat")}, "two classes are compared"),
        ([], {"classes": ("ant", "ant")}, "cannot be told from itself"),
        ([], {"classes": ("ant", "wasp")}, "no class 'wasp'"),
        (["ant/0.jpg", "broken.jpg"], {}, "broken.jpg cannot be read"),
    ],
)
def test_mistakes_get_a_line(trained: Path, photos: Path, tmp_path: Path, words: list[str], options: Any, message: str):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    given = [tmp_path / word if word == "broken.jpg" else photos / word for word in words]
    with pytest.raises(UserError, match=message) as caught:
        fieldmark.compare(trained, *given, **options)
    assert len(str(caught.value).splitlines()) <= 3


def test_questions_of_a_pair():
    first, second = questions_of_pair(torch.zeros(3, 5), 4, 1)
    assert first.classes.tolist() == [4] * 3
    assert second.against is not None
    assert second.against.tolist() == [4] * 3


def test_saved_is_one_picture_with_numbers_beside_it(trained: Path, photos: Path, tmp_path: Path):
    result = fieldmark.compare(trained, photos / "ant" / "0.jpg", photos / "bee" / "0.jpg")
    path = result.save(tmp_path, "pair")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pair.json", "pair.npz", "pair.png"]
    with Image.open(path) as image:
        assert image.width > image.height
    with np.load(tmp_path / "pair.npz") as arrays:
        assert len(arrays.files) == 4
    assert len(result.lines()) == 2
