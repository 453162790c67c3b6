"""Selective Sparse Sampling for Fine-Grained Image Recognition.

Ding, Zhou, Zhu, Ye, Jiao. ICCV 2019. Not on arXiv; it builds on the sampler of arXiv:1809.03355 and the class peak
responses of arXiv:1804.00880. Equations 2 to 6 are in attention.py, 7 and 8 in sampler.py.

Equations
    Eq. 1   S3N             what each position contributes to a class's score: class_response_maps of core
    Eq. 9   S3N.objective   cross-entropy of each branch, and of the joint features

Paper and released code
    The default is the paper, but for one choice: only peaks that reach the map's mean are taken, as in the code. All
    local maxima, the paper's words (``peaks="all"``), are often far from the object: on 20 classes of birds 65 % of
    them lay in its box, of those that reach the mean 93 %; the paper's Table 1 has 94.63 % (benchmarks/README.md).
    In evaluation a peak is discriminative if its response is above 0.5: ours.
    In the paper the losses of D and C train the radii; it does not say whether they also reach O's maps and classifier
    through the response map. Here they do not, as in the code, unless ``response_gradient=True``.
    The code's own, off by default: all peaks in both maps in the first 20 of 60 epochs (``warmup=1/3``); D and C maps
    through a 3x3 convolution of stride 2, batch norm and ReLU each (``convolutions=True``); in evaluation the highest
    peak alone in D and the lowest in C (``evaluation="extremes"``); smoothed labels for O and C, with targets of 0.85
    (``smoothing=0.15``, or, as that also reaches the true class, exactly 0.15 C / (C - 1)), while D and the joint
    features have the recipe's own; the sampler's kernel learned from the Gaussian on (``kernel="learned"``).
    Its rates are the recipe's: 1e-7 for the groups "radii" and "kernel", 0.001 for "convolutions", 0.01 for "head".
    Eq. 9 counts O among the branches, and O's classifier makes the maps: it keeps its loss where the prediction leaves
    O out (D, C, D+C). A lone branch has no joint classifier: its own is the prediction.
    Random partition (Table 4): a coin for each peak; in evaluation one fixed pattern of coins for all images.
    With five classes or fewer the least likely is left out of Eq. 3: the sum of all maps says nothing.
    D and C pass through the backbone as one batch: in training they share batch norm's statistics, and O has its own.
"""

import math
import warnings
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from fieldmark.core.class_maps import class_response_maps
from fieldmark.core.classifier import Average, Classifier, Features, Linear, adopt
from fieldmark.core.contract import Encoded, Method, TrainOutput
from fieldmark.core.criterion import Criterion, CrossEntropy
from fieldmark.core.draws import EVALUATION, Draws
from fieldmark.core.evidence import Evidence
from fieldmark.core.inputs import refuse_misfits
from fieldmark.errors import UserError
from fieldmark.papers.selective_sparse_sampling.attention import (
    FAINTEST,
    FLOOR,
    GRID,
    RADII,
    TOP,
    combined,
    extremes,
    local_peaks,
    partition,
    saliency_map,
    sparse_attention,
    top_entropy,
)
from fieldmark.papers.selective_sparse_sampling.sampler import (
    enlarged,
    gaussian_kernel,
    localised,
    on_image,
    resample,
    sampling_grid,
)
from fieldmark.plain import BelowOne, Count, NotNegative, Share

Branches = Literal["ODC", "OD", "OC", "DC", "O", "D", "C"]
Partition = Literal["probability", "all", "random"]
Attention = Literal["sparse", "class_response", "saliency"]
Peaks = Literal["above_mean", "all"]
Evaluation = Literal["half", "extremes"]
Kernel = Literal["gaussian", "learned"]
NAMES = {"O": "original", "D": "discriminative", "C": "complementary"}


class Branch(NamedTuple):
    """A sampled branch: attention (B, 31, 31), grid (B, H, W, 2), refined maps if wanted, embedding, own logits."""

    attention: Tensor
    grid: Tensor
    maps: Tensor | None
    embedding: Tensor
    logits: Tensor


class Pass(NamedTuple):
    """The results of a pass: O's features, the response map (B, 31, 31), its peaks, and sampled branches by name."""

    features: Features
    response: Tensor
    peaks: Tensor
    branches: dict[str, Branch]


