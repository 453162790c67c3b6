"""Learning Attentive Pairwise Interaction for Fine-Grained Classification (API-Net).

Zhuang, Wang, Qiao. AAAI 2020. arXiv:2002.10191.

An image of a pair is its embedding x, under a gate g. Image 1 is the anchor, image 2 its mate. Eq. 1, the mutual vector
of the pair, is in ``mutual.py``; pairs are made in ``fieldmark.core.pairs``.

Equations
    Eq. 2   gate             sigmoid of the mutual vector times an image's own embedding
    Eq. 3   interact         the anchor under its own gate
    Eq. 4   interact         the mate under its own gate
    Eq. 5   interact         the anchor under the mate's gate
    Eq. 6   interact         the mate under the anchor's gate
    Eq. 7   ApiInteraction   the scores of the true class under the shared classifier
    Eq. 8   ApiInteraction   cross-entropy and lambda times the ranking, over all pairs
    Eq. 9   ApiInteraction   cross-entropy of the attentive features of both images
    Eq. 10  score_ranking    an image's own gate must give it a higher score, by a margin

Paper and released code
    Both losses are means over the rows of valid pairs, as released. The paper sums them over the 2 B pairs, which would
    explode at its rate of 0.01. A pair has four rows in Eq. 9 and two in Eq. 10, so the ranking weighs twice as much in
    the means: the paper's sum is 4 P times the objective with ``weight=0.5``.
    Dropout 0.5 between the two layers of Eq. 1 and before the classifier is as released; the paper has none
    (``dropout=0``). Gates and losses are computed in float32 or better.
    The only image of its class in a batch has no intra pair, rather than a wrong one; a batch of one class has no inter
    pairs. Two copies of a photo in one batch (if a class has fewer photos than a batch takes of it) are not a pair.
    Table 4's one-sided rows have 240 pairs of 120 images too, and the paper does not say how: two mates per image
    (``mates=2``) is our reading. Its random row is ``intra=None, inter=None``: the same number of pairs, drawn from the
    batch. Inference is the plain classifier on x. Training shows it features up to twice as long, x + x g, so its
    confidences are low: calibrate them.
"""

from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from fieldmark.core.classifier import Classifier
from fieldmark.core.contract import Encoded, Method, TrainOutput
from fieldmark.core.criterion import Criterion, CrossEntropy
from fieldmark.core.draws import EVALUATION, Draws, drawn
from fieldmark.core.evidence import Evidence
from fieldmark.core.inputs import refuse_inputs, refuse_misfits
from fieldmark.core.pairs import Mate, Pairs, mine_pairs, random_pairs
from fieldmark.errors import UserError
from fieldmark.ops.precision import raised, suited
from fieldmark.papers.api_net.mutual import Individual, Operation, Rows, dropped, make_mutual
from fieldmark.plain import BelowOne, Count, NotNegative

Gate = Literal["pair", "single"]
Scores = Annotated[Tensor, "P"]


def gate(mutual: Rows, x: Rows) -> Tensor:
    """How much each number of an embedding matters in the pair: (P, D) mutual vectors and embeddings to (P, D)."""
    refuse_misfits(gate, mutual, x)
    return torch.sigmoid(mutual * x)  # Eq. 2


def interact(x1: Rows, x2: Rows, g1: Rows, g2: Rows) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both images under their own gate and under their partner's, all (P, D): (self1, self2, other1, other2)."""
    refuse_misfits(interact, x1, x2, g1, g2)
    self1 = x1 + x1 * g1  # Eq. 3
    self2 = x2 + x2 * g2  # Eq. 4
    other1 = x1 + x1 * g2  # Eq. 5
    other2 = x2 + x2 * g1  # Eq. 6
    return self1, self2, other1, other2


def score_ranking(self_scores: Scores, other_scores: Scores, margin: NotNegative = 0.05) -> Tensor:
    """By how much an image's score under its own gate fails to exceed that under its partner's by ``margin``.

    Probabilities of the true class, (P,) and (P,), to (P,), for one image of each pair; Eq. 10 adds up both images.
    """
    refuse_misfits(score_ranking, self_scores, other_scores, margin)
    return torch.relu(other_scores - self_scores + margin)  # Eq. 10


