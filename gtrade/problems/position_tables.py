"""Firms and types as nested tables, and as the arguments of `PositionBuilding`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gtrade.problems.base import Column

_OF_TYPES = {
    "permanent_impacts": "permanent_impact",
    "targets": "target",
    "non_strategic": "non_strategic",
}
_OF_FIRMS = {"risk_aversions": "risk_aversion", "lower": "lower", "upper": "upper"}


def arguments(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Turn tables of firms into the arguments of `PositionBuilding`.

    Args:
        problem: `firms`, a list of tables with `types` (tables of `permanent_impact`,
            `target` and, if wanted, `non_strategic`) and, if wanted, `risk_aversion`,
            `lower`, `upper`; other keys pass unchanged. A number may be a `Column`.

    Returns:
        Keyword arguments; lists per type have a leading axis if one of them has a
        column in it.
    """
    others = {key: value for key, value in problem.items() if key != "firms"}
    firms = problem["firms"]
    types = [kind for firm in firms for kind in firm["types"]]
    result = {
        "num_types": tuple(len(firm["types"]) for firm in firms),
        "permanent_impacts": side_by_side([t["permanent_impact"] for t in types]),
        "targets": side_by_side([t["target"] for t in types]),
        "non_strategic": _polynomials(
            [t.get("non_strategic", 0.0) for t in types], power=1
        ),
        "risk_aversions": side_by_side([f.get("risk_aversion", 0.0) for f in firms]),
    }
    for side, absent in (("lower", -np.inf), ("upper", np.inf)):
        values = [firm.get(side) for firm in firms]
        if any(value is not None for value in values):
            values = [absent if value is None else value for value in values]
            result[side] = _polynomials(values, power=0)
    given = {key: value for key, value in others.items() if value is not None}
    impacts = result["permanent_impacts"]
    is_asked = "evaluation_impacts" in others and "evaluation_impacts" not in given
    if is_asked and impacts.ndim == 1:
        # Each once, in order of coming.
        given["evaluation_impacts"] = np.array(list(dict.fromkeys(impacts.tolist())))
    return {**given, **result}


def spec_key(argument: str, problem: Mapping[str, Any]) -> str:
    """Return the dotted key that an argument, such as "targets[2]", comes from."""
    name, *positions = re.split(r"[\[\]]+", argument.rstrip("]"))
    if name == "num_types":
        return "firms"
    first = int(positions[0]) if positions else None
    if name in _OF_TYPES:
        place = "*.types.*" if first is None else place_of_type(first, problem["firms"])
        return f"firms.{place}.{_OF_TYPES[name]}"
    if name in _OF_FIRMS:
        return f"firms.{'*' if first is None else first}.{_OF_FIRMS[name]}"
    return ".".join([name, *positions])


def place_of_type(position: int, firms: Sequence[Mapping[str, Any]]) -> str:
    """Return "firm.types.type" of a position in (firm, type) order."""
    for number, firm in enumerate(firms):
        if position < len(firm["types"]):
            return f"{number}.types.{position}"
        position -= len(firm["types"])
    raise IndexError(position)


def side_by_side(leaves: Sequence[Any]) -> np.ndarray:
    """Put numbers side by side, on the last axis."""
    columns = [leaf.values for leaf in leaves if isinstance(leaf, Column)]
    if not columns:
        return np.asarray(leaves, np.float64)
    rows = (len(columns[0]),)
    return np.stack(
        [
            leaf.values if isinstance(leaf, Column) else np.full(rows, leaf)
            for leaf in leaves
        ],
        axis=-1,
    ).astype(np.float64)


def _polynomials(leaves: Sequence[Any], *, power: int) -> np.ndarray:
    """Put coefficients of 1, t, t^2, ... in rows; a number belongs to one power."""
    arrays = []
    for leaf in leaves:
        values = leaf.values if isinstance(leaf, Column) else np.asarray(leaf)
        is_number = values.ndim == int(isinstance(leaf, Column))
        values = np.asarray(values, np.float64)
        if not is_number and not values.shape[-1]:
            values = np.full((*values.shape[:-1], 1), np.nan)  # for checks to name
        if is_number:
            before = [np.zeros_like(values)] * power
            values = np.stack([*before, values], axis=-1)
        arrays.append(values)
    length = max(2, *(array.shape[-1] for array in arrays))
    rows = {array.shape[0] for array in arrays if array.ndim == 2}
    padded = []
    for array in arrays:
        missing = length - array.shape[-1]
        array = np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])
        if rows and array.ndim == 1:
            array = np.broadcast_to(array, (*rows, length))
        padded.append(array)
    return np.stack(padded, axis=-2)
