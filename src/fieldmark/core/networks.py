"""Any timm network that ends in one map, or torchvision's GoogLeNet, as a backbone.

What timm does after its last maps (pooling, fully connected layers) is removed, so that every remaining parameter is
used. A norm that follows the maps in timm's head (ConvNeXt, MaxViT, some ViT) stays, and is applied at each position.
"""

import inspect
import threading
from collections import OrderedDict
from functools import partial
from pathlib import Path
from traceback import walk_tb
from typing import Any

import torch
from torch import Tensor, nn

from fieldmark.core.backbone import Backbone, NoMapError
from fieldmark.core.two_streams import PLUS, joined, sources_of, streams_of
from fieldmark.core.weights import HUB, NONE, WORDS, Outline, Remote, load_weights, pixel_statistics, refuse_source
from fieldmark.errors import UserError
from fieldmark.ops.depthwise import with_fast_depthwise
from fieldmark.ops.zoo import VGG, timm
from fieldmark.plain import nearest, shown

GOOGLENET = "googlenet"
_AFTER_MAPS = (
    "pre_logits",
    "norm_head",
    "head",
    "head_dist",
    "head_drop",
    "fc",
    "classifier",
    "global_pool",
    "last_linear",
    "conv_head",
    "attn_pool",
    "aux_head",
    "classif",
    "in_conv",
    "pre_classifier",
    "aligner",
    "merger",
)
"""What follows the maps in timm's networks, unless ``forward_features`` names it."""
_WITHOUT_MAP = ("coat", "crossvit", "efficientvim", "pit")
"""timm's modules of networks that end in several maps, or in a token of the whole image."""


class _Maps(nn.Module):
    """A timm model without what follows its maps; the norm at ``norm`` (a submodule's path) is applied to them."""

    def __init__(self, model: nn.Module, norm: str) -> None:
        super().__init__()
        self.model = model
        self._norm = norm

    def forward(self, images: Tensor) -> Tensor:
        maps = self.model.forward_features(images)  # pyright: ignore[reportCallIssue]
        return self.model.get_submodule(self._norm)(maps) if self._norm else maps


