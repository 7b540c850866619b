"""Values of a spec against what a model declares: types, texts and list shapes.

Only the form of a value is checked here; whether a number is admissible is the
business of the problem's and the solver's own `validate`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from gtrade.catalog.base import Parameter
from gtrade.sweeps.complaints import RuleError, did_you_mean

_NOUNS = {
    "integer": ("a whole number", "whole numbers"),
    "number": ("a number", "numbers"),
    "text": ("a text", "texts"),
    "boolean": ("true or false", "true or false"),
}


def describe(parameter: Parameter) -> str:
    """Return what a value must be, as a phrase: "a list of whole numbers"."""
    one, many = _NOUNS[parameter.type]
    plain = (one, f"a list of {many}", f"a list of lists of {many}")[parameter.ndim]
    if parameter.allows_list:
        plain += f", or a list of {many}"
    texts = ", ".join(f'"{choice}"' for choice in parameter.choices)
    if not texts:
        return plain
    return f"one of {texts}" if parameter.type == "text" else f"{plain} or {texts}"


def normalise(parameter: Parameter, value: Any) -> Any:
    """Return a value in its one form: numbers as floats, lists as nested lists.

    Raises:
        RuleError: if it has another type, is a text that is not offered, or is a
            ragged or wrongly nested list.
    """
    if value is None and parameter.default is None:
        return None
    if isinstance(value, str) and value in parameter.choices:
        return value
    if isinstance(value, str) and parameter.choices:
        hint = did_you_mean(value, parameter.choices)
        raise RuleError(f"must be {describe(parameter)}", value, hint)
    is_list = parameter.allows_list and isinstance(value, list | tuple)
    result = _nested(parameter, value, 1 if is_list else parameter.ndim, value)
    if parameter.ndim == 2 and len({len(row) for row in result}) > 1:
        raise RuleError("must have rows of one length", value)
    return result


def _nested(parameter: Parameter, value: Any, depth: int, whole: Any) -> Any:
    if depth:
        if not isinstance(value, list | tuple):
            raise RuleError(f"must be {describe(parameter)}", whole)
        return [_nested(parameter, x, depth - 1, whole) for x in value]
    if not _is_scalar(parameter.type, value):
        raise RuleError(f"must be {describe(parameter)}", whole)
    if parameter.type == "integer" and not -(2**63) <= value < 2**63:
        raise RuleError("must fit 64 bits", whole)
    if parameter.type != "number":
        return value
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        raise RuleError("must stay within the range of a float", whole) from None


def _is_scalar(kind: str, value: Any) -> bool:
    # A Python bool is an int; in a spec it is not a number.
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "text":
        return isinstance(value, str)
    allowed = (int,) if kind == "integer" else (int, float)
    return isinstance(value, allowed) and not isinstance(value, bool)


def as_column(parameter: Parameter, values: Sequence[Any]) -> np.ndarray | list[Any]:
    """Put normalised values into a column of one value per point.

    Returns:
        A numeric array with one axis more than the parameter, or a list where that is
        impossible: texts, numbers mixed with texts, lists of different lengths.
    """
    if parameter.type == "text" or any(isinstance(v, str | None) for v in values):
        return list(values)
    dtype = {"integer": np.int64, "number": np.float64, "boolean": np.bool_}
    if len({np.shape(v) for v in values}) > 1:
        return list(values)
    return np.asarray(values, dtype=dtype[parameter.type])


def normalise_all(
    parameter: Parameter, values: Sequence[Any]
) -> np.ndarray | list[Any]:
    """Normalise one value per point into a column, naming the first bad position."""
    column = []
    for position, value in enumerate(values):
        try:
            column.append(normalise(parameter, value))
        except RuleError as error:
            rule = f"value {position} {error.rule}"
            raise RuleError(rule, value, error.hint) from None
    return as_column(parameter, column)


@dataclasses.dataclass(frozen=True)
class SweptKey:
    """A dotted key that an axis varies: a parameter, or one position of a list.

    Attributes:
        key: as written, "problem.targets.1".
        table: "problem" or "solver".
        parameter: the declared parameter.
        index: positions into its list, () for the whole value.
    """

    key: str
    table: str
    parameter: Parameter
    index: tuple[int, ...] = ()

    @property
    def element(self) -> Parameter:
        """The parameter that a single swept value is checked against."""
        if not self.index:
            return dataclasses.replace(self.parameter, name=self.key)
        ndim = self.parameter.most_levels - len(self.index)
        return dataclasses.replace(
            self.parameter, name=self.key, ndim=ndim, choices=(), allows_list=False
        )


def place(nested: Any, index: tuple[int, ...], value: Any) -> Any:
    """Return nested lists with the element at `index` replaced (copied on the way)."""
    if not index:
        return value
    copy = list(nested)
    copy[index[0]] = place(copy[index[0]], index[1:], value)
    return copy
