"""Files that are no photos, or damaged or absurd ones: each must be refused."""

import gzip
import io
import json
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
from bad_inputs import EXPECTED, encoded, photo, png, png_chunk, with_size, write_bad_inputs

_KINDS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF")
_SHARES = (0.02, 0.3, 0.6)


def bad_photos(folder: Path) -> dict[str, bytes]:
    """By name: those of ``bad_inputs`` that are files, and more."""
    paths = write_bad_inputs(folder)
    files = {kind: path for kind, path in paths.items() if path.is_file() and not path.is_symlink()}
    zoo = {
        kind: path.read_bytes()
        for kind, path in files.items()
        if EXPECTED[kind] == "refused" and kind != "no permission"
    }
    return zoo | _cut() | _headers() | _other_files()


def _cut() -> dict[str, bytes]:
    """Pictures cut short; a BMP and a PPM have their pixels last, and nothing after them."""
    whole = {kind: encoded(photo(), kind) for kind in _KINDS}
    return {
        f"{kind} cut at {share:.0%}": data[: int(len(data) * share)]
        for kind, data in whole.items()
        for share in _SHARES
    }


def _headers() -> dict[str, bytes]:
    """Headers that promise what cannot be."""
    jpeg, plain = encoded(photo(), "JPEG"), encoded(photo(), "PNG")
    sizes = {f"jpeg of {w} x {h}": with_size(jpeg, w, h) for w, h in ((1, 1), (65_500, 65_500), (64, 0), (65_000, 10))}
    body = zlib.compress(bytes(193 * 64), 9)
    pngs = {
        f"png of depth {depth} and colour {colour}": png(64, 64, depth=depth, colour=colour, body=body)
        for depth, colour in ((3, 2), (8, 5), (16, 3), (1, 2), (0, 0))
    }
    bmp = encoded(photo(), "BMP")
    return sizes | pngs | {
        "png of 2^31 - 1": png(2**31 - 1, 2**31 - 1, body=body),
        "png of no width": png(0, 64, body=body),
        "png without pixels": png(64, 64),
        "png whose pixels are noise": png(64, 64, body=b"\x99" * 500),
        "png without a header": plain[:8] + png_chunk(b"IDAT", body),
        "png of only a signature": plain[:8],
        "jpeg of only a signature": jpeg[:3],
        "jpeg twice its header": jpeg[:20] + jpeg[:20],
        "jpeg of zeros": jpeg[:200] + bytes(5000),
        "gif of only a signature": b"GIF89a",
        "bmp of 2^30": bmp[:18] + struct.pack("<ii", 2**30, 2**30) + bmp[26:],
        "bmp of unknown compression": bmp[:30] + struct.pack("<I", 77) + bmp[34:],
        "webp of another length": b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(40),
        "tiff whose directory is far away": b"II*\0\xff\xff\xff\x7f",
        "tiff whose directory is itself": b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8),
        "ppm of letters": b"P6\nabc def 255\n" + bytes(100),
        "ppm without pixels": b"P6\n64 64 255\n",
    }  # fmt: skip


def _other_files() -> dict[str, bytes]:
    arrays = io.BytesIO()
    np.savez(arrays, a=np.zeros(10))
    return {
        "json": json.dumps({"url": "http://example.org/bird.jpg"}).encode(),
        "an address": b"http://example.org/bird.jpg",
        "a path": b"/etc/passwd",
        "xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "svg with a script": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "html": b"<script>alert(1)</script>" * 40,
        "gzip": gzip.compress(encoded(photo(), "JPEG")),
        "zip bomb": gzip.compress(bytes(10**7)),
        "pickle": pickle.dumps([1, 2, 3]),
        "npz": arrays.getvalue(),
        "elf": b"\x7fELF\x02\x01\x01" + bytes(500),
        "exe": b"MZ\x90\0" + bytes(500),
        "python": b"import os; os.abort()\n",
        "mp3": b"ID3\x03\0\0\0\0\0\0" + bytes(500),
        "ogg": b"OggS" + bytes(500),
        "wav": b"RIFF\x24\0\0\0WAVEfmt " + bytes(100),
        "matroska": b"\x1aE\xdf\xa3" + bytes(500),
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n",
        "xbm": b"#define a_width 64\n#define a_height 64\nstatic char a[] = {0};",
        "psd": b"8BPS\0\x01" + bytes(500),
        "icns": b"icns\0\0\x01\0" + bytes(500),
        "ico": b"\0\0\x01\0\x01\0" + bytes(500),
        "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(500),
        "openexr": b"\x76\x2f\x31\x01" + bytes(500),
        "fits": b"SIMPLE  =                    T" + bytes(500),
        "dds": b"DDS |\0\0\0" + bytes(500),
        "utf-16": "eine Drossel".encode("utf-16"),
        "empty lines": b"\r\n" * 100,
        "a megabyte of ones": b"\xff" * 10**6,
    }
