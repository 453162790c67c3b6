"""Photos in folders of their classes, as they were predicted: nothing is overwritten, and nothing is lost."""

import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fieldmark.confidence.taxonomy import UNSURE
from fieldmark.data.outputs import refuse_folder
from fieldmark.errors import UserError, printable
from fieldmark.files import placed, refuse_unwritable
from fieldmark.predictions.prediction import Prediction

UNREADABLE = "unreadable"
"""The folder of photos that cannot be read."""
LONGEST = 120
"""Bytes of a folder's name, which file systems limit to 255."""
# What Windows, macOS or a shell take for something else than a letter, and names that Windows keeps for devices.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]|[\ud800-\udfff]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass
class Sorter:
    """Copies or links photos into ``INTO/CLASS``, and counts them.

    Where an answer was asked for, its group or "none of these" is the folder, and "unsure" where there is none.
    ``placed`` counts new files, ``there`` those that an earlier call left, and ``missing`` photos without a file.
    """

    into: Path
    link: bool = False
    placed: int = 0
    there: int = 0
    missing: int = 0

    def __post_init__(self) -> None:
        self._folders: dict[str, Path] = {}
        self._taken = {UNREADABLE, UNSURE}

    def sorted(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """The predictions as they come, the file of each put into its place before.

        Raises:
            UserError: a file cannot be written.
        """
        for prediction in predictions:
            self._place(prediction)
            yield prediction

    def _place(self, prediction: Prediction) -> None:
        source = Path(prediction.file)
        try:
            is_file = stat.S_ISREG(source.stat().st_mode)
        except (OSError, ValueError):  # a name that no file can have
            is_file = False
        if not is_file:
            self.missing += 1
        elif placed(source, self.folder_of(prediction), link=self.link):
            self.placed += 1
        else:
            self.there += 1

    def folder_of(self, prediction: Prediction) -> Path:
        """Where the file of a prediction goes."""
        if prediction.reason:
            return self.into / UNREADABLE
        if prediction.level == UNSURE:
            return self.into / UNSURE
        name = prediction.answer or prediction.classes[0]
        if name not in self._folders:
            self._folders[name] = self.into / self._free(safe(name))
        return self._folders[name]

    def _free(self, name: str) -> str:
        """A name that no other class has, on file systems that do not tell capitals from small letters, too."""
        free, number = name, 1
        while free.casefold() in self._taken:
            number += 1
            free = f"{name} ({number})"
        self._taken.add(free.casefold())
        return free

    @property
    def line(self) -> str:
        """What was done, for the user."""
        done = f"{self.placed:,} photo{'s' * (self.placed != 1)} {'linked' if self.link else 'copied'}"
        there = f", {self.there:,} there already" if self.there else ""
        missing = f", {self.missing:,} left out that are no files" if self.missing else ""
        return f"{done}{there}{missing}: {self.into}"


def safe(name: str) -> str:
    """A class's name as that of one folder: whatever it holds, it leads nowhere else."""
    plain = _FORBIDDEN.sub("_", name).encode()[:LONGEST].decode("utf-8", "ignore").rstrip(". ")
    plain = f"_{plain[1:]}" if plain.startswith((".", " ")) else plain
    return f"{plain}_" if _DEVICES.fullmatch(plain) else plain or "_"


def refuse_sorting(into: Path, *, inputs: Iterable[Path]) -> None:
    """Refuses, before the work, a folder that photos must not be sorted into.

    Raises:
        UserError: a file, a folder among the photos or around them, or one that cannot be written.
    """
    for source in inputs:
        refuse_folder(into, option="--sort", photos=source)
        if source.exists() and source.resolve().is_relative_to(into.resolve()):
            shown = f"--sort {printable(str(into))}"
            raise UserError(f"{shown}: {printable(str(source))} lies in it; choose a folder outside of the photos")
    refuse_unwritable(into / "any", advice="name another folder with --sort")
