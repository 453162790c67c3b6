"""The sheet as a file: its policy, hostile names, pictures once, and what it says where nothing can be known."""

import base64
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from made_up import audited, clouds

from fieldmark.label_audit.sheet import is_sheet, rendered
from fieldmark.label_audit.small_pictures import Pictures, wanted_rows
from fieldmark.reports.pictures import jpeg
from made_up_pages import HOSTILE
from page_elements import Elements

pytest.importorskip("cleanlab", reason="needs the extra [audit]")


def page(names: tuple[str, ...], **pictures: object) -> tuple[str, Elements]:
    found = audited(clouds(apart=0.6), names=names, splits=("train", "test"))
    noise = jpeg(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8), 70)
    text = rendered(found, Pictures(dict.fromkeys(wanted_rows(found), noise), 24, str(pictures.get("remark", ""))))
    parsed = Elements(text)
    assert not parsed.open
    return text, parsed


def test_names_are_text_and_nothing_runs() -> None:
    text, parsed = page((*HOSTILE, "plain"), remark=HOSTILE[0])
    assert not [tag for tag, _ in parsed.found if tag in ("script", "img", "iframe", "object", "form")]
    assert not [
        name for _, attributes in parsed.found for name in attributes if name.startswith("on") or name == "style"
    ]
    assert HOSTILE[0] in parsed.text
    assert "{{ 7 * 7 }}" in parsed.text
    (policy,) = (a["content"] for t, a in parsed.found if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    outside = [value for _, a in parsed.found for key, value in a.items() if key in ("src", "href") and value]
    assert not [value for value in outside if not value.startswith(("#", "data:"))]


def test_each_picture_once_and_all_that_is_used_is_there(tmp_path: Path) -> None:
    text, parsed = page(tuple("abcdef"))
    symbols = [attributes["id"] for tag, attributes in parsed.found if tag == "symbol"]
    used = {attributes["href"] for tag, attributes in parsed.found if tag == "use"}
    assert len(symbols) == len(set(symbols))
    assert used
    assert used <= {f"#{name}" for name in symbols}
    (tmp_path / "page.html").write_text(text)
    assert is_sheet(tmp_path / "page.html")
    (tmp_path / "page.html").write_text("<html>")
    assert not is_sheet(tmp_path / "page.html")


def test_where_nothing_is_found() -> None:
    text = rendered(audited(clouds(wrong=0.0, apart=9.0)), Pictures({}, 64, ""))
    assert "Hardly a mistake is made" in text
    assert 'id="suspects"' in text
