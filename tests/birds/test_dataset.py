"""The drawn birds: look-alikes that differ in one mark, whose box is true, and a folder that is the same every time."""

import csv
import re
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from fieldmark.birds.dataset import Species, draw_bird, make_species, write_birds
from fieldmark.birds.plumage import MARK_NAMES, NONE
from fieldmark.confidence.taxonomy import read_groups
from fieldmark.errors import UserError

PADDING = 4  # pixels: soft edges, and the filter that scales the picture down


def differing(one: Species, other: Species) -> list[str]:
    return [name for name in MARK_NAMES if getattr(one.marks, name) != getattr(other.marks, name)]


@pytest.fixture(scope="module")
def species() -> tuple[Species, ...]:
    return make_species(2 * len(MARK_NAMES), seed=3)


def test_twins_differ_in_exactly_the_telling_mark():
    birds = make_species(300, seed=0)
    for one, other in zip(birds[::2], birds[1::2], strict=True):
        assert differing(one, other) == [one.telling_mark] == [other.telling_mark]
        assert (one.twin, other.twin) == (other.name, one.name)
        assert (one.palette, one.build) == (other.palette, other.build)


def test_different_pairs_differ_in_more_than_one_mark():
    birds = make_species(400, seed=1)
    for one, other in combinations(birds, 2):
        if one.twin != other.name:
            assert one.palette != other.palette or one.build != other.build or len(differing(one, other)) >= 2


def test_every_mark_tells_some_pair_apart(species):
    assert {one.telling_mark for one in species} == set(MARK_NAMES)


def test_names_are_unique_and_safe_as_folders():
    names = [one.name for one in make_species(2001, seed=5)]
    assert len({name.lower() for name in names}) == 2001
    assert all(re.fullmatch(r"[A-Z][a-z]+(-[a-z]+)?( [A-Z][a-z]+)+", name) and len(name) < 60 for name in names)


def test_an_odd_count_leaves_the_last_without_a_twin():
    birds = make_species(5, seed=0)
    assert len(birds) == 5
    assert birds[-1].twin is None
    assert birds[-1].telling_mark is None
    assert birds[:4] == make_species(9, seed=0)[:4]


def test_species_depend_on_the_seed_alone():
    assert make_species(20, seed=4) == make_species(20, seed=4)
    assert make_species(20, seed=4) != make_species(20, seed=5)


def test_twins_drawn_with_one_seed_differ_in_the_box_and_nowhere_else(species):
    for place, (one, other) in enumerate(zip(species[::2], species[1::2], strict=True)):
        first, second = (draw_bird(bird, size=160, seed=[9, place]) for bird in (one, other))
        pixels = [np.asarray(drawing.image, int) for drawing in (first, second)]
        changed = np.abs(pixels[0] - pixels[1]).max(-1)
        assert (changed > 24).sum() >= 6, f"{one.telling_mark} cannot be seen"
        for drawing in (first, second):
            x, y, width, height = (int(v) for v in drawing.marks[one.telling_mark or ""])
            top, left = max(y - PADDING, 0), max(x - PADDING, 0)
            changed[top : y + height + PADDING, left : x + width + PADDING] = 0
        assert changed.max() == 0, f"{one.telling_mark} changes more than its box"


def test_an_absent_mark_has_the_box_of_where_it_would_be(species):
    for one, other in zip(species[::2], species[1::2], strict=True):
        telling = one.telling_mark or ""
        if NONE in (getattr(one.marks, telling), getattr(other.marks, telling)):
            assert draw_bird(one, size=96, seed=2).marks[telling] == draw_bird(other, size=96, seed=2).marks[telling]


def test_boxes_lie_inside_the_image_and_marks_on_the_bird(species):
    for seed, one in enumerate(species):
        drawing = draw_bird(one, size=128, seed=seed)
        assert set(drawing.marks) == set(MARK_NAMES)
        bird = drawing.bird
        assert bird.width * bird.height > 0.1 * 128**2
        for box in (bird, *drawing.marks.values()):
            assert box.width >= 1
            assert box.height >= 1
            assert 0 <= box.x <= box.x + box.width <= 128
            assert 0 <= box.y <= box.y + box.height <= 128
            assert bird.x <= box.x + 1
            assert box.x + box.width <= bird.x + bird.width + 1


