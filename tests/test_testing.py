"""The checks pass for what keeps the contract, and say what is broken for what does not."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.building import build_learner
from fieldmark.core.classifier import Classifier, Linear
from fieldmark.core.contract import Encoded, Method, Term, TrainOutput
from fieldmark.core.criterion import Criterion
from fieldmark.core.draws import Draws
from fieldmark.core.evidence import Evidence
from fieldmark.errors import UserError
from fieldmark.papers.pairwise_confusion import PairwiseConfusion
from fieldmark.papers.plain import Plain
from fieldmark.recipe import Model, Part, Pixels, Recipe
from fieldmark.testing import TINY, check_learner, check_method, check_term

SIZE = 32


class TwoHeads(Method):
    """A method with a layer of its own; each subclass below breaks one promise."""

    def __init__(self, classifier: Classifier, criterion: Criterion, scale: float = 1.0) -> None:
        super().__init__(classifier, criterion)
        self.second = nn.Linear(classifier.backbone.channels, classifier.classes)
        self.scale = scale

    def forward(self, images: Tensor) -> Tensor:
        return self.encode(images, Draws()).logits

    def encode(self, images: Tensor, draws: Draws) -> Encoded:
        features = self.classifier.features(images)
        own = self.second(features.embedding)
        return Encoded(features, features.logits + self.scale * own, {"own": own})

    def objective(self, encoded: Encoded, labels: Tensor, draws: Draws) -> TrainOutput:
        losses = {"sum": self.criterion(encoded.logits, labels), "own": self.criterion(encoded.views["own"], labels)}
        return TrainOutput(losses, encoded.logits, labels, encoded.features, encoded.views)

    def adopt(self, weight: Tensor, bias: Tensor) -> None:
        super().adopt(weight, bias)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)


class ConstantLoss(TwoHeads):
    def objective(self, encoded, labels, draws):
        output = super().objective(encoded, labels, draws)
        return output._replace(losses=output.losses | {"extra": torch.tensor(0.0)})


class LossARow(TwoHeads):
    def objective(self, encoded, labels, draws):
        output = super().objective(encoded, labels, draws)
        return output._replace(losses={"sum": self.criterion.rows(encoded.logits, labels)})


class NotFiniteForOneClass(TwoHeads):
    def objective(self, encoded, labels, draws):
        output = super().objective(encoded, labels, draws)
        spread = (labels[:, None] != labels).sum()
        return output._replace(losses={"sum": output.losses["sum"] / spread, "own": output.losses["own"]})


class OtherOrder(TwoHeads):
    def objective(self, encoded, labels, draws):
        return super().objective(encoded, labels, draws)._replace(labels=labels.flip(0))


class FigureWithGraph(TwoHeads):
    def objective(self, encoded, labels, draws):
        return super().objective(encoded, labels, draws)._replace(figures={"largest": encoded.logits.amax()})


class MoreRows(TwoHeads):
    def objective(self, encoded, labels, draws):
        output = super().objective(encoded, labels, draws)
        return output._replace(logits=torch.cat([output.logits, encoded.views["own"]]))


class SeesTheBatch(TwoHeads):
    def encode(self, images, draws):
        encoded = super().encode(images, draws)
        return encoded._replace(views={"own": encoded.views["own"] - encoded.views["own"].mean(0)})


class DrawsByPlace(TwoHeads):
    def encode(self, images, draws):
        encoded = super().encode(images, draws)
        noise = draws.uniform("noise", (len(images), 1), like=images)
        return encoded._replace(views={"own": encoded.views["own"] + noise})


class AsksAnother(TwoHeads):
    def forward(self, images):
        return self.classifier(images)


class RandomInference(TwoHeads):
    def forward(self, images):
        return F.dropout(super().forward(images), 0.5)


class RandomLoss(TwoHeads):
    def objective(self, encoded, labels, draws):
        encoded = encoded._replace(logits=F.dropout(encoded.logits, 0.5, self.training))
        return super().objective(encoded, labels, draws)


class ReadsBack(TwoHeads):
    def objective(self, encoded, labels, draws):
        output = super().objective(encoded, labels, draws)
        return output if output.losses["own"].item() < 1e9 else output._replace(losses={})


class Masks(TwoHeads):
    def objective(self, encoded, labels, draws):
        picked = encoded.logits[labels > 0]
        return super().objective(encoded, labels, draws)._replace(losses={"picked": picked.square().mean()})


class ForgetsAGroup(TwoHeads):
    def parameter_groups(self):
        return {"backbone": list(self.classifier.parameters())}


class GroupsTwice(TwoHeads):
    def parameter_groups(self):
        return {"all": list(self.parameters()), "second": list(self.second.parameters())}


class Idle(TwoHeads):
    def __init__(self, classifier: Classifier, criterion: Criterion) -> None:
        super().__init__(classifier, criterion)
        self.idle = nn.Linear(2, 2)


class TimesZero(TwoHeads):
    """Its layer is in the graph, but nothing depends on it."""

    def encode(self, images, draws):
        encoded = super().encode(images, draws)
        return encoded._replace(logits=encoded.features.logits, views={"own": 0 * encoded.views["own"]})


class LearnsLate(TwoHeads):
    """Its layer, before one that starts at zero, joins in the last part of a run."""

    def __init__(self, classifier: Classifier, criterion: Criterion) -> None:
        super().__init__(classifier, criterion)
        self.late = 0.0
        self.third = Linear(classifier.classes, classifier.classes)

    def set_progress(self, fraction):
        self.late = float(fraction > 0.9)

    def encode(self, images, draws):
        encoded = super().encode(images, draws)
        own = self.late * self.third(encoded.views["own"])
        return encoded._replace(logits=encoded.features.logits, views={"own": own})


class Unsaved(TwoHeads):
    def __init__(self, classifier: Classifier, criterion: Criterion) -> None:
        super().__init__(classifier, criterion)
        self.signs = torch.randn(classifier.classes)

    def encode(self, images, draws):
        encoded = super().encode(images, draws)
        return encoded._replace(logits=encoded.logits * self.signs)


class LooseEvidence(TwoHeads):
    def evidence(self, images):
        return {"logits": self(images)}


class FewerRows(TwoHeads):
    def evidence(self, images):
        return Evidence(self(images), branches={"own": self.second.weight[:2]})


class FlatHeatmap(TwoHeads):
    def evidence(self, images):
        return Evidence(self(images), heatmaps={"maps": images[:, 0].flatten(1).square()})


class OpenGates(TwoHeads):
    def evidence(self, images):
        return Evidence(self(images), gates={"own": 2 + images[:, 0, 0].square()})


class ByBatchSize(TwoHeads):
    def forward(self, images):
        return torch.cat([super(ByBatchSize, self).forward(image[None]) for image in images])


class AddsToTheProbe(TwoHeads):
    adopt = Method.adopt


class StartsAtZeroAlone(TwoHeads):
    def adopt(self, weight, bias):
        raise UserError("TwoHeads cannot begin as a probe; use --start zero")


def test_methods_that_keep_the_contract_pass():
    check_method(Plain, size=SIZE)
    check_method(TwoHeads, options={"scale": 0.5}, classes=3, size=SIZE)
    check_method(LearnsLate, size=SIZE)
    check_method(StartsAtZeroAlone, size=SIZE)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (ConstantLoss, "the loss 'extra' of a batch of six has no graph"),
        (LossARow, "the loss 'sum' of a batch of six is not a scalar"),
        (NotFiniteForOneClass, "the loss 'sum' of a batch of one is inf"),
        (OtherOrder, "labels are not the batch's"),
        (FigureWithGraph, "the figure 'largest' is not a scalar tensor without a graph"),
        (MoreRows, r"logits are \(12, 7\), not \(6, 7\)"),
        (SeesTheBatch, "encode's own is not computed row by row"),
        (DrawsByPlace, "encode's own is not computed row by row"),
        (AsksAnother, "encode's logits are not forward's"),
        (RandomInference, "forward in eval mode is not deterministic"),
        (RandomLoss, "the loss 'sum' is random"),
        (ReadsBack, "reads a tensor back to the host"),
        (Masks, r"reads a tensor back to the host \(indexing by a mask\)"),
        (ForgetsAGroup, "parameter_groups leaves out method.second.weight"),
        (GroupsTwice, "parameter_groups has a parameter twice"),
        (Idle, "no gradient but zero reaches method.idle.weight, method.idle.bias in 6 steps"),
        (TimesZero, "no gradient but zero reaches method.second.weight, method.second.bias in 6 steps"),
        (Unsaved, "a state dict does not restore everything"),
        (LooseEvidence, "evidence gives a dict, not an Evidence"),
        (FewerRows, "branches 'own' has the shape .*, not 6 rows"),
        (FlatHeatmap, "heatmaps 'maps' has the shape .*, not 3 dimensions"),
        (OpenGates, "gates must be between 0 and 1"),
        (ByBatchSize, "export"),
        (AddsToTheProbe, "after adopt, forward in eval mode does not give the logits"),
        (nn.Linear, "is not a subclass of Method"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_violation_is_named(kind: type[Method], message: str):
    with pytest.raises(AssertionError, match=message):
        check_method(kind, size=SIZE)


class Spread(Term):
    """The variance of the embeddings inside classes: not a number where no two images share one."""

    reads = ("embedding",)
    batch_wide = True

    def __init__(self, safe: bool = True) -> None:
        super().__init__()
        self.safe = safe

    def check(self, classifier: Classifier) -> None:
        if classifier.classes > 100:
            raise UserError("Spread takes at most 100 classes")

    def forward(self, x: Tensor, labels: Tensor, *, draws: Draws | None = None) -> Tensor:
        same = (labels[:, None] == labels) & ~torch.eye(len(x), dtype=torch.bool, device=x.device)
        distance = (x[:, None] - x).square().mean(2)
        return (distance * same).sum() / (same.sum().clamp_min(1) if self.safe else same.sum())


class Unbounded(Spread):
    """The distance's root without a guard: its gradient at 0 is not finite."""

    def forward(self, x: Tensor, labels: Tensor, *, draws: Draws | None = None) -> Tensor:
        return super().forward(x, labels, draws=draws).sqrt()


