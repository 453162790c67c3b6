"""Where the Python API takes several things, a single one stands for itself or is refused; its letters never count."""

import inspect
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import fieldmark
import small_runs
from fieldmark import bench
from fieldmark.bench import RunOptions, run_plan
from fieldmark.building import classes_named
from fieldmark.data.dataset import Dataset, Photo
from fieldmark.errors import UserError
from fieldmark.papers.plain import Plain
from fieldmark.plain import from_plain, several, to_plain
from fieldmark.recipe import Part, Recipe, Stage
from fieldmark.training.settings import Keywords

OWN = "no_such_module:Mine"
PROBE = {"weights": "none", "size": 32, "device": "cpu"}
PUBLIC: dict[str, Callable[..., Any]] = {name: getattr(fieldmark, name) for name in fieldmark.__all__}
PUBLIC["bench.run"], PUBLIC["bench.report"] = bench.run, bench.report


def test_these_are_all_places() -> None:
    """A new parameter or setting that takes several things has to be tried below, too."""
    words = ("Sequence[", "Iterable[", "tuple[")
    parameters = {
        f"{name}.{parameter.name}"
        for name, function in PUBLIC.items()
        for parameter in inspect.signature(function).parameters.values()
        if any(word in str(parameter.annotation) for word in words)
    }
    open_runs = ("load", "evaluate", "predict", "explain", "compare", "figures", "report", "export")
    others = ("calibrate", "add_class", "remove_class", "train", "classifier", "bench.run", "check_labels")
    external = {f"{name}.external" for name in (*open_runs, *others)}
    inputs = {"add_class.photos", *(f"{name}.inputs" for name in ("predict", "explain", "figures"))}
    more = {"compare.classes", "figures.beside", "probe.backbones", "probe.train_on", "check_labels.splits"}
    assert parameters == external | inputs | more
    settings = get_type_hints(Keywords) | get_type_hints(RunOptions)
    lists = {name for name, hint in settings.items() if any(word in str(hint) for word in words)}
    assert lists == {"set", "term", "data", "corrections", "weights", "only"}


def test_one_or_several() -> None:
    assert several("abc") == several(["abc"]) == several(iter(["abc"])) == ("abc",)
    assert several(Path("a/b")) == (Path("a/b"),)
    assert several(Plain) == several([Plain]) == (Plain,)
    assert several([]) == several(()) == ()
    assert classes_named(Plain) == classes_named([Plain])
    name = f"{Plain.__module__}:{Plain.__name__}"
    assert classes_named(name) == classes_named([name]) == {name: Plain}


def test_one_class_from_elsewhere(photos: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wasp = small_runs.write_photo(tmp_path / "wasp.jpg", label=4, number=300)
    wider = fieldmark.add_class(trained, "wasp", wasp, out=tmp_path / "wider").path
    calls = {
        "add_class": lambda external: fieldmark.add_class(
            trained, "wasp", wasp, out=tmp_path / "other", external=external
        ),
        "remove_class": lambda external: fieldmark.remove_class(
            wider, "wasp", out=tmp_path / "other", external=external
        ),
        "train": lambda external: fieldmark.train(photos, tmp_path / "run", external=external),
        "classifier": lambda external: fieldmark.classifier(classes=2, external=external),
        "calibrate": lambda external: fieldmark.calibrate(trained, external=external),
        "load": lambda external: fieldmark.load(trained, external=external),
        "evaluate": lambda external: fieldmark.evaluate(trained, external=external),
        "predict": lambda external: fieldmark.predict(trained, photos, external=external),
        "explain": lambda external: fieldmark.explain(trained, photos, external=external),
        "compare": lambda external: fieldmark.compare(trained, classes=("ant", "bee"), external=external),
        "figures": lambda external: fieldmark.figures(trained, photos / "ant" / "0.jpg", external=external),
        "export": lambda external: fieldmark.export(trained, tmp_path / "one.onnx", external=external),
        "report": lambda external: fieldmark.report(trained, out=tmp_path / "one.html", external=external),
        "check_labels": lambda external: fieldmark.check_labels(photos, run=trained, external=external),
    }
    for call in calls.values():
        for external in (OWN, [OWN]):
            with pytest.raises(UserError, match=r"^no_such_module:Mine: No module named 'no_such_module'"):
                call(external)
    fieldmark.load(trained, external=Plain)
    given = []
    monkeypatch.setattr(bench, "read_plan", lambda _: None)
    monkeypatch.setattr(run_plan, "run_plan", lambda *_, external, console: given.append(external))
    for external in (OWN, [OWN]):
        bench.run(tmp_path / "plan.toml", tmp_path / "out", external=external)
    assert given == [(OWN,), (OWN,)]


def test_one_backbone_and_one_split(photos: Path) -> None:
    for backbones, train_on in (("test_resnet", "train+val"), (["test_resnet"], ("train", "val"))):
        (probed,) = fieldmark.probe(photos, backbones=backbones, train_on=train_on, split="test", **PROBE)
        assert (probed.backbone, probed.metrics.n) == ("test_resnet", 3)
    with pytest.raises(UserError, match="'tests'"):
        fieldmark.probe(photos, backbones="test_resnet", train_on="tests", **PROBE)
    whole = Dataset(photos, "folder", ("ant",), (Photo("1", photos, 0, "train"), Photo("2", photos, 0, "val")))
    assert whole.of("train") == whole.of(["train"]) == whole.photos[:1]


def test_one_run_beside(own_run: Path, trained: Path, photos: Path) -> None:
    for beside in (trained, [trained]):
        first, *_ = fieldmark.figures(own_run, photos / "ant" / "0.jpg", beside=beside)
        assert len(first.runs) == 2


@pytest.mark.parametrize("name", ["set", "term"])
def test_settings_of_a_run_that_are_lists(name: str, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{name} is 'pairwise-confusion'; it must be a list"):
        fieldmark.train(photos, tmp_path / "run", **{name: "pairwise-confusion"})


@pytest.mark.parametrize("name", [field.name for field in fields(RunOptions) if "tuple" in str(field.type)])
@pytest.mark.parametrize("value", ["mine=photos", Path("mine=photos")])
def test_options_of_a_comparison_that_are_lists(name: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{name} is 'mine=photos'; it must be a list"):
        bench.run(tmp_path / "plan.toml", tmp_path / "out", options=RunOptions(**{name: value}))


def test_lists_of_a_recipe(photos: Path, tmp_path: Path) -> None:
    model = Recipe().model
    for recipe, name in (
        (Recipe(train_on="train"), "train_on"),  # pyright: ignore[reportArgumentType]
        (Recipe(stages=(Stage(frozen="backbone"),)), "stages.0.frozen"),  # pyright: ignore[reportArgumentType]
        (Recipe(replace(model, terms="PairwiseConfusion")), "model.terms"),  # pyright: ignore[reportArgumentType]
        (Recipe(replace(model, terms=Part("PairwiseConfusion"))), "model.terms"),  # pyright: ignore[reportArgumentType]
    ):
        with pytest.raises(UserError, match=f"^{name} is .*; it must be a list"):
            fieldmark.train(photos, tmp_path / "run", recipe=recipe)
        with pytest.raises(UserError, match=f"^{name} is .*; it must be a list"):
            from_plain(to_plain(recipe), Recipe)
