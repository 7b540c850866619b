"""Firms and types as nested tables, and as the arguments of `UncertainImpact`."""

import re
from collections.abc import Mapping
from typing import Any

from gtrade.problems.position_tables import place_of_type, side_by_side

_OF_TYPES = {
    "targets": "target",
    "permanent_impacts": "permanent_impact",
    "temporary_impacts": "temporary_impact",
    "transient_impacts": "transient_impact",
    "decays": "decay",
}
_DEFAULTS = {"temporary_impact": 1.0, "transient_impact": 0.0, "decay": 1.0}


def arguments(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Turn tables of firms into the arguments of `UncertainImpact`.

    Args:
        problem: `firms`, a list of tables with `types` (tables of `target`,
            `permanent_impact` and, if wanted, `temporary_impact`, `transient_impact`
            and `decay`); other keys pass unchanged. A number may be a `Column`.

    Returns:
        Keyword arguments; lists per type have a leading axis if one of them has a
        column in it.
    """
    firms = problem["firms"]
    types = [_DEFAULTS | dict(kind) for firm in firms for kind in firm["types"]]
    result: dict[str, Any] = {
        argument: side_by_side([kind[key] for kind in types])
        for argument, key in _OF_TYPES.items()
    }
    result["num_types"] = tuple(len(firm["types"]) for firm in firms)
    given = {
        key: value
        for key, value in problem.items()
        if key != "firms" and value is not None
    }
    return {**given, **result}


def spec_key(argument: str, problem: Mapping[str, Any]) -> str:
    """Return the dotted key that an argument, such as "decays[2]", comes from."""
    name, *positions = re.split(r"[\[\]]+", argument.rstrip("]"))
    if name == "num_types":
        return "firms"
    if name in _OF_TYPES:
        place = "*.types.*"
        if positions:
            place = place_of_type(int(positions[0]), problem["firms"])
        return f"firms.{place}.{_OF_TYPES[name]}"
    return ".".join([name, *positions])
