"""Parameters from data: what markets show, and what traders learn while they trade.

The names of `gtrade.calibration.estimators`, imported on first use: data and results
are read without jax.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gtrade.calibration.estimators import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """Return an estimator by name."""
    if not name.startswith("_"):
        estimators = importlib.import_module("gtrade.calibration.estimators")
        if name in estimators.__all__:
            return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
