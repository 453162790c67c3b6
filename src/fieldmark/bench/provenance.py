"""Where a figure comes from: the source's commit and digest, the versions of packages, the machine."""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

OURS = Path(__file__).resolve().parent.parent
PACKAGES = ("fieldmark", "torch", "torchvision", "timm", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Source:
    """The program: its git ``commit`` ("" where it is no checkout), whether files were changed since, and a digest.

    ``digest`` (16 hex digits) is of the package's own Python files: equal digests are equal programs, whatever the
    commits say.
    """

    commit: str
    dirty: bool
    digest: str

    def to_json(self) -> dict[str, str | bool]:
        """Plain data."""
        return asdict(self)


def source(package: Path = OURS) -> Source:
    """The program that is running: the package in a folder, Fieldmark's own."""
    commit = _git(package, "rev-parse", "HEAD") if _git(package, "ls-files", "--", "__init__.py") else ""
    dirty = bool(commit) and bool(_git(package, "status", "--porcelain", "--", "."))
    return Source(commit, dirty, source_digest(package))


def source_digest(package: Path) -> str:
    """16 hex digits over the names and contents of the Python files of a folder."""
    total = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        total.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:16]


def file_digest(path: Path) -> str:
    """16 hex digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def code_digests(external: Mapping[str, type]) -> dict[str, str]:
    """For each class from elsewhere, by the name given: a digest of the files of the modules named and defined in."""
    digests: dict[str, str] = {}
    for name, kind in external.items():
        modules = sorted({name.partition(":")[0], kind.__module__})
        files = [Path(file) for module in modules if (file := getattr(sys.modules.get(module), "__file__", None))]
        digests[name] = "+".join(file_digest(file) for file in files if file.is_file())
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
