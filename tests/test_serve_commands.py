"""``fieldmark serve``, as a user types it; what it does then is in serving/."""

from pathlib import Path

import pytest

from fieldmark.serving import running
from tiny_models import write_model
from typed import ran, refused


def test_mistakes_get_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    model = write_model(tmp_path / "tiny.onnx")
    assert "no such file" in refused(capsys, "serve", tmp_path / "none.onnx")
    assert "fieldmark export" in refused(capsys, "serve", tmp_path)
    assert "--token-file" in refused(capsys, "serve", model, "--host", "0.0.0.0")
    assert "at most 65535" in refused(capsys, "serve", model, "--port", "70000")
    assert "cannot be read" in refused(capsys, "serve", model, "--token-file", tmp_path / "none")
    assert "cannot be read" in refused(capsys, "serve", model, "--config", tmp_path / "none.toml")
    (tmp_path / "serve.toml").write_text("prot = 1")
    assert "did you mean port" in refused(capsys, "serve", model, "--config", tmp_path / "serve.toml")
    monkeypatch.setenv("FIELDMARK_SERVE_QUEU", "1")
    assert "FIELDMARK_SERVE_QUEUE" in refused(capsys, "serve", model)


def test_a_server_for_others_says_what_it_goes_by(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "token").write_text("0123456789abcdef")
    said = {
        "127.0.0.1": "",
        "0.0.0.0": " for requests to localhost, 127.0.0.1, ::1, any IP address; --allow-host adds names",
    }
    monkeypatch.setattr(running, "serve", lambda *_, ready, **__: ready("http://address"))
    for host, words in said.items():
        assert (
            ran("serve", write_model(tmp_path / "tiny.onnx"), "--host", host, "--token-file", tmp_path / "token") == 0
        )
        assert capsys.readouterr().out == f"serving at http://address{words}\n"