class S3N(Method):
    """The image (O), a copy that enlarges its strong peaks (D), one that enlarges its weak ones (C), and all jointly.

    The views of ``encode`` are the branches' own logits: "original", "discriminative", "complementary".

    Args:
        classifier: with a linear head on average-pooled maps, which is O's classifier.
        criterion: the loss of every branch and of the joint features; plain cross-entropy by default.
        branches: which of O, D and C the prediction combines.
        partition: a peak goes to D with its response as the probability, else to C; or all go to both; or a coin
            decides.
        attention: Gaussians at peaks, or the whole response map, or a learned map without classes.
        threshold: delta, the entropy in nats up to which the likeliest class alone makes the response map.
        window: r, the side of the window in which a peak is the largest, in cells.
        peaks: those that reach the response map's mean, or all.
        evaluation: peaks are divided at a response of 0.5, or only the highest goes to D and the lowest to C.
        warmup: the fraction of training in which D and C have all peaks; it needs ``set_progress``.
        convolutions: a 3x3 convolution of stride 2 on the maps of D and of C.
        kernel: the sampler's, Gaussian or learned from there.
        smoothing: of the labels of O and C, in [0, 1), instead of the criterion's; 0 leaves them to the criterion.
        response_gradient: let the losses of D and C reach O's maps and classifier through the attention.

    Raises:
        UserError: an unknown word, a smoothing out of range, or another pool or head.
    """

    reads_refined: ClassVar[bool] = True

    def __init__(
        self,
        classifier: Classifier,
        criterion: Criterion | None = None,
        *,
        branches: Branches = "ODC",
        partition: Partition = "probability",
        attention: Attention = "sparse",
        threshold: NotNegative = 0.2,
        window: Count = 3,
        peaks: Peaks = "above_mean",
        evaluation: Evaluation = "half",
        warmup: Share = 0.0,
        convolutions: bool = False,
        kernel: Kernel = "gaussian",
        smoothing: BelowOne = 0.0,
        response_gradient: bool = False,
    ) -> None:
        super().__init__(classifier, CrossEntropy(0.0) if criterion is None else criterion)
        words = (branches, partition, attention)
        further = (threshold, window, peaks, evaluation, warmup, convolutions, kernel, smoothing, response_gradient)
        refuse_misfits(S3N, classifier, criterion, *words, *further)
        local_peaks(torch.zeros(1, 1, 1), window)  # refuses a window without a middle
        if not isinstance(classifier.pool, Average) or not isinstance(classifier.head, nn.Linear):
            raise UserError("S3N reads class maps off a linear head on average-pooled maps: take that pool and head")
        self.branches, self.partition, self.attention = branches, partition, attention
        self.smoothed = dict.fromkeys((NAMES["O"], NAMES["C"]), smoothing) if smoothing else {}
        self.threshold, self.window, self.peaks, self.evaluation = threshold, window, peaks, evaluation
        self.warmup, self.response_gradient, self.progress = warmup, response_gradient, 0.0
        width, classes = classifier.head.in_features, classifier.classes
        sampled = [letter for letter in "DC" if letter in branches]
        self.heads = nn.ModuleDict({NAMES[letter]: Linear(width, classes) for letter in sampled})
        self.scored_views = ("original", *self.heads)
        self.warned = False
        self.joint = Linear(len(branches) * width, classes) if len(branches) > 1 else None
        radii = {NAMES[letter]: torch.tensor(RADII[letter] * GRID * math.sqrt(2)) for letter in sampled}
        self.radii = nn.ParameterDict(radii if attention == "sparse" else {})
        self.saliency = nn.Linear(width, 1, bias=False) if attention == "saliency" and sampled else None
        self.kernel = nn.Parameter(gaussian_kernel(GRID, GRID)) if kernel == "learned" and sampled else None
        self.convolutions = nn.ModuleDict({NAMES[letter]: _halving(width) for letter in sampled if convolutions})

    def forward(self, images: Tensor) -> Tensor:
        """The joint logits (B, C) of normalised images (B, 3, H, W), for inference."""
        trained = self.training and torch.is_grad_enabled() and not torch.compiler.is_compiling()
        if trained and not self.warned and self.branches != "O":
            self.warned = True
            problem = "the classifiers of S3N's branches O, D and C are not trained by a loss on its output alone"
            warnings.warn(f"{problem}: call .loss(images, labels), which has one for each", stacklevel=2)
        return self.encode(images, EVALUATION).logits

    def encode(self, images: Tensor, draws: Draws) -> Encoded:
        """O's features, the joint logits and each branch's own; images are resampled here."""
        result = self._look(images, draws)
        own = {name: branch.logits for name, branch in result.branches.items()}
        return Encoded(result.features, self._joined(result), {"original": result.features.logits} | own)

    def objective(self, encoded: Encoded, labels: Tensor, draws: Draws) -> TrainOutput:
        """One loss per branch, always with O's, and "joint"."""
        losses = {
            name: self.criterion(encoded.views[name], labels, smoothing=self.smoothed.get(name))  # Eq. 9
            for name in self.scored_views
        }
        if self.joint is not None:
            losses["joint"] = self.criterion(encoded.logits, labels)  # Eq. 9
        return TrainOutput(losses, encoded.logits, labels, encoded.features, encoded.views)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The radii, beta of D and of C, are a group of their own, "radii"; so are "kernel" and "convolutions"."""
        own = {"radii": list(self.radii.parameters())}
        if self.kernel is not None:
            own["kernel"] = [self.kernel]
        if self.convolutions:
            own["convolutions"] = list(self.convolutions.parameters())
        groups, grouped = super().parameter_groups(), {id(p) for members in own.values() for p in members}
        return groups | {"head": [p for p in groups["head"] if id(p) not in grouped]} | own

    def adopt(self, weight: Tensor, bias: Tensor) -> None:
        """Every branch begins as the probe, and the prediction as O's; without O as the mean of D's and C's own."""
        super().adopt(weight, bias)
        for head in self.heads.values():
            adopt(head, weight, bias)
        if self.joint is not None:
            share = {letter: letter == "O" if "O" in self.branches else 0.5 for letter in self.branches}
            adopt(self.joint, torch.cat([share[letter] * weight for letter in self.branches], 1), bias)

    def scorers(self) -> tuple[tuple[nn.Linear, ...], ...]:
        """O's classifier, whose scores say where D and C look; then D's, C's and the joint one."""
        heads = [head for head in self.heads.values() if isinstance(head, nn.Linear)]
        sampled = (*heads, *([] if self.joint is None else [self.joint]))
        return (*super().scorers(), *([sampled] if sampled else []))

    def set_progress(self, fraction: float) -> None:
        """Ends the warm-up once ``fraction`` reaches it."""
        self.progress = fraction

    def evidence(self, images: Tensor) -> Evidence:
        """The branches, attention and grid of D and C, and the heatmaps "response", which has peaks, and "class".

        "class" is that of the predicted class: the branches' class maps, each scaled to [0, 1], those of D and C mapped
        back by the inverse of their sampling, summed and scaled again (the localisation of Table 2). Before they are
        summed they are "class/original", "class/discriminative" and "class/complementary", where there are several.
        """
        result = self._look(images, EVALUATION, refined=True)
        logits, sampled = self._joined(result), result.branches.items()
        heatmaps = {"response": result.response, **self._class_heatmaps(result, logits.argmax(1, keepdim=True))}
        heatmaps |= {name: branch.attention for name, branch in sampled}
        branches = {"original": result.features.logits} | {name: branch.logits for name, branch in sampled}
        views, peaks = {name: branch.grid for name, branch in sampled}, {"response": result.peaks}
        return Evidence(logits, branches=branches, heatmaps=heatmaps, peaks=peaks, views=views)

    def _look(self, images: Tensor, draws: Draws, *, refined: bool = False) -> Pass:
        """One pass; ``refined`` keeps the maps of D and C."""
        features = self.classifier.features(images)
        response = self._response(features)
        peaks = local_peaks(response, self.window) & (response > FAINTEST)
        if self.peaks == "above_mean":
            peaks = peaks & (response >= response.mean((1, 2), keepdim=True))
        attention = self._attention(response, peaks, draws) if self.heads else {}
        branches = self._sampled(images, attention, refined=refined or bool(self.convolutions)) if attention else {}
        return Pass(features, response, peaks, branches)

    def _response(self, features: Features) -> Tensor:
        """The response map on the grid, from the likeliest classes' maps alone."""
        maps, logits, weight = _refined(features), features.logits, _weight(self.classifier.head)
        if not self.response_gradient:
            maps, logits, weight = maps.detach(), logits.detach(), weight.detach()
        if self.saliency is not None:
            return saliency_map(enlarged(class_response_maps(maps, self.saliency.weight), GRID)[:, 0])
        # the sum of all classes' maps is the same for every prediction, 0 under cross-entropy: one is always left out
        likeliest = logits.topk(min(TOP, self.classifier.classes - 1), 1).indices
        maps = enlarged(class_response_maps(maps, weight[likeliest]), GRID)  # Eq. 1
        return combined(maps, top_entropy(logits), self.threshold)

    def _attention(self, response: Tensor, peaks: Tensor, draws: Draws) -> dict[str, Tensor]:
        """The attention map of each sampled branch, (B, 31, 31)."""
        if self.attention == "sparse":
            parts = dict(zip((NAMES["D"], NAMES["C"]), self._parted(response, peaks, draws), strict=True))
            maps = {
                name: sparse_attention(response, parts[name], beta, inverse=name == NAMES["C"])
                for name, beta in self.radii.items()
            }
        else:
            maps = {NAMES["D"]: response, NAMES["C"]: 1 - response}
        return {name: FLOOR + maps[name] for name in self.heads}

    def _parted(self, response: Tensor, peaks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """The peaks of D and of C."""
        evaluating = not draws.random
        if evaluating and self.evaluation == "extremes":
            return extremes(response, peaks)
        if self.partition == "all" or (not evaluating and self.progress < self.warmup):
            return peaks, peaks
        numbers = draws.rowwise("s3n", (GRID, GRID), like=response)
        if self.partition == "probability":
            return partition(response, peaks, numbers)
        coins = Draws(0).uniform("s3n", (GRID, GRID), like=response).expand_as(response) if evaluating else numbers
        return partition(torch.full_like(response, 0.5), peaks, coins)

    def _sampled(self, images: Tensor, attention: dict[str, Tensor], *, refined: bool) -> dict[str, Branch]:
        """The images resampled by each attention map, through the backbone in one batch."""
        count = len(attention)
        grid = sampling_grid(torch.cat(list(attention.values())), (images.shape[2], images.shape[3]), self.kernel)
        maps = self.classifier.backbone(resample(torch.cat([images] * count), grid))
        finer, embedding = self.classifier.embedded(maps, refined=refined)
        grids, embeddings = grid.unflatten(0, (count, -1)), embedding.unflatten(0, (count, -1))
        finer = finer.unflatten(0, (count, -1)) if finer is not None else None
        branches = {}
        for index, (name, attention_map) in enumerate(attention.items()):
            maps, embedding = None if finer is None else finer[index], embeddings[index]
            if maps is not None and name in self.convolutions:
                maps = self.convolutions[name](maps)
                embedding = self.classifier.pool(maps)
            branches[name] = Branch(attention_map, grids[index], maps, embedding, self.heads[name](embedding))
        return branches

    def _joined(self, result: Pass) -> Tensor:
        """The prediction: from the joint features, or a lone branch's own."""
        by_name = {"original": result.features, **result.branches}
        chosen = [by_name[NAMES[letter]] for letter in self.branches]
        if self.joint is None:
            return chosen[0].logits
        return self.joint(torch.cat([branch.embedding for branch in chosen], 1))

    def _class_heatmaps(self, result: Pass, best: Tensor) -> dict[str, Tensor]:
        """Of the classes ``best`` (B, 1): by the branches together, and by each of several."""
        maps: dict[str, tuple[Tensor, Tensor | None]] = {}
        if "O" in self.branches:
            own = class_response_maps(_refined(result.features), _weight(self.classifier.head)[best])
            maps[NAMES["O"]] = own, None
        for name, branch in result.branches.items():
            assert branch.maps is not None
            maps[name] = class_response_maps(branch.maps, _weight(self.heads[name])[best]), branch.attention
        heatmaps = dict(zip(maps, on_image([*maps.values()], GRID, self.kernel), strict=True))
        alone = {f"class/{name}": heatmap for name, heatmap in heatmaps.items()} if len(heatmaps) > 1 else {}
        return {"class": localised([*heatmaps.values()]), **alone}


def _weight(head: nn.Module) -> Tensor:
    assert isinstance(head, nn.Linear)
    return head.weight


def _refined(features: Features) -> Tensor:
    assert features.refined is not None, "reads_refined demands them"
    return features.refined


def _halving(channels: int) -> nn.Module:
    convolution = nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU())
