"""Values of a spec against what a model declares: types, texts and list shapes.

Only the form of a value is checked here; whether a number is admissible is the
business of the problem's and the solver's own `validate`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from gtrade.catalog.base import MOST_AXES, Parameter
from gtrade.sweeps.complaints import RuleError, did_you_mean

_NOUNS = {
    "integer": ("a whole number", "whole numbers"),
    "number": ("a number", "numbers"),
    "text": ("a text", "texts"),
    "boolean": ("true or false", "true or false"),
    "table": ("a list of tables", "tables"),
}


def describe(parameter: Parameter) -> str:
    """Return what a value must be, as a phrase: "a list of whole numbers"."""
    one, many = _NOUNS[parameter.type]
    if parameter.ndim is None:
        return f"a list of {many}, nested evenly to any depth"
    plain = (one, f"a list of {many}", f"a list of lists of {many}")[parameter.ndim]
    if parameter.allows_list:
        plain += f", or a list of {many}"
    texts = ", ".join(f'"{choice}"' for choice in parameter.choices)
    if not texts:
        return plain
    if parameter.type == "text" and parameter.ndim:
        return f"{plain}, each one of {texts}"
    return f"one of {texts}" if parameter.type == "text" else f"{plain} or {texts}"


def normalise(parameter: Parameter, value: Any) -> Any:
    """Return a value in its one form: numbers as floats, lists as nested lists.

    Raises:
        RuleError: if it has another type, is a text that is not offered, or is a
            ragged or wrongly nested list.
    """
    if value is None and parameter.default is None:
        return None
    if isinstance(value, str) and value in parameter.choices and not _lists(parameter):
        return value
    if isinstance(value, str) and parameter.choices:
        is_listed = _lists(parameter)
        hint = "" if is_listed else did_you_mean(value, parameter.choices)
        raise RuleError(f"must be {describe(parameter)}", value, hint)
    if parameter.ndim is None:
        return _nested(parameter, value, _even_depth(parameter, value), value)
    is_list = parameter.allows_list and isinstance(value, list | tuple)
    result = _nested(parameter, value, 1 if is_list else parameter.ndim, value)
    if parameter.ndim == 2 and len({len(row) for row in result}) > 1:
        raise RuleError("must have rows of one length", value)
    return result


def _lists(parameter: Parameter) -> bool:
    """Whether the choices are for the texts of a list."""
    return parameter.type == "text" and bool(parameter.ndim)


def _even_depth(parameter: Parameter, value: Any) -> int:
    """Return how deep lists are nested, all of one length at each level."""
    level, depth = [value], 0
    while level and all(isinstance(x, list | tuple) for x in level):
        if len({len(x) for x in level}) > 1:
            raise RuleError("must have lists of one length at each level", value)
        level, depth = [x for whole in level for x in whole], depth + 1
        if depth > MOST_AXES:
            raise RuleError(f"must be nested at most {MOST_AXES} deep", value)
    if not depth:
        raise RuleError(f"must be {describe(parameter)}", value)
    return depth


def _nested(parameter: Parameter, value: Any, depth: int, whole: Any) -> Any:
    if depth:
        if not isinstance(value, list | tuple):
            raise RuleError(f"must be {describe(parameter)}", whole)
        return [_nested(parameter, x, depth - 1, whole) for x in value]
    if not _is_scalar(parameter.type, value):
        raise RuleError(f"must be {describe(parameter)}", whole)
    if _lists(parameter) and parameter.choices and value not in parameter.choices:
        hint = did_you_mean(value, parameter.choices)
        raise RuleError(f"must be {describe(parameter)}", value, hint)
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


def encode(parameter: Parameter, value: Any) -> Any:
    """Return texts as the numbers that stand for them.

    Args:
        parameter: what declares the codes; without them the value comes back.
        value: texts, nested to any depth; lists of different lengths within the
            outermost give a list of arrays.
    """
    if not parameter.codes:
        return value
    try:
        texts = np.asarray(value, dtype=np.str_)
    except ValueError:  # of different lengths
        return [encode(parameter, x) for x in value]
    is_choice = [texts == choice for choice in parameter.choices]
    return np.select(is_choice, parameter.codes).astype(np.int32)


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
    """A dotted key that an axis varies: a parameter, or one position within it.

    Attributes:
        key: as written, "problem.targets.1" or "problem.firms.0.types.1.target".
        table: "problem" or "solver".
        parameter: the declared parameter.
        index: positions into its lists and names of its tables' keys, () for the whole
            value.
    """

    key: str
    table: str
    parameter: Parameter
    index: tuple[int | str, ...] = ()

    @property
    def leaf(self) -> Parameter:
        """The parameter of the innermost table that the index leads to."""
        leaf = self.parameter
        for part in self.index:
            if isinstance(part, str):
                leaf = leaf.field(part) or leaf
        return leaf

    @property
    def leaf_index(self) -> tuple[int, ...]:
        """Positions into the lists of that parameter's own value."""
        names = [i for i, part in enumerate(self.index) if isinstance(part, str)]
        rest = self.index[names[-1] + 1 :] if names else self.index
        return tuple(part for part in rest if isinstance(part, int))

    @property
    def element(self) -> Parameter:
        """The parameter that a single swept value is checked against."""
        leaf, depth = self.leaf, len(self.leaf_index)
        if not depth:
            return dataclasses.replace(leaf, name=self.key)
        ndim = 0 if leaf.ndim is None else leaf.most_levels - depth
        choices = leaf.choices if leaf.codes else ()
        return dataclasses.replace(
            leaf, name=self.key, ndim=ndim, choices=choices, allows_list=False
        )


def place(nested: Any, index: tuple[int | str, ...], value: Any) -> Any:
    """Return nested lists and tables with one place replaced (copied on the way)."""
    if not index:
        return value
    copy: Any = dict(nested) if isinstance(nested, dict) else list(nested)
    copy[index[0]] = place(copy[index[0]], index[1:], value)
    return copy


def value_at(nested: Any, index: tuple[int | str, ...]) -> Any:
    """Return what nested lists and tables hold in one place."""
    for part in index:
        nested = nested[part]
    return nested