class PairStep(NamedTuple):
    """The result for the pairs of a batch: named, weighted ``losses``, the ``pairs`` and their rows' ``logits``.

    ``logits`` are (4, P, C) of self1, self2, other1 and other2, or (2, P, C) of the first two with a single gate.
    """

    losses: dict[str, Tensor]
    pairs: Pairs
    logits: Tensor


class ApiInteraction(nn.Module):
    """Pairs of a batch, each image under its own gate and its partner's; what training adds to a classifier.

        loss = ApiInteraction(width)(x, labels, head)  # instead of F.cross_entropy(head(x), labels)

    Args:
        width: E, numbers per embedding; the D of the equations.
        mutual: the mutual vector's operation, as in Table 2; "individual" has none.
        gate: "pair" (Eq. 2), or "single": the sigmoid of the mutual vector for both images, and so no "other".
        weight: lambda; 0 leaves the ranking out.
        margin: epsilon.
        dropout: inside the mutual vector and before the classifier.
        intra: the mate of an image in its own class, "similar", "dissimilar" or None.
        inter: the same for the other classes; both None draws 2 * B * mates random pairs.
        mates: per image and kind.
        criterion: the loss of each row; plain cross-entropy by default.

    Raises:
        UserError: invalid options.
    """

    def __init__(
        self,
        width: Count,
        *,
        mutual: Operation = "mlp",
        gate: Gate = "pair",
        weight: NotNegative = 1.0,
        margin: NotNegative = 0.05,
        dropout: BelowOne = 0.5,
        intra: Mate | None = "similar",
        inter: Mate | None = "similar",
        mates: Count = 1,
        criterion: Criterion | None = None,
    ) -> None:
        super().__init__()
        refuse_misfits(ApiInteraction, width, mutual, gate, weight, margin, dropout, intra, inter, mates)
        if mutual == "individual" and gate == "single":
            raise UserError("API-Net(mutual='individual') has no mutual vector for gate='single' to be made of")
        self.mutual = make_mutual(mutual, width, dropout=dropout)
        self.width, self.single, self.weight, self.margin = width, gate == "single", weight, margin
        self.dropout, self.mates = dropout, mates
        self.intra: Mate | None = intra
        self.inter: Mate | None = inter
        self.criterion = CrossEntropy(0.0) if criterion is None else criterion

    def forward(self, x: Tensor, labels: Tensor, head: nn.Module, *, draws: Draws | None = None) -> Tensor:
        """The sum of the losses of ``step``, a scalar."""
        return torch.stack(list(self.step(x, labels, head, draws=draws).losses.values())).sum()

    def step(self, x: Tensor, labels: Tensor, head: nn.Module, *, draws: Draws | None = None) -> PairStep:
        """The losses "cross_entropy" and, unless ``weight`` is 0 or the gate single, "ranking"; 0 without a valid pair.

        Args:
            x: embeddings (B, E).
            labels: (B,) long.
            head: the classifier's last layer, (P, E) to (P, C).
            draws: those of a run's step; None outside a run.
        """
        refuse_inputs("ApiInteraction", "embeddings", x, labels, size=self.width)
        x, draws = raised(x), drawn(draws, training=self.training)
        pairs = self.pairs(x, labels, draws)
        attentive = self.attentive(x.index_select(0, pairs.anchor), x.index_select(0, pairs.mate), draws)
        rows = dropped(attentive, "api_net head", dropout=self.dropout, draws=draws)
        logits = head(suited(rows, head))
        truth = torch.cat([labels[pairs.anchor], labels[pairs.mate]])
        truth = truth if self.single else truth.repeat(2)
        losses = {"cross_entropy": mean_of_valid(self.criterion.rows(logits, truth), pairs.valid)}  # Eq. 9
        if self.weight and not self.single:
            scores = raised(logits).softmax(1).gather(1, truth[:, None])  # Eq. 7
            ranking = score_ranking(*scores.flatten().chunk(2), margin=self.margin)
            losses["ranking"] = self.weight * mean_of_valid(ranking, pairs.valid)  # Eq. 8
        return PairStep(losses, pairs, logits.unflatten(0, (2 if self.single else 4, len(pairs.anchor))))

    def pairs(self, embeddings: Tensor, labels: Tensor, draws: Draws) -> Pairs:
        """The pairs of a batch of embeddings (B, E) and labels (B,), by the rules ``intra`` and ``inter``."""
        if self.intra is None and self.inter is None:
            return random_pairs(labels, 2 * len(labels) * self.mates, draws)
        return mine_pairs(embeddings, labels, intra=self.intra, inter=self.inter, mates=self.mates, rows=draws.rows)

    def gates(self, x1: Tensor, x2: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """The gates of both images of each pair: embeddings (P, E) and (P, E) to two gates of that shape."""
        if isinstance(self.mutual, Individual):
            first, second = self.mutual(x1, x2, draws)
            return raised(first).sigmoid(), raised(second).sigmoid()
        mutual = raised(self.mutual(x1, x2, draws))
        if self.single:
            common = mutual.sigmoid()
            return common, common
        return gate(mutual, x1), gate(mutual, x2)

    def attentive(self, x1: Tensor, x2: Tensor, draws: Draws) -> Tensor:
        """(P, E) and (P, E) to the rows that are classified: self1, self2, other1, other2 (self alone if single)."""
        g1, g2 = self.gates(x1, x2, draws)
        rows = interact(x1, x2, g1, g2)
        return torch.cat(rows[:2] if self.single else rows)


class ApiNet(Method):
    """Trains the classifier with ``ApiInteraction``, and takes its options.

    The ``views`` of a step hold the pairs, "anchor", "mate", "same" and "valid" (P,), and their rows' "pair_logits".

    Args:
        classifier: backbone, neck, pool and head.
        criterion: the loss of each row.
        width: E, numbers per embedding.
        mutual: as in ``ApiInteraction``, like all that follow.
        gate: "pair" or "single".
        weight: lambda.
        margin: epsilon.
        dropout: inside the mutual vector and before the classifier.
        intra: the mate in an image's own class.
        inter: the mate in another class.
        mates: per image and kind.

    Raises:
        UserError: invalid options.
    """

    batch_wide: ClassVar[bool] = True

    def __init__(
        self,
        classifier: Classifier,
        criterion: Criterion,
        width: Count,
        *,
        mutual: Operation = "mlp",
        gate: Gate = "pair",
        weight: NotNegative = 1.0,
        margin: NotNegative = 0.05,
        dropout: BelowOne = 0.5,
        intra: Mate | None = "similar",
        inter: Mate | None = "similar",
        mates: Count = 1,
    ) -> None:
        super().__init__(classifier, criterion)
        self.interaction = ApiInteraction(
            width,
            mutual=mutual,
            gate=gate,
            weight=weight,
            margin=margin,
            dropout=dropout,
            intra=intra,
            inter=inter,
            mates=mates,
            criterion=criterion,
        )

    def objective(self, encoded: Encoded, labels: Tensor, draws: Draws) -> TrainOutput:
        """The losses of ``ApiInteraction.step``."""
        step = self.interaction.step(encoded.features.embedding, labels, self.classifier.head, draws=draws)
        views = {**step.pairs._asdict(), "pair_logits": step.logits}
        return TrainOutput(step.losses, encoded.logits, labels, encoded.features, views)

    def evidence(self, images: Tensor) -> Evidence:
        """Each image paired with the nearest other image of the batch (itself, if alone): "nearest" in the mates.

        The gates are "own", that of the image, and "mate". Fig. 3 shows the channels where a gate is largest.
        """
        features = self.classifier.features(images)
        x = raised(features.embedding)
        alike = torch.zeros(len(x), dtype=torch.long, device=x.device)  # as if all had one class
        mate = mine_pairs(x, alike, inter=None).mate
        own, partner = self.interaction.gates(x, x[mate], EVALUATION)
        return Evidence(features.logits, gates={"own": own, "mate": partner}, mates={"nearest": mate})


def mean_of_valid(rows: Tensor, valid: Tensor) -> Tensor:
    """The mean of (k * P,) losses, k rows of one loss per pair, over the valid pairs (P,); 0 without valid pairs."""
    if not len(valid):
        return rows.sum()
    rows = rows.view(-1, len(valid))
    return (rows * valid).sum() / (valid.sum() * len(rows)).clamp_min(1)
