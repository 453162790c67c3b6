"""Learning to Navigate for Fine-grained Classification (NTS-Net).

Yang, Luo, Wang, Hu, Gao, Wang. ECCV 2018. arXiv:1809.00287. Anchors and crops are in anchors.py, the navigator and its
loss in ranking.py.

Formulas
    NTS            whole image and K parts through one network, and a joint head over their features (the scrutiniser)
    NTS.objective  losses of the whole image, of M proposals, of the joint head, and the navigator's ranking

Paper and released code
    As in the code: M = 6 proposals in training, of which the best K = 4 are the parts of the joint head; losses of
    weight one each; dropout 0.5 on the features of the image and of the proposals. The paper has no dropout
    (``dropout=0``), and the sum over the proposals' losses, where the code has their mean.
    The code builds its dropout anew in every pass, so that it stays on in evaluation and one image gets other scores
    each time. Here it is off in evaluation.
    Crops have 224 x 224 pixels of an image of 448 x 448. Of others they have half of its larger side, rounded up to a
    multiple of the network's stride. A network that takes one size alone needs ``crop``.
    The navigator reads the backbone's maps, crops pass through the same neck and pool as the image: with CIN's layer as
    the neck, and its loss as a term, which reads the whole image, this is the paper's NTS + CIN.
    Crops pass through the backbone as one batch: in training they share batch norm's statistics, the image has its own.
"""

import math
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn

from fieldmark.core.classifier import Classifier, Features, Linear, adopt
from fieldmark.core.contract import Encoded, Method, TrainOutput
from fieldmark.core.criterion import Criterion, CrossEntropy
from fieldmark.core.draws import EVALUATION, Draws
from fieldmark.core.evidence import Evidence
from fieldmark.core.inputs import refuse_misfits
from fieldmark.errors import UserError
from fieldmark.ops.precision import raised
from fieldmark.papers.nts_net.anchors import anchor_boxes, crop_grid, crops, propose
from fieldmark.papers.nts_net.ranking import Navigator, ranking_loss, score_map
from fieldmark.papers.selective_sparse_sampling.attention import min_max
from fieldmark.plain import BelowOne, Count, Natural, NotNegative, Share

ORIGINAL = "original"


class Pass(NamedTuple):
    """The results of a pass.

    ``features`` are the image's, and ``whole`` (B, E) its embedding after dropout; ``scores`` (B, N) of all anchors;
    ``proposed`` (B, M) the scores, ``boxes`` (B, M, 4), ``grid`` (B, M, S, S, 2) and ``embeddings`` (B, M, E) of the
    proposals, best first.
    """

    features: Features
    whole: Tensor
    scores: Tensor
    proposed: Tensor
    boxes: Tensor
    grid: Tensor
    embeddings: Tensor


