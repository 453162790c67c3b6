"""What a result's readers take for granted is held against its file."""

import json
from dataclasses import asdict, replace
from typing import Any

from canned import failed, result_of

from fieldmark.bench.records import Result
from fieldmark.bench.shape import complaint


def plain(result: Result) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(result)))


def test_what_runs_leave_is_as_it_should_be() -> None:
    for result in (
        result_of("pc"),
        result_of("probe"),
        result_of("pc", trial=1),
        failed(result_of("cin"), "no memory"),
    ):
        assert complaint(plain(result)) == ""
    assert complaint(plain(replace(result_of("pc"), seconds=3))) == ""  # pyright: ignore[reportArgumentType]


def test_the_first_thing_that_is_wrong_is_named_by_its_place() -> None:
    value = plain(result_of("pc"))
    value["sessions"].append(value["sessions"][0] | {"versions": {"torch": None}})
    assert complaint(value) == "sessions.1.versions.torch is not a text"
    value = plain(result_of("pc"))
    value["recipe"]["stages"] = [{"epochs": 2, "optimiser": {"type": "Sgd"}}]
    assert complaint(value) == "recipe.stages.0.optimiser.lr is missing"
    assert complaint(value | {"status": "failed"}) == ""  # of a failure nothing is read there
