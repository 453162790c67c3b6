"""A written file against the network that it was made from: same images, same answers, on the model as it was trained.

Exporters have silently broken batch norms and resampling; so nothing is written that was not compared.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fieldmark.errors import UserError
from fieldmark.evaluation.inference import stream
from fieldmark.exporting.network import Shipped, example
from fieldmark.exporting.photos import Tried
from fieldmark.images.guard import up_to
from fieldmark.images.pictures import Picture
from fieldmark.input.loading import open_photo
from fieldmark.recipe import Pixels
from fieldmark.ship.manifest import Manifest
from fieldmark.ship.model import Model
from fieldmark.ship.parity import LIMIT, OnPhotos, Parity, limit_of

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime import InferenceSession

BATCHES = (1, 2, 7)
SAME_ANSWERS = 0.995
POINT = 1.0
"""By how many points of top-1 a file in 8 bits may be below the network."""
ROUNDING = 0.1
"""By how much of the largest logit those in 16 bits may be off on noise: more is no rounding."""
Answered = tuple[np.ndarray, np.ndarray]
"""The network's inputs (N, 3, S, S) and the logits (N, C) that a file has for photos."""


class Found(NamedTuple):
    """What a network gives by name for some images, and a file for the same."""

    wanted: dict[str, np.ndarray]
    given: dict[str, np.ndarray]

    def difference(self, name: str) -> float:
        """The largest difference of an output."""
        return float(np.abs(self.wanted[name] - self.given[name]).max())

    @property
    def by_image(self) -> np.ndarray:
        """The largest difference of each image's logits."""
        return np.abs(self.wanted["logits"] - self.given["logits"]).max(1)


def compare(model: Model, graph: "ModelProto", network: Shipped, *, size: int) -> Parity:
    """A float32 file against its network, on noise in several batches.

    Args:
        model: the file, opened.
        graph: its graph.
        network: what it was made from, on any device.
        size: of images, in pixels.
    """
    batches = [example(network.method, size=size, count=count) for count in BATCHES]
    found = [_both(model, network, images) for images in batches]

    def most(name: str) -> float:
        return max(pair.difference(name) for pair in found)

    has_maps, sampled = "maps" in network.names, grid_of(graph)
    grids = [_at_fixed_grid(graph, sampled, network, images) for images in batches] if sampled else None
    return Parity(
        batches=BATCHES,
        largest=max(float(np.abs(pair.wanted["logits"]).max()) for pair in found),
        logits=most("logits"),
        typical=float(np.median(np.concatenate([pair.by_image for pair in found]))),
        probabilities=most("probabilities"),
        embedding=max(_in_proportion(pair, "embedding") for pair in found),
        maps=max(_in_proportion(pair, "maps") for pair in found) if has_maps else None,
        summed=max(_summed(pair, network) for pair in found) if has_maps else None,
        fixed_grid=max(grids) if grids else None,
    )


def faults_of(parity: Parity) -> Iterator[str]:
    """What does not hold that has to hold of a float32 file.

    Where images are sampled, rounding may move a place for some of them: their logits count at fixed places, and end to
    end those of the median image.
    """
    logits, fixed = limit_of(parity.largest), parity.fixed_grid
    limits = {
        "logits": (parity.logits if fixed is None else fixed, logits),
        "logits, end to end,": (parity.typical, logits),
        "probabilities": (parity.probabilities if fixed is None else 0.0, LIMIT),
        "embeddings": (parity.embedding, LIMIT),
        "maps": (parity.maps or 0.0, LIMIT),
        "averages of the maps": (parity.summed or 0.0, logits),
    }
    for name, (found, limit) in limits.items():
        if not found <= limit:  # NaN, too
            yield f"{name} differ by up to {found:.1e}, where {limit:.1e} is allowed"


def rounding_faults(parity: Parity) -> Iterator[str]:
    """What no rounding to 16 bits does."""
    limit = ROUNDING * max(1.0, parity.largest)
    if parity.rounded is not None and not parity.rounded <= limit:
        yield f"logits in 16 bits differ by up to {parity.rounded:.1e}, where {limit:.1e} is allowed"


def refuse_faults(faults: Iterator[str]) -> None:
    """Raises ``UserError`` for the first fault."""
    for fault in faults:
        raise UserError(
            f"the exported file does not answer as the network does: {fault};\n"
            "nothing was written. Another version of torch, onnxscript or onnxruntime may do better: please report it"
        )