class NTS(Method):
    """A navigator proposes parts of the image; a joint head sees the image and the best of them.

    The ``views`` of ``encode`` are each branch's own logits, "original", "part 1", "part 2", ... (B, C), and of all M
    proposals "proposal_logits" (B, M, C), the navigator's "scores" (B, M) and "boxes" (B, M, 4) in pixels: top, left,
    bottom, right; in evaluation M is K, as no other proposal is part of an answer.

    Args:
        classifier: backbone, neck, pool and head, which is the whole image's.
        criterion: the loss of every branch.
        channels: D of the backbone's maps.
        width: E, numbers per embedding.
        parts: K, the proposals that the joint head sees.
        proposals: M, the proposals that are classified in training, at least K.
        threshold: the overlap that excludes one of two proposals.
        margin: of the ranking.
        dropout: on the features of the image and of the proposals.
        crop: side of a crop in pixels; 0 is half of the image's.

    Raises:
        UserError: invalid options.
    """

    def __init__(
        self,
        classifier: Classifier,
        criterion: Criterion | None,
        channels: Count,
        width: Count,
        *,
        parts: Count = 4,
        proposals: Count = 6,
        threshold: Share = 0.25,
        margin: NotNegative = 1.0,
        dropout: BelowOne = 0.5,
        crop: Natural = 0,
    ) -> None:
        super().__init__(classifier, CrossEntropy(0.0) if criterion is None else criterion)
        options = (parts, proposals, threshold, margin, dropout, crop)
        refuse_misfits(NTS, classifier, criterion, channels, width, *options)
        if parts > proposals:
            raise UserError(f"NTS(parts={parts}, proposals={proposals}): the parts are among the proposals")
        self.parts, self.proposals, self.threshold = parts, proposals, threshold
        self.margin, self.dropout, self.crop = margin, dropout, crop
        self.navigator = Navigator(channels)
        self.part = Linear(width, classifier.classes)
        self.joint = Linear((1 + parts) * width, classifier.classes)
        self.scored_views = (ORIGINAL, *(f"part {number}" for number in range(1, 1 + parts)))

    def forward(self, images: Tensor) -> Tensor:
        """The joint logits (B, C) of normalised images (B, 3, H, W), for inference; K crops an image are looked at."""
        return self._joined(self._look(images, EVALUATION, count=self.parts))

    def encode(self, images: Tensor, draws: Draws) -> Encoded:
        """The image's features, the joint logits, each branch's own, and the proposals; images are cropped here."""
        result = self._look(images, draws, count=self.proposals if draws.random else self.parts)
        # (B, M, E) at once: a part of an image is a further row of it, not of the batch
        logits = self.part(result.embeddings)
        proposals = {"proposal_logits": logits, "scores": result.proposed, "boxes": result.boxes}
        return Encoded(result.features, self._joined(result), self._branches(result, logits) | proposals)

    def objective(self, encoded: Encoded, labels: Tensor, draws: Draws) -> TrainOutput:
        """The losses "original", "parts", "joint" and "ranking"."""
        logits, scores = encoded.views["proposal_logits"], encoded.views["scores"]
        rows = self.criterion.rows(logits.flatten(0, 1), labels.repeat_interleave(scores.shape[1]))
        ranking = ranking_loss(scores, rows.view_as(scores), self.margin)
        losses = {
            ORIGINAL: self.criterion(encoded.views[ORIGINAL], labels),
            "parts": rows.sum() / max(1, len(rows)),
            "joint": self.criterion(encoded.logits, labels),
            "ranking": ranking.sum() / max(1, len(ranking)),
        }
        return TrainOutput(losses, encoded.logits, labels, encoded.features, encoded.views)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The navigator is a group of its own, "navigator"."""
        groups, own = super().parameter_groups(), list(self.navigator.parameters())
        grouped = {id(parameter) for parameter in own}
        return groups | {"head": [p for p in groups["head"] if id(p) not in grouped], "navigator": own}

    def adopt(self, weight: Tensor, bias: Tensor) -> None:
        """Image and parts each begin as the probe, and the prediction as the image's."""
        super().adopt(weight, bias)
        adopt(self.part, weight, bias)
        adopt(self.joint, torch.cat([weight, torch.zeros_like(weight).repeat(1, self.parts)], 1), bias)

    def scorers(self) -> tuple[tuple[nn.Linear, ...], ...]:
        """The image's classifier, that of the parts and the joint one; what they are given depends on none of them."""
        return ((*super().scorers()[0], self.part, self.joint),)

    def evidence(self, images: Tensor) -> Evidence:
        """The branches, the heatmap "navigator" and the grids of the K parts.

        The heatmap has the highest score at each position, from 0 to 1; the navigator knows no classes.
        """
        result = self._look(images, EVALUATION, count=self.parts)
        maps = score_map(result.scores, *result.features.maps.shape[2:])
        views = {f"part {number}": grid for number, grid in enumerate(result.grid.unbind(1), 1)}
        branches = self._branches(result, self.part(result.embeddings))
        return Evidence(self._joined(result), branches=branches, heatmaps={"navigator": min_max(maps)}, views=views)

    def _look(self, images: Tensor, draws: Draws, *, count: int) -> Pass:
        """One pass with that many proposals; the greedy choice of fewer is the beginning of that of more."""
        features = self.classifier.features(images)
        size, positions = (images.shape[2], images.shape[3]), (features.maps.shape[2], features.maps.shape[3])
        scores = self.navigator(features.maps.detach())
        anchors = anchor_boxes(size, positions, like=scores)
        chosen = propose(scores, anchors, count, self.threshold)
        boxes = anchors[chosen]
        grid = crop_grid(boxes, size, self._crop_side(size))
        _, own = self.classifier.embedded(self.classifier.backbone(crops(images, grid)))
        by_image = own.unflatten(0, (count, images.shape[0])).transpose(0, 1)
        embeddings = self._dropped(by_image, "nts parts", draws)
        whole = self._dropped(features.embedding, "nts whole", draws)
        if whole is not features.embedding:
            features = features._replace(logits=self.classifier.head(whole))
        return Pass(features, whole, scores, scores.gather(1, chosen), boxes, grid, embeddings)

    def _crop_side(self, size: tuple[int, int]) -> int:
        stride = self.classifier.backbone.stride
        return self.crop or stride * math.ceil(max(size) / 2 / stride)

    def _branches(self, result: Pass, logits: Tensor) -> dict[str, Tensor]:
        """The scored views: the logits of the image, and of its parts out of (B, M, C)."""
        parts = logits[:, : self.parts].unbind(1)
        return dict(zip(self.scored_views, (result.features.logits, *parts), strict=True))

    def _joined(self, result: Pass) -> Tensor:
        """The prediction, from the features of the image and of its K parts."""
        parts = result.embeddings[:, : self.parts].flatten(1)
        return self.joint(torch.cat([result.whole, parts], 1))

    def _dropped(self, values: Tensor, purpose: str, draws: Draws) -> Tensor:
        """Rows of images (B, ...) under dropout, by numbers of each image's own; unchanged in evaluation."""
        if not self.dropout or not draws.random:
            return values
        return dropped(values, draws.rowwise(purpose, tuple(values.shape[1:]), like=raised(values)), self.dropout)


def dropped(values: Annotated[Tensor, "..."], numbers: Annotated[Tensor, "..."], dropout: BelowOne) -> Tensor:
    """Values, 0 where their uniform number is below ``dropout``, the rest scaled up so that the mean stays."""
    refuse_misfits(dropped, values, numbers, dropout)
    return values * (numbers >= dropout).to(values.dtype) / (1 - dropout)
