"""Where a figure comes from: the source's commit and digest, the versions of packages, the machine."""

import hashlib
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from fieldmark.bench.results import Session

OURS = Path(__file__).resolve().parent.parent
PACKAGES = ("fieldmark", "torch", "torchvision", "timm", "numpy", "scikit-learn")


def session_here(device: str, external: Mapping[str, type]) -> Session:
    """Who works runs in this process, and with what; ``external`` are the classes from elsewhere by their names."""
    commit, dirty = commit_of(OURS)
    return Session(
        commit=commit,
        dirty=dirty,
        digest=source_digest(OURS),
        device=device_name(device),
        host=socket.gethostname(),
        versions=versions(),
        code=code_digests(external),
    )


def commit_of(package: Path) -> tuple[str, bool]:
    """The commit of a package's checkout ("" where it is none), and whether files were changed since."""
    commit = _git(package, "rev-parse", "HEAD") if _git(package, "ls-files", "--", "__init__.py") else ""
    return commit, bool(commit) and bool(_git(package, "status", "--porcelain", "--", "."))


def source_digest(package: Path) -> str:
    """16 hex digits over a folder's Python files: equal digests are equal programs, whatever the commits say."""
    total = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        total.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:16]


def file_digest(path: Path) -> str:
    """16 hex digits of a file's SHA-256; "" where there is no such file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def code_digests(external: Mapping[str, type]) -> dict[str, str]:
    """For each class from elsewhere, by the name given: a digest of the files of the modules named and defined in."""
    digests: dict[str, str] = {}
    for name, kind in external.items():
        modules = sorted({name.partition(":")[0], kind.__module__})
        files = (getattr(sys.modules.get(module), "__file__", None) for module in modules)
        digests[name] = "+".join(filter(None, (file_digest(Path(file)) for file in files if file)))
    return digests


def versions() -> dict[str, str]:
    """Python's and the packages' versions; a package that was never installed, only found, has none."""
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = ""
    return installed


def device_name(device: str) -> str:
    """A GPU's name, or the processor's and how many threads compute on it."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    if device == "mps":
        return f"{_processor()}, mps"
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def _git(folder: Path, *words: str) -> str:
    """What git answers; "" where there is no git, or nothing of its."""
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"})
    except OSError:
        return ""
    return "" if done.returncode else done.stdout.strip()
