"""Fieldmark: train, measure and use classifiers for classes that look alike.

``fieldmark.train``, ``fieldmark.load``, ``fieldmark.evaluate``, ``fieldmark.predict``, ``fieldmark.explain``,
``fieldmark.compare``, ``fieldmark.figures``, ``fieldmark.report``, ``fieldmark.calibrate``, ``fieldmark.add_class``,
``fieldmark.remove_class``, ``fieldmark.export``, ``fieldmark.probe``, ``fieldmark.check`` and ``fieldmark.equations``
are the command line's words in Python, ``fieldmark.check_labels`` and ``fieldmark.apply_labels`` what ``fieldmark
check`` does with ``--labels`` and ``--apply``, ``fieldmark.bench.run``, ``fieldmark.bench.sweep``,
``fieldmark.bench.report`` and ``fieldmark.bench.tables`` those of ``fieldmark bench``, and ``fieldmark.recipes.ROWS``
is what ``fieldmark recipes`` lists. ``fieldmark.classifier`` builds backbone, neck, pool and head for a loop of your
own. ``fieldmark.open_model`` opens an exported model, without torch. ``fieldmark.testing.check_method`` checks a method
of your own. Importing the package alone loads nothing heavy.
"""

import importlib
from typing import TYPE_CHECKING, Any

# now, and not when asked for: importing the module later would put it in the place of the function
from fieldmark.equations import equations

if TYPE_CHECKING:
    from fieldmark import bench as bench
    from fieldmark import recipes as recipes
    from fieldmark import testing as testing
    from fieldmark.api import (
        add_class,
        apply_labels,
        calibrate,
        check,
        check_labels,
        classifier,
        compare,
        evaluate,
        explain,
        export,
        figures,
        load,
        predict,
        probe,
        remove_class,
        report,
        train,
    )
    from fieldmark.ship.model import open_model

__all__ = [
    "add_class", "apply_labels", "calibrate", "check", "check_labels", "classifier", "compare", "equations", "evaluate",
    "explain", "export", "figures", "load", "open_model", "predict", "probe", "remove_class", "report", "train",
]  # fmt: skip
_MODULES = ("bench", "recipes", "testing")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"fieldmark.{name}")
    if name == "open_model":
        from fieldmark.ship.model import open_model

        return open_model
    if name in __all__:
        from fieldmark import api

        return getattr(api, name)
    raise AttributeError(f"module 'fieldmark' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
