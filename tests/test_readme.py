"""What the README promises: its example runs, its command lines parse, its targets and links are there."""

import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fieldmark.bench import RunOptions
from fieldmark.bench.entry_recipes import recipe_of
from fieldmark.bench.plan import advice_on, read_plan
from fieldmark.birds.dataset import make_species, write_birds
from fieldmark.images.decode import read_image
from small_runs import KEYWORDS

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def command_lines() -> list[str]:
    """Every ``fieldmark ...`` with something behind it, in code blocks and in running text."""
    in_blocks = [line.partition("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in (*in_blocks, *re.findall(r"`([^`\n]+)`", README)) if line.startswith("fieldmark ")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run trained on a few drawn birds, and the folder of its test photos."""
    import fieldmark

    root = tmp_path_factory.mktemp("readme")
    birds = write_birds(root / "birds", species=make_species(2, seed=0), images=8, seed=0, size=64)
    return fieldmark.train(birds, root / "run", **KEYWORDS), birds / "test"


def test_the_python_example_runs(trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    run, photos = trained
    example = blocks("python")[0]
    code = [line for line in example.splitlines() if line.strip()]
    assert len(code) <= 5
    assert '"runs/mine"' in example
    assert '"new_photos"' in example
    example = example.replace('"runs/mine"', repr(str(run))).replace('"new_photos"', repr(str(photos)))
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    files = sorted(photos.rglob("*.jpg"))
    assert len(printed) == len(files)
    assert all(line.startswith(str(file)) and line.endswith("%") for line, file in zip(printed, files, strict=True))


def test_the_pieces_train_in_a_loop_of_ones_own():
    example = blocks("python")[1]
    assert sum(bool(line.strip()) for line in example.splitlines()) <= 10
    names: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), names)
    before = float(names["loss"].detach())
    loop = "for " + example.partition("\nfor ")[2]
    again = loop.replace("torch.randn(8, 3, 64, 64)", "images")
    for _ in range(5):
        exec(compile(again, "README.md", "exec"), names)
    assert float(names["loss"].detach()) < before


def test_what_the_example_loads_answers_as_predict_does(trained: tuple[Path, Path]):
    import fieldmark

    run, photos = trained
    model, transform, classes = fieldmark.load(run)
    for photo in fieldmark.predict(run, [photos], top=len(classes)):
        probabilities = model(transform(read_image(Path(photo.file)))[None]).softmax(1)[0].detach()
        own = {name: float(probabilities[label]) for label, name in enumerate(classes)}
        np.testing.assert_allclose([own[name] for name in photo.classes], photo.probabilities, atol=1e-5)


@pytest.mark.parametrize("line", command_lines())
def test_command_lines_parse(line: str):
    """The command exists, and so does every option; one with options and no argument is named, not written out."""
    from fieldmark.cli import app

    _, *tokens = shlex.split(line)
    if tokens == [tokens[0]] or tokens[-1] == "--help":
        assert tokens[0] in app
    else:
        app.parse_args(tokens, exit_on_error=False, print_error=False)


def test_there_are_command_lines_for_every_command():
    from fieldmark.cli import app

    commands = {name for name in app if name not in (*app.help_flags, *app.version_flags)}
    assert commands == {line.split()[1] for line in command_lines()}


def test_options_in_the_text_exist():
    from fieldmark.label_audit.settings import LabelSettings
    from fieldmark.predict_settings import Asked, Machine, Output
    from fieldmark.training.settings import DataSettings, Destination, MachineSettings, RecipeSettings

    named = set(re.findall(r"`--([a-z-]+)", README))
    kinds = (RecipeSettings, DataSettings, MachineSettings, Destination, RunOptions, LabelSettings)
    kinds = (*kinds, Output, Asked, Machine)
    settings = (field.name for kind in kinds for field in dataclasses.fields(kind))
    assert named <= {name.replace("_", "-") for name in settings} | {"external", "group", "quiet", "verbose"}


def test_make_targets_exist():
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"`make ([a-z-]+)`", README))
    assert {"demo", "test"} <= targets
    assert not [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)]


def test_links_lead_somewhere():
    linked = re.findall(r"\]\(([^)#]+)\)", README)
    assert not [place for place in linked if "://" not in place and not (REPOSITORY / place).exists()]


def test_the_plan_of_a_comparison_can_be_run(tmp_path: Path):
    """Each trial of each row makes a recipe."""
    (tmp_path / "plan.toml").write_text(blocks("toml")[0], "utf-8")
    plan = read_plan(tmp_path / "plan.toml")
    assert not [line for line in advice_on(plan) if "unequal" in line]
    context = {"photos": 600, "classes": 20, "device": "cpu", "folder": tmp_path, "external": {}}
    made = [recipe_of(entry, **context, changes=trial) for entry in plan.entries for trial in entry.trials or ({},)]
    assert made[1].stages[0].optimiser.lr == 0.0005 < made[0].stages[0].optimiser.lr
    assert [part.options["weight"] for part in made[3].model.terms] == [2.0]