def test_a_drawing_is_the_same_every_time_and_varies_with_the_seed(species):
    one, again, other = (draw_bird(species[0], size=64, seed=seed) for seed in (1, 1, 2))
    assert one.image.tobytes() == again.image.tobytes()
    assert (one.marks, one.bird) == (again.marks, again.bird)
    assert one.image.tobytes() != other.image.tobytes()
    assert one.bird != other.bird


@pytest.mark.parametrize("size", [32, 75, 224])
def test_pictures_have_the_size_asked_for(species, size):
    image = draw_bird(species[1], size=size, seed=0).image
    assert (image.size, image.mode) == ((size, size), "RGB")


def rows_of(folder):
    with (folder / "marks.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_pairs_and_families_are_groups_of_the_species(tmp_path):
    birds = make_species(30, seed=0)
    folder = write_birds(tmp_path / "birds", species=birds, images=1, seed=0, size=32, splits=None)
    groups = read_groups(folder / "groups.csv", [bird.name for bird in birds])
    assert groups.names == ("class", "pair", "family")
    pair = dict(zip(groups.classes, groups.levels[0].groups, strict=True))
    for bird in birds:
        assert pair[bird.name] == pair[bird.twin or bird.name]
        assert bird.name.endswith(f" {pair[bird.name]}")
    assert len(groups.nodes[1]) == 15
    assert len(groups.nodes[2]) < 15


def test_write_birds_lays_out_splits_and_boxes(tmp_path):
    birds = make_species(3, seed=0)
    folder = write_birds(tmp_path / "birds", species=birds, images=5, seed=7, size=48)
    assert sorted(p.name for p in folder.iterdir()) == ["groups.csv", "marks.csv", "test", "train", "val"]
    assert sorted(p.name for p in (folder / "train").iterdir()) == sorted(one.name for one in birds)
    rows = rows_of(folder)
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.jpg"))
    assert sorted(row["path"] for row in rows) == files
    assert [sum(path.startswith(split) for path in files) for split in ("train/", "val/", "test/")] == [9, 3, 3]
    first, last = rows[0], rows[-1]
    drawing = draw_bird(birds[0], size=48, seed=[7, 0, 0])
    assert (
        tuple(float(first[key]) for key in ("x", "y", "width", "height")) == drawing.marks[birds[0].telling_mark or ""]
    )
    assert first["value"] == getattr(birds[0].marks, first["telling_mark"])
    assert (first["species"], first["twin"]) == (birds[0].name, birds[1].name)
    assert float(last["bird_width"]) > 0
    assert (last["twin"], last["telling_mark"], last["x"]) == ("", "", "")
    with Image.open(folder / first["path"]) as image:
        assert (image.format, image.size) == ("JPEG", (48, 48))


def test_write_birds_is_the_same_bit_for_bit(tmp_path):
    birds = make_species(2, seed=0)
    one, other = (write_birds(tmp_path / name, species=birds, images=2, seed=1, size=32) for name in ("a", "b"))
    files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert len(files) == 6
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in files)


def test_write_birds_without_splits(tmp_path):
    birds = make_species(2, seed=0)
    folder = write_birds(tmp_path, species=birds, images=1, seed=1, size=32, splits=None)
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.jpg")) == sorted(
        f"{one.name}/0001.jpg" for one in birds
    )


@pytest.mark.parametrize("splits", [{"train": 0.5}, {"train": 1.2, "val": -0.2}, {"training": 1.0}, {}])
def test_splits_that_make_no_sense_are_refused(tmp_path, splits):
    with pytest.raises(UserError):
        write_birds(tmp_path, species=make_species(2, seed=0), images=1, seed=0, size=32, splits=splits)


def test_mistakes_are_told(tmp_path):
    birds = make_species(2, seed=0)
    (tmp_path / "mine.txt").write_text("keep me", encoding="utf-8")
    with pytest.raises(UserError, match="not an empty folder"):
        write_birds(tmp_path, species=birds, images=1, seed=0, size=32)
    with pytest.raises(UserError, match="at least one"):
        write_birds(tmp_path / "new", species=birds, images=0, seed=0, size=32)
    with pytest.raises(UserError, match="the same name"):
        write_birds(tmp_path / "new", species=[birds[0], birds[0]], images=1, seed=0, size=32)
    with pytest.raises(UserError, match="at least 1"):
        make_species(0, seed=0)
    with pytest.raises(UserError, match="too small"):
        draw_bird(birds[0], size=16, seed=0)
