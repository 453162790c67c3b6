"""Claims: one owner at a time, however many want it, and none for ever."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fieldmark.bench import claims
from fieldmark.bench.claims import claim, is_claimed, last_number

RACE = """
import os, sys, time
from pathlib import Path
from fieldmark.bench.claims import claim
folder, go, log = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
(go.parent / f"ready-{os.getpid()}").touch()
while not go.exists():
    time.sleep(0.001)
for number in range(int(sys.argv[4])):
    held = claim(folder, f"run{number}")
    if held:
        file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"run{number} {held.number}\\n".encode())
        os.close(file)
time.sleep(30)
"""


def raced(folder: Path, work: Path, *, processes: int, runs: int) -> list[str]:
    """What several processes that begin at once got, as lines "run number"; all of them live until the end."""
    work.mkdir()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", RACE, str(folder), str(work / "go"), str(work / "log"), str(runs)]
    running = [subprocess.Popen(command, env=environment) for _ in range(processes)]
    try:
        wait(lambda: len(list(work.glob("ready-*"))) == processes)
        (work / "go").touch()
        wait(lambda: (work / "log").exists() and len((work / "log").read_text().splitlines()) >= runs)
        time.sleep(0.5)  # for those that would come second
    finally:
        for one in running:
            one.kill()
            one.wait()
    return (work / "log").read_text().splitlines()


def wait(done, seconds: float = 60) -> None:
    begun = time.monotonic()
    while not done():
        assert time.monotonic() - begun < seconds
        time.sleep(0.01)


def aged(path: Path, seconds: float) -> None:
    """Makes a claim look as if its owner, on another machine, had been silent for so long."""
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "machine": "elsewhere", "started": "1"}))
    os.utime(path, (time.time() - seconds, time.time() - seconds))


def test_a_claim_is_one_s_own_until_it_is_released(tmp_path: Path) -> None:
    held = claim(tmp_path / "claims", "a")
    assert held is not None
    with held:
        assert held.number == 1
        assert claim(tmp_path / "claims", "a") is None
        assert is_claimed(tmp_path / "claims", "a")
        assert not is_claimed(tmp_path / "claims", "a.1")
        other = claim(tmp_path / "claims", "a.1")
        assert other is not None
        assert not held.is_lost
    assert not is_claimed(tmp_path / "claims", "a")
    again = claim(tmp_path / "claims", "a")
    assert again is not None
    assert again.number == last_number(tmp_path / "claims", "a") == 2
    assert not is_claimed(tmp_path / "nowhere", "a")


def test_many_processes_want_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "claims"
    lines = raced(folder, tmp_path / "work", processes=6, runs=20)
    assert sorted(lines) == sorted(f"run{number} 1" for number in range(20))
    # all of them are dead now, which a process of this machine sees at once
    assert not is_claimed(folder, "run3")
    lines = raced(folder, tmp_path / "again", processes=4, runs=20)
    assert sorted(lines) == sorted(f"run{number} 2" for number in range(20))


def test_many_processes_take_over_what_expired(tmp_path: Path) -> None:
    folder = tmp_path / "claims"
    folder.mkdir()
    for number in range(20):
        aged(folder / f"run{number}.1", claims.EXPIRY + 60)
    lines = raced(folder, tmp_path / "work", processes=6, runs=20)
    assert sorted(lines) == sorted(f"run{number} 2" for number in range(20))


def test_a_claim_elsewhere_lives_as_long_as_it_is_touched(tmp_path: Path) -> None:
    aged(tmp_path / "a.1", claims.EXPIRY - 60)
    assert claim(tmp_path, "a") is None
    aged(tmp_path / "a.1", claims.EXPIRY + 60)
    assert not is_claimed(tmp_path, "a")
    assert claim(tmp_path, "a") is not None


def test_a_claim_that_is_just_being_written_is_a_claim(tmp_path: Path) -> None:
    (tmp_path / "a.1").touch()
    assert claim(tmp_path, "a") is None


def test_signs_of_life(tmp_path: Path) -> None:
    held = claim(tmp_path, "a", heartbeat=0.01)
    assert held is not None
    os.utime(held.path, (0, 0))
    with held:
        wait(lambda: held.path.stat().st_mtime > 1, 10)


def test_a_file_server_that_is_away_for_a_while_ends_no_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = claim(tmp_path, "a", heartbeat=0.01)
    assert held is not None
    asked: list[int] = []
    away = [True]

    def is_lost(self: claims.Claim) -> bool:
        asked.append(1)
        if away[0]:
            raise OSError(errno.ESTALE, "stale file handle")
        return False

    monkeypatch.setattr(claims.Claim, "is_lost", property(is_lost))
    os.utime(held.path, (0, 0))
    with held:
        wait(lambda: len(asked) > 2, 10)
        away[0] = False
        wait(lambda: held.path.stat().st_mtime > 1, 10)


def test_one_that_was_taken_for_dead_learns_of_it(tmp_path: Path) -> None:
    told: list[int] = []
    held = claim(tmp_path, "a", heartbeat=0.01, when_lost=lambda: told.append(1))
    assert held is not None
    aged(held.path, claims.EXPIRY + 60)
    successor = claim(tmp_path, "a")
    assert successor is not None
    with held:
        wait(lambda: told == [1], 10)
    assert held.is_lost
    assert is_claimed(tmp_path, "a")  # its release is not the successor's


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are told by /proc")
def test_a_number_that_another_process_got_since(tmp_path: Path) -> None:
    held = claim(tmp_path, "a")
    assert held is not None
    said = json.loads(held.path.read_text())
    held.path.write_text(json.dumps(said | {"started": "1"}))
    assert not is_claimed(tmp_path, "a")
    held.path.write_text(json.dumps(said | {"machine": said["machine"] + "2", "started": "1"}))
    assert is_claimed(tmp_path, "a")
