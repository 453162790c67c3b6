"""S3N: its branches against the equations' functions, its losses, its options, what it learns and what it refuses."""

import math
import warnings
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.building import build_learner
from fieldmark.core.backbone import Backbone
from fieldmark.core.classifier import Average, Classifier, Linear, Maximum
from fieldmark.core.contract import TrainOutput
from fieldmark.core.criterion import CrossEntropy
from fieldmark.core.draws import EVALUATION, Draws
from fieldmark.core.learner import Learner, total
from fieldmark.errors import UserError
from fieldmark.papers import selective_sparse_sampling as paper
from fieldmark.papers.selective_sparse_sampling import method as s3n
from fieldmark.papers.selective_sparse_sampling.method import S3N
from fieldmark.papers.selective_sparse_sampling.sampler import enlarged, resample
from fieldmark.recipe import Part, Sgd
from fieldmark.recipes.selective_sparse_sampling import COMPOSITION, ROWS
from fieldmark.testing import check_learner, no_reading_back
from fieldmark.training.optim import make_optimiser
from golden_step import check_golden, numbers_of_a_step, tiny_learner

SIDE, CHANNELS, CLASSES = 48, 12, 7
LABELS = torch.tensor([0, 0, 1, 2, 3])
ROWWISE = torch.tensor([3, 14, 15, 92, 65])
BRANCHES = ("ODC", "OD", "OC", "DC", "O", "D", "C")
NAMES = {"O": "original", "D": "discriminative", "C": "complementary"}


def numbers(name: str, shape: tuple[int, ...]) -> Tensor:
    return Draws(0).uniform(name, shape, like=torch.zeros(0, dtype=torch.float64)) * 2 - 1


def images(count: int = 5, side: int = SIDE) -> Tensor:
    """Smooth noise, (count, 3, side, side)."""
    return enlarged(numbers("images", (count, 3, 9, 9)), side)


def built(
    *,
    classes: int = CLASSES,
    drawn: bool = True,
    neck: nn.Module | None = None,
    pool: nn.Module | None = None,
    **options: object,
) -> S3N:
    """In float64, with maps of 6 x 6; every weight is drawn by its name unless it is left as it starts."""
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(8, CHANNELS, 3, 2, 1))
    backbone = Backbone(layers, example=torch.zeros(1, 3, SIDE, SIDE))
    neck = neck or nn.Identity()
    head = Linear(neck(torch.zeros(1, CHANNELS, 1, 1)).shape[1], classes)
    classifier = Classifier(backbone, neck=neck, pool=pool or Average(), head=head, classes=classes)
    method = S3N(classifier, CrossEntropy(0), **options).double()  # pyright: ignore[reportArgumentType]
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            if (drawn or "backbone" in name) and parameter.ndim:
                parameter.copy_(numbers(name, tuple(parameter.shape)) * (3 if "head" in name else 1))
    return method


def step(method: S3N, draws: Draws | None = None) -> TrainOutput:
    return Learner(method)(images(), LABELS, draws or Draws(1, 0, ROWWISE))


def masks_of(method: S3N, draws: Draws, monkeypatch: pytest.MonkeyPatch) -> dict[bool, tuple[Tensor, Tensor]]:
    """Response and peaks that each branch is given; the complementary's by True."""
    given: dict[bool, tuple[Tensor, Tensor]] = {}

    def noted(response: Tensor, peaks: Tensor, beta: Tensor, inverse: bool = False) -> Tensor:
        given[inverse] = response, peaks
        return response

    with monkeypatch.context() as patch:
        patch.setattr(s3n, "sparse_attention", noted)
        method.encode(images(), draws)
    return given


def shown(method: S3N, pictures: Tensor) -> dict[str, Tensor]:
    """The evidence, flat."""
    evidence = method.evidence(pictures)
    names = {"attention": {name: evidence.heatmaps[name] for name in evidence.views}, "grid": evidence.views}
    drawn = {f"{name} {kind}": value for kind, named in names.items() for name, value in named.items()}
    heatmaps = {"response": evidence.heatmaps["response"], "heatmap": evidence.heatmaps["class"]}
    return {"logits": evidence.logits, "peaks": evidence.peaks["response"], **evidence.branches, **drawn, **heatmaps}


def reaching_the_mean(response: Tensor, window: int) -> Tensor:
    peaks = paper.local_peaks(response, window) & (response > 1e-6)
    return peaks & (response >= response.mean((1, 2), keepdim=True))


