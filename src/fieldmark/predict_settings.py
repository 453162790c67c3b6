"""What ``fieldmark predict`` may be told; imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fieldmark.errors import UserError, printable
from fieldmark.files import STANDARD_OUTPUT
from fieldmark.recipe import External


@dataclass(frozen=True)
class Output:
    """Where predictions go.

    Args:
        out: the file to write, .csv or .json, or - for a CSV on standard output; an earlier one is replaced.
        resume: keep the rows that an earlier call left in the CSV, whole or partial, and add the rest; photos that
            could not be read are tried again.
        sort: also copy each photo into a folder of its class in this folder; nothing is ever overwritten.
        link: with --sort, make symbolic links instead of copies.
    """

    out: Annotated[Path, Parameter(name=["--out", "-o"], allow_leading_hyphen=True)] = Path("predictions.csv")
    resume: bool = False
    sort: Path | None = None
    link: bool = False

    def refuse_contradictions(self) -> None:
        """Raises ``UserError`` for options that do not go together."""
        if self.link and self.sort is None:
            raise UserError("--link says how --sort fills its folders; name one with --sort")
        if self.resume and (self.out in STANDARD_OUTPUT or self.out.suffix.lower() != ".csv"):
            raise UserError(f"--resume goes on with a table; name a .csv file, not -o {printable(str(self.out))}")


@dataclass(frozen=True)
class Asked:
    """What predictions are asked for.

    Args:
        top: the number of classes to report per photo.
        certainty: also give an answer that is right with this probability, such as 0.9: a class, or else a group of
            classes, or none (columns answer, level, answer_probability).
        coverage: also give a set of classes (column set) that holds the right one for this share of photos, such as
            0.9; an empty set says that no class is likely enough.
        groups: a CSV of groups of classes (class, and a column for each level, the finest first), for --certainty; by
            default those that the run was trained with.
        refuse: answer "none of these" where a photo looks too unlike those of the classes, so that this share of photos
            of the classes, such as 5%, is refused wrongly (columns answer, nearest, distance: the nearest training
            photo's class, and how far off it is by its cosine); fieldmark calibrate RUN, if training had few photos.
    """

    top: int = 5
    certainty: float | None = None
    coverage: float | None = None
    groups: Path | None = None
    refuse: str | None = None


@dataclass(frozen=True)
class Machine:
    """What computes predictions.

    Args:
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or for a run mps (Apple's).
        workers: the number of processes that read photos; by default as many as suit the machine and the number of
            photos.
        external: a class of your own (package.module:Class) that the run's recipe names; repeat for several.
    """

    device: str = "auto"
    workers: int | None = None
    external: Annotated[External, Parameter(name="--external")] = ()
