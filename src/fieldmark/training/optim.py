"""Parameter groups, optimisers, learning rates and the moving average of the weights."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fieldmark.errors import UserError
from fieldmark.recipe import AdamW, Sgd, Stage


def make_optimiser(groups: Mapping[str, list[nn.Parameter]], settings: Sgd | AdamW) -> Optimizer:
    """Two parameter groups per name: one for its weights, one for its biases and norms, decayed only if all are.

    Fused: one pass over the weights, and the update can be masked on the device (``found_inf``).

    Raises:
        UserError: a scale for an unknown group.
    """
    _refuse_unknown(settings.scales, groups)
    parameters = []
    for name, members in groups.items():
        scale = settings.scales.get(name, 1.0)
        for is_weight in (True, False):
            chosen = [p for p in members if (p.ndim > 1) == is_weight]
            decay = settings.weight_decay if is_weight or settings.decayed == "all" else 0.0
            if chosen:
                parameters.append({"params": chosen, "weight_decay": decay, "name": name, "scale": scale})
    if isinstance(settings, AdamW):
        return torch.optim.AdamW(parameters, lr=settings.lr, fused=True)
    nesterov = settings.nesterov and settings.momentum > 0
    optimiser = torch.optim.SGD(parameters, lr=settings.lr, momentum=settings.momentum, nesterov=nesterov, fused=True)
    if settings.momentum:
        # otherwise it starts as uninitialised memory, which stays if the first step is masked
        for parameter in (p for group in parameters for p in group["params"]):
            optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimiser


def set_rates(optimiser: Optimizer, stage: Stage, *, epoch: float) -> None:
    """Sets the learning rates for a (fractional) epoch of the stage."""
    base = stage.optimiser.lr * stage.schedule.at(epoch, stage.epochs)
    for group in optimiser.param_groups:
        group["lr"] = base * group["scale"]


def freeze(groups: Mapping[str, list[nn.Parameter]], stage: Stage, *, epoch: int) -> None:
    """Freezes the stage's frozen groups in this epoch of the stage, and unfreezes all others.

    Raises:
        UserError: an unknown frozen group.
    """
    _refuse_unknown(stage.frozen, groups)
    is_frozen = epoch < (stage.epochs if stage.frozen_epochs is None else stage.frozen_epochs)
    for name, members in groups.items():
        for parameter in members:
            parameter.requires_grad_(not (is_frozen and name in stage.frozen))


def refuse_groups(groups: Mapping[str, list[nn.Parameter]], stages: Sequence[Stage]) -> None:
    """Raises ``UserError`` where a stage scales or freezes an unknown parameter group."""
    for stage in stages:
        _refuse_unknown((*stage.optimiser.scales, *stage.frozen), groups)


def _refuse_unknown(names: Iterable[str], groups: Mapping[str, list[nn.Parameter]]) -> None:
    for name in names:
        if name not in groups:
            raise UserError(f"there is no parameter group {name!r}; the groups: {', '.join(groups)}")


class MovingAverage:
    """A moving average of a module's floating-point state (parameters and buffers).

    By a decay it is exponential; the decay starts low, as (1 + n) / (10 + n) after n updates, so that the initial
    weights are soon forgotten. By a degree it is that of all states so far, the first one included, in which the t-th
    counts about t^degree times, whatever the length of training (polynomial-decay averaging: Shamir and Zhang, ICML
    2013, arXiv:1212.1824, section 4).

    Args:
        module: as it begins.
        decay: what the exponential decay ends at.
        degree: of the polynomial, if above 0, in place of a decay.
    """

    def __init__(self, module: nn.Module, decay: float = 0.0, *, degree: float = 0.0) -> None:
        self.decay, self.degree = decay, degree
        self._live = [t for t in module.state_dict(keep_vars=True).values() if t.is_floating_point()]
        self.values = [t.detach().clone() for t in self._live]
        self.updates = torch.zeros((), device=self.values[0].device)

    def buffers(self) -> list[Tensor]:
        """The averages of the module's buffers, statistics of norm layers among them."""
        return [mean for mean, live in zip(self.values, self._live, strict=True) if not isinstance(live, nn.Parameter)]

    @torch.no_grad()
    def update(self, finite: Tensor) -> None:
        """Moves towards the module's current state, except where ``finite`` (a bool scalar on the device) is False."""
        self.updates += finite
        moves = torch._foreach_sub([t.detach() for t in self._live], self.values)  # pyright: ignore[reportPrivateImportUsage]
        torch._foreach_mul_(moves, self._share() * finite)  # pyright: ignore[reportPrivateImportUsage]
        torch._foreach_add_(self.values, moves)  # pyright: ignore[reportPrivateImportUsage]

    def _share(self) -> Tensor:
        """Of the way to the current state, a scalar on the device."""
        if self.degree:
            return (self.degree + 1) / (self.updates + self.degree + 1)
        return 1 - ((1 + self.updates) / (10 + self.updates)).clamp_max(self.decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchanges average and module in place; a second call undoes it."""
        for mean, live in zip(self.values, self._live, strict=True):
            kept = mean.clone()
            mean.copy_(live)
            live.copy_(kept)

    def state(self) -> dict[str, object]:
        """What a checkpoint holds."""
        return {"updates": self.updates, "values": self.values}

    @torch.no_grad()
    def load(self, state: Mapping[str, object]) -> None:
        """Restores what ``state`` returned."""
        updates, values = state["updates"], state["values"]
        assert isinstance(updates, Tensor)
        assert isinstance(values, list)
        self.updates.copy_(updates)
        for mean, saved in zip(self.values, values, strict=True):
            mean.copy_(saved)


class NormKeeper:
    """Keeps the buffers (statistics of norm layers) of the last good step, to undo a step that was not finite."""

    def __init__(self, module: nn.Module) -> None:
        self._live = list(module.buffers())
        self._kept = [t.clone() for t in self._live]

    @torch.no_grad()
    def settle(self, finite: Tensor) -> None:
        """Keeps the current statistics if ``finite`` (a bool scalar on the device), else restores the last ones."""
        for kept, live in zip(self._kept, self._live, strict=True):
            torch.where(finite, live, kept, out=kept)
            live.copy_(kept)
