"""The program of a process that decodes photos: ``python -m fieldmark.serving.decoder SOCKET ASSIGNMENT``.

A photo comes as four bytes of length and the file's bytes. Its answer is a ``HEAD`` (outcome, width and height of the
upright picture, length) and the view, or the text of the reason why there is none. Answers come in the order of photos.
The first answer is unasked: it says that the process is ready, and what of its confinement the system does not allow.
"""

import gc
import json
import os
import signal
import socket
import struct
import sys
from dataclasses import dataclass

from fieldmark.errors import UnreadableImage, UserError
from fieldmark.images.decode import decode_image
from fieldmark.images.guard import up_to
from fieldmark.input.views import evaluation_view
from fieldmark.plain import Count, from_plain
from fieldmark.recipe import Pixels
from fieldmark.serving.confinement import allow_seconds, confine, end_with_parent

LENGTH, HEAD = struct.Struct("<I"), struct.Struct("<BIII")
SEEN, UNREADABLE, READY = 0, 1, 2
"""Outcomes."""
NICE = 5
"""How far decoding and computing stand behind the server's other work."""


@dataclass(frozen=True)
class Assignment:
    """What a process is to make of photos, ``pixels``, with how many ``megabytes`` and ``seconds`` of the processor."""

    pixels: Pixels
    megabytes: Count
    seconds: Count


class _Gone(Exception):
    """The server has closed the connection."""


def view_of(data: bytes, assignment: Assignment) -> tuple[int, int, int, bytes]:
    """The outcome for a file's bytes, the upright picture's width and height, and the view or the reason."""
    try:
        image = decode_image(data, name="the picture", limits=up_to(assignment.pixels.megapixels))
        return SEEN, *image.size, evaluation_view(image, assignment.pixels).tobytes()
    except UnreadableImage as error:
        reason = error.reason
    except MemoryError:
        reason = "it takes too much memory to decode"
    except UserError as error:
        reason = str(error)
    return UNREADABLE, 0, 0, reason.encode("utf-8", "backslashreplace")


def answer_photos(connection: socket.socket, assignment: Assignment) -> None:
    """Answers photos until the other side has closed the connection."""
    while True:
        try:
            (length,) = LENGTH.unpack(_exactly(connection, LENGTH.size))
            data = bytes(_exactly(connection, length))
            allow_seconds(assignment.seconds)
            outcome, width, height, content = view_of(data, assignment)
            connection.sendall(HEAD.pack(outcome, width, height, len(content)) + content)
        except (_Gone, OSError):
            return
        del data, content


def _exactly(connection: socket.socket, length: int) -> bytearray:
    content = bytearray(length)
    left = memoryview(content)
    while left:
        count = connection.recv_into(left)
        if not count:
            raise _Gone
        left = left[count:]
    return content


def main(number: str, text: str) -> None:
    """Answers photos at the socket of this number."""
    end_with_parent()
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assignment = from_plain(json.loads(text), Assignment)
    connection = socket.socket(fileno=int(number))
    missing = confine(megabytes=assignment.megabytes).encode()
    connection.sendall(HEAD.pack(READY, 0, 0, len(missing)) + missing)
    gc.freeze()
    answer_photos(connection, assignment)


if __name__ == "__main__":
    main(*sys.argv[1:])
