"""Where figures come from."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fieldmark.bench import provenance
from fieldmark.bench.provenance import (
    code_digests,
    commit_of,
    device_name,
    file_digest,
    session_here,
    source_digest,
    versions,
)
from fieldmark.building import classes_named


def git(folder: Path, *words: str) -> str:
    name = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", "-C", str(folder), *name, *words], capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_checkout_is_told_by_commit_and_changes(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("a = 1\n")
    assert commit_of(package) == ("", False)
    git(tmp_path, "init", "-q")
    assert commit_of(package) == ("", False)  # in a checkout, but not of it
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "one")
    commit, digest = git(tmp_path, "rev-parse", "HEAD").strip(), source_digest(package)
    (tmp_path / "notes.txt").touch()
    assert (commit_of(package), source_digest(package)) == ((commit, False), digest)
    (package / "more.py").touch()
    assert commit_of(package) == (commit, True)
    assert source_digest(package) != digest


def test_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    session = session_here("cpu", {})
    assert (session.commit, session.dirty, session.digest) == ("", False, source_digest(provenance.OURS))
    assert (session.device, session.versions, session.code) == (device_name("cpu"), versions(), {})


def test_files_versions_and_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()[:16]
    assert torch.__version__.startswith(versions()["torch"])
    assert versions()["python"] == ".".join(map(str, sys.version_info[:3]))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert device_name("cpu").endswith(", 1 thread")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    assert device_name("cpu").endswith(", 16 threads")
    assert device_name("mps").endswith(", mps")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"the GPU {device}")
    assert [device_name(device) for device in ("cuda", "cuda:1")] == ["the GPU cuda", "the GPU cuda:1"]


def test_code_from_elsewhere_is_told_by_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts_elsewhere.py").write_text("class Mine: ...\n")
    (tmp_path / "front_elsewhere.py").write_text("from parts_elsewhere import Mine\n")
    name = "front_elsewhere:Mine"
    external = classes_named([name])
    first = code_digests(external)
    assert first == {name: "+".join(file_digest(tmp_path / f"{at}_elsewhere.py") for at in ("front", "parts"))}
    (tmp_path / "parts_elsewhere.py").write_text("class Mine: ...  # better\n")
    assert code_digests(external) != first
    assert code_digests({}) == {}
