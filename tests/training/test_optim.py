"""Parameter groups, rates, the moving average, and what undoes a step."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from fieldmark.errors import UserError
from fieldmark.recipe import AdamW, Cosine, Decayed, OneCycle, Poly, Sgd, Stage, StepDecay
from fieldmark.training.optim import MovingAverage, NormKeeper, freeze, make_optimiser, refuse_groups, set_rates


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def groups(module: nn.Sequential) -> dict[str, list[nn.Parameter]]:
    return {"backbone": [*module[0].parameters(), *module[1].parameters()], "head": list(module[3].parameters())}


@pytest.mark.parametrize("settings", [Sgd(lr=0.5, weight_decay=0.1), AdamW(lr=0.5, weight_decay=0.1)])
def test_every_parameter_once_and_vectors_not_decayed(settings: Sgd | AdamW) -> None:
    module = network()
    optimiser = make_optimiser(groups(module), settings)
    found = [p for group in optimiser.param_groups for p in group["params"]]
    assert {id(p) for p in found} == {id(p) for p in module.parameters()}
    assert len(found) == len(list(module.parameters()))
    for group in optimiser.param_groups:
        assert all((p.ndim > 1) == (group["weight_decay"] == 0.1) for p in group["params"])
        assert group["weight_decay"] in (0.0, 0.1)


@pytest.mark.parametrize("settings", [Sgd(0.1, momentum=0.0, weight_decay=0.5), AdamW(0.1, weight_decay=0.5)])
@pytest.mark.parametrize("decayed", ["weights", "all"])
def test_what_decays_is_the_weights_or_all_down_to_single_numbers(settings: Sgd | AdamW, decayed: Decayed) -> None:
    module, radius = network(), nn.Parameter(torch.tensor(2.0))
    nn.init.ones_(module[3].bias)
    everything = groups(module) | {"radii": [radius]}
    parameters = [p for members in everything.values() for p in members]
    before = [p.detach().clone() for p in parameters]
    optimiser = make_optimiser(everything, replace(settings, decayed=decayed))
    for p in parameters:
        p.grad = torch.zeros_like(p)
    optimiser.step()
    for p, old in zip(parameters, before, strict=True):
        torch.testing.assert_close(p.detach(), old * (0.95 if decayed == "all" or p.ndim > 1 else 1.0))


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_that_of_the_textbook(nesterov: bool) -> None:
    p = nn.Parameter(torch.tensor([[1.0, -2.0]], dtype=torch.float64))
    optimiser = make_optimiser({"head": [p]}, Sgd(lr=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.01))
    weight, velocity = p.detach().clone(), torch.zeros(1, 2, dtype=torch.float64)
    for step in range(4):
        gradient = torch.tensor([[1.0 + step, -0.5]], dtype=torch.float64)
        p.grad = gradient.clone()
        optimiser.step()
        gradient = gradient + 0.01 * weight
        velocity = 0.9 * velocity + gradient
        weight = weight - 0.1 * (gradient + 0.9 * velocity if nesterov else velocity)
        torch.testing.assert_close(p.detach(), weight)


@pytest.mark.parametrize("settings", [Sgd(), Sgd(momentum=0.0), AdamW()])
def test_a_masked_first_step_leaves_no_trace(settings: Sgd | AdamW) -> None:
    module, twin = network(), network()
    twin.load_state_dict(module.state_dict())
    masked, clean = make_optimiser(groups(module), settings), make_optimiser(groups(twin), settings)
    for p in module.parameters():
        p.grad = torch.full_like(p, torch.nan)
    masked.found_inf = torch.ones(())
    masked.step()
    masked.found_inf = torch.zeros(())
    for _ in range(2):
        for p, other in zip(module.parameters(), twin.parameters(), strict=True):
            p.grad, other.grad = torch.ones_like(p), torch.ones_like(p)
        masked.step()
        clean.step()
    for p, other in zip(module.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, other)


def test_unknown_groups_are_named() -> None:
    module = network()
    with pytest.raises(UserError, match=r"no parameter group 'neck'; the groups: backbone, head"):
        make_optimiser(groups(module), Sgd(scales={"neck": 2.0}))
    with pytest.raises(UserError, match=r"no parameter group 'neck'; the groups: backbone, head"):
        freeze(groups(module), Stage(frozen=("neck",)), epoch=0)
    refuse_groups(groups(module), (Stage(frozen=("backbone",)), Stage(optimiser=Sgd(scales={"head": 2.0}))))
    for wrong in (Stage(frozen=("neck",)), Stage(optimiser=Sgd(scales={"neck": 2.0}))):
        with pytest.raises(UserError, match=r"no parameter group 'neck'; the groups: backbone, head"):
            refuse_groups(groups(module), (Stage(), wrong))


def rates(stage: Stage, epoch: float) -> dict[str, float]:
    optimiser = make_optimiser(groups(network()), stage.optimiser)
    set_rates(optimiser, stage, epoch=epoch)
    return {group["name"]: group["lr"] for group in optimiser.param_groups}


def test_scales_multiply_the_rate_of_a_group() -> None:
    found = rates(Stage(10, Sgd(lr=0.2, scales={"backbone": 0.1}), StepDecay()), 3.0)
    assert found == {"backbone": pytest.approx(0.02), "head": pytest.approx(0.2)}


@pytest.mark.parametrize(
    ("schedule", "epoch", "factor"),
    [
        (OneCycle(rise=0.3, start=25, end=1e4), 0, 1 / 25),
        (OneCycle(rise=0.3, start=25, end=1e4), 1.5, (1 + 1 / 25) / 2),
        (OneCycle(rise=0.3, start=25, end=1e4), 3, 1),
        (OneCycle(rise=0.3, start=25, end=1e4), 6.5, (1 + 1e-4) / 2),
        (OneCycle(rise=0.3, start=25, end=1e4), 10, 1e-4),
        (OneCycle(rise=0.3, start=25, end=1e4), 11, 1e-4),
        (OneCycle(rise=1.0), 10, 1),
        (Cosine(), 0, 1),
        (Cosine(), 5, 0.5),
        (Cosine(floor=0.1), 10, 0.1),
        (Cosine(warmup=2), 1, 1.001 / 2),
        (Cosine(warmup=2), 2, 1),
        (Cosine(warmup=2), 6, 0.5),
        (Cosine(), 12, 0),
        (Poly(), 4, 0.6),
        (Poly(0.5), 7.5, 0.5),
        (Poly(2.0), 10, 0),
        (StepDecay(epochs=(4, 8)), 3.99, 1),
        (StepDecay(epochs=(4, 8)), 4, 0.1),
        (StepDecay(epochs=(4, 8)), 8, 0.01),
        (StepDecay(epochs=(4,), factor=0.5, warmup=4), 2, 2.001 / 4),
    ],
)
def test_schedules_at_their_key_points(
    schedule: OneCycle | Cosine | StepDecay | Poly, epoch: float, factor: float
) -> None:
    assert rates(Stage(10, Sgd(lr=2.0), schedule), epoch)["head"] == pytest.approx(2 * factor, abs=1e-9)


def test_frozen_groups_rest_for_their_epochs() -> None:
    found = groups(network())

    def learning(stage: Stage, epoch: int) -> list[str]:
        freeze(found, stage, epoch=epoch)
        return [name for name, members in found.items() if all(p.requires_grad for p in members)]

    stage = Stage(3, frozen=("backbone",))
    assert [learning(stage, epoch) for epoch in (0, 2)] == [["head"], ["head"]]
    stage = Stage(3, frozen=("backbone",), frozen_epochs=1)
    assert [learning(stage, epoch) for epoch in (0, 1)] == [["head"], ["backbone", "head"]]
    assert learning(Stage(3), 0) == ["backbone", "head"]


def test_the_average_is_that_of_its_formula() -> None:
    module = nn.Linear(2, 1).double()
    average = MovingAverage(module, 0.5)
    expected = [p.detach().clone() for p in module.parameters()]
    for update in range(1, 20):
        with torch.no_grad():
            for p in module.parameters():
                p.add_(1.0)
        finite = update != 7
        average.update(torch.tensor(finite))
        count = update - (update > 7)
        decay = min(0.5, (1 + count) / (10 + count))
        if finite:
            expected = [
                decay * e + (1 - decay) * p.detach() for e, p in zip(expected, module.parameters(), strict=True)
            ]
    for value, e in zip(average.values, expected, strict=True):
        torch.testing.assert_close(value, e, rtol=1e-6, atol=1e-6)


def test_swapping_twice_changes_nothing_and_a_saved_average_comes_back() -> None:
    module = network()
    average = MovingAverage(module, 0.9)
    nn.init.ones_(module[3].weight)
    average.update(torch.tensor(True))
    live = {name: value.clone() for name, value in module.state_dict().items()}
    average.swap()
    assert not torch.equal(module[3].weight, live["3.weight"])
    average.swap()
    assert all(torch.equal(value, live[name]) for name, value in module.state_dict().items())
    other = MovingAverage(network(), 0.9)
    other.load(average.state())
    assert all(torch.equal(a, b) for a, b in zip(average.values, other.values, strict=True))
    assert float(other.updates) == 1


def test_the_buffers_of_an_average_are_those_of_the_norms_statistics() -> None:
    module = network()
    average = MovingAverage(module, 0.5)
    module[1].running_mean.fill_(3.0)  # pyright: ignore[reportOptionalMemberAccess, reportCallIssue]
    average.update(torch.tensor(True))
    mean, variance = average.buffers()
    assert 0 < float(mean[0]) < 3
    assert (variance == 1).all()
    mean.fill_(2.0)
    average.swap()
    assert (module[1].running_mean == 2).all()  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]


def test_norm_statistics_of_a_bad_step_are_taken_back() -> None:
    norm = nn.BatchNorm2d(3)
    keeper = NormKeeper(norm)
    norm(torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)))
    keeper.settle(torch.tensor(True))
    good = {name: value.clone() for name, value in norm.state_dict().items()}
    norm(torch.full((4, 3, 5, 5), torch.nan))
    assert bool(norm.running_mean.isnan().all())
    keeper.settle(torch.tensor(False))
    assert all(torch.equal(value, good[name]) for name, value in norm.state_dict().items())
    assert int(norm.num_batches_tracked) == 1


@pytest.mark.parametrize("degree", [0.5, 1.0, 2.0])
def test_a_polynomial_average_weighs_each_state_as_the_paper_does(degree: float) -> None:
    module = nn.Linear(1, 1, bias=False).double()
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(30, generator=generator, dtype=torch.float64)

    def stand_at(place: int) -> None:
        with torch.no_grad():
            module.weight.fill_(float(states[place]))

    stand_at(0)
    average = MovingAverage(module, degree=degree)
    expected = states[0]
    for step in range(1, 30):
        stand_at(step)
        average.update(torch.tensor(False))
        torch.testing.assert_close(average.values[0].squeeze(), expected, rtol=1e-6, atol=1e-6)
        average.update(torch.tensor(True))
        t = step + 1  # the first state is that of t = 1, eq. 4 of Shamir and Zhang
        expected = (1 - (degree + 1) / (t + degree)) * expected + (degree + 1) / (t + degree) * states[step]
        torch.testing.assert_close(average.values[0].squeeze(), expected, rtol=1e-6, atol=1e-6)
    if degree == 1:
        weights = torch.arange(1.0, 31.0, dtype=torch.float64)
        torch.testing.assert_close(expected, (weights * states).sum() / weights.sum())
