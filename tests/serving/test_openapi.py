"""The OpenAPI document, held against a server by schemathesis.

python -m pytest -m slow tests/serving/test_openapi.py      (many more requests)
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from asking import QUIET, Inside, raw, request

from server_process import Running
from tiny_models import CLASSES, manifest, write_model

# A photo that the document allows may still be unreadable, which no schema can say.
UNSAYABLE = "positive_data_acceptance"
ALL = "examples,coverage,fuzzing"


def held_against(server: Running, *, examples: int, phases: str, folder: Path) -> str:
    """What schemathesis says of a server, from a folder that it may write its reports to."""
    found = shutil.which("schemathesis", path=Path(sys.executable).parent)
    if found is None:
        pytest.skip("needs the extra [dev]")
    command = [found, "run", f"{server.url}/openapi.json", "--max-examples", str(examples), "--phases", phases]
    command += [
        "--checks",
        "all",
        "--exclude-checks",
        UNSAYABLE,
        "--max-response-time",
        "10",
        "--seed",
        "1",
        "--no-color",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500, cwd=folder)
    return "" if done.returncode == 0 else done.stdout[-6000:] + done.stderr[-2000:]


def test_a_server_keeps_to_its_document(server: Running, tmp_path: Path):
    assert held_against(server, examples=3, phases="fuzzing", folder=tmp_path) == ""


@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_a_server_keeps_to_its_document_long(server: Running, tmp_path: Path):
    assert held_against(server, examples=400, phases=ALL, folder=tmp_path) == ""


def test_the_document_has_what_the_model_offers(inside: Inside, tmp_path: Path):
    told = inside.ask("GET", "/openapi.json").told
    words = {each["name"] for each in told["paths"]["/v1/predict"]["post"]["parameters"]}
    assert words == {"top", "certainty", "coverage", "refuse", "maps", "rival", "neighbours"}
    classes = told["components"]["schemas"]["Classes"]["properties"]["classes"]
    assert classes["minItems"] == len(CLASSES)
    assert "securitySchemes" not in told["components"]
    bare = write_model(tmp_path / "bare.onnx", manifest(outputs=("logits", "probabilities", "embedding")))
    with Inside(QUIET, bare, "0123456789abcdef").started() as other:
        told = other.ask("GET", "/openapi.json").told
    call = told["paths"]["/v1/predict"]["post"]
    assert {each["name"] for each in call["parameters"]} == {"top", "certainty"}
    assert "401" in call["responses"]
    assert call["security"] == [{"token": []}]


def test_every_path_of_the_document_is_there(server: Running):
    paths = raw(server.url, request("GET", "/openapi.json")).told["paths"]
    assert set(paths) == {
        "/v1/predict", "/v1/compare", "/v1/classes", "/healthz", "/readyz", "/metrics", "/openapi.json",
    }  # fmt: skip
    for path, calls in paths.items():
        for method in calls:
            assert raw(server.url, request(method.upper(), path)).status not in (404, 405)
