"""Where a run is worked: it moves from claim to claim, and nobody else writes there."""

from pathlib import Path

from fieldmark.bench.workplace import Workplace

ONE, TWO = {"digest": "1"}, {"digest": "2"}


def half_done(workplace: Workplace) -> None:
    workplace.run.mkdir(parents=True)
    (workplace.run / "recipe.json").write_text("{}")


def test_a_half_done_run_moves_to_the_next_claim(tmp_path: Path) -> None:
    first = Workplace(tmp_path, "a", number=1)
    other = Workplace(tmp_path, "a.1", number=7)
    assert first.enter(ONE) == (ONE,)
    half_done(first)
    third = Workplace(tmp_path, "a", number=3)
    assert (third.run / "recipe.json").is_file()
    assert not first.place.exists()
    assert third.enter(ONE) == (ONE,)
    assert third.enter(TWO) == (ONE, TWO)
    assert third.enter(ONE) == (ONE, TWO, ONE)
    assert other.place.is_dir()


def test_one_taken_for_dead_harms_nobody(tmp_path: Path) -> None:
    first = Workplace(tmp_path, "a", number=1)
    half_done(first)
    second = Workplace(tmp_path, "a", number=2)
    half_done(first)  # it wakes, and writes on
    (first.run / "recipe.json").write_text("old")
    assert (second.run / "recipe.json").read_text() == "{}"
    third = Workplace(tmp_path, "a", number=3)
    assert (third.run / "recipe.json").read_text() == "{}"
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["a.3"]


def test_starting_anew_and_leaving(tmp_path: Path) -> None:
    place = Workplace(tmp_path, "a", number=1)
    place.enter(ONE)
    half_done(place)
    place.clear()
    place.clear()
    assert not place.run.exists()
    assert place.enter(TWO) == (TWO,)  # the sessions of what was deleted have no share in it
    half_done(place)
    place.leave(keep=True)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]
    again = Workplace(tmp_path, "a", number=2)
    half_done(again)
    (again.run / "new").touch()
    again.leave(keep=True)
    assert (tmp_path / "runs" / "a" / "new").exists()
    last = Workplace(tmp_path, "a", number=3)
    last.leave(keep=False)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]