def expected_evidence(method: S3N, threshold: float = 0.2, window: int = 3) -> dict[str, Tensor]:
    """The whole of S3N once more, from the equations' functions and the released defaults."""
    classifier, pixels = method.classifier, images()
    features = classifier.features(pixels)
    assert features.refined is not None
    assert isinstance(classifier.head, nn.Linear)
    class_maps = enlarged(paper.class_response_maps(features.refined, classifier.head.weight), 31)
    response = paper.response_map(class_maps, features.logits, threshold)
    peaks = reaching_the_mean(response, window)
    strong, weak = paper.partition(response, peaks, torch.full_like(response, 0.5))
    actual = {"response": response, "peaks": peaks, "original": features.logits}
    embeddings = [features.embedding]
    for name, mask, share in (("discriminative", strong, 0.09), ("complementary", weak, 0.3)):
        beta = 31 * math.sqrt(2) * share
        attention = 0.09 + paper.sparse_attention(response, mask, beta, inverse=name == "complementary")
        grid = paper.sampling_grid(attention, SIDE)
        picture = F.grid_sample(pixels, grid, align_corners=True, padding_mode="border")
        embeddings.append(classifier.features(picture).embedding)
        actual |= {name: method.heads[name](embeddings[-1]), f"{name} attention": attention, f"{name} grid": grid}
    assert method.joint is not None
    return actual | {"logits": method.joint(torch.cat(embeddings, 1))}


@pytest.mark.parametrize("neck", [None, nn.Conv2d(CHANNELS, 9, 1)], ids=["no neck", "neck"])
def test_a_pass_is_what_the_equations_say(neck: nn.Module | None):
    method = built(neck=neck).eval()
    actual, expected = shown(method, images()), expected_evidence(method)
    assert set(actual) == {*expected, "heatmap"}
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=1e-6, atol=1e-6, msg=name)
    assert torch.equal(method(images()), actual["logits"])
    moved = (actual["discriminative grid"] - actual["complementary grid"]).abs().amax((1, 2, 3))
    assert (moved > 0.05).all()


def unsure(**options: object) -> S3N:
    """In eval mode, with entropies of the five images of 0.64, 0.66, 0.75, 0.79 and 0.89."""
    method = built(**options).eval()  # pyright: ignore[reportArgumentType]
    head = method.classifier.head
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight *= 0.1
        head.bias *= 0.1
    return method


@pytest.mark.parametrize(("threshold", "window"), [(0.0, 3), (0.7, 3), (5.0, 3), (0.2, 1), (0.2, 7)])
def test_a_pass_follows_delta_and_r(threshold: float, window: int):
    method = unsure(threshold=threshold, window=window)
    actual, expected = shown(method, images()), expected_evidence(method, threshold, window)
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=1e-6, atol=1e-6, msg=name)


def test_delta_is_the_entropy_up_to_which_one_map_is_enough():
    usual, none, some, every = (shown(unsure(**chosen), images()) for chosen in DELTAS)
    sure = paper.top_entropy(usual["original"]) <= 0.7
    assert sure.tolist() == [False, False, False, True, True]
    assert torch.equal(usual["response"], none["response"]), "0.2 by default: all are less sure"
    assert torch.equal(some["response"], torch.where(sure[:, None, None], every["response"], none["response"]))
    assert ((every["response"] - none["response"]).abs().amax((1, 2)) > 0.05).all()
    assert ((every["logits"] - none["logits"]).abs().amax(1) > 1e-3).all()


DELTAS: tuple[dict[str, float], ...] = ({}, {"threshold": 0.0}, {"threshold": 0.7}, {"threshold": 5.0})


def test_a_wider_r_has_fewer_peaks():
    counts = []
    for window in (1, 3, 5, 9, 61):
        evidence = shown(built(window=window).eval(), images())
        response = evidence["response"]
        assert torch.equal(evidence["peaks"], reaching_the_mean(response, window))
        counts.append(int(evidence["peaks"].sum()))
    assert counts == sorted(set(counts), reverse=True)
    assert counts[-1] == 5, "the highest of each image"


def test_the_objective_is_eq_9():
    method, smoothing = built(), 0.0
    output = step(method)
    assert list(output.losses) == ["original", "discriminative", "complementary", "joint"]
    for name, loss in output.losses.items():
        logits = (output.views | {"joint": output.logits})[name]
        rows = [-math.log(row.softmax(0)[label].item()) for row, label in zip(logits, LABELS, strict=True)]
        assert loss.item() == pytest.approx(sum(rows) / len(rows) + smoothing, rel=0, abs=1e-10)


