"""Where commands speak and write: one console, silent in all but the first of several processes."""

import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console


def speaks() -> bool:
    """Whether this is the only process, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def console(*, stderr: bool = False) -> Console:
    """Standard output, or standard error."""
    return Console(stderr=stderr, quiet=not speaks())


def write_json(path: Path, value: dict[str, Any]) -> None:
    """A JSON file, its folder made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