def compare_on_photos(
    answer: Callable[[Tried], Answered],
    network: Shipped,
    tried: Tried,
    manifest: Manifest,
    *,
    progress: Callable[[int], object] | None = None,
) -> OnPhotos:
    """The whole way from photos to answers, by a file and by the network as evaluation runs it.

    Args:
        answer: from photos to what the file makes of them.
        network: what it was made from.
        tried: the photos; those that cannot be read are left out.
        manifest: of the file.
        progress: called with the number of photos just done.

    Raises:
        UserError: not one of them can be read.
    """
    wanted: list[np.ndarray] = []

    def kept(batch: Tensor) -> Tensor:
        wanted.append(batch.cpu().numpy())
        return network.method(batch)

    parts, start = [], 0
    for part in stream(kept, tried.views(manifest.pixels), method=network.method, workers=0):
        read = np.array([row for row in range(len(part.values)) if start + row not in part.damaged], np.int64)
        if len(read):
            own = tried.at(start + read)
            parts.append(_tallied(np.concatenate(wanted)[read], part.values[read], answer(own), own, manifest))
        wanted.clear()
        start += len(part.values)
        if progress:
            progress(len(part.values))
    if not parts:
        raise UserError("not one of the photos can be read; name others with --data DATA")
    return _joined(parts, tried.split)


def by_images(model: Model, tried: Tried) -> Answered:
    """As a file answers that is given normalised images: by the runtime's own way from a photo's file."""
    pixels = model.manifest.pixels
    photos = zip(_pictures(tried, pixels), tried.photos, strict=True)
    images = np.stack([model.prepared(picture, photo.box) for picture, photo in photos])
    return images, model.outputs(images, "logits")["logits"]


def by_pixels(whole: "InferenceSession", preparing: "InferenceSession", pixels: Pixels, tried: Tried) -> Answered:
    """As a file answers that is given pixels, one picture at a time; the images are those of its own preprocessing."""
    images, logits = [], []
    for photo in tried.photos:
        picture = np.asarray(open_photo(photo, packed=tried.packed, limits=up_to(pixels.megapixels)))
        images.append(np.asarray(preparing.run(["images"], {"pixels": picture})[0]))
        logits.append(np.asarray(whole.run(["logits"], {"pixels": picture})[0]))
    return np.concatenate(images), np.concatenate(logits)


def rounded_by(graph: "ModelProto", network: Shipped, *, size: int) -> float:
    """The largest difference of logits of a graph in fewer bits, on noise.

    Where images are sampled, that of the median image: for some, rounding moves a place.
    """
    images = example(network.method, size=size, count=max(BATCHES))
    (found,) = session_of(graph).run(["logits"], {"images": images.numpy()})
    with torch.inference_mode():
        wanted = network.method(images.to(network.method.classifier.backbone.mean.device)).float().cpu().numpy()
    by_image = np.abs(np.asarray(found) - wanted).max(1)
    return float(np.median(by_image) if grid_of(graph) else by_image.max())


def _pictures(tried: Tried, pixels: Pixels) -> Iterator[Picture]:
    """Files as they are; what is cut off or lies among others, as pictures."""
    for photo in tried.photos:
        is_file = photo.row < 0 and not photo.trim_bottom
        yield photo.path if is_file else open_photo(photo, packed=tried.packed, limits=up_to(pixels.megapixels))


def _tallied(images: np.ndarray, logits: np.ndarray, answered: Answered, tried: Tried, manifest: Manifest) -> OnPhotos:
    given, own = answered
    scale = (1 / manifest.scale)[:, None, None]
    levels = np.abs(np.rint(given * scale) - np.rint(images * scale))
    return OnPhotos(
        split=tried.split,
        count=len(images),
        inputs_equal=int((given == images).all((1, 2, 3)).sum()),
        levels=float(levels.max()),
        levels_equal=float((levels == 0).mean()),
        answers_equal=int((own.argmax(1) == logits.argmax(1)).sum()),
        logits=float(np.abs(own - logits).max()),
        largest=float(np.abs(logits).max()),
        right=int((own.argmax(1) == tried.labels).sum()),
        right_before=int((logits.argmax(1) == tried.labels).sum()),
    )


def _joined(parts: list[OnPhotos], split: str) -> OnPhotos:
    count = sum(part.count for part in parts)
    return OnPhotos(
        split=split,
        count=count,
        inputs_equal=sum(part.inputs_equal for part in parts),
        levels=max(part.levels for part in parts),
        levels_equal=sum(part.levels_equal * part.count for part in parts) / count,
        answers_equal=sum(part.answers_equal for part in parts),
        logits=max(part.logits for part in parts),
        largest=max(part.largest for part in parts),
        right=sum(part.right for part in parts),
        right_before=sum(part.right_before for part in parts),
    )


