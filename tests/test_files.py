"""A file is there wholly or not at all, for whom the umask says, and what cannot be written is said in words."""

import csv
import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from fieldmark.errors import UserError
from fieldmark.files import (
    delete_drafts,
    growing_file,
    is_device,
    partial_files,
    placed,
    refuse_unwritable,
    replace_file,
    standard_output,
    unescaped,
    write_bytes,
    write_csv,
    write_json,
    write_text,
)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_what_is_written_comes_in_the_place_of_what_was_there(tmp_path: Path) -> None:
    for text in ("one", "two"):
        replace_file(tmp_path / "deep" / "file.txt", lambda draft, text=text: draft.write_text(text))
        assert [(path.name, path.read_text()) for path in (tmp_path / "deep").iterdir()] == [("file.txt", text)]


def test_a_stop_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("one")

    def stopped(draft: Path) -> None:
        draft.write_text("tw")
        raise KeyboardInterrupt

    for name in ("file.txt", "other.txt"):
        with pytest.raises(KeyboardInterrupt):
            replace_file(tmp_path / name, stopped)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file.txt", "one")]


def test_what_a_killed_writer_left_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    program = "import os, signal, sys; from pathlib import Path; from fieldmark.files import replace_file"
    kill = "replace_file(Path(sys.argv[1]), lambda draft: os.kill(os.getpid(), signal.SIGKILL))"
    subprocess.run([sys.executable, "-c", f"{program}; {kill}", tmp_path / "model.safetensors"], check=False)
    (draft,) = tmp_path.iterdir()
    assert draft.suffix == ".safetensors"
    kept = [".0123456789ab.jpg.txt", ".git", ".0123456789abc.png", "0123456789ab.png", ".DS_Store"]
    for name in kept:
        (tmp_path / name).touch()
    kill = "replace_files(Path(sys.argv[1]), {'a': lambda draft: os.kill(os.getpid(), signal.SIGKILL)})"
    program = program.replace("replace_file", "replace_files")
    subprocess.run([sys.executable, "-c", f"{program}; {kill}", tmp_path], check=False)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1
    delete_drafts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
    delete_drafts(tmp_path / "nowhere")


def test_text_json_and_tables(tmp_path: Path) -> None:
    write_bytes(tmp_path / "bytes", b"\xff\x00")
    assert (tmp_path / "bytes").read_bytes() == b"\xff\x00"
    write_text(tmp_path / "text", "Kükalai \udcff")
    assert (tmp_path / "text").read_bytes() == "Kükalai \\udcff".encode()
    value = {"name": "Kükalai \udcff", "share": 0.5, "list": [1]}
    write_json(tmp_path / "json", value)
    assert json.loads((tmp_path / "json").read_bytes()) == value
    assert "Kükalai" in (tmp_path / "json").read_text("utf-8")
    write_csv(tmp_path / "table", [["a", "b"], ['say "x"', 1]])
    with (tmp_path / "table").open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ['say "x"', "1"]]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_the_umask_says_who_may_read(mask: int, tmp_path: Path) -> None:
    def private(draft: Path) -> None:  # as libraries do that write a temporary file of their own
        other = draft.with_name("other")
        other.touch(0o600)
        other.write_text("text")
        other.replace(draft)

    with umask(mask):
        replace_file(tmp_path / "library", private)
        write_text(tmp_path / "text", "text")
        with growing_file(tmp_path / "rows") as file:
            file.write("text")
    for path in tmp_path.iterdir():
        assert path.read_text() == "text"
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("free", [0, 1 << 40])
def test_a_failed_write_is_said_and_leaves_what_was_there(
    free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    path = tmp_path / "file.txt"
    path.write_text("one")

    def failing(draft: Path) -> None:
        draft.write_text("tw")
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(UserError) as error:
        replace_file(path, failing, advice="make room there")
    reason = "Input/output error" if free else "the disk is full"
    assert str(error.value) == f"{path} cannot be written: {reason}\nmake room there"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file.txt", "one")]


def test_a_folder_or_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="cannot be written") as error:
            write_text(path, "text")
        assert len(str(error.value).splitlines()) == 1
        with pytest.raises(UserError, match="cannot be written"), growing_file(path):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("grows", [False, True])
