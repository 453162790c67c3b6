"""NTS-Net: a pass against a loop over images and crops, its losses, its dropout, and what it goes together with.

Its start as a probe is in ``test_adopt.py``, its place in ``add-class`` in ``test_widening.py``.
"""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldmark.building import build_learner
from fieldmark.core.backbone import Backbone
from fieldmark.core.classifier import Average, Classifier, Linear
from fieldmark.core.criterion import CrossEntropy
from fieldmark.core.draws import EVALUATION, Draws, TorchDraws
from fieldmark.core.learner import Learner
from fieldmark.errors import UserError
from fieldmark.explanations.heatmaps import look
from fieldmark.new_classes.adding import Given
from fieldmark.papers.channel_interaction import ContrastiveChannelInteraction, SelfChannelInteraction
from fieldmark.papers.nts_net import NTS, anchor_boxes
from fieldmark.papers.nts_net.method import Pass
from fieldmark.recipe import Model, Part, Pixels, Recipe
from fieldmark.recipes import channel_interaction
from fieldmark.recipes.nts_net import COMPOSITION
from fieldmark.testing import no_reading_back
from golden_step import ROWS, check_golden, numbers_of_a_step, tiny_images, tiny_learner
from naive_regions import naive_crop, naive_proposals, naive_ranking

SIDE, CHANNELS, CLASSES = 48, 12, 7
LABELS = torch.tensor([0, 0, 1, 2])
ROWWISE = torch.tensor([3, 14, 15, 92])


def numbers(name: str, shape: tuple[int, ...]) -> Tensor:
    return Draws(0).uniform(name, shape, like=torch.zeros(0, dtype=torch.float64)) * 2 - 1


def images(side: int = SIDE) -> Tensor:
    return numbers("images", (4, 3, side, side)) * 2


def built(*, classes: int = CLASSES, neck: nn.Module | None = None, **options: object) -> NTS:
    """In float64, with maps of 6 x 6 and every weight drawn by its name."""
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(8, CHANNELS, 3, 2, 1))
    backbone = Backbone(layers, example=torch.zeros(1, 3, SIDE, SIDE))
    head = Linear(CHANNELS, classes)
    classifier = Classifier(backbone, neck=neck or nn.Identity(), pool=Average(), head=head, classes=classes)
    method = NTS(classifier, CrossEntropy(0), CHANNELS, CHANNELS, **options).double()  # pyright: ignore[reportArgumentType]
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            parameter.copy_(numbers(name, tuple(parameter.shape)))
    return method


def expected(method: NTS, picture: Tensor) -> dict[str, Tensor]:
    """Of one image (3, H, W), crop by crop."""
    classifier, side = method.classifier, picture.shape[1] // 2
    features = classifier.features(picture[None])
    scores = method.navigator(features.maps)[0]
    size, positions = ((each.shape[-2], each.shape[-1]) for each in (picture, features.maps))
    boxes = anchor_boxes(size, positions, like=scores).long().tolist()
    chosen = naive_proposals(scores.tolist(), boxes, method.proposals, 0.25)
    embeddings = [classifier.features(naive_crop(picture, boxes[index], side)[None]).embedding[0] for index in chosen]
    logits = torch.stack([method.part(embedding) for embedding in embeddings])
    joint = method.joint(torch.cat([features.embedding[0], *embeddings[: method.parts]]))
    named = {f"part {number + 1}": logits[number] for number in range(method.parts)}
    named |= {"original": features.logits[0], "joint": joint, "proposal_logits": logits, "scores": scores[chosen]}
    return named | {"boxes": torch.tensor([boxes[index] for index in chosen], dtype=torch.float64)}


@pytest.mark.parametrize("options", [{}, {"parts": 2, "proposals": 9}, {"parts": 1, "proposals": 1}], ids=str)
def test_a_pass_is_that_of_a_loop_over_images_and_crops(options: dict[str, int]):
    method = built(dropout=0.0, **options).eval()
    encoded = method.encode(images(), Draws(1, 0, ROWWISE))
    actual = encoded.views | {"joint": encoded.logits}
    for row, picture in enumerate(images()):
        wanted = expected(method, picture)
        assert set(wanted) == set(actual)
        for name, value in wanted.items():
            torch.testing.assert_close(actual[name][row], value, msg=name)
    evaluated = method.encode(images(), EVALUATION)
    for logits in (method(images()), evaluated.logits):
        torch.testing.assert_close(logits, encoded.logits)
    torch.testing.assert_close(
        evaluated.views["proposal_logits"], encoded.views["proposal_logits"][:, : method.parts], msg="no further crops"
    )
    assert method.scored_views == ("original", *(f"part {number + 1}" for number in range(method.parts)))