def smoothed_rows(logits: Tensor, smoothing: float, prior: list[float]) -> list[float]:
    """Cross-entropy with even mass of ``smoothing`` on all classes, one number a row."""
    losses = []
    for row, label in zip((logits + torch.tensor(prior).double().log()).tolist(), LABELS.tolist(), strict=True):
        total = math.log(sum(math.exp(score) for score in row))
        targets = [(1 - smoothing) * (index == label) + smoothing / len(row) for index in range(len(row))]
        losses.append(-sum(target * (score - total) for target, score in zip(targets, row, strict=True)))
    return losses


@pytest.mark.parametrize("smoothing", [0.0, 0.15])
def test_the_labels_of_o_and_c_alone_may_be_smoothed(smoothing: float):
    """The others keep the recipe's smoothing, and all of them its class adjustment."""
    method = built(smoothing=smoothing)
    counts = torch.arange(1, CLASSES + 1)
    method.criterion = CrossEntropy(0.1, adjust=True, counts=counts)
    output, prior = step(method), (counts / counts.sum()).tolist()
    for name, loss in output.losses.items():
        own = smoothing if smoothing and name in ("original", "complementary") else 0.1
        rows = smoothed_rows((output.views | {"joint": output.logits})[name], own, prior)
        assert loss.item() == pytest.approx(sum(rows) / len(rows), rel=0, abs=1e-6), name


def test_a_smoothing_of_c_over_c_less_one_parts_is_the_released_target():
    smoothing = 0.15 * CLASSES / (CLASSES - 1)
    method = built(smoothing=smoothing)
    output = step(method)
    rows = []
    for row, label in zip(output.views["original"].log_softmax(1).tolist(), LABELS.tolist(), strict=True):
        others = sum(value for index, value in enumerate(row) if index != label)
        rows.append(-0.85 * row[label] - 0.15 / (CLASSES - 1) * others)
    assert output.losses["original"].item() == pytest.approx(sum(rows) / len(rows), rel=0, abs=1e-10)


@pytest.mark.parametrize("branches", BRANCHES)
def test_branches_are_chosen_freely(branches: str):
    method = built(branches=branches)
    output = step(method)
    own = ["original", *(NAMES[letter] for letter in "DC" if letter in branches)]
    assert list(output.views) == own
    assert list(output.losses) == own + (["joint"] if len(branches) > 1 else [])
    assert list(method.radii) == sorted(own[1:])
    if method.joint is None:
        assert torch.equal(output.logits, output.views[NAMES[branches]])
    else:
        assert method.joint.in_features == len(branches) * CHANNELS
    total(output).backward()
    assert all(parameter.grad is not None for parameter in method.parameters())


def test_the_original_branch_alone_is_the_plain_network():
    method = built(branches="O").eval()
    assert torch.equal(method(images()), method.classifier(images()))


@pytest.mark.parametrize("attention", ["sparse", "class_response", "saliency"])
@pytest.mark.parametrize("partition", ["probability", "all", "random"])
def test_attention_and_partition_compose(attention: str, partition: str):
    method = built(attention=attention, partition=partition)
    with no_reading_back():
        output = step(method)
        total(output).backward()
    assert all(loss.isfinite() for loss in output.losses.values())
    assert all(parameter.grad is not None for parameter in method.parameters())
    evidence = shown(method.eval(), images())
    if attention != "sparse":
        torch.testing.assert_close(evidence["discriminative attention"], 0.09 + evidence["response"])
        torch.testing.assert_close(evidence["complementary attention"], 1.09 - evidence["response"])
    assert (evidence["discriminative attention"] != evidence["complementary attention"]).any()


def test_saliency_is_a_softmax_that_knows_no_classes():
    method = built(attention="saliency").eval()
    assert method.saliency is not None
    maps = method.classifier.features(images()).refined
    assert maps is not None
    scores = enlarged(F.conv2d(maps, method.saliency.weight[:, :, None, None]), 31)[:, 0]
    chances = scores.flatten(1).softmax(1).view_as(scores)
    expected = chances / chances.amax((1, 2), keepdim=True)
    torch.testing.assert_close(shown(method, images())["response"], expected, rtol=0, atol=1e-10)
    nn.init.zeros_(method.classifier.head.weight)  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(shown(method, images())["response"], expected, rtol=0, atol=1e-10)


