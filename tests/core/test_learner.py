"""A method and its terms: which losses, which parameters, which rows."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fieldmark.core.classifier import Average, Classifier, Features, Linear
from fieldmark.core.contract import Encoded, Term, TrainOutput
from fieldmark.core.criterion import CrossEntropy
from fieldmark.core.draws import Draws
from fieldmark.core.learner import Learner, in_one_process, total
from fieldmark.errors import UserError
from fieldmark.papers.pairwise_confusion import PairwiseConfusion
from fieldmark.papers.plain import Plain
from golden_step import CLASSES, LABELS, ROWS, tiny_backbone, tiny_images


class Size(Term):
    """The mean square of the logits."""

    reads = ("logits",)

    def __init__(self, weight: float = 1.0, *, batch_wide: bool = False, fits: bool = True) -> None:
        super().__init__()
        self.weight, self.fits = weight, fits
        self.batch_wide = batch_wide  # pyright: ignore[reportAttributeAccessIssue]
        self.rows: list[int] = []

    def check(self, classifier: Classifier) -> None:
        if not self.fits:
            raise UserError("Size does not fit")

    def forward(self, logits: Tensor, labels: Tensor, *, draws: Draws | None = None) -> Tensor:
        assert draws is not None
        self.rows += [len(logits), len(labels)]
        return self.weight * logits.square().mean()


class Scaled(Term):
    """A term with a parameter, on several values."""

    reads = ("embedding", "maps", "refined")

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(
        self, embedding: Tensor, maps: Tensor, refined: Tensor, labels: Tensor, *, draws: Draws | None = None
    ) -> Tensor:
        torch.testing.assert_close(embedding, refined.mean((2, 3)))
        assert torch.equal(maps, refined)
        return (self.scale * embedding).mean()


class Told(Size):
    """A term with more to log than its loss."""

    def forward(self, logits: Tensor, labels: Tensor, *, draws: Draws | None = None) -> Tensor:
        self.figures = {"largest": logits.detach().amax()}
        return super().forward(logits, labels, draws=draws)


def learner_with(*terms: Term) -> Learner:
    torch.manual_seed(0)
    parts = {"neck": nn.Identity(), "pool": Average(), "head": Linear(12, CLASSES)}
    method = Plain(Classifier(tiny_backbone(), classes=CLASSES, **parts), CrossEntropy(0))
    nn.init.normal_(method.classifier.head.weight)  # pyright: ignore[reportArgumentType]
    return Learner(method, terms).double()


def outputs(learner: Learner) -> TrainOutput:
    return learner(tiny_images(), LABELS, Draws(0, 0, ROWS))


def test_each_term_adds_a_named_loss_and_the_total_is_their_sum():
    learner = learner_with(Size(), Scaled(), Size(2.0), Size(3.0))
    output = outputs(learner)
    assert list(output.losses) == ["cross_entropy", "Size", "Scaled", "Size 2", "Size 3"]
    torch.testing.assert_close(output.losses["Size 3"], 3 * output.losses["Size"])
    torch.testing.assert_close(total(output), sum(output.losses.values()))
    assert total(output).dtype == torch.float64


def test_figures_of_terms_stand_beside_the_losses_under_their_names():
    learner = learner_with(Told(), Size(), Told())
    output = outputs(learner)
    assert list(output.losses) == ["cross_entropy", "Told", "Size", "Told 2"]
    assert list(output.figures) == ["Told/largest", "Told 2/largest"]
    torch.testing.assert_close(output.figures["Told/largest"], output.logits.detach().amax())
    plain = outputs(learner_with(Size()))
    assert dict(plain.figures) == {}
    torch.testing.assert_close(total(output) - output.losses["Told"] - output.losses["Told 2"], total(plain))


@pytest.mark.parametrize(
    ("term", "batch_wide"), [(Size, False), (PairwiseConfusion, True), (lambda: Size(batch_wide=True), True)]
)
def test_whether_images_of_a_batch_meet(term: Callable[[], Term], batch_wide: bool):
    assert learner_with(Size(), term()).batch_wide == batch_wide


def test_terms_do_not_change_what_the_method_returns():
    plain, more = outputs(learner_with()), outputs(learner_with(Size()))
    assert torch.equal(plain.logits, more.logits)
    assert torch.equal(plain.losses["cross_entropy"], more.losses["cross_entropy"])


def test_the_total_of_half_precision_losses_is_single_precision():
    output = outputs(learner_with())
    halves = {"a": torch.tensor(1.0, dtype=torch.bfloat16), "b": torch.tensor(2**-9, dtype=torch.bfloat16)}
    summed = total(output._replace(losses=halves))
    assert summed.dtype == torch.float32
    assert summed.item() == 1 + 2**-9


def test_parameters_of_terms_are_a_group_and_are_saved():
    learner = learner_with(Scaled(), Size())
    groups = learner.parameter_groups()
    assert list(groups) == ["backbone", "head", "terms"]
    assert sum(len(group) for group in groups.values()) == len(list(learner.parameters()))
    assert "terms.0.scale" in learner.state_dict()
    total(outputs(learner)).backward()
    assert all(parameter.grad is not None for parameter in learner.parameters())
    assert list(learner_with(Size()).parameter_groups()) == ["backbone", "head"]


def test_a_term_that_does_not_fit_is_refused_when_the_learner_is_built():
    with pytest.raises(UserError, match="Size does not fit"):
        learner_with(Size(fits=False))


@pytest.mark.parametrize("batch_wide", [False, True])
def test_rows_are_gathered_only_where_images_meet(batch_wide: bool):
    learner = learner_with(Size(batch_wide=batch_wide))
    assert learner.batch_wide is batch_wide
    counts: list[int] = []

    def gather(encoded: Encoded, labels: Tensor, draws: Draws) -> tuple[Encoded, Tensor, Draws]:
        counts.append(len(labels))
        return in_one_process(encoded, labels, draws)

    learner(tiny_images(), LABELS, Draws(0, 0, ROWS), gather)
    assert counts == [len(LABELS)] * batch_wide


def test_terms_see_the_rows_that_were_gathered():
    def twice(encoded: Encoded, labels: Tensor, draws: Draws) -> tuple[Encoded, Tensor, Draws]:
        features = Features(*(None if part is None else torch.cat([part, part]) for part in encoded.features[:4]))
        return Encoded(features, features.logits, {}), torch.cat([labels, labels]), draws

    term = Size(batch_wide=True)
    output = learner_with(term)(tiny_images(), LABELS, Draws(0, 0, ROWS), twice)
    assert [len(output.logits), len(output.labels), *term.rows] == [2 * len(LABELS)] * 4
