"""Names of files in any terminal and locale: printing never ends a command, and a name leads back to its file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fieldmark.data.unlabelled import photos_of
from fieldmark.predictions.prediction import Prediction
from fieldmark.predictions.writing import write_predictions
from small_runs import spelt, write_photo

ODD = ["鷺", "[bold]", ":bird:", os.fsdecode(b"caf\xe9"), "two\nlines", "\x1b[31mred", "back\\udce9slash"]
"""Names that an encoding lacks, that a library for terminals could read as its own signs, or that span lines."""
LOCALES = {
    "C": {"LC_ALL": "C"},
    "ASCII alone": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "a code page": {"PYTHONIOENCODING": "cp437", "PYTHONUTF8": "1"},
}
PROGRAM = """
import json, sys
from fieldmark.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as end:
        print("exit code", end.code)
"""


@pytest.fixture(scope="module")
def odd_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders and photos with odd names; a damaged photo of such a name; a file that is no photo."""
    root = tmp_path_factory.mktemp("odd") / "photos"
    try:
        for label, name in enumerate(ODD[:3]):
            for number in range(8):
                write_photo(root / name / f"{number}.jpg", label=label, number=number)
        for number, name in enumerate(ODD):
            write_photo(root / ODD[0] / f"{name}.jpg", label=0, number=20 + number)
            (root / ODD[1] / f"{name} bad.jpg").write_bytes(b"no picture")
            (root / ODD[2] / f"{name}.txt").touch()
    except (OSError, UnicodeEncodeError):
        pytest.skip("the file system does not take such names")
    return root


def said_by(commands: list[list[str]], folder: Path, environment: dict[str, str]) -> tuple[bytes, bytes]:
    """Standard output and error of commands as a user types them, in one process."""
    paths = os.pathsep.join(path for path in sys.path if path)
    program = [sys.executable, "-c", PROGRAM, json.dumps(commands)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    done = subprocess.run(program, cwd=folder, env={**kept, "PYTHONPATH": paths, **environment}, capture_output=True)
    assert b"Traceback" not in done.stderr, done.stderr.decode("utf-8", "replace")
    return done.stdout, done.stderr


@pytest.mark.parametrize("locale", LOCALES)
def test_commands_that_need_no_training(locale: str, odd_photos: Path, tmp_path: Path) -> None:
    odd = [str(odd_photos), "鷺", ":bird:", "[/bold]", "two\nlines", "\x1b[31m"]
    listing = [["check", odd[0]], ["equations"], ["recipes"], ["train", "--help"], ["bench", "--help"]]
    mistakes = [
        words
        for name in odd[1:]
        for words in (["check", name], ["equations", name], ["recipes", name], [name], ["train", odd[0], f"--{name}"])
    ]
    out, err = said_by([*listing, *mistakes], tmp_path, LOCALES[locale])
    codes = [line.split()[-1] for line in out.splitlines() if line.startswith(b"exit code")]
    assert codes == [b"0"] * len(listing) + [b"2"] * len(mistakes)
    assert b"\x1b" not in out + err
    assert b":bird:" in out
    assert b":bird:" in err


@pytest.mark.slow
def test_commands_of_a_run(odd_photos: Path, tmp_path: Path) -> None:
    data, folder = str(odd_photos), str(odd_photos / ":bird:")
    commands = [
        ["train", data, "--out", "run", *spelt("--epochs", "1")],
        ["evaluate", "run", "--split", "val"],
        ["predict", "run", data, "-o", "p.json"],
        ["predict", "run", folder, "-o", "few.csv"],
    ]
    out, err = said_by(commands, tmp_path, LOCALES["ASCII alone"])
    assert out.count(b"exit code 0") == len(commands), err
    assert out.count(f"{folder}/0.jpg  ".encode()) == 1
    predictions = json.loads((tmp_path / "p.json").read_bytes())["predictions"]
    files = {prediction["file"].encode("ascii", "surrogateescape") for prediction in predictions}
    assert files == {os.fsencode(path) for path in odd_photos.rglob("*.jpg")}


def test_a_table_of_predictions_leads_back_to_its_files(odd_photos: Path, tmp_path: Path) -> None:
    photos = photos_of(odd_photos).photos
    write_predictions(tmp_path / "p.csv", [Prediction(photo.name, ("ant",), (1.0,)) for photo in photos], top=1)
    text = (tmp_path / "p.csv").read_bytes().decode("utf-8")
    (tmp_path / "list.csv").write_text(text.replace("file", "path", 1), "utf-8", newline="")
    again = photos_of(tmp_path / "list.csv").photos
    assert all(photo.path.samefile(listed.path) for photo, listed in zip(photos, again, strict=True))
