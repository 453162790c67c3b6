"""What ``fieldmark check`` may be told about labels; imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path

from fieldmark.data.corrections import suspects_folder
from fieldmark.errors import UserError, printable
from fieldmark.recipe import External


@dataclass(frozen=True)
class LabelSettings:
    """Whether and how labels are looked at, or decisions on them applied.

    Args:
        labels: also look for wrong labels, by a network's features; suspects.csv and suspects.html go to --out.
        run: use this run's features instead of a pretrained backbone's (a run trained on any of these photos gives way
            to the weights that it started from); implies --labels.
        backbone: the network whose pretrained features are used; by default the one that train would choose.
        weights: hub, lite0, none, a .safetensors file, or a run.
        size: height and width of the network's input, in pixels.
        label_splits: the splits to look through, joined by "+".
        out: folder for suspects.csv and suspects.html; by default labels-NAME, after the data's name.
        device: auto, cpu, cuda, cuda:N (the GPU of that number), or mps (Apple's).
        external: a class of your own (package.module:Class) that the run's recipe names; repeat for several.
        corrections: the list of corrected labels that is read, or written by --apply, if it does not lie with the
            photos.
        apply: a suspects.csv with your decisions filled in; they become the list of corrected labels that training
            reads with the photos. Nothing else is done.
        test: with --apply, also correct official test photos, whose labels are otherwise left alone.
    """

    labels: bool = False
    run: Path | None = None
    backbone: str | None = None
    weights: str | None = None
    size: int = 224
    label_splits: str = "all"
    out: Path | None = None
    device: str = "auto"
    external: External = ()
    corrections: Path | None = None
    apply: Path | None = None
    test: bool = False

    @property
    def is_audit(self) -> bool:
        """Whether labels are to be looked at."""
        return self.labels or self.run is not None

    def folder(self, data: Path) -> Path:
        """Where the results go."""
        return self.out or suspects_folder(data)

    def refuse_contradictions(self) -> None:
        """Raises ``UserError`` for options that do not go together."""
        if self.apply and self.is_audit:
            raise UserError("--apply writes the list of corrected labels and does nothing else; leave out the others")
        if self.test and not self.apply:
            raise UserError("--test says which decisions --apply applies; name their file with --apply")
        if self.run and (self.backbone or self.weights):
            raise UserError("--run has a backbone and weights of its own; leave out --backbone and --weights")
        named = (("--backbone", self.backbone), ("--weights", self.weights), ("--out", self.out))
        for option, value in named if not self.is_audit else ():
            if value is not None:
                raise UserError(f"{option} {printable(str(value))}: it is for --labels; add that")
        if self.size < 1:
            raise UserError(f"--size {self.size}: it must be at least 1")
