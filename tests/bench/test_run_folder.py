"""Locks that end with their process, and the folders of half-done runs."""

import errno
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from fieldmark.bench import run_plan
from fieldmark.bench.execution import RunFolder
from fieldmark.bench.results import Session
from fieldmark.bench.run_plan import is_locked, locked, refuse_without_locks
from fieldmark.errors import UserError

HOLDER = """
import os, sys, time
from pathlib import Path
from fieldmark.bench.results import Session
from fieldmark.bench.run_plan import locked
with locked(Path(sys.argv[1]), "run") as mine:
    reader, writer = os.pipe()
    if os.fork() == 0:  # as a process that reads photos ahead does, a child outlives its parent for a while
        os.close(1)
        os.write(writer, b".")
        time.sleep(30)
        os._exit(0)
    os.read(reader, 1)  # by now the child has let go of what it inherited
    print(mine, flush=True)
    time.sleep(60)
"""


def test_a_lock_is_one_process_s_until_it_lets_go(tmp_path: Path) -> None:
    assert not is_locked(tmp_path, "run")
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path, "run") as mine, locked(tmp_path, "run", patience=0) as again, locked(tmp_path, "b") as other:
        assert (mine, again, other) == (True, False, True)
        assert is_locked(tmp_path, "run")
    assert not is_locked(tmp_path, "run")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_was_killed_holds_no_lock(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    words = [sys.executable, "-c", HOLDER, str(tmp_path)]
    holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with locked(tmp_path, "run") as mine:
            assert not mine
        holder.send_signal(signal.SIGKILL)
        holder.wait(60)
        with locked(tmp_path, "run") as mine:
            assert mine
    finally:
        os.killpg(holder.pid, signal.SIGKILL)  # the child
        holder.communicate(timeout=60)


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_without_locks(tmp_path)
    with locked(tmp_path, "trial"):  # another process tries them out at the same time
        refuse_without_locks(tmp_path)

    def lockless(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patch, pytest.raises(UserError, match="on a file system with locks") as error:
        patch.setattr("fieldmark.locks.FileLock._acquire", lockless)
        refuse_without_locks(tmp_path)
    assert "No locks available" in str(error.value)

    @contextmanager
    def generous(folder: Path, key: str, *, patience: float):
        yield True

    monkeypatch.setattr(run_plan, "locked", generous)
    with pytest.raises(UserError, match="gives one lock to two"):
        refuse_without_locks(tmp_path)


def test_what_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "locks").touch()
    with pytest.raises(UserError, match="cannot be locked"), locked(tmp_path, "run"):
        pass


def test_sessions_belong_to_what_lies_there(tmp_path: Path) -> None:
    place = RunFolder(tmp_path, "run")
    first, second = (Session("", False, digest, "a processor") for digest in "12")
    assert place.sessions == ()
    assert place.enter(first) == (first,)
    assert place.enter(second) == (second,)  # the first trained nothing
    place.path.mkdir()
    (place.path / "recipe.json").touch()
    assert RunFolder(tmp_path, "run").enter(second) == (second,)  # the same again
    assert place.enter(first) == place.sessions == (second, first)
    place.delete()
    assert list((tmp_path / "runs").iterdir()) == []
    place.delete()
