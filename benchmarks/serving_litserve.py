"""The same file behind LitServe, as somebody would write it who follows the tutorial: batches, in two workers.

    python benchmarks/serving_litserve.py MODEL [--workers 2] [--batch 8]

Photos are prepared and computed as ``fieldmark predict`` does it, with one thread of onnxruntime's in each worker, and
answered with the five likeliest classes. It guards against nothing.
"""

import argparse
from pathlib import Path
from typing import Any

import litserve  # pyright: ignore[reportMissingImports]
import numpy as np
from fastapi import Request  # pyright: ignore[reportMissingImports]

from fieldmark.ship.model import open_model
from serving_fastapi import free_port, told


class Answering(litserve.LitAPI):
    """One worker: from a form to an answer, in LitServe's steps."""

    def __init__(self, path: Path, batch: int) -> None:
        super().__init__(max_batch_size=batch, batch_timeout=0.002, api_path="/v1/predict")
        self.path = path

    def setup(self, device: str) -> None:
        """Opens the model."""
        self.model = open_model(self.path, device="cpu", threads=1)

    def decode_request(self, request: Request) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A photo as the network takes it."""
        return self.model.prepared(request["image"].file.read())  # pyright: ignore[reportIndexIssue]

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        """Several of them."""
        return np.stack(inputs)

    def predict(self, x: np.ndarray) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Logits; a photo that came alone has no dimension of the batch."""
        return self.model.outputs(x if x.ndim == 4 else x[None], "logits")["logits"]

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        """A row for each."""
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The answer."""
        return {"classes": told(self.model, output)}


def main() -> None:
    """Serves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    options, port = parser.parse_args(), free_port()
    answering = Answering(options.model, options.batch)
    server = litserve.LitServer(answering, accelerator="cpu", workers_per_device=options.workers, timeout=60)
    print(f"serving at http://127.0.0.1:{port}", flush=True)
    server.run(host="127.0.0.1", port=port, log_level="error", generate_client_file=False)


if __name__ == "__main__":
    main()