def make_backbone(name: str, *, weights: str = HUB, size: int = 224, output_stride: int = 0) -> Backbone:
    """The named network with its weights.

    Args:
        name: any of timm's names of networks that end in one map, or "googlenet" (torchvision); two with a + between
            them are one backbone with the channels of both (``two_streams.py``).
        weights: "hub" (timm's pretrained), "none", "lite0" (the installed package), a .safetensors file or a run; of
            two networks, one for both or two with a + between them.
        size: side of the images in pixels; networks that are built for one size are built for this one.
        output_stride: pixels per position of the maps, where timm can build the network so (8, 16 or 32): its last
            stages keep their positions, and their convolutions are dilated; 0 leaves the network as it is.

    Raises:
        UserError: an unknown name, a network without such a map, weights that do not fit or are not available, a size
            that the network refuses, or an output stride that it does not have.
    """
    example = torch.zeros(1, 3, size, size)
    try:
        backbone = _named(name, weights, example, output_stride)
    except (RuntimeError, AssertionError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        reason = (str(error).splitlines() or ["it does not fit"])[0][:200]
        raise UserError(f"{name} cannot be built for images of {size} px ({reason}); choose another --size") from error
    with_fast_depthwise(backbone.network)
    return backbone


def _named(name: str, weights: str, example: Tensor, output_stride: int) -> Backbone:
    names = streams_of(name)
    if len(names) == 1:
        own = _googlenet(weights, example) if name == GOOGLENET else _from_timm(name, weights, example, output_stride)
        own.load_state_dict(pixel_statistics(weights), strict=False)
        return own
    sources = sources_of(weights, names, words=WORDS)
    each = sources or [NONE] * len(names)
    first, second = (_named(*pair, example, output_stride) for pair in zip(names, each, strict=True))
    backbone = joined(first, second, example=example)
    if not sources:
        backbone.note = load_weights(backbone.network, weights, name=name, hub=dict)
        backbone.load_state_dict(pixel_statistics(weights), strict=False)
    return backbone


def refuse_backbone(name: str, *, weights: str) -> None:
    """Checks what can be checked of a backbone and its weights at once, before anything slow.

    Raises:
        UserError: as ``make_backbone``, for an unknown name, a network without a map, or weights that are not there.
    """
    refuse_unknown(name)
    names = streams_of(name)
    sources = sources_of(weights, names, words=WORDS)
    for each, source in zip(names if sources else [name], sources or [weights], strict=True):
        refuse_source(
            source,
            name=each,
            hub=_remote(each) if source == HUB else None,
            outline=None if PLUS in each else partial(_outline, each),
        )


def _outline(name: str) -> Outline:
    """A single network as ``load_weights`` fills it, but that its image size may be another."""
    with torch.device("meta"):
        if name == GOOGLENET:
            from torchvision.models import googlenet

            return Outline(
                _without_end(googlenet(weights=None, aux_logits=False, init_weights=False)).state_dict(), True
            )
        model = timm.create_model(name)
    _cut(model)
    accepted = inspect.signature(type(model).__init__).parameters
    return Outline(model.state_dict(), "img_size" not in accepted or "dynamic_img_size" in accepted)


def refuse_unknown(name: str) -> None:
    """Raises ``UserError`` if no backbone is called ``name``, or a network that it joins, or if one has no map."""
    for network in streams_of(name):
        _refuse_unknown_network(network)


def _without_map(name: str) -> UserError:
    return UserError(f"{name} gives no single map; choose another backbone")


def _refuse_unknown_network(name: str) -> None:
    architecture, word = name.split(".")[0], name
    known = [GOOGLENET, *timm.list_models()]
    if architecture not in known:
        word = architecture
    elif name != architecture:
        known = [architecture, *timm.list_models(f"{architecture}.*", include_tags=True)]
    if name in known:
        if timm.models.is_model_in_modules(name, _WITHOUT_MAP):
            raise _without_map(name)
        return
    similar = nearest(word, known)
    advice = f"did you mean {' or '.join(similar)}?" if similar else "use one of timm's names, such as resnet50"
    raise UserError(f"no backbone is called {shown(name)}; {advice}")


def _remote(name: str) -> Remote | None:
    """Where the pretrained weights of a backbone are; None if there are none."""
    if name == GOOGLENET:
        from torchvision.models import GoogLeNet_Weights

        return Remote("", (GoogLeNet_Weights.DEFAULT.url,))
    config: Any = timm.get_pretrained_cfg(name)
    if config is None:
        return None
    if config.file or config.state_dict:  # a network that the user registered
        return Remote("", ())
    if config.hf_hub_id:
        file = config.hf_hub_filename or "pytorch_model.bin"
        alternatives = ("model.safetensors", "open_clip_model.safetensors", str(Path(file).with_suffix(".safetensors")))
        return Remote(config.hf_hub_id, (file, *alternatives))
    return Remote("", (config.url,)) if config.url else None


def _googlenet(weights: str, example: Tensor) -> Backbone:
    from torchvision.models import GoogLeNet_Weights, googlenet

    # transform_input would undo ImageNet's statistics; the images are normalised with the right ones instead
    model = googlenet(weights=None, aux_logits=False, transform_input=False, init_weights=weights == NONE)
    network = _without_end(model)
    note = load_weights(
        network, weights, name=GOOGLENET, hub=lambda: GoogLeNet_Weights.DEFAULT.get_state_dict(progress=False)
    )
    # torchvision's file was trained on pixels scaled to [-1, 1]
    half = (0.5, 0.5, 0.5)
    return Backbone(network, example=example, statistics=(half, half), note=note)


def _without_end(model: nn.Module) -> nn.Sequential:
    """GoogLeNet without what follows its maps."""
    kept = OrderedDict((key, part) for key, part in model.named_children() if key not in ("avgpool", "dropout", "fc"))
    return nn.Sequential(kept)


def _from_timm(name: str, weights: str, example: Tensor, output_stride: int) -> Backbone:
    refuse_unknown(name)
    accepted = inspect.signature(_class_of(name).__init__).parameters
    options: dict[str, Any] = {}
    if "dynamic_img_size" in accepted:
        options["dynamic_img_size"] = True
    elif "img_size" in accepted:
        options["img_size"] = example.shape[2]
    if output_stride:
        options["output_stride"] = output_stride
    try:
        model = timm.create_model(name, **options)
    except (TypeError, AssertionError) as error:
        if not output_stride:
            raise
        raise UserError(f"{name} cannot be built with an output_stride of {output_stride}; leave it out") from error
    config: Any = model.pretrained_cfg
    network = _Maps(model, _cut(model))

    def from_hub() -> dict[str, Tensor]:
        return timm.create_model(name, pretrained=True, **options).state_dict()

    note = load_weights(model, weights, name=name, hub=from_hub)
    try:
        return Backbone(
            network,
            example=example,
            prefix=getattr(model, "num_prefix_tokens", int(hasattr(model, "cls_token"))),
            channels_last=getattr(model, "output_fmt", "") == "NHWC",
            statistics=(tuple(config["mean"]), tuple(config["std"])),
            stages={f"model.{stage['module']}": stage["reduction"] for stage in getattr(model, "feature_info", ())},
            note=note,
        )
    except NoMapError as error:
        raise _without_map(name) from error


class _Begun(Exception):
    """A module has begun to be built, of this ``kind``."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__(kind.__name__)
        self.kind = kind


def _class_of(name: str) -> type[nn.Module]:
    """The class of one of timm's networks, which only the function that builds it knows.

    The network is begun and left, as building it, even without values, imports PyTorch's compiler, for seconds.
    """
    whole, own = nn.Module.__init__, threading.get_ident()

    def begin(self: nn.Module) -> None:
        if threading.get_ident() == own:
            raise _Begun(type(self))
        whole(self)

    nn.Module.__init__ = begin
    try:
        timm.create_model(name)
    except _Begun as found:
        # a part that is built before the network, such as a hybrid's stem, is not made by timm's builder
        if any(frame.f_code.co_name == "build_model_with_cfg" for frame, _ in walk_tb(found.__traceback__)):
            return found.kind
    finally:
        nn.Module.__init__ = whole
    with torch.device("meta"):
        return type(timm.create_model(name))


def _cut(model: nn.Module) -> str:
    """Removes, in place, what follows the maps; returns the path of the norm that stays, or ""."""
    norm = ""
    head = getattr(model, "head", None)
    head_norm = getattr(head, "norm", None)
    # one of another width is a part of the layers after the pooling
    if isinstance(head_norm, nn.Module) and [*map(len, head_norm.parameters())][:1] == [model.num_features]:
        norm = "head.norm"
    elif list(getattr(model, "fc_norm", nn.Identity()).parameters()):
        norm = "fc_norm"
    # EfficientNet's last convolution belongs to the maps; those of MobileNetV3, GhostNet and others follow the pooling
    features = inspect.unwrap(model.forward_features).__code__.co_names  # pyright: ignore[reportArgumentType]
    for key in _AFTER_MAPS:
        if key not in features and isinstance(getattr(model, key, None), nn.Module):
            setattr(model, key, nn.Identity())
    if norm == "head.norm":
        model.head = nn.ModuleDict({"norm": head_norm})  # pyright: ignore[reportArgumentType]
    if isinstance(model, VGG) and isinstance(model.features[-1], nn.MaxPool2d):
        model.features[-1] = nn.Identity()  # the maps of relu5_3, not of the pooling after it
    return norm
