"""One axis as a spec writes it: a list, spaced numbers, or random draws."""

import math
import sys
import zlib
from typing import Any

import numpy as np

from gtrade.catalog.base import Parameter
from gtrade.sweeps.complaints import RuleError
from gtrade.sweeps.values import SweptKey, describe, normalise_all

_MOST_VALUES = 2**32
_LARGEST = sys.float_info.max

FORMS = {
    "linspace": "[first, last, count]",
    "logspace": "[first exponent, last exponent, count]",
    "range": "[first, last, step]",
    "uniform": "[low, high, count]",
    "loguniform": "[low, high, count]",
}


def expand(swept: SweptKey, value: Any, seed: int) -> tuple[Any, str]:
    """Return the column and form of what a spec writes for one axis.

    Args:
        swept: the key.
        value: a list of values, or `{ linspace = [first, last, count] }` and the like.
        seed: of the run; draws depend on it and on the key, not on other axes.

    Raises:
        RuleError: if it is neither, is empty, or holds values of the wrong type.
    """
    element = swept.element
    if isinstance(value, list):
        if not value:
            raise RuleError("must have at least one value", value)
        return normalise_all(element, value), "list"
    if isinstance(value, dict) and len(value) == 1 and set(value) <= set(FORMS):
        ((form, numbers),) = value.items()
        if element.ndim != 0 or element.type not in ("integer", "number"):
            raise RuleError(f"takes a list of values, each {describe(element)}", value)
        return _whole_if_needed(element, _spaced(form, numbers, swept.key, seed)), form
    forms = ", ".join(f"{{ {name} = {shape} }}" for name, shape in FORMS.items())
    raise RuleError(f"must be a list of values or one of {forms}", value)


def _spaced(form: str, numbers: Any, key: str, seed: int) -> np.ndarray:
    shape = f"{form} must be {FORMS[form]}"
    is_numbers = isinstance(numbers, list) and all(
        isinstance(x, int | float) and not isinstance(x, bool) and abs(x) <= _LARGEST
        for x in numbers
    )
    if not is_numbers or len(numbers) != 3:
        raise RuleError(f"{shape}, three finite numbers", numbers)
    low, high, third = numbers
    if form == "range":
        return _stepped(low, high, third, numbers)
    if not isinstance(third, int) or not 1 <= third < _MOST_VALUES:
        raise RuleError(f"{shape} with a whole count of at least 1", numbers)
    if form == "linspace":
        return np.linspace(low, high, third)
    if form == "logspace":
        with np.errstate(over="ignore"):
            return _finite(np.logspace(low, high, third), numbers)
    if high < low:
        raise RuleError(f"{shape} with low <= high", numbers)
    if form == "loguniform" and low <= 0:
        raise RuleError(f"{shape} with low greater than 0", numbers)
    # The key's name keeps axes independent of one another and of their order.
    draws = np.random.default_rng([seed, zlib.crc32(key.encode())]).random(third)
    if form == "uniform":
        return low + (high - low) * draws
    return np.exp(np.log(low) + (np.log(high) - np.log(low)) * draws)


def _stepped(first: float, last: float, step: float, numbers: Any) -> np.ndarray:
    """Return first, first + step, ... up to last, which is included if met."""
    first, last, step = float(first), float(last), float(step)
    steps = (last - first) / step if step else -1.0
    if steps < 0:
        raise RuleError(
            "range must be [first, last, step] with a step that leads from first to"
            " last",
            numbers,
        )
    if not steps < _MOST_VALUES:
        raise RuleError(f"range must give fewer than {_MOST_VALUES} values", numbers)
    # The slack forgives the rounding of decimal steps: [0, 0.3, 0.1] has four values.
    count = math.floor(steps * (1 + 1e-12) + 1e-9) + 1
    return first + step * np.arange(count)


def _finite(column: np.ndarray, numbers: Any) -> np.ndarray:
    if not np.isfinite(column).all():
        raise RuleError("must stay within the range of a float", numbers)
    return column


def _whole_if_needed(element: Parameter, column: np.ndarray) -> np.ndarray:
    if element.type != "integer":
        return column.astype(np.float64)
    whole = np.round(column)
    off = np.abs(column - whole) > 1e-9 * np.maximum(1, np.abs(column))
    if off.any():
        value = float(column[off][0])
        raise RuleError("must give whole numbers (list them, or use range)", value)
    return whole.astype(np.int64)
