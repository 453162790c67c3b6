"""Explanations of photos: the answers of predict, places in the photo's own pixels, files all or nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fieldmark
from fieldmark.data.dataset import Unread
from fieldmark.errors import UserError
from fieldmark.explanations.explanation import Explanation
from fieldmark.runs.folder import digest_of


def one(run: Path, photo: object, **options: str) -> Explanation:
    (explanation,) = fieldmark.explain(run, photo, **options)  # pyright: ignore[reportArgumentType]
    assert isinstance(explanation, Explanation)
    return explanation


def test_answers_are_those_of_predict(trained: Path, photos: Path):
    predicted = list(fieldmark.predict(trained, [photos / "ant"], top=3))
    explained = list(fieldmark.explain(trained, [photos / "ant"]))
    assert [value.photo for value in explained if isinstance(value, Explanation)] == [one.file for one in predicted]
    for value, prediction in zip(explained, predicted, strict=True):
        assert isinstance(value, Explanation)
        assert tuple(answer.name for answer in value.answers) == prediction.classes
        shares = [answer.probability for answer in value.answers]
        np.testing.assert_allclose(shares, prediction.probabilities, rtol=1e-5)
        assert [(reason.name, reason.against) for reason in value.reasons] == [
            (prediction.classes[0], ""),
            (prediction.classes[0], prediction.classes[1]),
        ]
        assert value.run == digest_of(trained)


def test_places_are_pixels_of_the_upright_photo(trained: Path, photos: Path, tmp_path: Path):
    image = Image.open(photos / "bee" / "3.jpg").convert("RGB")
    wide = Image.new("RGB", (3 * image.width, image.height), (10, 10, 10))
    wide.paste(image, (image.width, 0))
    wide.save(tmp_path / "wide.png")
    value = one(trained, tmp_path / "wide.png")
    assert value.picture.shape == (448, 448, 3)
    assert value.picture.dtype == np.uint8
    frame = value.frame
    for reason in value.reasons:
        assert reason.heatmap.dtype == np.float32
        assert frame.left <= reason.point[0] <= frame.left + frame.width
        assert frame.top <= reason.point[1] <= frame.top + frame.height
        if reason.box is not None:
            assert reason.box.width <= frame.width + 1e-6
            assert frame.left - 1e-6 <= reason.box.x
    # the network sees the middle of a wide picture, and so do people
    assert frame.left > 0
    assert frame.width == pytest.approx(frame.height)
    turned = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[274] = 6  # to be turned right again
    turned.save(tmp_path / "turned.png", exif=exif)
    image.save(tmp_path / "upright.png")
    first, second = one(trained, tmp_path / "turned.png"), one(trained, tmp_path / "upright.png")
    assert np.array_equal(first.picture, second.picture)
    assert first.reasons[0].point == second.reasons[0].point


def test_boxes_lie_in_the_photo_where_it_is_padded(own_run: Path, photos: Path, tmp_path: Path):
    recipe = json.loads((own_run / "recipe.json").read_text())
    (own_run / "recipe.json").write_text(json.dumps(recipe | {"pixels": recipe["pixels"] | {"fit": "pad"}}))
    boxes = []
    for number in range(6):
        with Image.open(photos / "ant" / f"{number}.jpg") as image:
            image.resize((160, 40)).save(tmp_path / "wide.png")
        boxes += [reason.box for reason in one(own_run, tmp_path / "wide.png").reasons if reason.box]
    assert boxes
    for box in boxes:
        assert 0 <= box.x < box.x + box.width <= 160
        assert 0 <= box.y < box.y + box.height <= 40


def test_classes_may_be_asked_for(trained: Path, photos: Path):
    photo = photos / "cat" / "0.jpg"
    best = one(trained, photo).answers[0].name
    others = sorted({"ant", "bee", "cat"} - {best})
    asked = one(trained, photo, of=others[0], against=best)
    assert [(reason.name, reason.against) for reason in asked.reasons] == [(others[0], ""), (others[0], best)]
    against = one(trained, photo, against=others[1])
    assert [(reason.name, reason.against) for reason in against.reasons] == [(best, ""), (best, others[1])]
    of = one(trained, photo, of=others[0])
    assert of.reasons[1].against == best
    against_best = one(trained, photo, against=best)  # so the next is explained
    assert against_best.reasons[1].name in others
    assert against_best.reasons[1].against == best
    assert one(trained, photo, layer="stage2").layer == "stage2"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": "ants"}, "no class 'ants'; did you mean 'ant'"),
        ({"against": "zebra"}, "no class 'zebra'"),
        ({"of": "ant", "against": "ant"}, "cannot be told from itself"),
        ({"layer": "stage99"}, "--layer 'stage99': this backbone has no such layer"),
    ],
)
def test_what_the_run_does_not_have_gets_a_line(trained: Path, photos: Path, options: dict[str, str], message: str):
    with pytest.raises(UserError, match=message) as caught:
        one(trained, photos / "ant" / "0.jpg", **options)
    assert len(str(caught.value).splitlines()) <= 3


def test_pictures_in_memory_and_damage(trained: Path, photos: Path, tmp_path: Path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    pixels = np.asarray(Image.open(photos / "ant" / "0.jpg").convert("RGB"))
    first, broken, second = fieldmark.explain(trained, [photos / "ant" / "0.jpg", tmp_path / "broken.jpg", pixels])
    assert isinstance(broken, Unread)
    assert broken.reason
    assert isinstance(first, Explanation)
    assert isinstance(second, Explanation)
    assert np.array_equal(first.reasons[1].heatmap, second.reasons[1].heatmap)
