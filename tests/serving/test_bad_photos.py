"""A zoo of bad photos against a server: each is refused within two seconds, and nothing else happens.

python -m pytest -m slow tests/serving/test_bad_photos.py      (memory of each, in a process of its own)
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from asking import FORM, form, raw, request
from bad_photos import bad_photos

from fieldmark.plain import to_plain
from fieldmark.recipe import Pixels
from fieldmark.serving.decoder import Assignment
from server_process import Running

COSTS = """
import json, sys, time
from pathlib import Path
from fieldmark.plain import from_plain
from fieldmark.serving.decoder import Assignment, view_of
def held(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key))
assignment = from_plain(json.loads(sys.argv[1]), Assignment)
costs = {}
for path in sorted(Path(sys.argv[2]).iterdir()):
    Path("/proc/self/clear_refs").write_text("5")
    before, data = held("VmRSS"), path.read_bytes()
    view_of(data, assignment)
    costs[path.name] = (held("VmHWM") - before) / 1024
print(json.dumps(costs))
"""


def test_each_is_refused_within_two_seconds(server: Running, tmp_path: Path, jpeg: bytes):
    photos = bad_photos(tmp_path)
    assert len(photos) >= 90
    wrong, processes = {}, server.family
    for name, data in photos.items():
        begun = time.monotonic()
        reply = raw(server.url, request("POST", "/v1/predict", form(data), {"Content-Type": FORM}))
        wanted = (422, "unreadable_image") if len(data) < 10**7 else (413, "too_large")
        if (reply.status, reply.code) != wanted or time.monotonic() - begun > 2:
            wrong[name] = (reply.status, reply.body[:200], time.monotonic() - begun)
    assert wrong == {}
    assert server.family == processes  # none of them ended a process
    good = raw(server.url, request("POST", "/v1/predict", form(jpeg), {"Content-Type": FORM}))
    assert good.status == 200


def test_those_among_good_ones_are_told_of(server: Running, tmp_path: Path, jpeg: bytes):
    bad = list(bad_photos(tmp_path).values())
    for start in range(0, 30, 15):
        body = form(jpeg, *[data for data in bad[start : start + 15] if len(data) < 500_000])
        results = raw(server.url, request("POST", "/v1/predict", body, {"Content-Type": FORM})).told["results"]
        assert [result["error"] is None for result in results] == [True] + [False] * (len(results) - 1)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are reset on Linux alone")
def test_none_takes_much_memory(tmp_path: Path):
    (tmp_path / "zoo").mkdir()
    (tmp_path / "made").mkdir()
    for number, data in enumerate(bad_photos(tmp_path / "made").values()):
        (tmp_path / "zoo" / str(number)).write_bytes(data)
    text = json.dumps(to_plain(Assignment(Pixels(224, 224), megabytes=1024, seconds=10)))
    done = subprocess.run(
        [sys.executable, "-c", COSTS, text, tmp_path / "zoo"], capture_output=True, text=True, check=True
    )
    costs = json.loads(done.stdout)
    assert {name: cost for name, cost in costs.items() if cost > 150} == {}