def photo_faults(found: OnPhotos, manifest: Manifest, *, close: bool) -> Iterator[str]:
    """What does not hold on photos that has to hold of a file.

    Args:
        found: what was compared.
        manifest: of the file. One that takes images has to be given the same numbers, bit for bit. It has to give the
            same answers, but in 8 bits, for which there is ``refuse_losses``.
        close: in 32 bits logits may not differ by more than they may on noise.
    """
    prepares = manifest.takes == "images"
    if prepares and found.inputs_equal < found.count:
        yield f"{found.count - found.inputs_equal:,} of {found.count:,} photos give the network other numbers"
    if manifest.precision == "int8":
        return
    others, allowed = found.count - found.answers_equal, int((1 - SAME_ANSWERS) * found.count + 1e-9)
    is_exact = prepares and manifest.precision == "fp32"
    allowed = allowed if is_exact else max(1, allowed)  # of few photos one may lie between two classes
    if others > allowed:
        yield f"{others:,} of {found.count:,} photos get another class, where {allowed:,} are allowed"
    if is_exact and close and not found.logits <= limit_of(found.largest):
        yield f"logits of photos differ by up to {found.logits:.1e}, where {limit_of(found.largest):.1e} is allowed"


def refuse_losses(found: OnPhotos) -> None:
    """Raises ``UserError`` where a file in 8 bits has too few answers right; of few photos, one may be lost."""
    lost = found.right_before - found.right
    if lost > max(1, int(POINT / 100 * found.count + 1e-9)):
        raise UserError(
            f"in 8 bits {found.right:,} of {found.count:,} {found.split} photos are answered right, "
            f"{100 * lost / found.count:.1f} points fewer than by the network ({found.right_before:,});\n"
            "nothing was written. Try --precision fp16, which is half the size and answers as the network does, or "
            "more photos with --data DATA"
        )


def grid_of(graph: "ModelProto") -> str:
    """The name of the value that says where images are sampled; "" where none are."""
    return next((node.input[1] for node in graph.graph.node if node.op_type == "GridSample"), "")


def _both(model: Model, network: Shipped, images: Tensor) -> Found:
    with torch.inference_mode():
        wanted = network(images.to(network.method.classifier.backbone.mean.device))
    by_name = {name: value.float().cpu().numpy() for name, value in zip(network.names, wanted, strict=True)}
    return Found(by_name, model.outputs(images.numpy(), *network.names))


def _in_proportion(pair: Found, name: str) -> float:
    """The largest difference; in proportion to the largest value, where that is above 1."""
    return pair.difference(name) / max(1.0, float(np.abs(pair.wanted[name]).max()))


def _summed(pair: Found, network: Shipped) -> float:
    head = network.method.classifier.head
    assert isinstance(head, nn.Linear)
    bias = 0.0 if head.bias is None else head.bias.detach().cpu().numpy()
    return float(np.abs(pair.given["maps"].mean((2, 3)) + bias - pair.given["logits"]).max())


def _at_fixed_grid(graph: "ModelProto", name: str, network: Shipped, images: Tensor) -> float:
    """How far logits are apart where the file samples images at the network's places: it is given them."""
    import onnx

    with torch.inference_mode():
        evidence = network.method.evidence(images.to(network.method.classifier.backbone.mean.device))
    model = type(graph)()
    model.CopyFrom(graph)
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * 4))
    (computed,) = session_of(model).run([name], {"images": images.numpy()})
    grid = _arranged([*evidence.views.values()], len(np.asarray(computed)))
    model.CopyFrom(graph)
    for node in model.graph.node:
        for place, value in enumerate(node.output):
            if value == name:
                node.output[place] = f"{value}.computed"
    model.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * 4))
    session = session_of(model)
    (logits,) = session.run(["logits"], {"images": images.numpy(), name: grid})
    return float(np.abs(np.asarray(logits) - evidence.logits.float().cpu().numpy()).max())


def _arranged(views: Sequence[Tensor], rows: int) -> np.ndarray:
    """Grids (B, h, w, 2) of several views as a graph samples by them, with so many ``rows``.

    Views are below each other where a row is an image, otherwise all images of a view are before those of the next.
    """
    each = torch.stack(tuple(views)).float().cpu()
    is_by_image = rows == each.shape[1]
    return (each.transpose(0, 1).flatten(1, 2) if is_by_image else each.flatten(0, 1)).numpy()


def session_of(graph: "ModelProto") -> "InferenceSession":
    """A graph in onnxruntime, on the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
