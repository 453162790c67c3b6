"""The papers' losses in a custom training loop: random as in the papers, from torch's generator, in training."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from fieldmark.core.draws import EVALUATION, TorchDraws
from fieldmark.errors import UserError
from fieldmark.papers.api_net import ApiInteraction
from fieldmark.papers.channel_interaction import ContrastiveChannelInteraction, SelfChannelInteraction
from fieldmark.papers.mutual_channel import MutualChannelLoss, SoftChannelLabels
from fieldmark.papers.pairwise_confusion import PairwiseConfusion

LABELS = torch.tensor([0, 0, 1, 2, 1, 0, 2, 1])
CLASSES, CHANNELS = 3, 12
HEAD = nn.Linear(CHANNELS, CLASSES)
LAYER = SelfChannelInteraction(CHANNELS)


class Own(NamedTuple):
    """How a loss is made and called."""

    make: Callable[[], nn.Module]
    call: Callable[..., Tensor]


def with_maps(loss: nn.Module, maps: Tensor, labels: Tensor, **draws: Any) -> Tensor:
    return loss(maps, labels, **draws)


OWN = {
    "PairwiseConfusion": Own(
        PairwiseConfusion, lambda loss, maps, labels, **draws: loss(HEAD(maps.mean((2, 3))), labels, **draws)
    ),
    "MutualChannelLoss": Own(lambda: MutualChannelLoss(CLASSES), with_maps),
    "SoftChannelLabels": Own(lambda: SoftChannelLabels(CHANNELS, CLASSES, reduction=2), with_maps),
    "ApiInteraction": Own(
        lambda: ApiInteraction(CHANNELS),
        lambda loss, maps, labels, **draws: loss(maps.mean((2, 3)), labels, HEAD, **draws),
    ),
    "ContrastiveChannelInteraction": Own(
        lambda: ContrastiveChannelInteraction(CHANNELS),
        lambda loss, maps, labels, **draws: loss(LAYER.interact(maps), labels, **draws),
    ),
}


def maps_of(seed: int = 0) -> Tensor:
    return torch.rand(8, CHANNELS, 3, 3, generator=torch.Generator().manual_seed(seed))


def made(own: Own) -> nn.Module:
    torch.manual_seed(0)
    return own.make()


def seeded(own: Own, loss: nn.Module, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return own.call(loss, maps_of(), LABELS).detach()


@pytest.fixture(params=OWN.values(), ids=OWN)
def own(request: pytest.FixtureRequest) -> Own:
    return request.param


def test_in_training_the_seed_decides_and_in_evaluation_nothing_is_left_to_chance(own: Own):
    assert torch.equal(seeded(own, made(own), 1), seeded(own, made(own), 1))
    assert len({seeded(own, made(own), seed).item() for seed in range(6)}) > 3
    loss = made(own).eval()
    before = torch.get_rng_state()
    value = own.call(loss, maps_of(), LABELS)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(value, own.call(loss, maps_of(), LABELS, draws=EVALUATION))


def test_a_generator_that_is_given_takes_the_place_of_torchs(own: Own):
    def given(seed: int) -> Tensor:
        return own.call(made(own), maps_of(), LABELS, draws=TorchDraws(torch.Generator().manual_seed(seed)))

    assert torch.equal(given(1), given(1))
    assert len({given(seed).item() for seed in range(6)}) > 3


def test_channel_attention_drops_in_training_as_the_paper_has_it():
    maps = maps_of()
    whole = MutualChannelLoss(CLASSES, drop=0.0)(maps, LABELS)
    loss = MutualChannelLoss(CLASSES)
    assert not torch.equal(loss(maps, LABELS), whole)
    assert torch.equal(loss.eval()(maps, LABELS), whole)


def test_pairs_are_shuffled_in_training_and_halves_in_evaluation():
    logits, labels = torch.randn(8, 5, dtype=torch.float64), torch.arange(8)
    confusion = PairwiseConfusion()
    halves = PairwiseConfusion(shuffle=False)(logits, labels)
    assert len({confusion(logits, labels).item() for _ in range(6)}) > 3
    assert torch.equal(confusion.eval()(logits, labels), halves)


@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_a_compiled_loss_is_compiled_once(own: Own):
    loss = made(own)
    own.call(loss, maps_of(), LABELS)  # checks its first maps

    def step(maps: Tensor, labels: Tensor) -> Tensor:
        return own.call(loss, maps, labels)

    torch._dynamo.reset()
    compiled = torch.compile(step, backend="eager")
    compiled(maps_of(1).requires_grad_(), LABELS).backward()
    with torch._dynamo.config.patch(error_on_recompile=True):
        values = [compiled(maps_of(seed).requires_grad_(), LABELS.roll(seed)) for seed in range(2, 6)]
    values[-1].backward()
    assert len({value.item() for value in values}) == 4


@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_a_compiled_loss_takes_a_last_batch_of_fewer_images(own: Own):
    loss = made(own)
    own.call(loss, maps_of(), LABELS)  # checks its first maps

    torch._dynamo.reset()
    compiled = torch.compile(lambda maps, labels: own.call(loss, maps, labels), backend="eager")
    state = {key: value.clone() for key, value in loss.state_dict().items()}
    for count in (8, 6, 5):
        results: list[Tensor] = []
        for call in (compiled, lambda maps, labels: own.call(loss, maps, labels)):
            loss.load_state_dict(state)
            torch.manual_seed(2)
            maps = maps_of()[:count].requires_grad_()
            value = call(maps, LABELS[:count])
            results += [value, *torch.autograd.grad(value, maps)]
        torch.testing.assert_close(results[:2], results[2:])


@pytest.mark.parametrize(
    "labels",
    [LABELS[:, None], torch.eye(3)[LABELS], LABELS[:5], LABELS.float()],
    ids=["column", "one-hot", "few", "float"],
)
def test_labels_that_are_no_class_indices_are_refused_in_one_line(own: Own, labels: Tensor):
    with pytest.raises(UserError, match="label") as caught:
        own.call(made(own), maps_of(), labels)
    assert len(str(caught.value).splitlines()) == 1
    assert "--" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MutualChannelLoss(CLASSES)(maps_of() - 0.5, LABELS), r"negative: give it maps.relu\(\)"),
        (lambda: SoftChannelLabels(CHANNELS, CLASSES)(maps_of() - 0.5, LABELS), r"negative: give it maps.relu\(\)"),
        (lambda: MutualChannelLoss(CLASSES)(HEAD(maps_of().mean((2, 3))), LABELS), r"reads maps \(B, N, h, w\)"),
        (lambda: MutualChannelLoss(20)(maps_of(), LABELS), "12 channels are too few for 20 classes"),
        (lambda: SoftChannelLabels(7, CLASSES)(maps_of(), LABELS), "was made for 7 channels, not 12"),
        (lambda: PairwiseConfusion()(maps_of(), LABELS), r"reads logits \(B, C\)"),
        (lambda: ApiInteraction(9)(maps_of().mean((2, 3)), LABELS, HEAD), "made for 9 numbers per embedding, not 12"),
        (lambda: ApiInteraction(CHANNELS)(maps_of(), LABELS, HEAD), r"reads embeddings \(B, E\)"),
        (lambda: ContrastiveChannelInteraction(CHANNELS)(LAYER(maps_of()), LABELS), r"layer.interact\(maps\)"),  # Z
        (lambda: ContrastiveChannelInteraction(CHANNELS)(maps_of(), LABELS), r"layer.interact\(maps\)"),
    ],
)
def test_what_a_loss_does_not_read_is_refused_in_one_line(call: Callable[[], Tensor], message: str):
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert len(str(caught.value).splitlines()) == 1
    assert "--" not in str(caught.value)


def test_a_loss_checks_its_first_maps_alone():
    """Each check waits for the device."""
    loss = MutualChannelLoss(CLASSES)
    loss(maps_of(), LABELS)
    loss(maps_of() - 0.5, LABELS)