def test_probability_parts_peaks_by_their_response(monkeypatch: pytest.MonkeyPatch):
    method, draws = built(), Draws(1, 0, ROWWISE)
    given = masks_of(method, draws, monkeypatch)
    response, strong = given[False]
    expected = response > draws.rowwise("s3n", (31, 31), like=response)
    peaks = strong | given[True][1]
    assert torch.equal(strong, peaks & expected)
    assert not (strong & given[True][1]).any()
    response, strong = masks_of(method, EVALUATION, monkeypatch)[False]
    assert torch.equal(strong, peaks & (response > 0.5))


def test_all_gives_both_branches_all_peaks_as_the_warm_up_does(monkeypatch: pytest.MonkeyPatch):
    for method in (built(partition="all"), built(warmup=0.5)):
        given = masks_of(method, Draws(1, 0, ROWWISE), monkeypatch)
        assert torch.equal(given[False][1], given[True][1])
        assert (given[False][1].sum((1, 2)) > 1).all()
    warming = built(warmup=0.5)
    parted = masks_of(warming, EVALUATION, monkeypatch)
    assert not (parted[False][1] & parted[True][1]).any(), "evaluation has no warm-up"
    warming.set_progress(0.5)
    parted = masks_of(warming, Draws(1, 0, ROWWISE), monkeypatch)
    assert not (parted[False][1] & parted[True][1]).any()


def test_random_parts_peaks_by_a_coin_and_always_alike_in_evaluation(monkeypatch: pytest.MonkeyPatch):
    method, strong, weak = built(partition="random"), 0, 0
    for number in range(20):
        given = masks_of(method, Draws(1, number, ROWWISE), monkeypatch)
        assert not (given[False][1] & given[True][1]).any()
        top = given[False][0] > 0.9
        strong, weak = strong + int((given[False][1] & top).sum()), weak + int((given[True][1] & top).sum())
    assert 0.35 < strong / (strong + weak) < 0.65, "a high response is as often complementary"
    first, second = (masks_of(method, EVALUATION, monkeypatch) for _ in range(2))
    assert torch.equal(first[False][1], second[False][1])
    assert first[False][1].any()
    assert first[True][1].any()


def test_extremes_are_for_evaluation_alone(monkeypatch: pytest.MonkeyPatch):
    method = built(evaluation="extremes")
    response, highest = masks_of(method, EVALUATION, monkeypatch)[False]
    _, lowest = masks_of(method, EVALUATION, monkeypatch)[True]
    assert highest.sum((1, 2)).tolist() == lowest.sum((1, 2)).tolist() == [1] * 5
    assert (response[highest] == 1).all()
    trained = masks_of(method, Draws(1, 0, ROWWISE), monkeypatch)
    assert (trained[False][1] | trained[True][1]).sum((1, 2)).min() > 1


def test_peaks_reach_the_mean_unless_all_are_asked_for():
    every, above = (shown(method.eval(), images()) for method in (built(peaks="all"), built()))
    response, mean = every["response"], every["response"].mean((1, 2), keepdim=True)
    assert torch.equal(above["peaks"], every["peaks"] & (response >= mean))
    assert above["peaks"].sum() < every["peaks"].sum()


def test_convolutions_halve_the_maps_of_the_sampled_branches():
    method = built(convolutions=True)
    assert sorted(method.convolutions) == ["complementary", "discriminative"]
    result = method._look(images(), EVALUATION, refined=True)
    assert result.features.maps.shape == (5, CHANNELS, 6, 6)
    for branch in result.branches.values():
        assert branch.maps is not None
        assert branch.maps.shape == (5, CHANNELS, 3, 3)
        torch.testing.assert_close(branch.embedding, branch.maps.mean((2, 3)))
    assert shown(method.eval(), images())["heatmap"].shape == (5, 31, 31)


@pytest.mark.parametrize("reaches", [False, True])
def test_the_response_passes_gradients_on_only_if_asked(reaches: bool):
    method = built(response_gradient=reaches)
    output = step(method)
    (output.losses["discriminative"] + output.losses["complementary"]).backward()
    gradient = dict(method.named_parameters())["classifier.head.weight"].grad
    assert (gradient is not None and bool(gradient.any())) is reaches
    assert all(radius.grad is not None and radius.grad != 0 for radius in method.radii.values())