def test_its_losses_are_those_of_the_image_the_proposals_the_joint_head_and_their_order():
    method = built(dropout=0.0, margin=0.5)
    output = Learner(method)(images(), LABELS, Draws(1, 0, ROWWISE))
    views = output.views
    parts, ranking = [], 0.0
    for row, label in enumerate(LABELS.tolist()):
        losses = [-values.log_softmax(0)[label].item() for values in views["proposal_logits"][row]]
        ranking += naive_ranking(views["scores"][row].tolist(), losses, 0.5)
        parts += losses
    wanted = {
        "original": F.cross_entropy(views["original"], LABELS).item(),
        "parts": sum(parts) / len(parts),
        "joint": F.cross_entropy(output.logits, LABELS).item(),
        "ranking": ranking / len(LABELS),
    }
    assert ranking > 0
    assert {name: loss.item() for name, loss in output.losses.items()} == pytest.approx(wanted, rel=1e-12)


def test_the_ranking_moves_the_navigator_alone():
    method = built()
    output = Learner(method)(images(), LABELS, Draws(1, 0, ROWWISE))
    output.losses["ranking"].backward()
    moved = {name for name, parameter in method.named_parameters() if parameter.grad is not None}
    assert moved == {name for name, _ in method.named_parameters() if name.startswith("navigator.")}
    method.zero_grad()
    output = Learner(method)(images(), LABELS, Draws(1, 0, ROWWISE))
    torch.stack([loss for name, loss in output.losses.items() if name != "ranking"]).sum().backward()
    assert all(parameter.grad is None for parameter in method.navigator.parameters())


def test_the_navigator_is_a_group_of_its_own():
    groups = built().parameter_groups()
    assert set(groups) == {"backbone", "head", "navigator"}
    assert len(groups["navigator"]) == 12


@pytest.mark.parametrize("draws", [Draws(5, 2, ROWWISE), TorchDraws()], ids=["of a run", "torch's"])
def test_dropout_is_on_in_training_alone_and_of_the_image_alone(draws: Draws):
    method = built(dropout=0.25)
    whole, parts = numbers("whole", (4, 4000)), numbers("parts", (4, 6, 700))
    for values in (whole, parts):
        dropped = method._dropped(values, "a", draws)
        kept = dropped != 0
        assert abs(kept.double().mean().item() - 0.75) < 0.03
        torch.testing.assert_close(dropped[kept], values[kept] / 0.75)
        assert method._dropped(values, "a", EVALUATION) is values
    assert torch.equal(method(images()), method(images()))
    assert not torch.equal(method.encode(images(), draws).logits, method(images()))
    assert built(dropout=0.0)._dropped(whole, "a", draws) is whole
    if draws.rows is not None:
        alone = method.encode(images()[2:], Draws(5, 2, ROWWISE[2:]))
        torch.testing.assert_close(alone.logits, method.encode(images(), draws).logits[2:])


def test_terms_see_the_embedding_before_dropout():
    method = built()
    features = method.encode(images(), Draws(5, 2, ROWWISE)).features
    torch.testing.assert_close(features.embedding, method.classifier.features(images()).embedding)


def looked(method: NTS, pictures: Tensor) -> Pass:
    return method._look(pictures, EVALUATION, count=method.parts)


@pytest.mark.parametrize("crop", [0, 16])
def test_crops_are_half_of_the_image_or_as_large_as_is_said(crop: int):
    for side in (48, 40):
        assert looked(built(crop=crop), images(side)).grid.shape == (4, 4, *[crop or 24] * 2, 2)


def test_evidence_shows_the_parts_and_the_navigator_s_scores():
    method = built().eval()
    evidence, encoded = method.evidence(images()), method.encode(images(), EVALUATION)
    torch.testing.assert_close(evidence.logits, method(images()))
    assert list(evidence.views) == ["part 1", "part 2", "part 3", "part 4"]
    assert list(evidence.branches) == list(method.scored_views)
    for name, grid in evidence.views.items():
        torch.testing.assert_close(evidence.branches[name], encoded.views[name])
        box = encoded.views["boxes"][:, int(name[-1]) - 1]
        corners = (torch.stack([grid[:, 0, 0], grid[:, -1, -1]], 1) + 1) / 2 * (SIDE - 1)
        torch.testing.assert_close(corners[:, 0].flip(1), box[:, :2])
        torch.testing.assert_close(corners[:, 1].flip(1), box[:, 2:] - 1)
    heatmap = evidence.heatmaps["navigator"]
    assert heatmap.shape == (4, 6, 6)
    assert heatmap.amin((1, 2)).tolist() == [0] * 4
    assert heatmap.amax((1, 2)).tolist() == [1] * 4


def test_constant_maps_give_no_heatmap_and_finite_scores():
    method = built()
    with torch.no_grad():
        for parameter in (*method.navigator.parameters(), *method.classifier.backbone.parameters()):
            parameter.zero_()
    evidence = method.evidence(images())
    assert not evidence.heatmaps["navigator"].any()
    assert all(value.isfinite().all() for value in (evidence.logits, *evidence.views.values()))
    assert method.loss(images(), LABELS).isfinite()


