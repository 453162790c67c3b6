"""Settings from three places, and tokens."""

from dataclasses import fields
from pathlib import Path

import pytest

from fieldmark.errors import UserError
from fieldmark.serving.settings import Settings, settings_of, token_of


def test_the_command_line_comes_before_the_environment_and_that_before_the_file(tmp_path: Path):
    file = tmp_path / "serve.toml"
    file.write_text('port = 1\nqueue = 2\nrate = 3\nallow_host = ["a"]\ntoken_file = "token"\n')
    environment = {"FIELDMARK_SERVE_QUEUE": "20", "FIELDMARK_SERVE_RATE": "30.5", "HOME": "/"}
    found = settings_of({"rate": 300, "host": None, "allow_host": ()}, environment=environment, config=file)
    assert (found.port, found.queue, found.rate) == (1, 20, 300)
    assert (found.allow_host, found.host, found.token_file) == (("a",), "127.0.0.1", tmp_path / "token")


def test_texts_and_lists_in_the_environment():
    environment = {"FIELDMARK_SERVE_HOST": "10.1", "FIELDMARK_SERVE_ALLOW_HOST": "a.example.org, b.example.org",
                   "FIELDMARK_SERVE_TOKEN_FILE": "12"}  # fmt: skip
    found = settings_of({}, environment=environment)
    assert (found.host, found.allow_host, found.token_file) == ("10.1", ("a.example.org", "b.example.org"), Path("12"))


def test_variables_of_a_kubernetes_service_are_no_settings():
    service = {
        "SERVICE_HOST": "10.96.0.7", "SERVICE_PORT": "8000", "SERVICE_PORT_HTTP": "8000",
        "PORT": "tcp://10.96.0.7:8000", "PORT_8000_TCP": "tcp://10.96.0.7:8000", "PORT_8000_TCP_PROTO": "tcp",
        "PORT_8000_TCP_PORT": "8000", "PORT_8000_TCP_ADDR": "10.96.0.7", "PORT_53_UDP": "udp://10.96.0.7:53",
    }  # fmt: skip
    environment = {f"FIELDMARK_SERVE_{name}": value for name, value in service.items()}
    assert settings_of({}, environment=environment) == Settings()
    assert settings_of({}, environment=environment | {"FIELDMARK_SERVE_PORT": "81"}).port == 81


@pytest.mark.parametrize(("name", "value", "words"), [
    ("FIELDMARK_SERVE_PROT", "1", "did you mean FIELDMARK_SERVE_PORT"), ("FIELDMARK_SERVE_PORT", "x", "whole number"),
    ("FIELDMARK_SERVE_PORT", "70000", "at most 65535"), ("FIELDMARK_SERVE_QUEUE", "0", "at least 1"),
    ("FIELDMARK_SERVE_DEADLINE_S", "nan", "a number"), ("FIELDMARK_SERVE_PARTS", "17", "at most 16"),
])  # fmt: skip
def test_wrong_variables_are_named(name: str, value: str, words: str):
    with pytest.raises(UserError, match=words) as caught:
        settings_of({}, environment={name: value})
    assert name in str(caught.value)


@pytest.mark.parametrize(("text", "words"), [
    ("port = ", "no TOML"), ("prot = 1", "did you mean port"), ("port = '1'", "whole number"),
    ("[serve]\nport = 1", "serve"),
])  # fmt: skip
def test_wrong_files_are_named(tmp_path: Path, text: str, words: str):
    file = tmp_path / "serve.toml"
    file.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        settings_of({}, environment={}, config=file)
    assert "serve.toml" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match="cannot be read"):
        settings_of({}, environment={}, config=tmp_path / "none.toml")


@pytest.mark.parametrize(("host", "own"), [
    ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
    ("10.0.0.1", False), ("birds.example.org", False),
])  # fmt: skip
def test_other_machines_need_a_token(tmp_path: Path, host: str, own: bool):
    assert Settings(host=host).is_loopback == own
    if own:
        assert token_of(Settings(host=host)) is None
    else:
        with pytest.raises(UserError, match="--token-file"):
            token_of(Settings(host=host))
    file = tmp_path / "token"
    file.write_text("  0123456789abcdef\n")
    assert token_of(Settings(host=host, token_file=file)) == "0123456789abcdef"


@pytest.mark.parametrize("text", ["", "short", "0123456789 abcdef", "0123456789é" * 3, "0123456789\nabcdefghijk"])
def test_unfit_tokens_are_refused(tmp_path: Path, text: str):
    file = tmp_path / "token"
    file.write_text(text, "utf-8")
    with pytest.raises(UserError, match="token") as caught:
        token_of(Settings(token_file=file))
    assert not text or text.split()[0] not in str(caught.value)


def test_a_missing_token_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match="cannot be read"):
        token_of(Settings(token_file=tmp_path / "none"))


def test_every_setting_is_in_the_docs():
    text = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text("utf-8")
    table = text[text.index("| setting |") : text.index("## Security")]
    assert [each.name for each in fields(Settings) if f"`{each.name}`" not in table] == []
