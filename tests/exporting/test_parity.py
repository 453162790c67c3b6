"""A file against its network: what is equal is found equal, and what was broken is seen, wherever it was."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from export_matrix import plain_manifest
from exported_networks import disturbed
from fieldmark.errors import UserError
from fieldmark.exporting.export import opened_in
from fieldmark.exporting.halving import halved
from fieldmark.exporting.network import Shipped
from fieldmark.exporting.onnx_file import file_of
from fieldmark.exporting.parity import (
    compare,
    faults_of,
    grid_of,
    photo_faults,
    refuse_faults,
    refuse_losses,
    rounded_by,
    rounding_faults,
)
from fieldmark.recipe import Model, Pixels, Recipe
from fieldmark.ship.manifest import Manifest
from fieldmark.ship.parity import LARGE, LIMIT, OnPhotos, Parity

RECIPE = Recipe(Model(), pixels=Pixels(size=64, eval_size=64))
CLOSE = Parity(batches=(1,), largest=1.0, logits=1e-6, typical=1e-7, probabilities=1e-7, embedding=1e-6)
PHOTOS = OnPhotos("val", 200, 200, 0.0, 1.0, 200, 1e-6, 1.0, 150, 150)


def found(graph: ModelProto, network: Shipped, folder: Path) -> Parity:
    model = opened_in(folder, file_of(graph, plain_manifest(network, RECIPE)))
    return compare(model, graph, network, size=64)


def faults(parity: Parity) -> str:
    return "; ".join(faults_of(parity))


def moved(graph: ModelProto, *, by: float) -> ModelProto:
    """A graph that samples images elsewhere."""
    model, name = ModelProto(), grid_of(graph)
    model.CopyFrom(graph)
    for node in model.graph.node:
        if name in node.input:
            node.input[list(node.input).index(name)] = "elsewhere"
    at = next(at for at, node in enumerate(model.graph.node) if name in node.output)
    model.graph.initializer.append(helper.make_tensor("by", TensorProto.FLOAT, [], [by]))
    model.graph.node.insert(at + 1, helper.make_node("Add", [name, "by"], ["elsewhere"], name="moved"))
    return model


def test_the_same_answers_are_found_the_same(graph: ModelProto, network: Shipped, tmp_path: Path):
    parity = found(graph, network, tmp_path)
    assert parity.batches == (1, 2, 7)
    assert parity.logits < 1e-5
    assert parity.typical <= parity.logits
    assert (parity.fixed_grid, parity.rounded, parity.on_photos) == (None, None, None)
    assert not faults(parity)


def test_a_bias_that_is_off_is_seen(graph: ModelProto, network: Shipped, tmp_path: Path):
    assert faults(found(disturbed(graph, by=0.01), network, tmp_path)).startswith("logits differ by")


def test_maps_that_do_not_make_the_logits_are_seen(graph: ModelProto, network: Shipped, tmp_path: Path):
    model = ModelProto()
    model.CopyFrom(graph)
    node = next(node for node in model.graph.node if "maps" in node.output)
    node.output[:] = ["half of the maps"]
    model.graph.initializer.append(helper.make_tensor("two", TensorProto.FLOAT, [], [2.0]))
    model.graph.node.append(helper.make_node("Mul", ["half of the maps", "two"], ["maps"], name="doubled"))
    said = faults(found(model, network, tmp_path))
    assert not said.startswith("logits")
    assert "averages of the maps differ" in said


def test_sampled_images_are_compared_at_the_same_places(sampling_graph: ModelProto, sampling: Shipped, tmp_path: Path):
    parity = found(sampling_graph, sampling, tmp_path)
    assert parity.fixed_grid is not None
    assert parity.fixed_grid < 1e-4
    assert (parity.maps, parity.summed) == (None, None)
    assert not faults(parity)
    broken = found(disturbed(sampling_graph, by=0.05), sampling, tmp_path)
    assert faults(broken).startswith("logits differ by")


def test_places_that_are_off_for_all_images_are_seen(sampling_graph: ModelProto, sampling: Shipped, tmp_path: Path):
    parity = found(moved(sampling_graph, by=0.2), sampling, tmp_path)
    assert parity.fixed_grid is not None
    assert parity.typical > 1e-3
    assert "logits, end to end, differ by" in faults(parity)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"logits": LIMIT}, ""),
        ({"logits": 1.01 * LIMIT}, "logits differ by up to 1.0e-04, where 1.0e-04 is allowed"),
        ({"logits": 2 * LIMIT, "largest": 2 * LARGE}, ""),
        ({"logits": float("nan")}, "logits"),
        ({"probabilities": 2e-4}, "probabilities"),
        ({"embedding": 2e-4}, "embeddings"),
        ({"maps": 2e-4}, "maps"),
        ({"summed": 2e-4}, "averages of the maps"),
        ({"fixed_grid": 1e-6, "logits": 1.0, "probabilities": 0.1}, ""),
        ({"fixed_grid": 2e-4}, "logits"),
        ({"fixed_grid": 1e-6, "typical": 1e-3}, "logits, end to end,"),
    ],
)
def test_what_does_not_hold(change: dict[str, float], said: str):
    fault = faults(replace(CLOSE, **change))
    assert fault.startswith(said)
    assert bool(fault) == bool(said)


@pytest.mark.parametrize("which", ["graph", "sampling_graph"])
def test_rounding_is_measured_on_noise(which: str, request: pytest.FixtureRequest):
    own: ModelProto = request.getfixturevalue(which)
    made_of: Shipped = request.getfixturevalue({"graph": "network", "sampling_graph": "sampling"}[which])
    assert rounded_by(own, made_of, size=64) < 1e-4
    assert 1e-5 < rounded_by(halved(own), made_of, size=64) < 0.1


def test_sixteen_bits_round_and_do_no_more():
    assert not list(rounding_faults(CLOSE))
    assert not list(rounding_faults(replace(CLOSE, rounded=0.05)))
    assert list(rounding_faults(replace(CLOSE, rounded=0.2)))
    assert list(rounding_faults(replace(CLOSE, rounded=float("nan"))))


def said_of(network: Shipped, close: bool = True, precision: str = "fp32", takes: str = "images", **change: Any) -> str:
    manifest: Manifest = replace(plain_manifest(network, RECIPE), precision=precision, takes=takes)  # pyright: ignore
    return "; ".join(photo_faults(replace(PHOTOS, **change), manifest, close=close))


def test_what_does_not_hold_on_photos(network: Shipped):
    assert not said_of(network)
    assert not said_of(network, answers_equal=199)
    assert "2 of 200 photos get another class, where 1 are allowed" in said_of(network, answers_equal=198)
    assert "1 of 20 photos get another class" in said_of(network, count=20, inputs_equal=20, answers_equal=19)
    assert "1 of 200 photos give the network other numbers" in said_of(network, inputs_equal=199)
    assert "logits of photos differ" in said_of(network, logits=1e-3)
    assert not said_of(network, close=False, logits=1.0)


def test_of_few_photos_in_sixteen_bits_one_may_be_between_two_classes(network: Shipped):
    few: dict[str, Any] = {"count": 20, "inputs_equal": 20}
    assert not said_of(network, precision="fp16", answers_equal=19, logits=0.01, **few)
    assert "another class" in said_of(network, precision="fp16", answers_equal=18, **few)
    assert "other numbers" in said_of(network, precision="fp16", inputs_equal=199)


def test_pixels_need_not_be_equal_but_answers(network: Shipped):
    assert not said_of(network, takes="pixels", inputs_equal=0, levels=3.0, logits=0.1, answers_equal=199)
    assert "another class" in said_of(network, takes="pixels", inputs_equal=0, answers_equal=198)


def test_eight_bits_may_cost_a_point_and_no_more(network: Shipped):
    assert not said_of(network, precision="int8", answers_equal=180, right=100)
    assert "other numbers" in said_of(network, precision="int8", inputs_equal=199)
    refuse_losses(replace(PHOTOS, right=148))
    with pytest.raises(UserError, match=r"147 of 200 val photos are answered right, 1\.5 points fewer than") as caught:
        refuse_losses(replace(PHOTOS, right=147))
    assert "--precision fp16" in str(caught.value)
    assert "report" not in str(caught.value)
    few = replace(PHOTOS, count=20, right_before=19)
    refuse_losses(replace(few, right=18))  # where a point is less than a photo
    with pytest.raises(UserError, match=r"10\.0 points fewer"):
        refuse_losses(replace(few, right=17))


def test_a_fault_is_refused_with_advice():
    refuse_faults(iter(()))
    with pytest.raises(UserError, match=r"does not answer as the network does: this;\nnothing was written"):
        refuse_faults(iter(("this", "that")))


def test_what_was_compared_is_told():
    def names(parity: Parity) -> Sequence[str]:
        return [name for name, _ in parity.rows()]

    whole = replace(CLOSE, maps=1e-6, summed=1e-6, on_photos=PHOTOS)
    assert names(CLOSE)[-1] == "photos"
    assert "the way from a photo was not compared" in dict(CLOSE.rows())["photos"]
    assert names(whole)[3:5] == ["class-response maps", "their averages plus the bias"]
    assert dict(whole.rows())["inputs of the network"] == "200 of 200 val photos are equal bit for bit"
    assert dict(whole.rows())["right answers"] == "150 of 200 val photos, 150 by the network"
    sampled = dict(replace(whole, fixed_grid=1e-6, rounded=0.01).rows())
    assert "for the median image" in sampled["logits, end to end"]
    assert "logits in 16 bits" in sampled
    pixels = dict(replace(whole, on_photos=replace(PHOTOS, levels=2.0, levels_equal=0.995)).rows())
    assert pixels["views"] == "99.50% of numbers are equal, the others within 2 of 255"
    assert np.isfinite(PHOTOS.logits)
