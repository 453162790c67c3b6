"""What is wrapped, optimised and saved: a method and the terms added to its loss."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fieldmark.core.contract import Encoded, Gather, Method, Term, TrainOutput
from fieldmark.core.draws import Draws
from fieldmark.ops.precision import raised


def in_one_process(encoded: Encoded, labels: Tensor, draws: Draws) -> tuple[Encoded, Tensor, Draws]:
    """The ``Gather`` of a single process, which has all rows."""
    return encoded, labels, draws


class Learner(nn.Module):
    """A method and its terms; ``method`` is what gets exported.

    Args:
        method: how the classifier is trained and predicts.
        terms: what other papers add to the loss; each is checked against the classifier when the learner is built.
    """

    def __init__(self, method: Method, terms: Sequence[Term] = ()) -> None:
        super().__init__()
        self.method = method
        self.terms = nn.ModuleList(terms)
        for term in terms:
            term.check(method.classifier)
        names = {name for term in terms for name in term.reads}
        method.classifier.keeps_refined = method.reads_refined or "refined" in names
        method.classifier.keeps_interaction = "interaction" in names

    @property
    def batch_wide(self) -> bool:
        """Whether the method or a term relates the images of a batch to each other."""
        return self.method.batch_wide or any(term.batch_wide for term in self._terms())

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The method's groups and, if terms have parameters, "terms"."""
        groups = dict(self.method.parameter_groups())
        of_terms = list(self.terms.parameters())
        return groups | ({"terms": of_terms} if of_terms else {})

    def forward(self, images: Tensor, labels: Tensor, draws: Draws, gather: Gather = in_one_process) -> TrainOutput:
        """One training step's losses: normalised images (B, 3, H, W) and labels (B,) to ``TrainOutput``."""
        encoded = self.method.encode(images, draws)
        if self.batch_wide:
            encoded, labels, draws = gather(encoded, labels, draws)
        return self.losses(encoded, labels, draws)

    def losses(self, encoded: Encoded, labels: Tensor, draws: Draws) -> TrainOutput:
        """The losses of what the method encoded, of the method and of all terms."""
        output = self.method.objective(encoded, labels, draws)
        values, losses, figures = self._values(output), dict(output.losses), dict(output.figures)
        for term in self._terms():
            inputs, name = [values[name] for name in term.reads], _free_name(type(term).__name__, losses)
            losses[name] = term(*inputs, output.labels, draws=draws)
            figures |= {f"{name}/{figure}": value for figure, value in term.figures.items()}
        # the neck's interaction is large, and is not needed any more
        return output._replace(losses=losses, figures=figures, features=output.features._replace(interaction=None))

    def _terms(self) -> Iterator[Term]:
        for term in self.terms:
            assert isinstance(term, Term)
            yield term

    def _values(self, output: TrainOutput) -> dict[str, Any]:
        """What terms may read, by name; the interaction of gathered rows is computed anew."""
        features, classifier = output.features, self.method.classifier
        if classifier.keeps_interaction and features.interaction is None:
            features = features._replace(interaction=classifier.interact(features.maps))
        return features._asdict() | {"logits": output.logits}


def total(output: TrainOutput) -> Tensor:
    """The sum of all named losses, a scalar in float32 or better."""
    return torch.stack([raised(loss) for loss in output.losses.values()]).sum()


def figures_of(output: TrainOutput) -> dict[str, Tensor]:
    """The losses of a step, their sum, other figures and accuracy, by name: scalars in float32 without a graph."""
    hits = (output.logits.detach().argmax(1) == output.labels).float().mean()
    values = {"loss": total(output), **output.losses, **output.figures, "train_top1": hits}
    return {name: value.detach().float() for name, value in values.items()}


def _free_name(name: str, taken: dict[str, Tensor]) -> str:
    """``name``, numbered from the second use on."""
    return name if name not in taken else next(f"{name} {n}" for n in range(2, 1000) if f"{name} {n}" not in taken)