def test_an_explanation_puts_parts_of_another_size_back_on_the_image():
    method = built().eval()
    found = look(method, images())
    for heatmap, strength in zip(found.heatmaps, found.strengths, strict=True):
        assert heatmap.shape == (4, SIDE // 4, SIDE // 4)
        assert (strength > 0).all()
    with torch.no_grad():
        weight = method.joint.weight.view(CLASSES, 5, CHANNELS)
        weight[:, [0, 2, 3, 4]] = 0
    heatmap, box = look(method, images()).heatmaps[0], method.encode(images(), EVALUATION).views["boxes"][:, 0] / 4
    y, x = torch.arange(SIDE // 4)[:, None] + 0.5, torch.arange(SIDE // 4) + 0.5
    for image, (top, left, bottom, right) in zip(heatmap, box, strict=True):
        inside = (y > top - 1) & (y < bottom + 1) & (x > left - 1) & (x < right + 1)
        assert image.any()
        assert not image[~inside].any()


def test_two_classes_and_one_image_will_do():
    method = built(classes=2)
    loss = method.loss(images()[:1], torch.tensor([1]))
    loss.backward()
    assert loss.isfinite()
    assert method.eval()(images()[:1]).shape == (1, 2)


def test_parts_are_among_the_proposals():
    with pytest.raises(UserError, match=r"NTS\(parts=7, proposals=6\): the parts are among the proposals"):
        built(parts=7)


def test_a_step_reads_nothing_back():
    method = built()
    with no_reading_back():
        Learner(method)(images(), LABELS, Draws(1, 0, ROWWISE)).losses["joint"].backward()
        method.eval()(images())


def test_a_class_can_be_added_by_what_each_scorer_is_given():
    method = built()
    (group,) = method.scorers()
    assert group == (method.classifier.head, method.part, method.joint)
    given = Given(method.eval(), group)(images())
    whole, part, joint = given.split([CHANNELS, CHANNELS, 5 * CHANNELS], 1)
    torch.testing.assert_close(joint, torch.cat([whole, part, joint[:, 2 * CHANNELS :]], 1))


def test_the_gradient_of_a_tiny_step_is_right():
    method = built(parts=1, proposals=2, dropout=0.0).eval()

    def losses(pictures: Tensor) -> Tensor:
        output = method.objective(method.encode(pictures, EVALUATION), LABELS[:2], EVALUATION)
        return torch.stack([output.losses[name] for name in ("original", "parts", "joint")])

    # crops are chosen by scores whose order no small change reaches; that has no gradient, nor has the ranking
    pictures = numbers("tiny", (2, 3, 16, 16)).requires_grad_()
    assert torch.autograd.gradcheck(losses, pictures, fast_mode=True)
    output = method.objective(method.encode(pictures, EVALUATION), LABELS[:2], EVALUATION)
    (gradient,) = torch.autograd.grad(output.losses["ranking"], pictures, allow_unused=True)
    assert gradient is None


def test_over_cin_s_layer_with_cin_s_loss_it_is_nts_and_cin():
    (row,) = (row for row in channel_interaction.ROWS if row.name == "cub-resnet50-nts-cin")
    model = replace(row.recipe.model, backbone="test_resnet", weights="none")
    learner = build_learner(Recipe(model, Pixels(64, 64)), classes=4)
    assert isinstance(learner.method, NTS)
    assert isinstance(learner.method.classifier.neck, SelfChannelInteraction)
    assert [type(term) for term in learner.terms] == [ContrastiveChannelInteraction]
    output = learner(torch.randn(4, 3, 64, 64), LABELS, Draws(1, 0, ROWWISE))
    assert set(output.losses) == {"original", "parts", "joint", "ranking", "ContrastiveChannelInteraction"}
    assert output.features.embedding.shape[0] == 4  # the whole images' stream


def test_a_wrong_option_is_told_in_a_line():
    model = Model(Part("NTS", {"parts": 0}), backbone="test_resnet", weights="none")
    with pytest.raises(UserError, match="the option parts of NTS"):
        build_learner(Recipe(model, Pixels(64, 64)), classes=4)


def test_one_step_is_the_golden_one(monkeypatch: pytest.MonkeyPatch):
    # so many proposals that every level of the navigator has some
    composition = replace(COMPOSITION, method=Part("NTS", {"proposals": 30}))
    learner = tiny_learner(composition, monkeypatch)
    boxes = learner.method.encode(tiny_images(), Draws(3, 1, ROWS)).views["boxes"]
    assert boxes.shape == (7, 30, 4)
    check_golden("nts", numbers_of_a_step(learner))
