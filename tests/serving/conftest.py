"""A tiny model, an application in this process and a server in one of its own, each started once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from asking import QUIET, Inside
from bad_inputs import encoded, photo
from server_process import Running, running
from tiny_models import write_tiny


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    return encoded(photo(), "JPEG")


@pytest.fixture(scope="session")
def inside(model_file: Path) -> Iterator[Inside]:
    with Inside(QUIET, model_file).started() as found:
        yield found


@pytest.fixture(scope="session")
def server(model_file: Path) -> Iterator[Running]:
    with running(["-m", "fieldmark", "serve", str(model_file), "--port", "0"], extra=EVERYTHING) as found:
        yield found


EVERYTHING = {
    "FIELDMARK_SERVE_RATE": "0", "FIELDMARK_SERVE_WORKERS": "2", "FIELDMARK_SERVE_HEAD_S": "2",
    "FIELDMARK_SERVE_BODY_S": "2", "FIELDMARK_SERVE_NETWORKS": "1",
}  # fmt: skip
