"""The same file behind FastAPI, as somebody would write it who follows the tutorial: a function a request.

    python benchmarks/serving_fastapi.py MODEL

Photos are prepared and computed as ``fieldmark predict`` does it, with one thread of onnxruntime's for a request, and
answered with the five likeliest classes. It guards against nothing.
"""

import socket
import sys
from pathlib import Path

import numpy as np

from fieldmark.ship.model import Model, open_model


def told(model: Model, logits: np.ndarray) -> list[dict[str, object]]:
    """The likeliest classes."""
    shares = model.probabilities(logits[None])[0]
    best = np.argsort(-shares, kind="stable")[:5].tolist()
    return [{"class": model.classes[label], "probability": float(shares[label])} for label in best]


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def serve_fastapi(path: Path) -> None:
    """A function a request, in FastAPI's pool of threads."""
    import uvicorn
    from fastapi import FastAPI, File, UploadFile  # pyright: ignore[reportMissingImports]

    model, port = open_model(path, device="cpu", threads=1), free_port()
    app = FastAPI()

    @app.post("/v1/predict")
    def predict(image: UploadFile = File()) -> dict[str, object]:  # noqa: B008 (FastAPI's way)
        picture = model.prepared(image.file.read())
        return {"classes": told(model, model.outputs(picture[None], "logits")["logits"][0])}

    @app.on_event("startup")  # pyright: ignore[reportDeprecated]
    def say() -> None:
        print(f"serving at http://127.0.0.1:{port}", flush=True)

    uvicorn.run(app, port=port, log_level="error")


if __name__ == "__main__":
    serve_fastapi(Path(sys.argv[1]))