class Undecided(Spread):
    batch_wide = 1  # pyright: ignore[reportAssignmentType]


class ReadsPixels(Spread):
    reads = ("pixels",)  # pyright: ignore[reportAssignmentType]


def test_terms_that_keep_the_contract_pass():
    check_term(PairwiseConfusion, options={"squared": False}, size=SIZE)
    check_term(Spread, size=SIZE)


def test_broken_terms_are_named():
    with pytest.raises(AssertionError, match="the loss 'Spread' of a batch of one is nan"):
        check_term(Spread, options={"safe": False}, size=SIZE)
    with pytest.raises(AssertionError, match="gradient that is not finite"):
        check_term(Unbounded, size=SIZE)
    with pytest.raises(AssertionError, match="batch_wide is 1, not True or False"):
        check_term(Undecided, size=SIZE)
    with pytest.raises(AssertionError, match=r"reads names \['pixels'\]; choose from logits, maps, refined"):
        check_term(ReadsPixels, size=SIZE)
    with pytest.raises(UserError, match="at most 100 classes"):
        check_term(Spread, classes=101, size=SIZE)


VALUES = torch.tensor([0.0, 1.0, 2.0])
LABELS = torch.tensor([0, 1, 2])


def test_a_learner_of_ones_own_can_be_checked():
    model = Model(backbone=TINY, weights="none", terms=(Part("PairwiseConfusion"),))
    recipe = Recipe(model, pixels=Pixels(size=SIZE))
    seeds: list[int] = []

    def build(seed: int):
        seeds.append(seed)
        torch.manual_seed(seed)
        return build_learner(recipe, classes=4)

    check_learner(build, size=SIZE, export=False)
    assert seeds == [0, 1]
