"""Mistakes that are told before any run, in one to three lines."""

import shutil
from pathlib import Path

import pytest
from canned import PLAN

import small_runs
from fieldmark import bench, building
from fieldmark.bench import RunOptions
from fieldmark.bench.execution import Executor
from fieldmark.core.backbone import Backbone
from fieldmark.errors import UserError

PLAIN = '[[entry]]\nname = "plain"\n'
PAIRS = 'set = { batches = { type = "ShuffledPairs", size = 3 } }'
BALANCED = '{ type = "Balanced", classes = 5, images = 2 }'


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Photos of three classes with official splits, but none for validation."""
    for name in ("train", "test"):
        small_runs.write_photos(tmp_path / "photos" / name, photos=2)
    return tmp_path / "photos"


def told(plan: Path, text: str, data: Path, *, out: Path, options: RunOptions | None = None) -> str:
    """The line that refuses a plan; nothing was worked and nothing was written."""
    before = sorted(data.rglob("*"))
    plan.write_text(text)
    said = options or RunOptions(data=(f"photos={data}",), workers=0, device="cpu")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(UserError) as error:
        patch.setattr(Executor, "execute", lambda *_: pytest.fail("a run began"))
        bench.run(plan, out, options=said)
    assert len(str(error.value).splitlines()) <= 3
    assert sorted(data.rglob("*")) == before
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[sets.photos]\ntrain_on = "train+val"\n' + PLAIN,
            "plain on photos: train_on 'val': ",
        ),
        (PLAIN + '[[entry]]\nname = "p"\nkind = "probe"\ntrain_on = "trian"', "has no such split; it has test, train"),
        (PLAIN + 'train_on = "train+test"', "plain on photos: train_on names the test split, on which the final runs"),
        (PLAIN + 'train_on = "val"\ntrials = [{ "clip" = 0.1 }]', "its trials would be trained on nothing"),
        (PLAIN + 'fit = "box"', "plain on photos: --fit box: 12 of 12 photos have no box, such as train/ant/0.jpg"),
        (PLAIN + PAIRS, "plain on photos: a batch of pairs needs an even number of images, not 3"),
        (
            PLAIN + f"trials = [{{}}, {{ batches = {BALANCED} }}]",
            "plain on photos: batches of 5 classes need at least",
        ),
    ],
)
def test_recipes_that_do_not_fit_their_photos(text: str, said: str, split: Path, tmp_path: Path) -> None:
    assert said in told(tmp_path / "plan.toml", PLAN + text, split, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


TRIAL = '[[entry]]\nname = "x"\n{}\ntrials = [{{}}, {{ {} }}]\n'


@pytest.mark.parametrize(
    ("settings", "trial", "said"),
    [
        (
            'method = "pc"',
            '"model.terms.0.nothing" = 3',
            "PairwiseConfusion has no option 'nothing'; choose",
        ),
        (
            'method = "pc"',
            '"model.terms.0.weight" = "a"',
            "the option weight of PairwiseConfusion is 'a'; it must be",
        ),
        (
            'method = "cin"\nset = { batches = { type = "Shuffled" } }',
            '"model.neck.scale" = "a"',
            "the option scale of SelfChannelInteraction is 'a'",
        ),
        ("", '"model.pool.size" = 3', "Average has no option 'size'; there are none"),
        ("", '"model.head.classes" = 3', "Linear has no option 'classes'"),
        ('method = "s3n"', '"model.method.branches" = "OX"', "the option branches of S3N is 'OX'; did you mean"),
        ("", '"stages.0.optimiser.scales.nothing" = 1', "no parameter group 'nothing'"),
        ("", '"stages.0.frozen" = ["neck"]', "no parameter group 'neck'; the groups: backbone, head"),
        (
            'method = "pc"',
            '"stages.0.optimiser.scales.terms" = 1',
            "no parameter group 'terms'; the groups: ",
        ),
        (
            'method = "s3n"',
            '"stages.0.optimiser.scales.nothing" = 1',
            "no parameter group 'nothing'; the groups: ",
        ),
        ("", '"stages.0.schedule.end" = 0', "stages.0.schedule.end is 0.0; it must be above 0"),
    ],
)
def test_trials_that_are_mistyped(settings: str, trial: str, said: str, split: Path, tmp_path: Path) -> None:
    text = PLAN + PLAIN + TRIAL.format(settings, trial)
    line = told(tmp_path / "plan.toml", text, split, out=tmp_path / "out")
    assert line.startswith(("x on photos: ", "x: "))
    assert said in line
    assert len(line.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_no_weights_are_read_to_look_at_trials(split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups that a method has of its own can be told by the method alone, which is built without weights."""
    asked: list[str] = []
    make = building.make_backbone

    def counted(name: str, *, weights: str, size: int, output_stride: int) -> Backbone:
        asked.append(weights)
        return make(name, weights=weights, size=size, output_stride=output_stride)

    monkeypatch.setattr(building, "make_backbone", counted)
    text = PLAN.replace('weights = "none"', 'weights = "hub"') + PLAIN
    trial = '"stages.0.optimiser.scales.radii" = 0.5, "stages.0.optimiser.scales.head" = 0.5'
    (tmp_path / "plan.toml").write_text(text + TRIAL.format('method = "s3n"', trial))
    said = RunOptions(data=(f"photos={split}",), workers=0, device="cpu", limit=1)
    monkeypatch.setattr(Executor, "execute", lambda self, job: (self._blank(job), None))
    assert bench.run(tmp_path / "plan.toml", tmp_path / "out", options=said).failed == 1
    assert asked == ["none", "none"]  # for the trial, and for the final runs that may follow it


def test_a_final_run_alone_is_looked_at_with_each_of_its_trials(split: Path, tmp_path: Path) -> None:
    text = PLAN + PLAIN + f'phase = "final"\ntrials = [{{}}, {{ batches = {BALANCED} }}]'
    assert "batches of 5 classes" in told(tmp_path / "plan.toml", text, split, out=tmp_path / "out")


def test_nothing_is_written_among_the_photos(tmp_path: Path) -> None:
    data = small_runs.write_photos(tmp_path / "photos", photos=4)  # unsplit: the cut would be written first
    for out in (data / "out", data, tmp_path / "link" / "out"):
        (tmp_path / "link").exists() or (tmp_path / "link").symlink_to(data)
        assert "choose a folder outside of the photos in" in told(tmp_path / "plan.toml", PLAN + PLAIN, data, out=out)
    inside = Path(shutil.copytree(data, tmp_path / "out" / "photos"))  # photos in the comparison's folder harm nobody
    plan, said = tmp_path / "plan.toml", RunOptions(data=(f"photos={inside}",), workers=0, device="cpu", phase="tune")
    assert bench.run(plan, tmp_path / "out", options=said).left == 0


def test_several_processes_of_one_call(split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "start it without torchrun" in told(tmp_path / "plan.toml", PLAN + PLAIN, split, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_a_folder(split: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for out, said in (("notes.txt", "notes.txt is a file"), ("notes.txt/deep", f"{tmp_path / 'notes.txt'} is a file")):
        assert said in told(tmp_path / "plan.toml", PLAN + PLAIN, split, out=tmp_path / out)
    assert (tmp_path / "notes.txt").read_text() == "mine"
