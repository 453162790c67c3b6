"""What a user may say: by keyword or on the command line, checked by name, kind and range."""

import dataclasses
import inspect
import typing
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import pytest

import fieldmark
from fieldmark.errors import UserError
from fieldmark.training.settings import (
    DataSettings,
    Destination,
    Keywords,
    MachineSettings,
    RecipeSettings,
    Settings,
    settings_of,
)

KINDS = (RecipeSettings, DataSettings, MachineSettings)


def refused(**keywords: Any) -> str:
    with pytest.raises(UserError) as error:
        settings_of(keywords)
    (line,) = str(error.value).splitlines()
    return line


def test_keywords_go_where_they_belong() -> None:
    found = settings_of(
        {"epochs": 3, "term": ["pairwise-confusion"], "lr": 1, "splits": "a.csv", "hold_out": 0.2, "workers": 0}
        | {"recipe": "pc/cub-resnet50"}
    )
    assert found == Settings(
        RecipeSettings(recipe="pc/cub-resnet50", epochs=3, term=("pairwise-confusion",), lr=1.0),
        DataSettings(splits=Path("a.csv"), hold_out=0.2),
        MachineSettings(workers=0),
    )
    assert type(found.recipe.lr) is float
    assert settings_of({}) == settings_of({"epochs": None, "splits": None}) == Settings()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("epoch", "there is no setting 'epoch'; did you mean epochs"),
        ("bacth", "there is no setting 'bacth'; did you mean batch"),
        ("worker", "there is no setting 'worker'; did you mean workers"),
        ("hold-out", "there is no setting 'hold-out'; did you mean hold_out"),
        ("colour", "there is no setting 'colour'; choose one of"),
    ],
)
def test_an_unknown_keyword_is_told_the_nearest(name: str, message: str) -> None:
    assert refused(**{name: 3}).startswith(message)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", "3", "epochs is '3'; it must be a whole number"),
        ("epochs", 2.5, "epochs is 2.5; it must be a whole number"),
        ("epochs", True, "epochs is True; it must be a whole number"),
        ("lr", "fast", "lr is 'fast'; it must be a number"),
        ("method", 3, "method is 3; it must be a text"),
        ("term", "pairwise-confusion", "term is 'pairwise-confusion'; it must be a list"),
        ("set", ("seed=3", 4), "set.1 is 4; it must be a text"),
        ("fit", "squash", "fit is 'squash'; choose crop, pad, stretch, box"),
        ("balance", "samplr", "balance is 'samplr'; did you mean sampler"),
        ("optimizer", "adam", "optimizer is 'adam'; did you mean adamw"),
        ("device", 0, "device is 0; it must be a text"),
        ("splits", 3, "splits is 3; it must be a path"),
        ("strict", "yes", "strict is 'yes'; it must be true or false"),
    ],
)
def test_values_of_another_kind(name: str, value: object, message: str) -> None:
    assert refused(**{name: value}).startswith(message)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("epochs", -1), ("batch", 0), ("size", 0), ("accumulate", 0), ("seed", -1), ("workers", -1),
        ("clip", -0.1), ("clip", float("nan")), ("smoothing", 1.0), ("smoothing", -0.1), ("ema", 1.0), ("ema", 2.0),
        ("hold_out", 1.0), ("hold_out", -0.1),
        ("lr", 0.0), ("lr", -1.0), ("lr", float("nan")), ("lr", float("inf")),
    ],
)  # fmt: skip
def test_numbers_out_of_range(name: str, value: float) -> None:
    assert refused(**{name: value}).startswith(f"{name} is {value}; it must be ")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("1h0m5s", 3605), ("1.5h", 5400), ("45", 45),
        ("1m30", 90), ("1h30", 5400), (" 10M ", 600), (45, 45), (0.5, 0.5), (None, None),
    ],
)  # fmt: skip
def test_a_time_in_words(said: Any, seconds: float | None) -> None:
    assert settings_of({"time": said}).machine.seconds == seconds


@pytest.mark.parametrize(
    "said",
    ["", "0", "0m", -3, 0, "-10m", "10 m", "m", "30m1h", "10min", "1.2.3s", "inf", float("inf"), "1e3"],
)
def test_what_is_no_time_is_refused(said: Any) -> None:
    with pytest.raises(UserError, match=r"--time .*: write it as 90s, 10m, 2h or 1h30m"):
        _ = MachineSettings(time=said).seconds


def test_a_time_is_a_text_or_a_number() -> None:
    assert refused(time=True).startswith("time is True; it must be a text or a whole number or a number")


def test_the_ends_of_the_ranges_pass() -> None:
    settings_of({"epochs": 1, "batch": 1, "size": 1, "smoothing": 0.0, "ema": 0.0, "clip": 0.0, "workers": 0})
    settings_of({"lr": 1e-9, "seed": 0, "hold_out": 0.0})


def test_what_the_command_line_made_is_checked_too() -> None:
    good = Settings(RecipeSettings(epochs=3, set=("seed=1",)), DataSettings(splits=Path("a.csv")))
    assert good.checked() == good
    for wrong, place in (
        (Settings(RecipeSettings(epochs=0)), "epochs"),
        (Settings(data=DataSettings(hold_out=1.5)), "hold_out"),
        (Settings(machine=MachineSettings(workers=-1)), "workers"),
    ):
        with pytest.raises(UserError, match=f"^{place} is .*; it must be "):
            wrong.checked()


def test_keywords_are_the_settings() -> None:
    """By name and by kind; ``recipe`` is an argument of its own."""
    hints = [typing.get_type_hints(kind, include_extras=True) for kind in KINDS]
    settings = {name: said(hint) for part in hints for name, hint in part.items() if name != "recipe"}
    assert sum(map(len, hints)) == len(settings) + 1  # no name twice
    assert {name: said(hint) for name, hint in typing.get_type_hints(Keywords).items()} == settings
    assert list(Keywords.__annotations__) == list(settings)
    named = inspect.signature(fieldmark.train).parameters
    assert not set(named) & set(settings) - {"settings"}


def said(hint: Any) -> frozenset[Any]:
    """The kinds that an annotation lets a user say: without None and ranges, a path also as its text."""
    if get_origin(hint) is Annotated:
        return said(get_args(hint)[0])
    if get_origin(hint) in (typing.Union, type(int | str)):
        return frozenset().union(*(said(choice) for choice in get_args(hint) if choice is not NoneType))
    return frozenset([Path, str]) if hint is Path else frozenset([hint])


def test_every_setting_is_described() -> None:
    for kind in (*KINDS, Destination):
        for field in dataclasses.fields(kind):
            assert f"        {field.name}: " in str(kind.__doc__)


def test_where_a_run_goes(tmp_path: Path) -> None:
    assert Destination().folder(Path("data/birds.csv")) == Path("runs/birds")
    assert Destination().folder(Path("data/lilies.2024")) == Path("runs/lilies")
    (tmp_path / "lilies.2025").mkdir()
    assert Destination().folder(tmp_path / "lilies.2025") == Path("runs/lilies.2025")
    assert Destination(Path("here")).folder(Path("data")) == Path("here")
