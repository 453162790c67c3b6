"""The only writer of files: each is written completely or not at all, with the mode that the umask gives.

Logs that only grow are appended to elsewhere.
"""

import csv
import filecmp
import io
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, TextIO

from fieldmark.errors import UserError, printable

STANDARD_OUTPUT = (Path("-"), Path("/dev/stdout"))
"""What stands for standard output where a file may be named."""
FULL = 1 << 20
"""If a write failed and fewer bytes are free, the disk counts as full."""


_DRAFT = 12  # letters of a draft's name
_DRAFTS = ".drafts-"


def delete_drafts(folder: Path) -> None:
    """Deletes what writers that were killed have left in a folder, which this process has to itself."""
    with suppress(OSError):
        for path in folder.iterdir():
            if re.fullmatch(rf"\.[0-9a-f]{{{_DRAFT}}}(\.\w+)?", path.name) and path.is_file():
                path.unlink(missing_ok=True)
            elif path.name.startswith(_DRAFTS) and path.is_dir():
                shutil.rmtree(path)


def replace_file(path: Path, write: Callable[[Path], object], *, advice: str = "") -> None:
    """Lets ``write`` fill a file with a temporary name, then moves it to ``path``: no reader sees half a file.

    Missing folders are created. A symbolic link stays: the file that it points to is replaced. For a device or a pipe,
    such as /dev/stdout, the content is copied.

    Args:
        path: the file.
        write: fills an empty file, whose name has the suffix of ``path``.
        advice: second line of the error if the file cannot be written.

    Raises:
        UserError: it cannot be written; what was there before is intact.
    """
    device = is_device(path)
    path = path if device else Path(os.path.realpath(path))
    folder = Path(tempfile.gettempdir()) if device else path.parent
    draft = folder / f".{secrets.token_hex(_DRAFT // 2)}{path.suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft.touch(exist_ok=False)
        mode = draft.stat().st_mode  # by the umask, which libraries with temporary files of their own ignore
        write(draft)
        draft.chmod(mode)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        if device:
            path.write_bytes(draft.read_bytes())
        else:
            draft.replace(path)
    except OSError as error:
        raise _cannot_be_written(path, error, advice) from error
    finally:
        with suppress(OSError):  # without the folder there is no draft either
            draft.unlink(missing_ok=True)


