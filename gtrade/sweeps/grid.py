"""The grid: points of a sweep, grouped by what decides shapes and code.

A point is a number; its values are looked up in the axes on demand, so a million
points cost an array of a million integers.
"""

import dataclasses
import functools
import importlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from gtrade._checks import InadmissibleError
from gtrade.catalog.base import Parameter, resolve
from gtrade.problems.base import Column, split_columns
from gtrade.sweeps.axes import Axis
from gtrade.sweeps.complaints import Complaints
from gtrade.sweeps.spec import Spec
from gtrade.sweeps.values import SweptKey, encode, place, value_at

_BLOCK = 2**17
_MOST_LISTED = 5
_ABSENT = object()

Values = np.ndarray | list[Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Grid points that share static values and shapes, and so one compilation.

    Attributes:
        index: number of the group, in the order of first points.
        points: its point numbers, ascending.
        label: the swept values that set it apart, by dotted key.
    """

    index: int
    points: np.ndarray
    label: Mapping[str, Any]


class Grid:
    """The cartesian product of a spec's axes, the last axis fastest.

    Attributes:
        spec: the spec.
        shape: length of every axis.
        num_points: number of points.
        groups: the points by static values and shapes.
    """

    def __init__(self, spec: Spec) -> None:
        """Number and group the points; nothing is validated yet."""
        self.spec = spec
        self.shape = tuple(len(axis) for axis in spec.axes)
        self.num_points = math.prod(self.shape)
        self._columns: dict[str, tuple[int, Values]] = {
            swept.key: (position, _narrow(column))
            for position, axis in enumerate(spec.axes)
            for swept, column in zip(axis.keys, axis.columns, strict=True)
        }
        # What the classes see: numbers in place of texts that have codes.
        self._coded = {
            swept.key: encode(swept.element, self._columns[swept.key][1])
            for swept in spec.swept
        }
        self._tables = {
            "problem": _encoded(spec.entry.parameters, spec.problem),
            "solver": _encoded(spec.solver_entry.parameters, spec.solver_values),
        }
        self.groups = self._make_groups()

    def values(self, key: str, points: np.ndarray) -> Values:
        """Return the values of a swept key at points, one each."""
        return self._at(key, self._columns[key][1], points)

    def _at(self, key: str, column: Values, points: np.ndarray) -> Values:
        rows = np.unravel_index(points, self.shape)[self._columns[key][0]]
        if isinstance(column, np.ndarray):
            return column[rows]
        return [column[row] for row in rows]

    def numbers(
        self, group: Group, points: np.ndarray
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the arguments of problem and solver at points of one group.

        Returns:
            Two dicts by parameter name. A swept array parameter is a column, with one
            axis more than the parameter; everything else is shared by all points.
        """
        tables = {name: dict(table) for name, table in self._tables.items()}
        for swept in self.spec.swept:
            arguments, name = tables[swept.table], swept.parameter.name
            base = arguments.get(name)
            arguments[name] = self._argument(swept, base, group, points)
        if self.spec.entry.tables:
            module = importlib.import_module(self.spec.entry.tables)
            tables["problem"] = module.arguments(tables["problem"])
        return tables["problem"], tables["solver"]

    def spec_key(self, table: str, argument: str) -> str:
        """Return the dotted key that a class's argument comes from."""
        if table == "problem" and self.spec.entry.tables:
            module = importlib.import_module(self.spec.entry.tables)
            argument = module.spec_key(argument, self.spec.problem)
        return f"{table}.{argument}"

    def _argument(
        self, swept: SweptKey, base: Any, group: Group, points: np.ndarray
    ) -> Any:
        if _is_static(swept):
            value = self.values(swept.key, group.points[:1])[0]
            value = value.tolist() if hasattr(value, "tolist") else value
            return place(base, swept.index, value)
        column = self._at(swept.key, self._coded[swept.key], points)
        if isinstance(column, list):
            if any(isinstance(value, str | None) for value in column):
                return column[0]  # one text for the group
            column = np.asarray(column)
        if swept.parameter.fields:
            return _place_column(swept, base, column)
        if swept.index:
            own = swept.parameter.ndim
            own = (
                np.ndim(self.spec.problem[swept.parameter.name]) if own is None else own
            )
            if not (isinstance(base, np.ndarray) and base.ndim > own):
                base = np.asarray(base, dtype=column.dtype)
                base = np.broadcast_to(base, (len(points), *base.shape)).copy()
            base[(slice(None), *swept.leaf_index)] = column
            return base
        return column

    def _make_groups(self) -> tuple[Group, ...]:
        codes = [_codes(axis, self._coded) for axis in self.spec.axes]
        counts = [int(code.max()) + 1 for code in codes]
        members = [
            [np.flatnonzero(code == value) for value in range(count)]
            for code, count in zip(codes, counts, strict=True)
        ]
        deciding = [
            swept.key
            for axis, count in zip(self.spec.axes, counts, strict=True)
            if count > 1
            for swept in axis.keys
            if _is_static(swept) or isinstance(self._coded[swept.key], list)
        ]
        groups = []
        for choice in np.ndindex(*counts):
            rows = [members[axis][value] for axis, value in enumerate(choice)]
            points = np.zeros(1, np.int64)
            if rows:
                points = np.ravel_multi_index(np.ix_(*rows), self.shape).ravel()
            label = {key: _first(self.values(key, points[:1])) for key in deciding}
            groups.append(Group(len(groups), points.astype(np.int64), label))
        return tuple(groups)

    def validate(self) -> None:
        """Check the numbers of every point of every group.

        Raises:
            SpecError: one line per broken rule, with the points that break it.
        """
        complaints = Complaints(self.spec.source)
        found: dict[tuple[str, str], _Offence] = {}
        targets = {
            "problem": resolve(self.spec.entry.problem),
            "solver": resolve(self.spec.solver_entry.target),
        }
        for group in self.groups:
            for start in range(0, len(group.points), _BLOCK):
                points = group.points[start : start + _BLOCK]
                tables = self.numbers(group, points)
                before = sum(offence.count for offence in found.values())
                for (table, target), numbers in zip(
                    targets.items(), tables, strict=True
                ):
                    where = functools.partial(self.spec_key, table)
                    _validate(table, where, target, numbers, points, found)
                if sum(offence.count for offence in found.values()) == before:
                    solver = targets["solver"]
                    _validate_fit(solver, self.spec_key, *tables, points, found)
        for (key, rule), offence in found.items():
            value = () if offence.value is _ABSENT else (offence.value,)
            complaints.add(key, rule, *value, hint=offence.where(self.num_points))
        complaints.raise_any()


@dataclasses.dataclass
class _Offence:
    """Points that break one rule, and the first value that does."""

    value: Any
    count: int = 0
    first: list[int] = dataclasses.field(default_factory=list)

    def where(self, num_points: int) -> str:
        if num_points == 1:
            return ""
        if self.count == num_points:
            return f" (all {num_points} points)"
        listed = ", ".join(str(point) for point in self.first)
        if self.count > len(self.first):
            return f" (points {listed}, ...: {self.count} of {num_points})"
        return f" (point{'s' if self.count > 1 else ''} {listed} of {num_points})"


def _place_column(swept: SweptKey, base: Any, column: np.ndarray) -> Any:
    """Put a column, one value a point, into one place of nested tables."""
    depth = len(swept.leaf_index)
    if not depth:
        return place(base, swept.index, Column(column))
    where = swept.index[:-depth]
    values = value_at(base, where)
    if isinstance(values, Column):
        array = values.values.copy()
    else:
        array = np.broadcast_to(
            np.asarray(values, column.dtype), (len(column), *np.shape(values))
        ).copy()
    array[(slice(None), *swept.leaf_index)] = column
    return place(base, where, Column(array))


def _validate(
    table: str,
    where: Callable[[str], str],
    target: Any,
    numbers: dict[str, Any],
    points: np.ndarray,
    found: dict[tuple[str, str], _Offence],
) -> None:
    """Validate a block of points, mending bad values until every rule has been seen."""
    check = getattr(target, "validate", None)
    numbers, seen = dict(numbers), set()
    mended: dict[str, list[int]] = {}
    while check is not None:
        try:
            check(**numbers)
        except InadmissibleError as error:
            name, rule, bad = error.argument, f"must {error.rule}", error.bad_rows
            whole = name.partition("[")[0]
            if (name, rule) in seen:
                return  # the value that mended it depends on another argument
            seen.add((name, rule))
            rows = np.arange(len(points)) if bad is None else np.asarray(bad)
            # A mended row shows another row's value: its own has been noted already.
            own = np.setdiff1d(rows, mended.setdefault(name, []))
            _note(found, where(name), rule, error.value, points[own])
            good = np.setdiff1d(np.arange(len(points)), [] if bad is None else bad)
            column = numbers.get(whole)
            if bad is None or not len(good) or not isinstance(column, np.ndarray):
                return
            numbers[whole] = column.copy()
            numbers[whole][rows] = column[good[0]]
            mended[name] += rows.tolist()
        except (ValueError, TypeError) as error:
            _note(found, table, str(error), _ABSENT, points)
            return
        else:
            break
    try:
        _build_one(target, numbers)
    except (ValueError, TypeError) as error:
        _note(found, table, str(error), _ABSENT, points)


def _validate_fit(
    solver: Any,
    where: Callable[[str, str], str],
    problem_numbers: dict[str, Any],
    solver_numbers: dict[str, Any],
    points: np.ndarray,
    found: dict[tuple[str, str], _Offence],
) -> None:
    """Check what involves both tables, each of them valid by itself."""
    check = getattr(solver, "validate_for", None)
    if check is None:
        return
    try:
        check(problem_numbers, **solver_numbers)
    except InadmissibleError as error:
        bad = points if error.bad_rows is None else points[list(error.bad_rows)]
        name = error.argument.partition("[")[0]
        is_problems = name in problem_numbers.keys() - solver_numbers.keys()
        table = "problem" if is_problems else "solver"
        key, rule = where(table, error.argument), f"must {error.rule}"
        _note(found, key, rule, error.value, bad)


def _build_one(target: Any, numbers: dict[str, Any]) -> None:
    """Build the first point abstractly: shape rules hold under tracing."""
    columns, shared = split_columns(target, numbers)
    first = {name: column[0] for name, column in columns.items()}

    def build(row: dict[str, Any]) -> None:
        target(**shared, **row)

    jax.eval_shape(build, first)


def _note(
    found: dict[tuple[str, str], _Offence],
    key: str,
    rule: str,
    value: Any,
    points: np.ndarray,
) -> None:
    offence = found.setdefault((key, rule), _Offence(value))
    offence.count += len(points)
    first = [*offence.first, *(int(point) for point in points[:_MOST_LISTED])]
    offence.first = sorted(first)[:_MOST_LISTED]


def _is_static(swept: SweptKey) -> bool:
    leaf = swept.leaf
    return leaf.is_static or (leaf.type == "text" and not leaf.codes)


def _encoded(
    parameters: Iterable[Parameter], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of a table with numbers in place of texts that have codes."""
    coded = {p.name: p for p in parameters if p.codes}
    return {k: encode(coded[k], v) if k in coded else v for k, v in values.items()}


def _first(column: Values) -> Any:
    return column[0].tolist() if isinstance(column, np.ndarray) else column[0]


def _narrow(column: Values) -> Values:
    """Use int32 where it holds every value, the width of problems in any precision."""
    if isinstance(column, np.ndarray) and column.dtype == np.int64:
        limits = np.iinfo(np.int32)
        if limits.min <= column.min() and column.max() <= limits.max:
            return column.astype(np.int32)
    return column


def _codes(axis: Axis, coded: Mapping[str, Values]) -> np.ndarray:
    """Number the positions of an axis by what they compile to, in order of coming."""
    code = np.zeros(len(axis), np.int64)
    for swept in axis.keys:
        code = code * (len(axis) + 1) + _column_codes(swept, coded[swept.key])
        _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
        order = np.empty_like(first)
        order[np.argsort(first)] = np.arange(len(first))
        code = order[inverse]
    return code


def _column_codes(swept: SweptKey, column: Values) -> np.ndarray:
    is_static = _is_static(swept)
    if isinstance(column, np.ndarray):
        if not is_static:
            return np.zeros(len(column), np.int64)
        axis = 0 if column.ndim > 1 else None
        return np.unique(column, return_inverse=True, axis=axis)[1].ravel()
    seen: dict[str, int] = {}
    labels = [_label(value, is_static) for value in column]
    return np.array([seen.setdefault(label, len(seen)) for label in labels])


def _label(value: Any, is_static: bool) -> str:
    """Return what a value compiles to: itself if static or a text, else its shape."""
    if is_static or isinstance(value, str | None):
        return json.dumps(value)
    return f"shape {np.shape(value)}"
