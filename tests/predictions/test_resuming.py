"""Rows that earlier calls left: taken as they stand, and no photo is answered twice."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fieldmark.data.dataset import Photo
from fieldmark.errors import UserError
from fieldmark.predictions.prediction import Prediction
from fieldmark.predictions.resuming import Kept, kept_rows
from fieldmark.predictions.writing import write_predictions

PREDICTIONS = [
    Prediction("a,\r\n.jpg", ("ant", "bee"), (0.75, 0.25)),
    Prediction("caf\udce9.jpg", reason="an empty file"),
    Prediction("鷺.jpg", ("bee",), (0.9,)),
    Prediction("a,\r\n.jpg", ("ant", "bee"), (0.75, 0.25)),
    Prediction("\\ud800.jpg", ("cat",), (0.5,)),
]
READ = [one for one in PREDICTIONS if not one.reason]
FURTHER = ("answer", "level", "answer_probability", "nearest", "distance", "set")


def photos(*names: str) -> list[Photo]:
    return [Photo(name, Path(name)) for name in names]


def kept(path: Path) -> Kept:
    found = kept_rows(path, top=3, further=())
    assert found is not None
    return found


def write(folder: Path, predictions: Sequence[Prediction]) -> bytes:
    write_predictions(folder / "some.csv", predictions, top=3)
    return (folder / "some.csv").read_bytes()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_predictions(tmp_path / "p.csv", PREDICTIONS, top=3)
    return tmp_path / "p.csv"


def test_rows_say_what_was_written(table: Path, tmp_path: Path) -> None:
    assert list(kept(table).predictions()) == READ
    assert kept(table).count == 4
    whole = Prediction("a", ("x", "y"), (0.5, 0.25), "", "g", "family", 0.75, ("x", "y"), "y", 0.125)
    bare = Prediction("b", ("x",), (0.5,), "", "", "unsure", None, (), "y", 0.5)
    write_predictions(tmp_path / "q.csv", [whole, bare], top=2, further=FURTHER)
    found = kept_rows(tmp_path / "q.csv", top=2, further=FURTHER)
    assert found is not None
    assert list(found.predictions()) == [whole, bare]


def test_photos_without_a_row_in_their_order(table: Path) -> None:
    """A photo that is named twice needs two rows; one that has a row and is named no more does no harm."""
    names = ["new.jpg", "a,\r\n.jpg", "caf\udce9.jpg", "a,\r\n.jpg", "newer.jpg", "a,\r\n.jpg", "鷺.jpg", "鷺.jpg"]
    expected = ["new.jpg", "caf\udce9.jpg", "newer.jpg", "a,\r\n.jpg", "鷺.jpg"]
    for _ in range(2):
        assert [photo.name for photo in kept(table).others(photos(*names))] == expected
    assert [photo.name for photo in kept(table).others(photos("\\ud800.jpg"))] == []


def test_every_place_where_a_killed_call_may_have_stopped(table: Path, tmp_path: Path) -> None:
    """Cut after any byte: the rows that are whole are kept, and no other."""
    content = table.read_bytes()
    header = content.index(b"\r\n") + 2
    rows = [write(tmp_path, PREDICTIONS[:count]) for count in range(6)]
    partial = tmp_path / "p.csv.0123ab.partial"
    table.unlink()
    for end in range(header, len(content) + 1):
        partial.write_bytes(content[:end])
        found = list(kept(table).predictions())
        whole = max(count for count in range(6) if len(rows[count]) <= end)
        assert found == [one for one in PREDICTIONS[:whole] if not one.reason]
    assert list(kept(table).predictions()) == READ


def test_the_larger_of_a_table_and_a_partial_one(table: Path, tmp_path: Path) -> None:
    partial, other = tmp_path / "p.csv.0123ab.partial", tmp_path / "other.csv.0123ab.partial"
    content = table.read_bytes()
    partial.write_bytes(content[:-5])
    other.write_bytes(content * 2)
    assert kept(table).path == table
    kept(table).delete_partial(table)
    assert table.exists()
    partial.write_bytes(content + b"new.jpg,ant,0.5,,,,,\r\n")
    assert kept(table).path == partial
    kept(table).delete_partial(table)
    assert not partial.exists()
    table.unlink()
    assert kept_rows(table, top=3, further=()) is None
    table.touch()
    assert kept_rows(table, top=3, further=()) is None


def test_other_columns_and_what_is_no_table(table: Path) -> None:
    for top, further in ((2, ()), (3, ("set",))):
        with pytest.raises(UserError, match="has other columns than were asked for now"):
            kept_rows(table, top=top, further=further)
    header = table.read_bytes().split(b"\r\n")[0]
    for rows in (b"a.jpg,ant\r\nb.jpg,ant,0.5,,,,,\r\n", b"a.jpg,ant,much,,,,,\r\n", b"\xff\xfe,ant,0.5,,,,,\r\n"):
        table.write_bytes(header + b"\r\n" + rows)
        with pytest.raises(UserError, match="leave out --resume") as caught:
            kept_rows(table, top=3, further=())
        assert len(str(caught.value).splitlines()) == 1


def test_rows_of_another_model_are_refused(table: Path) -> None:
    asked: list[str] = []

    def answering(*changes: Prediction):
        now = {one.file: one for one in (*PREDICTIONS, *changes)}

        def answered(some: Sequence[Photo]) -> list[Prediction]:
            asked.extend(photo.name for photo in some)
            return [now[photo.name] for photo in some]

        return answered

    names = [one.file for one in PREDICTIONS]
    kept(table).refuse_other_answers(photos("new.jpg", *names), answering())
    assert asked == ["a,\r\n.jpg", "鷺.jpg", "a,\r\n.jpg", "\\ud800.jpg"]
    kept(table).refuse_other_answers(photos("new.jpg"), answering())  # nothing to compare
    close = Prediction("鷺.jpg", ("bee", "ant"), (0.91, 0.05))
    kept(table).refuse_other_answers(photos(*names), answering(close))
    for changed in (
        Prediction("鷺.jpg", ("bee",), (0.8,)),
        Prediction("鷺.jpg", ("wasp",), (0.9,)),
        Prediction("鷺.jpg", reason="an empty file"),
    ):
        with pytest.raises(UserError, match=r"p\.csv says something else of .*\nleave out --resume"):
            kept(table).refuse_other_answers(photos(*names), answering(changed))


def test_rows_that_answer_another_question_are_refused(tmp_path: Path) -> None:
    """However sure the first photos are: those are tried, too, on which the model was not."""
    shares = [0.99] * 50 + [0.4, 0.6, 0.7]
    names = [f"{at}.jpg" for at in range(len(shares))]

    def answers(certainty: float, size: int = 1) -> dict[str, Prediction]:
        return {
            name: Prediction(name, ("ant",), (share,), "", "ant", "class", share, ("ant", "bee")[:size])
            if share >= certainty
            else Prediction(name, ("ant",), (share,), "", "", "unsure", None, ("ant", "bee")[:size])
            for name, share in zip(names, shares, strict=True)
        }

    path = tmp_path / "p.csv"
    write_predictions(path, answers(0.5).values(), top=1, further=FURTHER)
    found = kept_rows(path, top=1, further=FURTHER)
    assert found is not None
    for certainty, size, passes in (
        (0.5, 1, True),
        (0.55, 1, True),
        (0.65, 1, False),
        (0.3, 1, False),
        (0.5, 2, False),
    ):
        now = answers(certainty, size)
        tried: list[str] = []

        def answered(some: Sequence[Photo], now: dict[str, Prediction] = now, tried: list[str] = tried):
            tried.extend(photo.name for photo in some)
            return [now[photo.name] for photo in some]

        if passes:
            found.refuse_other_answers(photos(*names), answered, certainty=certainty)
            assert {"50.jpg", "51.jpg"} <= {*tried}
            assert len(tried) <= 32
        else:
            with pytest.raises(UserError, match="what is asked for changed"):
                found.refuse_other_answers(photos(*names), answered, certainty=certainty)


def test_names_of_classes_that_are_not_utf8(tmp_path: Path) -> None:
    odd = "caf\udce9"
    row = Prediction("a.jpg", (odd, "bee"), (0.75, 0.25), "", odd, "class", 0.75, (odd,), odd, 0.5)
    write_predictions(tmp_path / "p.csv", [row], top=2, further=FURTHER)
    found = kept_rows(tmp_path / "p.csv", top=2, further=FURTHER)
    assert found is not None
    assert list(found.predictions()) == [row]


def test_a_row_takes_a_few_bytes(tmp_path: Path) -> None:
    """Of 20,000 rows only a number each is held."""
    import tracemalloc

    path = tmp_path / "p.csv"
    write_predictions(path, (Prediction(f"folder/{at:06d}.jpg", ("ant",), (0.5,)) for at in range(20_000)), top=1)
    tracemalloc.start()
    found = kept_rows(path, top=1, further=())
    assert found is not None
    held = tracemalloc.get_traced_memory()[0]
    left = sum(1 for _ in found.others(Photo(f"folder/{at:06d}.jpg", Path()) for at in range(0, 40_000, 2)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert left == 10_000
    assert held < 30 * 20_000
    assert peak < 60 * 20_000
    assert np.issubdtype(found._numbers.dtype, np.uint64)