def replace_files(folder: Path, contents: Mapping[str, Callable[[Path], object]]) -> None:
    """``replace_file`` for files that belong together: every one is written before the first gets its name.

    Args:
        folder: where they go.
        contents: by name, what fills the file.

    Raises:
        UserError: one cannot be written; what was there before is intact.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            drafts = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_DRAFTS, dir=folder)))
            for name, write in contents.items():
                (drafts / name).touch()
                write(drafts / name)
            for name in contents:
                (drafts / name).replace(os.path.realpath(folder / name))
        except OSError as error:
            raise _cannot_be_written(folder, error) from error


def refuse_unwritable(path: Path, *, grows: bool = False, advice: str) -> None:
    """Refuses, before the work, a file that cannot be written; nothing is left behind.

    Args:
        path: the file that is to be written; missing folders are created then.
        grows: it is a log that grows, so that one that exists need only take more; others are replaced by new files.
        advice: what the user can do.

    Raises:
        UserError: no file can be made in its folder, or the log takes no more.
    """
    folder = Path(os.path.realpath(path)).parent
    while not os.path.lexists(folder):
        folder = folder.parent
    try:
        if grows and path.exists():
            path.open("ab").close()
        else:
            tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"{_cannot_be_written(path, error)}; {advice}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """``replace_file`` for bytes."""
    replace_file(path, lambda draft: draft.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """``replace_file`` for text, as UTF-8; what UTF-8 cannot represent (odd bytes in file names) is escaped."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: object) -> None:
    """``replace_file`` for plain data, as JSON; odd bytes in names are escaped and can be read back."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, rows: Iterable[Iterable[Any]]) -> None:
    """``replace_file`` for a table; the first row is its header."""
    table = io.StringIO()
    csv.writer(table).writerows(rows)
    write_text(path, table.getvalue())


@contextmanager
def growing_file(path: Path) -> Iterator[TextIO]:
    """A text file for rows that come slowly; it gets the name ``path`` when the block ends without an error.

    Until then, and after an error or Ctrl-C, it is ``NAME.XXXXXX.partial`` in the same folder, with every line so far;
    a note on the exception says so. An earlier file at ``path`` stays until it is replaced.

    Raises:
        UserError: the file cannot be created.
    """
    device = is_device(path)
    path = path if device else Path(os.path.realpath(path))
    draft = path if device else path.with_name(f"{path.name}.{secrets.token_hex(3)}.partial")
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "Is a directory")
        path.parent.mkdir(parents=True, exist_ok=True)
        file = draft.open("w", buffering=1, newline="", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise _cannot_be_written(path, error) from error
    try:
        with file:
            yield file
            file.flush()
            if not device:
                os.fsync(file.fileno())
        if not device:
            draft.replace(path)
    except BaseException as error:
        error.add_note(f"what was written so far is kept in {printable(str(draft))}")
        raise


def partial_files(path: Path) -> list[Path]:
    """What ``growing_file`` left for a file in blocks that did not end well."""
    path = Path(os.path.realpath(path))
    pattern = re.compile(rf"{re.escape(path.name)}\.[0-9a-f]{{6}}\.partial")
    return sorted(file for file in path.parent.glob("*.partial") if pattern.fullmatch(file.name))


def placed(source: Path, folder: Path, *, link: bool = False) -> bool:
    """Puts a copy of a file, or a symbolic link to it, into a folder under its own name; no file is overwritten.

    Another file of that name stays, and the new one is called NAME-2, NAME-3 and so on. Missing folders are created.

    Args:
        source: the file.
        folder: where it goes.
        link: make a link.

    Returns:
        Whether it is new: False where the same content, or a link to the file, is there already.

    Raises:
        UserError: it cannot be read or written; no part of it is left.
    """
    draft = folder / f".{secrets.token_hex(6)}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            target = folder / (source.name if number == 1 else f"{source.stem}-{number}{source.suffix}")
            if not os.path.lexists(target):
                if link:
                    target.symlink_to(source.resolve())
                    return True
                if not draft.exists():
                    shutil.copy2(source, draft)
                if _named(draft, target):
                    return True
            if target.exists() and (target.samefile(source) if link else filecmp.cmp(source, target, shallow=False)):
                return False
    except OSError as error:
        raise _cannot_be_written(folder / source.name, error) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    raise AssertionError("numbers do not end")


def _named(draft: Path, target: Path) -> bool:
    """Gives a file a name that is free; False if another process was faster."""
    try:
        os.link(draft, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            return False
        draft.rename(target)
    return True


@contextmanager
def standard_output() -> Iterator[TextIO]:
    """Standard output for a table or data: the bytes that ``growing_file`` would write, whatever the locale."""
    sys.stdout.flush()
    file = io.TextIOWrapper(sys.stdout.buffer, "utf-8", "backslashreplace", newline="", line_buffering=True)
    try:
        yield file
    finally:
        file.detach()  # which writes what is left; closed would be standard output itself


def unescaped(text: str) -> str:
    """The name of a file as the system has it, from a table: bytes that are not UTF-8 are escaped there."""
    return re.sub(r"\\u(dc[89a-f][0-9a-f])", lambda escape: chr(int(escape[1], 16)), text)


def is_device(path: Path) -> bool:
    """Whether the path is something other than a file or a folder, such as /dev/stdout or a named pipe."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _cannot_be_written(path: Path, error: OSError, advice: str = "") -> UserError:
    """Called before the draft is deleted, as libraries seldom say that the disk is full."""
    is_full = path.parent.is_dir() and shutil.disk_usage(path.parent).free < FULL
    reason = "the disk is full" if is_full else error.strerror or (str(error).splitlines() or [type(error).__name__])[0]
    return UserError("\n".join(filter(None, (f"{printable(str(path))} cannot be written: {reason[:160]}", advice))))