def test_the_gradient_of_the_radii_is_that_of_finite_differences():
    method, draws = built(), Draws(1, 0, ROWWISE)

    def loss() -> float:
        with torch.no_grad():
            return total(step(method, draws)).item()

    total(step(method, draws)).backward()
    for name, radius in method.radii.items():
        assert radius.grad is not None
        ends = []
        for shift in (1e-5, -2e-5):
            with torch.no_grad():
                radius += shift
            ends.append(loss())
        with torch.no_grad():
            radius += 1e-5
        assert radius.grad.item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-3), name
        assert abs(radius.grad.item()) > 1e-6, name


def test_from_zero_heads_the_radii_learn_at_the_second_step():
    method = built(drawn=False)
    optimiser = torch.optim.SGD(method.parameters(), lr=0.1)
    sizes = []
    for number in range(2):
        optimiser.zero_grad()
        total(step(method, Draws(1, number, ROWWISE))).backward()
        sizes.append([abs(radius.grad.item()) for radius in method.radii.values() if radius.grad is not None])
        optimiser.step()
    assert sizes[0] == [0, 0]
    assert len(sizes[1]) == 2
    assert all(size > 0 for size in sizes[1])


def is_identity(grid: Tensor) -> list[bool]:
    """For each image, whether the grid (B, SIDE, SIDE, 2) leaves it as it is."""
    across = (torch.arange(SIDE, dtype=torch.float64) * 2 / (SIDE - 1) - 1).expand(SIDE, SIDE)
    return ((grid - torch.stack((across, across.T), -1)).abs().amax((1, 2, 3)) < 1e-10).tolist()


def seeing_brightness(method: S3N, pooling: nn.Module) -> S3N:
    """With maps of brightness, and own heads that take class 0 for what is bright."""
    with torch.no_grad():
        network = nn.Sequential(pooling, nn.Conv2d(3, CHANNELS, 1, bias=False)).double()
        nn.init.ones_(network[1].weight)  # pyright: ignore[reportArgumentType]
        method.classifier.backbone.network = network
        for head in (method.classifier.head, *method.heads.values()):
            assert isinstance(head, nn.Linear)
            head.weight[0] += 1
    return method


def spots(*heights: float) -> Tensor:
    """An image (3, SIDE, SIDE) that is grey but for spots of these heights, from the left, each alone in its part."""
    rows, columns = torch.arange(SIDE).double()[:, None], torch.arange(SIDE).double()
    image = torch.full((SIDE, SIDE), 0.3, dtype=torch.float64)
    for place, height in enumerate(heights):
        middle = (place + 0.5) * SIDE / len(heights)
        image += height * torch.exp(-((rows - SIDE / 3) ** 2 + (columns - middle) ** 2) / 40)
    return image.expand(3, -1, -1)


def test_untrained_heads_sample_nothing_anew():
    evidence = shown(built(drawn=False).eval(), images())
    for name in ("discriminative grid", "complementary grid"):
        assert all(is_identity(evidence[name]))
    assert not evidence["peaks"].any()
    assert (evidence["response"] == 0).all()
    assert (evidence["heatmap"] == 0).all()


@pytest.mark.parametrize("options", [{}, {"evaluation": "extremes"}, {"partition": "all"}, {"peaks": "all"}])
def test_a_branch_without_a_peak_sees_the_image_as_it_is(options: dict[str, object]):
    """A constant map, one peak and two in one batch: each image has what it would have alone."""
    method = seeing_brightness(built(drawn=False, **options), nn.AvgPool2d(4)).eval()  # pyright: ignore[reportArgumentType]
    evidence = shown(method, torch.stack([spots(), spots(1.0), spots(1.0, 0.4)]))
    strong, weak = is_identity(evidence["discriminative grid"]), is_identity(evidence["complementary grid"])
    assert evidence["peaks"].sum((1, 2)).tolist() == [0, 1, 2]
    assert (evidence["response"][0] == 0).all()
    assert (evidence["heatmap"][0] == 0).all()
    assert evidence["response"][1][evidence["peaks"][1]].tolist() == [1]
    both = "evaluation" in options or "partition" in options  # then D and C share the only peak
    assert (strong, weak) == ([True, False, False], [True, not both, False])
    for name, is_still in (("discriminative attention", strong), ("complementary attention", weak)):
        assert [bool((image == 0.09).all()) for image in evidence[name]] == is_still


