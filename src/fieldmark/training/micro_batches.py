"""One step of a whole batch in micro-batches: exact, with the memory of a few images' activations.

Losses that compare the images of a batch cannot be accumulated over pieces of it. But what they read is small beside
the activations behind it. So all images are first encoded in pieces, without a graph; the losses, and their gradients
with respect to what was encoded, are those of the whole batch; and each piece is encoded once more, with a graph,
through which its rows of these gradients go back (L. Gao et al., "Scaling deep contrastive learning batch size under
memory limited setup", RepL4NLP 2021, arXiv:2101.06983). Draws are functions of the images, and torch's generator is put
back before a piece is encoded again, so both passes see the same. The result is the whole batch's but for rounding, as
long as norms do not look at the batch: those that do see a micro-batch each, and count it once.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from fieldmark.core.contract import Encoded, TrainOutput
from fieldmark.core.draws import Draws
from fieldmark.core.learner import Learner, total

Prepare = Callable[[Tensor], Tensor]


def backward_in_micro_batches(
    learner: Learner,
    images: Tensor,
    labels: Tensor,
    draws: Draws,
    *,
    size: int,
    prepare: Prepare = lambda images: images,
    backward: Callable[[Tensor], object] = Tensor.backward,
    autocast: Callable[[], AbstractContextManager[object]] = lambda: torch.autocast("cpu", enabled=False),
) -> TrainOutput:
    """Adds the gradients of a batch's losses to the parameters.

    Args:
        learner: in the mode to train in.
        images: (B, ...), of which ``prepare`` makes normalised images (b, 3, H, W) piece by piece.
        labels: (B,) long.
        draws: of the step, with ``rows`` (B,).
        size: images encoded at once.
        prepare: normalises a piece.
        backward: of the sum of the losses; it may scale it.
        autocast: gives the precision of what is computed.

    Returns:
        What the learner would have returned for the whole batch; the losses are detached.
    """
    pieces = [_piece(draws, part) for part in torch.arange(len(images), device=labels.device).split(size)]
    generators: list[list[Tensor]] = []
    encoded: list[Encoded] = []
    with torch.no_grad(), buffers_put_back(learner.method), autocast():
        for rows, own in pieces:
            generators.append(_generators(images.device))
            encoded.append(learner.method.encode(prepare(images[rows]), own))
    whole = _leaves(encoded)
    with autocast():
        output = learner.losses(whole, labels, draws)
        loss = total(output)
    backward(loss)
    del encoded, loss
    for (rows, own), states in zip(pieces, generators, strict=True):
        _put_back(states, images.device)
        with autocast():
            again = learner.method.encode(prepare(images[rows]), own)
        _backward_rows(again, whole, rows)
    return output._replace(losses={name: value.detach() for name, value in output.losses.items()})


def _piece(draws: Draws, places: Tensor) -> tuple[Tensor, Draws]:
    """The places of a piece's images in the batch, and its draws."""
    rows = None if draws.rows is None else draws.rows[places.to(draws.rows.device)]
    return places, Draws(draws.seed, draws.step, rows)


@contextmanager
def buffers_put_back(module: nn.Module) -> Iterator[None]:
    """Leaves the buffers, such as the statistics of norms, as they were before."""
    kept = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in kept:
                buffer.copy_(before)


def tensors_of(encoded: Encoded) -> dict[str, Tensor]:
    """All that was encoded, by name; what a neck worked out is left out, as losses work it out anew."""
    features = {name: value for name, value in encoded.features._asdict().items() if isinstance(value, Tensor)}
    own = {} if encoded.logits is features["logits"] else {"encoded logits": encoded.logits}
    return features | own | {f"view {name}": value for name, value in encoded.views.items()}


def _leaves(pieces: list[Encoded]) -> Encoded:
    """The rows of all pieces, as values whose gradients are kept."""
    parts = [tensors_of(piece) for piece in pieces]
    leaves = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    for value in leaves.values():
        value.requires_grad_(value.is_floating_point())
    first = pieces[0]
    features = first.features._replace(
        interaction=None, **{name: leaves[name] for name in first.features._fields if name in leaves}
    )
    views = {name: leaves[f"view {name}"] for name in first.views}
    return Encoded(features, leaves.get("encoded logits", leaves["logits"]), views)


def _backward_rows(again: Encoded, whole: Encoded, rows: Tensor) -> None:
    """Sends a piece's rows of the gradients back through what encoded it."""
    leaves, outputs, gradients = tensors_of(whole), [], []
    for name, value in tensors_of(again).items():
        gradient = leaves[name].grad
        if value.requires_grad and gradient is not None:
            outputs.append(value)
            gradients.append(gradient[rows])
    if outputs:
        torch.autograd.backward(outputs, gradients)


def _generators(device: torch.device) -> list[Tensor]:
    """The states of torch's generators, on the processor and on the device."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _put_back(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