def test_what_cannot_be_written_is_refused_before_the_work(grows: bool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one")
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "target")
    for path in (tmp_path / "file", tmp_path / "new" / "deep" / "file", tmp_path / "link"):
        refuse_unwritable(path, grows=grows, advice="name another")
    with pytest.raises(UserError) as error:
        refuse_unwritable(tmp_path / "file" / "below", grows=grows, advice="name another")
    assert str(error.value) == f"{tmp_path / 'file' / 'below'} cannot be written: Not a directory; name another"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]
    assert (tmp_path / "file").read_text() == "one"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(UserError, match="cannot be written: Permission denied"):
            write_text(tmp_path / "file", "text")
    finally:
        tmp_path.chmod(0o755)


def test_links_stay_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one")
    (tmp_path / "soft").symlink_to("file")
    os.link(tmp_path / "file", tmp_path / "hard")
    write_text(tmp_path / "soft", "two")
    assert (tmp_path / "soft").is_symlink()
    assert (tmp_path / "file").read_text() == "two"
    assert (tmp_path / "hard").read_text() == "one"  # which is another file now


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    assert is_device(pipe)

    def grow() -> None:
        with growing_file(pipe) as file:
            file.write("rows")

    for write in (lambda: write_text(pipe, "text"), grow):
        reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
        reader.start()
        write()
        reader.join()
    assert read == ["text", "rows"]
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
    assert is_device(pipe)
    assert not is_device(tmp_path)
    assert not is_device(tmp_path / "none")


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no /dev/stdout here")
def test_standard_output_may_be_named() -> None:
    program = (
        "from pathlib import Path\nfrom fieldmark.files import growing_file, write_text\n"
        "write_text(Path('/dev/stdout'), 'text ')\n"
        "with growing_file(Path('/dev/stdout')) as file:\n    file.write('rows')"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "text rows"


def test_standard_output_takes_what_a_file_would_hold(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with growing_file(tmp_path / "rows.csv") as grown, standard_output() as shown:
        print("before", end=" ")
        for file in (grown, shown):
            file.write("鷺, caf\udce9\r\n")
    print("after", end="")
    assert capfdbinary.readouterr().out.strip() == b"before " + (tmp_path / "rows.csv").read_bytes() + b"after"


def test_escaped_names_are_read_back() -> None:
    for name in ("caf\udce9.jpg", "鷺\udc80\udcff", "a\\b\\u00e9\\ud800", ""):
        assert unescaped(name.encode("utf-8", "backslashreplace").decode("utf-8")) == name


def test_a_growing_file_takes_its_name_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("before")
    with growing_file(path) as file:
        file.write("one\ntwo\n")
        assert path.read_text() == "before"
        (partial,) = tmp_path.glob("rows.csv.*.partial")
        assert partial.read_text() == "one\ntwo\n"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("rows.csv", "one\ntwo\n")]


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError])
def test_what_a_stop_leaves_of_a_growing_file_is_kept(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("before")
    with pytest.raises(error) as raised, growing_file(path) as file:
        file.write("one\n")
        raise error
    (partial,) = tmp_path.glob("rows.csv.*.partial")
    assert (path.read_text(), partial.read_text()) == ("before", "one\n")
    assert raised.value.__notes__ == [f"what was written so far is kept in {partial}"]


def test_what_was_left_of_a_file_that_grew(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    for name in ("p.csv.0a1b2c.partial", "p.csv.0a1b2.partial", "q.csv.0a1b2c.partial", "p.csv.0a1b2c.partial.x"):
        (tmp_path / name).touch()
    with pytest.raises(KeyboardInterrupt), growing_file(path):
        raise KeyboardInterrupt
    found = partial_files(path)
    assert len(found) == 2
    assert tmp_path / "p.csv.0a1b2c.partial" in found
    (tmp_path / "link.csv").symlink_to(path)
    assert partial_files(tmp_path / "link.csv") == partial_files(path)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_is_put_where_there_are_no_hard_links(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.link", link)
    source, folder = tmp_path / "a.jpg", tmp_path / "new"
    source.write_text("a")
    assert [placed(source, folder) for _ in range(2)] == [True, False]
    source.write_text("b")
    assert placed(source, folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a.jpg": "a", "a-2.jpg": "b"}
