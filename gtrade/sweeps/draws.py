"""`--set-from DIR`: draws of estimated numbers as one axis of a sweep.

DIR is what a calibration wrote. Its `draws.parquet` has one row a draw and one column
for each estimated number, besides `draw`. Which keys of `[problem]` a column sets:

- With a table `[calibration]` in the spec, those that the table says, as in
  `"problem.firms.0.types.0.permanent_impact" = "kappa"`, and no other.
- Without, every key that holds a single number and is estimated under the column's
  name, in every entry of nested tables. A key is estimated under its own name unless
  the model says otherwise: where permanent impact is relative to temporary impact, the
  number is `kappa`, and the trading game's is `discrete_kappa` (`Parameter.estimate`).
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gtrade.catalog.base import Parameter
from gtrade.sweeps.complaints import Complaints, RuleError, did_you_mean
from gtrade.sweeps.points import read_points

FILE = "draws.parquet"
FLAG = "--set-from"
_NUMBER_OF_DRAW = "draw"


@dataclasses.dataclass(frozen=True)
class Draws:
    """Columns of draws, and the keys that they set.

    Attributes:
        columns: pyarrow columns by key, of one length, without missing numbers.
        names: names of these columns in the file, by key.
        num_dropped: draws left out since a number in them was missing.
    """

    columns: Mapping[str, Any]
    names: Mapping[str, str]
    num_dropped: int

    def summary(self) -> dict[str, Any]:
        """Return what the manifest keeps."""
        return {"columns": dict(self.names), "num_dropped": self.num_dropped}


def read_draws(
    folder: Path,
    explicit: Any,
    parameters: Sequence[Parameter],
    problem: Mapping[str, Any],
    complaints: Complaints,
) -> Draws | None:
    """Read the draws of a calibration for a spec.

    Args:
        folder: DIR.
        explicit: the spec's table `[calibration]`, None without one.
        parameters: of the model's `[problem]`.
        problem: the spec's `[problem]`, for the entries of its tables.
        complaints: collects everything that is wrong.

    Returns:
        None if something is.
    """
    path = folder / FILE
    if not path.is_file():
        rule = f"must be the folder of a calibration, with {FILE} in it"
        complaints.add(FLAG, rule, str(folder))
        return None
    from gtrade.sweeps.calibrations import ESTIMATES, MANIFEST  # reads Parquet

    if (folder / ESTIMATES).is_file() and not (folder / MANIFEST).is_file():
        rule = f"must be a finished calibration; {MANIFEST} is absent"
        complaints.add(FLAG, rule, str(folder))
        return None
    try:
        columns = read_points(path)
    except RuleError as error:
        complaints.add_rule(FLAG, error)
        return None
    columns.pop(_NUMBER_OF_DRAW, None)
    if explicit is None:
        names = _matching(columns, parameters, problem)
        if not names:
            takes = dict.fromkeys(name for _, name in _keys(parameters, problem))
            rule = (
                f"has no column for a key of [problem]; {path} has"
                f" {', '.join(columns) or 'none'}, the keys take"
                f" {', '.join(takes) or 'none'} ([calibration] can map others)"
            )
            complaints.add(FLAG, rule)
            return None
    else:
        names = _explicit(columns, explicit, complaints)
        if names is None:
            return None
    used = {name: columns[name] for name in dict.fromkeys(names.values())}
    is_whole = np.logical_and.reduce([_is_number(column) for column in used.values()])
    if not is_whole.any():
        rule = f"has no draw without missing numbers in {', '.join(used)}"
        complaints.add(FLAG, rule, str(path))
        return None
    kept = {name: column.filter(is_whole) for name, column in used.items()}
    return Draws(
        {key: kept[name] for key, name in names.items()},
        names,
        int((~is_whole).sum()),
    )


def _matching(
    columns: Mapping[str, Any],
    parameters: Sequence[Parameter],
    problem: Mapping[str, Any],
) -> dict[str, str]:
    return {key: name for key, name in _keys(parameters, problem) if name in columns}


def _keys(
    parameters: Sequence[Parameter], node: Any, at: str = "problem"
) -> Iterator[tuple[str, str]]:
    """Yield dotted keys that a draw may set, with the names of what they take."""
    for parameter in parameters:
        key = f"{at}.{parameter.name}"
        if parameter.fields:
            tables = node.get(parameter.name) if isinstance(node, dict) else None
            tables = tables if isinstance(tables, list) else []
            for position, table in enumerate(tables):
                yield from _keys(parameter.fields, table, f"{key}.{position}")
        elif parameter.type == "number" and parameter.ndim == 0:
            if not parameter.is_static:
                yield key, parameter.estimate or parameter.name


def _explicit(
    columns: Mapping[str, Any], table: Any, complaints: Complaints
) -> dict[str, str] | None:
    if not isinstance(table, dict) or not table:
        rule = 'must be a table of keys and columns, "problem.KEY" = "COLUMN"'
        complaints.add("calibration", rule, table)
        return None
    is_good = True
    for key, name in table.items():
        where = f'calibration."{key}"'
        if not isinstance(name, str):
            rule = "must name a column of the draws (write dotted keys in quotes)"
            complaints.add(where, rule, name)
        elif name not in columns:
            rule = f"must name a column of the draws ({', '.join(columns)})"
            complaints.add(where, rule, name, did_you_mean(name, columns))
        else:
            continue
        is_good = False
    return dict(table) if is_good else None


def _is_number(column: Any) -> np.ndarray:
    """Return which entries are there, and finite where they are floats."""
    import pyarrow as pa

    is_there = ~column.is_null().to_numpy()
    if not pa.types.is_floating(column.type):
        return is_there
    return is_there & np.isfinite(column.to_numpy())
