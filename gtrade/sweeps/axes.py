"""The axes of a sweep, from the entries of a spec's `[sweep]` table."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gtrade.catalog.base import ModelEntry, Parameter, SolverEntry
from gtrade.sweeps.complaints import Complaints, RuleError, did_you_mean
from gtrade.sweeps.draws import FLAG, Draws
from gtrade.sweeps.points import from_arrow, read_points
from gtrade.sweeps.spacing import expand
from gtrade.sweeps.values import SweptKey

_LONGEST_LISTING = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class Axis:
    """One axis of the grid; several keys on it move together.

    Attributes:
        keys: the dotted keys.
        columns: the values of each key, all of one length; a numeric array, or a list
            for texts, mixed values and lists of different lengths.
        form: how it was written ("list", "linspace", "zip", "table", "draws", ...).
    """

    keys: tuple[SweptKey, ...]
    columns: tuple[np.ndarray | list[Any], ...]
    form: str = "list"

    def __len__(self) -> int:
        """Return the number of positions along the axis."""
        return len(self.columns[0])

    def summary(self) -> dict[str, Any]:
        """Return the axis as plain data; long ones by digest instead of values."""
        values = {}
        for swept, column in zip(self.keys, self.columns, strict=True):
            if len(column) <= _LONGEST_LISTING:
                is_array = isinstance(column, np.ndarray)
                values[swept.key] = column.tolist() if is_array else list(column)
            else:
                values[swept.key] = {"sha256": _digest(column)}
        return {"form": self.form, "num_values": len(self), "values": values}


def _digest(column: np.ndarray | list[Any]) -> str:
    if isinstance(column, np.ndarray):
        header = f"{column.dtype.str}{column.shape}".encode()
        content = np.ascontiguousarray(column).tobytes()
    else:
        header, content = b"json", json.dumps(column).encode()
    return hashlib.sha256(header + content).hexdigest()


class AxisBuilder:
    """Turns the entries of `[sweep]` into axes, in file order."""

    def __init__(
        self,
        model: ModelEntry,
        solver: SolverEntry,
        seed: int,
        complaints: Complaints,
        folder: Path,
    ) -> None:
        """Know the keys that may be swept."""
        self.parameters = {
            **{f"problem.{p.name}": p for p in model.parameters},
            **{f"solver.{p.name}": p for p in solver.parameters},
        }
        self.seed, self.complaints, self.folder = seed, complaints, folder
        self.axes: list[Axis] = []

    def add(self, key: str, value: Any) -> None:
        """Add the axis of one entry, or note what is wrong with it."""
        if key == "zip":
            self._add_zip(value)
        elif key == "table":
            self._add_table(value)
        else:
            where = f'sweep."{key}"'
            swept = self._key(key, where)
            if swept is None:
                return
            try:
                column, form = expand(swept, value, self.seed)
            except RuleError as error:
                self.complaints.add_rule(where, error)
            else:
                self.axes.append(Axis((swept,), (column,), form))

    def add_draws(self, draws: Draws) -> None:
        """Add the axis of a calibration's draws."""
        found: dict[str, tuple[SweptKey, Any]] = {}
        for key, column in draws.columns.items():
            where = f'{FLAG}: column "{draws.names[key]}" for {key}'
            swept = self._key(key, where)
            try:
                if swept:
                    found[key] = swept, from_arrow(swept, column)
            except RuleError as error:
                self.complaints.add_rule(where, error)
        if len(found) == len(draws.columns):
            self._join(found, "draws")

    def check_overlaps(self) -> None:
        """Note keys that more than one axis sweeps, as a whole or in part."""
        swept = [(key, axis.form) for axis in self.axes for key in axis.keys]
        for position, (one, form) in enumerate(swept):
            for other, _ in swept[:position]:
                short, long = sorted((one.key, other.key), key=len)
                if long != short and not long.startswith(short + "."):
                    continue
                if form == "draws":
                    rule = f"sets {one.key}, which the spec sweeps by {other.key!r}"
                    self.complaints.add(FLAG, rule)
                else:
                    rule = f"is swept already by {other.key!r}"
                    self.complaints.add(f'sweep."{one.key}"', rule)

    def _key(self, key: str, where: str) -> SweptKey | None:
        parts = key.split(".")
        parameter = self.parameters.get(".".join(parts[:2]))
        if parameter is None:
            if key == "solver.name":
                rule = "cannot be swept: solvers have different parameters"
                self.complaints.add(where, rule)
            else:
                hint = did_you_mean(key, self.parameters)
                rule = f"must name a key of [problem] or [solver]{hint}"
                self.complaints.add(where, rule)
            return None
        try:
            index = tuple(_read_index(parameter, parts[2:]))
        except RuleError as error:
            self.complaints.add_rule(where, error)
            return None
        return SweptKey(key, parts[0], parameter, index)

    def _add_zip(self, value: Any) -> None:
        if not isinstance(value, dict) or not value:
            rule = "must be a table of axes that move together"
            self.complaints.add("sweep.zip", rule, value)
            return
        found: dict[str, tuple[SweptKey, Any]] = {}
        for key, entry in value.items():
            where = f'sweep.zip."{key}"'
            swept = self._key(key, where)
            try:
                if swept:
                    found[key] = swept, expand(swept, entry, self.seed)[0]
            except RuleError as error:
                self.complaints.add_rule(where, error)
        lengths = {key: len(column) for key, (_, column) in found.items()}
        if len(set(lengths.values())) > 1:
            self.complaints.add("sweep.zip", "must have lists of one length", lengths)
        elif len(found) == len(value):
            self._join(found, "zip")

    def _add_table(self, value: Any) -> None:
        path = value.get("path") if isinstance(value, dict) else None
        if not isinstance(path, str) or set(value) != {"path"}:
            rule = 'must be a table with one key, path = "points.parquet"'
            self.complaints.add("sweep.table", rule, value)
            return
        try:
            columns = read_points(self.folder / path)
        except RuleError as error:
            self.complaints.add_rule("sweep.table.path", error)
            return
        found: dict[str, tuple[SweptKey, Any]] = {}
        for name, column in columns.items():
            where = f'sweep.table: column "{name}" of {path}'
            swept = self._key(name, where)
            try:
                if swept:
                    found[name] = swept, from_arrow(swept, column)
            except RuleError as error:
                self.complaints.add_rule(where, error)
        if len(found) == len(columns):
            self._join(found, "table")

    def _join(self, found: dict[str, tuple[SweptKey, Any]], form: str) -> None:
        keys = tuple(swept for swept, _ in found.values())
        columns = tuple(column for _, column in found.values())
        self.axes.append(Axis(keys, columns, form))


def _read_index(parameter: Parameter, parts: list[str]) -> Iterator[int | str]:
    """Yield positions and names of fields along the dots of a key.

    Raises:
        RuleError: if they lead nowhere.
    """
    while parameter.fields:
        names = [field.name for field in parameter.fields]
        if len(parts) < 2 or not parts[0].isdecimal():
            rule = f"must go on with a position and one of {', '.join(names)}"
            raise RuleError(rule, ".".join(parts))
        field = parameter.field(parts[1])
        if field is None:
            hint = did_you_mean(parts[1], names)
            raise RuleError(f"must name one of {', '.join(names)}", parts[1], hint)
        yield int(parts[0])
        yield field.name
        parameter, parts = field, parts[2:]
    levels = parameter.most_levels
    if not all(part.isdecimal() for part in parts) or len(parts) > levels:
        raise RuleError(f"has {levels} levels of list positions", ".".join(parts))
    yield from (int(part) for part in parts)
