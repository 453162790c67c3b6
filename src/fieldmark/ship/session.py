"""onnxruntime, opened for one network."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fieldmark.errors import UserError, printable
from fieldmark.ship.manifest import Manifest

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Compute = Callable[[Sequence[str], np.ndarray], list[np.ndarray]]
"""From names of outputs and images (N, 3, S, S) to the outputs in float32, each with a row per image."""
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def computing(content: bytes, manifest: Manifest, *, name: str, device: str = "auto", threads: int = 0) -> Compute:
    """A function from names of outputs and images to these outputs; of a file's graph only what they need is computed.

    It may be called from several threads at once.

    Args:
        content: the bytes of an ONNX file that was looked through.
        manifest: what the file says of itself.
        name: of the file, in messages.
        device: auto, cpu, cuda or cuda:N.
        threads: of the network; 0 for as many as there are cores.

    Raises:
        UserError: onnxruntime is missing or knows no such device, or cannot use the network, or the network is not what
            the file says.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it tells its makers of every model that is opened
    try:
        import onnxruntime
    except ImportError:
        raise UserError("exported models need onnxruntime: pip install 'fieldmark[serve]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # which takes a core to gain little
    providers = _providers(device, onnxruntime.get_available_providers())
    try:
        session = onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # of many kinds, none of which is a base of the others
        raise UserError(f"{name}: onnxruntime {onnxruntime.__version__} cannot use it: {_told(error)}") from None
    if device.startswith("cuda") and session.get_providers()[0] == "CPUExecutionProvider":
        raise UserError(f"--device {device}: onnxruntime finds no CUDA that it can use; --device cpu does without")
    kind = _refuse_misfit(session, manifest, name)
    run_options = onnxruntime.RunOptions()
    run_options.add_run_config_entry("only_execute_path_to_fetches", "1")

    def compute(outputs: Sequence[str], images: np.ndarray) -> list[np.ndarray]:
        try:
            values = session.run(list(outputs), {"images": images.astype(kind, copy=False)}, run_options)
        except Exception as error:
            raise UserError(f"{name}: onnxruntime cannot compute {images.shape}: {_told(error)}") from None
        return [np.asarray(value).astype(np.float32, copy=False) for value in values]

    return compute


def _told(error: Exception) -> str:
    """The first line of what onnxruntime says, without its numbers of errors."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return printable(line.split(" : ", 3)[-1] if line.startswith("[ONNXRuntimeError]") else line)[:200]


def _refuse_misfit(session: "InferenceSession", manifest: Manifest, name: str) -> type[np.floating]:
    """The type of the network's images; raises ``UserError`` where it is not what the manifest says."""
    side, classes = manifest.pixels.eval_size, len(manifest.classes)
    wanted = {"logits": [classes], "probabilities": [classes], "embedding": [manifest.embedding]}
    inputs = {each.name: each for each in session.get_inputs()}
    outputs = {each.name: list(each.shape[1:]) for each in session.get_outputs()}
    image = inputs.get("images")
    fits = len(inputs) == 1 and image is not None and image.type in _TYPES and image.shape[1:] == [3, side, side]
    fits = fits and {*wanted} <= {*manifest.outputs} <= outputs.keys()
    pairs = ((shape, outputs[key]) for key, shape in wanted.items() if fits)
    same = all(len(given) == 1 and (not isinstance(given[0], int) or given == shape) for shape, given in pairs)
    if not (fits and same and image is not None):
        raise UserError(f"{name}: its network is not the one that its manifest tells of; export the run again")
    return _TYPES[image.type]


def _providers(device: str, available: Sequence[str]) -> list[str | tuple[str, dict[str, int]]]:
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and (kind != "cuda" or not number.isdecimal())):
        raise UserError(f"--device {printable(device)}: an exported model runs on auto, cpu, cuda or cuda:N")
    has_cuda = "CUDAExecutionProvider" in available
    if kind == "cpu" or (kind == "auto" and not has_cuda):
        return ["CPUExecutionProvider"]
    if not has_cuda:
        raise UserError(f"--device {device}: this onnxruntime has no CUDA: pip install onnxruntime-gpu")
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]
