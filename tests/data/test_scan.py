"""The first pass: damage is a finding, crashes and hangs are survived, a second run opens nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from late_clock import jumping
from PIL import Image

from fieldmark.data import scan as scan_module
from fieldmark.data.dataset import Photo
from fieldmark.data.scan import Scan, recognised, scan_photos
from fieldmark.errors import UserError
from fieldmark.images.decode import DEFAULT, Limits


def noise(path: Path, seed: int, size: tuple[int, int] = (60, 40)) -> Photo:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size).save(path)
    return Photo(path.name, path, label=0)


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    found = [noise(tmp_path / f"{index}.jpg", index) for index in range(5)]
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "1.jpg").read_bytes()[:400])
    (tmp_path / "text.jpg").write_text("no image")
    others = [Photo(name, tmp_path / name, label=0) for name in ("cut.jpg", "text.jpg", "gone.jpg")]
    return [*found[:2], *others, *found[2:]]


# In a worker, the decoder that crashes, hangs or fails by the name of the file.
BROKEN = """
import os, time
from fieldmark.data import scan
inner = scan.inspect_image
def inspect(path, *, name, limits):
    if "crash" in name: os._exit(7)
    if "bug" in name: raise RuntimeError("a bug of the decoder")
    if "hang" in name: open(str(path) + ".seen", "w").close(); time.sleep(1000)
    if "once" in name and not os.path.exists(str(path) + ".seen"):
        open(str(path) + ".seen", "w").close(); os._exit(9)
    print("noise on standard output")
    return inner(path, name=name, limits=limits)
scan.inspect_image = inspect
scan.serve()
"""


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_facts_come_in_order_and_damage_is_a_finding(photos: list[Photo], workers: int) -> None:
    calls: list[tuple[int, int]] = []
    result = scan_photos(photos, workers=workers, progress=lambda *told: calls.append(told))
    assert [found.name for found in result.facts] == [photo.name for photo in photos]
    assert {found.name for found in result.damaged} == {"cut.jpg", "text.jpg", "gone.jpg"}
    sound = result.by_name()["3.jpg"]
    assert (sound.width, sound.height, sound.format, sound.mode, len(sound.sha), len(sound.look)) == (
        (60, 40, "JPEG", "RGB", 64, 64)
    )
    assert sound.bytes == photos[6].path.stat().st_size
    assert calls == [(1, 8)] * 8


def test_workers_and_this_process_find_the_same(photos: list[Photo]) -> None:
    assert scan_photos(photos, workers=0) == scan_photos(photos, workers=1) == scan_photos(photos)


def test_crash_and_bug_end_one_photo_and_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "WORKER_PROGRAM", f"exec({BROKEN!r})")
    names = ["a.png", "crash.png", "once.png", "b.png", "bug.png", "c.png"]
    photos = [noise(tmp_path / name, index) for index, name in enumerate(names)]
    result = scan_photos(photos, workers=1)
    damage = {found.name: found.damage for found in result.damaged}
    assert set(damage) == {"crash.png", "bug.png"}
    assert "exit code 7" in damage["crash.png"]
    assert "a bug of the decoder" in damage["bug.png"]


def test_hang_ends_after_the_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "WORKER_PROGRAM", f"exec({BROKEN!r})")
    monkeypatch.setattr("fieldmark.data.workers.time", jumping(tmp_path / "hang.png.seen"))
    photos = [noise(tmp_path / name, index) for index, name in enumerate(["a.png", "hang.png", "b.png"])]
    result = scan_photos(photos, workers=1)
    assert [found.damage for found in result.facts] == ["", "takes too long to decode", ""]


def test_an_exception_in_progress_ends_the_workers(photos: list[Photo]) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_photos(photos, workers=2, progress=stop)


def test_a_script_needs_no_main_guard(photos: list[Photo], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom fieldmark.data.dataset import Photo\n"
        "from fieldmark.data.scan import scan_photos\n"
        "print(scan_photos([Photo('0', Path(sys.argv[1]))], workers=1).facts[0].width)\n"
    )
    command = [sys.executable, str(script), str(photos[0].path)]
    source = os.pathsep.join([str(Path(scan_module.__file__).parents[2]), *filter(None, sys.path)])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": source}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "60"


def test_a_second_run_opens_only_what_changed(
    photos: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = scan_photos(photos, workers=0)
    first.save(tmp_path / "scan.json")
    opened: list[str] = []
    inner = scan_module.inspect_image

    def watched(path: Path, *, name: str, limits: Limits = DEFAULT) -> object:
        opened.append(name)
        return inner(path, name=name, limits=limits)

    monkeypatch.setattr(scan_module, "inspect_image", watched)
    assert scan_photos(photos, workers=0, known=Scan.load(tmp_path / "scan.json")) == first
    assert opened == ["gone.jpg"]  # which has no file that could be unchanged
    assert scan_photos(photos, workers=0, known=first.sound) == first
    assert opened[1:] == ["cut.jpg", "text.jpg", "gone.jpg"]  # what was damaged is tried again
    noise(photos[0].path, 99, (90, 90))
    again = scan_photos(photos, workers=0, known=first)
    assert opened[4:] == ["0.jpg", "gone.jpg"]
    assert again.facts[0].width == 90
    scan_photos(photos[:1], workers=0, known=again, limits=Limits(side=9))
    assert opened[6:] == ["0.jpg"]  # other limits


def test_unchanged_files_are_recognised_without_being_opened(
    photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = scan_photos(photos, workers=0)
    monkeypatch.setattr(scan_module, "inspect_image", None)
    noise(photos[0].path, 99, (90, 90))
    new = Photo("new.jpg", photos[0].path)
    facts = recognised([*photos, new], known).by_name()
    assert facts == {name: one for name, one in known.by_name().items() if name not in ("0.jpg", "gone.jpg")}


def test_where_no_scan_is_kept_nothing_is_known(tmp_path: Path) -> None:
    assert Scan.load(tmp_path / "nothing.json") == Scan(())


def test_names_of_any_kind_survive_the_pipe_and_the_file(tmp_path: Path) -> None:
    names = ["line\nbreak.png", "vögel 鳥.png", "undecodable \udcff.png", '"quoted", too.png']
    photos = [noise(tmp_path / name, index) for index, name in enumerate(names)]
    result = scan_photos(photos, workers=1)
    assert [found.name for found in result.facts] == names
    assert result.damaged == ()
    result.save(tmp_path / "scan.json")
    assert Scan.load(tmp_path / "scan.json") == result


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 99, "limits": "", "photos": []}', '"a'])
def test_a_file_that_is_no_scan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "scan.json").write_text(text)
    with pytest.raises(UserError, match="Delete it"):
        Scan.load(tmp_path / "scan.json")


def test_packed_pixels_need_no_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    pixels[2] = pixels[0]
    photos = [Photo(str(row), tmp_path / "packed", label=0, row=row) for row in range(3)]
    result = scan_photos(photos, pixels=pixels)
    assert [found.format for found in result.facts] == ["packed"] * 3
    assert result.facts[0].sha == result.facts[2].sha != result.facts[1].sha
    assert result.facts[0].look == result.facts[2].look != ""


def test_a_banner_does_not_make_photos_alike(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    pixels[48:] = 0
    Image.fromarray(pixels).save(tmp_path / "b.png")
    trimmed = [Photo(name, tmp_path / name, trim_bottom=16) for name in ("a.png", "b.png")]
    a, b = scan_photos(trimmed, workers=0).facts
    assert a.look == b.look
    assert a.sha != b.sha
