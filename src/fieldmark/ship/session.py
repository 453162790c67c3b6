"""onnxruntime, opened for one network."""

from collections.abc import Callable, Sequence

import numpy as np

from fieldmark.errors import UserError


def computing(
    content: bytes, *, device: str = "auto", threads: int = 0
) -> Callable[[Sequence[str], np.ndarray], list[np.ndarray]]:
    """A function from names of outputs and images to these outputs; of a file's graph only what they need is computed.

    Args:
        content: the bytes of an ONNX file that was looked through.
        device: auto, cpu, cuda or cuda:N.
        threads: of the network; 0 for as many as there are cores.

    Raises:
        UserError: onnxruntime is missing or knows no such device, or cannot use the network.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError("exported models need onnxruntime: pip install 'fieldmark[serve]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        content, options, providers=_providers(device, onnxruntime.get_available_providers())
    )
    run_options = onnxruntime.RunOptions()
    run_options.add_run_config_entry("only_execute_path_to_fetches", "1")
    (name,) = [each.name for each in session.get_inputs()]

    def compute(outputs: Sequence[str], images: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(value) for value in session.run(list(outputs), {name: images})]

    return compute


def _providers(device: str, available: Sequence[str]) -> list[str | tuple[str, dict[str, int]]]:
    kind, _, number = device.partition(":")
    has_cuda = "CUDAExecutionProvider" in available
    if kind == "cpu" or (kind == "auto" and not has_cuda):
        return ["CPUExecutionProvider"]
    if kind not in ("auto", "cuda") or (number and not number.isdecimal()):
        raise UserError(f"--device {device}: an exported model runs on auto, cpu, cuda or cuda:N")
    if not has_cuda:
        raise UserError(f"--device {device}: this onnxruntime has no CUDA: pip install onnxruntime-gpu")
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]