def test_maps_that_cancel_have_no_peak():
    """Five maps that vary, but whose sum does not: the response is constant, and nothing is sampled anew."""
    method = built(classes=6, threshold=0.0).eval()
    head = method.classifier.head
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight[:5] -= head.weight[:5].mean(0)
        head.bias[5] = -100
    evidence = shown(method, images())
    maps = method.classifier.features(images()).refined
    assert maps is not None
    class_maps = paper.class_response_maps(maps, head.weight)[:, :5]
    assert (class_maps.amax((2, 3)) - class_maps.amin((2, 3)) > 0.01).all()
    assert (evidence["response"] == 0).all()
    assert not evidence["peaks"].any()
    assert all(is_identity(evidence["discriminative grid"]) + is_identity(evidence["complementary grid"]))


@pytest.mark.parametrize("attention", ["sparse", "class_response", "saliency"])
@pytest.mark.parametrize("heights", [(), (1.0,)], ids=["constant", "one peak"])
def test_constant_and_one_peak_images_train_without_nan(heights: tuple[float, ...], attention: str):
    method = seeing_brightness(built(attention=attention, response_gradient=True), nn.AvgPool2d(4))
    pixels, rows = torch.stack([spots(*heights)] * 2), Draws(1, 0, ROWWISE[:2])
    output = Learner(method)(pixels, LABELS[:2], rows)
    total(output).backward()
    assert all(loss.isfinite() for loss in output.losses.values())
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in method.parameters())
    result = method._look(pixels, rows)
    if attention == "sparse":
        assert result.peaks.sum((1, 2)).tolist() == [len(heights)] * 2
        grown = {name: not all(is_identity(branch.grid)) for name, branch in result.branches.items()}
        assert grown == {"discriminative": bool(heights), "complementary": False}, "a peak of 1 is D's, by any draw"
        learns = {name: bool(radius.grad) for name, radius in method.radii.items()}
        assert learns == grown
    elif not heights:
        assert all(all(is_identity(branch.grid)) for branch in result.branches.values())


@pytest.mark.parametrize("classes", [2, 3, 5, 6])
def test_few_classes_have_a_response_too(classes: int):
    method = built(classes=classes).eval()
    head = method.classifier.head
    assert isinstance(head, nn.Linear)
    with torch.no_grad():  # as cross-entropy leaves a head that began at zero
        head.weight -= head.weight.mean(0, keepdim=True)
    response = shown(method, images())["response"]
    assert (response.amax((1, 2)) == 1).all()
    assert torch.isclose(method(images())[:1], method(images()[:1]), rtol=0, atol=1e-9).all()


def test_a_row_depends_on_its_image_alone():
    method = built().eval()
    whole = method.encode(images(), Draws(1, 4, ROWWISE))
    alone = method.encode(images()[2:3], Draws(1, 4, ROWWISE[2:3]))
    torch.testing.assert_close(alone.logits, whole.logits[2:3], rtol=0, atol=1e-9)
    for name, view in alone.views.items():
        torch.testing.assert_close(view, whole.views[name][2:3], rtol=0, atol=1e-9)
    other = method.encode(images(), Draws(1, 5, ROWWISE))
    assert (other.views["discriminative"] - whole.views["discriminative"]).abs().max() > 1e-3


def test_the_heatmap_lies_in_the_image():
    """Of a bright spot, the branch that enlarges it shows a large one, and its heatmap shows the spot's place."""
    method = seeing_brightness(built(branches="D", drawn=False), nn.AvgPool2d(8, 4, 2)).eval()
    side = 124
    place = (torch.arange(side) - 84).abs() < 12, (torch.arange(side) - 34).abs() < 12
    picture = (place[0][:, None] & place[1]).double().expand(1, 3, side, side)
    evidence = shown(method, picture)
    enlarged_spot = resample(picture, evidence["discriminative grid"])
    assert enlarged_spot.sum() > 1.5 * picture.sum()
    rows, columns = (evidence["heatmap"][0] > 0.5).nonzero(as_tuple=True)
    assert rows.double().mean().item() == pytest.approx(84 / 123 * 30, abs=1)
    assert columns.double().mean().item() == pytest.approx(34 / 123 * 30, abs=1)


