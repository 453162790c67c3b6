"""Networks to export: their norms have statistics as after training, since exporters have broken these in silence."""

from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper

from fieldmark.confidence.gallery import gallery_of
from fieldmark.confidence.taxonomy import Groups
from fieldmark.core.learner import Learner
from fieldmark.data.dataset import Level
from fieldmark.exporting.network import Shipped
from fieldmark.runs.folder import digest_of, read_run, write_groups
from sure_runs import random_answers, sure

TEMPERATURE = 2.0


def shipped(learner: Learner, *, temperature: float = TEMPERATURE) -> Shipped:
    """A learner's network, as it is exported."""
    return Shipped(learner.eval().method, temperature=temperature).eval()


def calibrated(run: Path) -> None:
    """Gives a run of ant, bee and cat a temperature, answers to held-out photos, a gallery and groups."""
    names = [f"{name}/{number}.jpg" for name in read_run(run)[1] for number in range(4)]
    embeddings = np.random.default_rng(1).random((len(names), 96)).astype(np.float32)
    gallery = gallery_of(digest_of(run), [*names[:-1], "gone.jpg"], np.arange(len(names)) // 4, embeddings)
    sure(run, TEMPERATURE, random_answers(40), gallery)
    write_groups(run, Groups(read_run(run)[1], (Level("kind", ("insect", "insect", "mammal")),)))


def disturbed(graph: ModelProto, *, by: float) -> ModelProto:
    """A graph whose first convolution or norm has a bias that is off, as after a norm that was exported wrongly."""
    model = ModelProto()
    model.CopyFrom(graph)
    biased = (node for node in model.graph.node if node.op_type in ("Conv", "BatchNormalization"))
    layer = next(node for node in biased if len(node.input) > 2)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    tensor = tensors[layer.input[2]]
    assert tensor.data_type == TensorProto.FLOAT
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(by), tensor.name))
    return model
