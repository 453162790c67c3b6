"""A folder belongs to one process at a time, and to nobody once that process is gone."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fieldmark.errors import UserError
from fieldmark.locks import LOCK, locked

PROGRAM = """
import os, sys, time
from pathlib import Path
from fieldmark.locks import locked
with locked(Path(sys.argv[1]), busy="busy"):
    reader, writer = os.pipe()
    if sys.argv[2:]:
        if not os.fork():
            os.setsid()
            os.write(writer, b".")
            time.sleep(30)
            os._exit(0)
        os.read(reader, 1)  # by now the child has let go of what it inherited
    print("held", os.getpid(), flush=True)
    time.sleep(60)
"""


def holder(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A process that holds the lock of ``folder``; with a word, it has a child that outlives it."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", PROGRAM, str(folder), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout
    assert process.stdout.readline().startswith("held")
    return process


def test_one_at_a_time_and_nothing_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    with locked(folder, busy="busy"):
        with pytest.raises(UserError, match="busy"), locked(folder, busy="busy"):
            raise AssertionError
        assert [path.name for path in folder.iterdir()] == [LOCK]
    assert list(tmp_path.iterdir()) == []
    folder.mkdir(parents=True)
    with locked(folder, busy="busy"):
        (folder / "file").touch()
    assert [path.name for path in folder.iterdir()] == ["file"]
    with locked(folder, busy="busy"):
        (folder / "file").unlink()
    assert folder.is_dir()  # it was there before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes fork on POSIX")
@pytest.mark.parametrize("words", [(), ("with a child",)])
def test_a_killed_process_holds_nothing(words: tuple[str, ...], tmp_path: Path) -> None:
    process = holder(tmp_path, *words)
    with pytest.raises(UserError, match="busy"), locked(tmp_path, busy="busy"):
        raise AssertionError
    process.send_signal(signal.SIGKILL)
    process.wait()
    with locked(tmp_path, busy="busy"):
        pass
    assert process.stdout
    process.stdout.close()


def test_a_lock_that_somebody_deleted_is_not_taken_from_the_next(tmp_path: Path) -> None:
    with locked(tmp_path, busy="busy"):
        (tmp_path / LOCK).unlink()
        process = holder(tmp_path)
    assert (tmp_path / LOCK).exists()
    process.kill()
    process.wait()
    assert process.stdout
    process.stdout.close()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", failing)
    begun = time.monotonic()
    with pytest.raises(UserError, match="cannot be locked") as error, locked(tmp_path / "run", busy="busy"):
        raise AssertionError
    assert os.strerror(number) in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert time.monotonic() - begun < 10
    assert not (tmp_path / "run").exists()