@pytest.mark.parametrize("branches", BRANCHES)
def test_each_of_several_branches_has_a_heatmap_of_the_class(branches: str):
    method = built(branches=branches).eval()
    heatmaps = {name: value for name, value in method.evidence(images()).heatmaps.items() if name.startswith("class")}
    names = [f"class/{NAMES[letter]}" for letter in branches] if len(branches) > 1 else []
    assert set(heatmaps) == {"class", *names}
    together = torch.stack([heatmaps[name] for name in names or ["class"]]).sum(0)
    low, high = together.amin((1, 2), keepdim=True), together.amax((1, 2), keepdim=True)
    torch.testing.assert_close(heatmaps["class"], (together - low) / (high - low), rtol=0, atol=1e-10)
    if "O" in branches and names:
        features, best = method.classifier.features(images()), method(images()).argmax(1)
        assert features.refined is not None
        assert isinstance(method.classifier.head, nn.Linear)
        maps = torch.einsum("bdhw,bd->bhw", features.refined, method.classifier.head.weight[best])
        for own, expected in zip(heatmaps["class/original"], enlarged(maps[:, None], 31)[:, 0], strict=True):
            span = expected.max() - expected.min()
            torch.testing.assert_close(own, (expected - expected.min()) / span, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_positions_stay_in_full_precision(dtype: torch.dtype):
    method = built().float()
    with torch.autocast("cpu", dtype=dtype):
        result = method._look(images().float(), Draws(1, 0, ROWWISE))
        output = Learner(method)(images().float(), LABELS, Draws(1, 0, ROWWISE))
    assert result.features.logits.dtype == dtype
    assert result.response.dtype == torch.float32
    assert {branch.grid.dtype for branch in result.branches.values()} == {torch.float32}
    total(output).backward()
    assert all(radius.grad is not None and bool(radius.grad.isfinite()) for radius in method.radii.values())


def test_sampled_images_lie_in_memory_as_the_images_do():
    method, calls = built(), []
    method.classifier.backbone.register_forward_pre_hook(lambda module, given: calls.append(given[0]))
    method.encode(images().contiguous(memory_format=torch.channels_last), EVALUATION)
    assert [len(given) for given in calls] == [5, 10], "D and C are one batch"
    assert all(given.is_contiguous(memory_format=torch.channels_last) for given in calls)


def test_groups_name_the_radii():
    groups = built(attention="sparse").parameter_groups()
    assert [len(groups[name]) for name in ("backbone", "radii")] == [4, 2]
    assert built(attention="saliency").parameter_groups()["radii"] == []
    first = sorted(radius.item() for radius in groups["radii"])
    assert first == pytest.approx([31 * math.sqrt(2) * 0.09, 31 * math.sqrt(2) * 0.3], rel=1e-6)


def test_groups_name_the_convolutions_where_there_are_some():
    assert "convolutions" not in built().parameter_groups()
    assert "convolutions" not in built(branches="O", convolutions=True).parameter_groups()
    method = built(convolutions=True)
    groups = method.parameter_groups()
    expected = {id(p) for name, p in method.named_parameters() if name.startswith("convolutions.")}
    assert {id(p) for p in groups["convolutions"]} == expected
    assert len(groups["convolutions"]) == 6
    assert len(groups["radii"]) == 2
    assert sum(len(members) for members in groups.values()) == len(list(method.parameters()))
    scales = {"backbone": 0.1, "radii": 1e-5, "convolutions": 0.1}  # the released code's rates
    optimiser = make_optimiser(groups, Sgd(lr=0.01, scales=scales))
    rates = {group["name"]: group["lr"] * group["scale"] for group in optimiser.param_groups}
    assert rates == pytest.approx({"backbone": 0.001, "head": 0.01, "radii": 1e-7, "convolutions": 0.001})


def test_a_learned_kernel_starts_as_the_gaussian_and_has_a_group_of_its_own():
    assert "kernel" not in built().parameter_groups()
    assert "kernel" not in built(branches="O", kernel="learned").parameter_groups()
    torch.manual_seed(0)
    fixed, learned = (built(drawn=False, kernel=kernel) for kernel in ("gaussian", "learned"))
    kernel = learned.state_dict()["kernel"]
    assert kernel.shape == (61, 61)
    assert learned.load_state_dict(fixed.state_dict() | {"kernel": kernel})
    for method in (fixed, learned):
        method.train().set_progress(1.0)
    views = [method.encode(images(), EVALUATION).logits for method in (fixed, learned)]
    torch.testing.assert_close(*views, rtol=0, atol=1e-6)
    groups = learned.parameter_groups()
    assert [parameter.shape for parameter in groups["kernel"]] == [(61, 61)]
    assert sum(len(members) for members in groups.values()) == len(list(learned.parameters()))


def test_a_learned_kernel_gets_a_gradient():
    method = built(kernel="learned").train()
    method.loss(images(), LABELS).backward()
    (kernel,) = method.parameter_groups()["kernel"]
    assert kernel.grad is not None
    assert kernel.grad.isfinite().all()
    assert kernel.grad.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "free"}, "kernel of S3N is 'free'; choose gaussian, learned"),
        ({"smoothing": 1.0}, "smoothing of S3N is 1.0; it must be at least 0 and below 1"),
        ({"smoothing": -0.1}, "smoothing of S3N is -0.1; it must be"),
        ({"smoothing": math.nan}, "smoothing of S3N is nan; it must be"),
        ({"branches": "XY"}, "branches of S3N is 'XY'; choose ODC, OD"),
        ({"partition": "half"}, "choose probability, all, random"),
        ({"attention": "dense"}, "choose sparse, class_response, saliency"),
        ({"peaks": "some"}, "choose above_mean, all"),
        ({"evaluation": "all"}, "choose half, extremes"),
        ({"window": 2}, "odd number of cells"),
        ({"pool": Maximum()}, "linear head on average-pooled maps"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(options: dict[str, object], message: str):
    with pytest.raises(UserError, match=message) as refusal:
        built(**options)  # pyright: ignore[reportArgumentType]
    assert len(str(refusal.value).splitlines()) == 1


def test_another_head_is_refused():
    classifier = built().classifier
    classifier.head = nn.Sequential(nn.Dropout(), Linear(CHANNELS, CLASSES))
    with pytest.raises(UserError, match="linear head on average-pooled maps"):
        S3N(classifier, CrossEntropy(0))


@pytest.mark.parametrize(
    "options",
    [
        {"branches": "DC", "partition": "random", "evaluation": "extremes", "peaks": "all"},
        {
            "attention": "saliency",
            "convolutions": True,
            "kernel": "learned",
            "response_gradient": True,
            "warmup": 0.5,
            "smoothing": 0.2,
        },
    ],
)
def test_options_keep_the_contract(options: dict[str, object]):
    model = replace(ROWS[0].recipe.model, method=Part("S3N", options), backbone="test_resnet", weights="none")
    check_learner(lambda seed: build_learner(replace(ROWS[0].recipe, model=model, seed=seed), classes=5), export=False)


def test_the_pieces_train_in_a_loop_of_ones_own():
    """A radius that learns how wide to look, so that a small bright spot fills the picture."""
    from fieldmark.papers.selective_sparse_sampling.method import local_peaks, sampling_grid, sparse_attention

    pictures = torch.zeros(2, 1, 64, 64)
    pictures[0, 0, 20:26, 40:46] = pictures[1, 0, 44:50, 10:16] = 1
    response = F.interpolate(pictures, (31, 31), mode="area")[:, 0]
    beta = torch.tensor(8.0, requires_grad=True)
    optimiser, shown = torch.optim.SGD([beta], lr=100.0), []
    for _ in range(20):
        attention = 0.09 + sparse_attention(response, local_peaks(response) & (response > 0.5), beta)
        drawn = F.grid_sample(pictures, sampling_grid(attention, 64), align_corners=True)
        shown.append(drawn.mean().item())
        optimiser.zero_grad()
        (-drawn.mean()).backward()
        optimiser.step()
    assert 3 < beta.item() < 5
    assert shown[-1] > 1.5 * shown[0] > 3 * pictures.mean().item()


def test_one_step_is_the_golden_one(monkeypatch: pytest.MonkeyPatch):
    learner = tiny_learner(replace(COMPOSITION, method=Part("S3N", {"peaks": "all"})), monkeypatch)
    assert isinstance(learner.method, S3N)
    with torch.no_grad():  # wide enough that they matter
        for radius in learner.method.radii.values():
            radius += 5
    check_golden("s3n", numbers_of_a_step(learner))


def test_a_loss_on_the_output_alone_says_once_that_the_branches_are_not_trained():
    method = built().float()
    pixels = images().float()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        method.eval()(pixels)
        with torch.no_grad():
            method.train()(pixels)
        Learner(method)(pixels, LABELS, Draws(1, 0, ROWWISE))
        method.loss(pixels, LABELS)
        built(branches="O").float()(pixels)
    with pytest.warns(UserWarning, match=r"O, D and C are not trained .* call \.loss\(images, labels\)"):
        method(pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        method(pixels)


def test_in_a_loop_of_ones_own_all_branches_are_trained_and_seeds_matter():
    method = built().float()
    pixels = images().float()
    method.loss(pixels, LABELS).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in method.heads.parameters())

    def seeded(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return method.loss(pixels, LABELS)

    assert torch.equal(seeded(1), seeded(1))
    assert not torch.equal(seeded(1), seeded(2))
    method.eval()
    assert torch.equal(seeded(1), seeded(2))
