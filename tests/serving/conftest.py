"""A tiny model, an application in this process and a server in one of its own, each started once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import QUIET, Inside
from bad_inputs import encoded, photo

from fieldmark.confidence.taxonomy import Groups, Level
from server_process import Running, running
from tiny_models import CLASSES, gallery, held_out, manifest, write_model


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With all that an exported model may have."""
    groups = Groups(CLASSES, (Level("kind", ("insect", "insect", "mammal")),))
    told = manifest(groups=groups, held_out=held_out())
    return write_model(tmp_path_factory.mktemp("model") / "tiny.onnx", told, gallery=gallery())


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
