"""What a calibration finds: estimates of every fit, draws of the first, and curves.

Host code: it imports no jax.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """Fits of one model to one set of data.

    Attributes:
        model: name of the calibration.
        rows: columns of the table of fits, one row a fit; the first row is the fit to
            all of the data. For a number `x` there are `x`, `x_se`, `x_low`, `x_high`.
        units: of the numbers, by name, in the order shown.
        draws: numbers as uncertain as those of the first row, shape (draws,) each.
        curves: columns of what the figures show, by curve; NaN where there is none.
        facts: of data and options: JSON-ready.
    """

    model: str
    rows: Mapping[str, np.ndarray]
    units: Mapping[str, str]
    draws: Mapping[str, np.ndarray]
    curves: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the estimated numbers."""
        return tuple(self.units)

    def to_records(self) -> list[dict[str, Any]]:
        """Return the rows as plain data; what is not finite becomes None."""
        names = list(self.rows)
        columns = [np.asarray(self.rows[name]).tolist() for name in names]
        return [
            {name: finite_or_none(x) for name, x in zip(names, row, strict=True)}
            for row in zip(*columns, strict=True)
        ]


def finite_or_none(value: Any) -> Any:
    """Return plain data without what JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): finite_or_none(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(x) for x in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
