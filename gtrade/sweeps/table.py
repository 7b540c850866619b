"""Results of a run as a table, for NumPy, pandas, polars and xarray alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gtrade.sweeps.packages import require
from gtrade.sweeps.rows import LEADING, finite_or_none

if TYPE_CHECKING:
    import pyarrow as pa


class Table:
    """Rows by point and replication, with what is known about the run.

    Attributes:
        manifest: the resolved spec, versions, device and column descriptions.
    """

    def __init__(
        self,
        rows: pa.Table,
        manifest: Mapping[str, Any],
        read_array: Callable[[str], pa.Table] | None = None,
    ) -> None:
        """Sort the rows.

        Args:
            rows: in any order.
            manifest: of the run.
            read_array: returns the table of one requested array, in any order.
        """
        self._rows = _sorted(rows)
        self._read_array = read_array
        self.manifest = manifest

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._rows.num_rows

    def __repr__(self) -> str:
        """Say what the table holds."""
        model = self.manifest["spec"]["model"]
        return f"<Table of {model}: {len(self)} rows x {len(self.columns())} columns>"

    def columns(self) -> list[str]:
        """Return the column names, in order."""
        return self._rows.column_names

    @property
    def swept(self) -> list[str]:
        """Dotted names of the swept keys, in order."""
        return [
            key for axis in self.manifest["spec"]["sweep"] for key in axis["values"]
        ]

    @property
    def arrays(self) -> list[str]:
        """Names of the arrays that were kept."""
        return list(self.manifest["spec"]["run"]["arrays"])

    def __getitem__(self, name: str) -> np.ndarray | list[Any]:
        """Return one column or kept array, one entry per row.

        Returns:
            An array with a leading row axis; for lists of different lengths, a list of
            arrays.

        Raises:
            KeyError: naming the columns there are.
        """
        if name in self._rows.column_names:
            return _to_numpy(self._rows.column(name))
        if name in self.arrays:
            return self.array(name)
        known = ", ".join([*self.columns(), *self.arrays])
        raise KeyError(f"no column {name!r}; there are {known}")

    def array(self, name: str) -> np.ndarray | list[Any]:
        """Return one kept array, one entry per row (rows without one are an error)."""
        return _to_numpy(self._array_column(name))

    def _array_column(self, name: str) -> pa.ChunkedArray:
        if self._read_array is None or name not in self.arrays:
            raise KeyError(f"no array {name!r}; there are {', '.join(self.arrays)}")
        table = _sorted(self._read_array(name))
        if not len(table):
            raise ValueError(f"array {name!r} is not kept for every row")
        # A run that is still going may have kept more by now than this table holds.
        kept, wanted = _ids(table), _ids(self._rows)
        at = np.minimum(np.searchsorted(kept, wanted), len(kept) - 1)
        if (kept[at] != wanted).any():
            raise ValueError(f"array {name!r} is not kept for every row")
        return table.column(name).take(at)

    def status_counts(self) -> dict[str, int]:
        """Return how many rows ended in each status, most frequent first."""
        counted = self._rows.column("status").value_counts().to_pylist()
        counted.sort(key=lambda pair: (-pair["counts"], pair["values"]))
        return {pair["values"]: pair["counts"] for pair in counted}

    def to_arrow(self) -> pa.Table:
        """Return the rows as a pyarrow table."""
        return self._rows

    def to_pandas(self) -> Any:
        """Return the rows as a pandas data frame."""
        require("pandas")
        return self._rows.to_pandas()

    def to_polars(self) -> Any:
        """Return the rows as a polars data frame."""
        return require("polars").from_arrow(self._rows)

    def to_xarray(self) -> Any:
        """Return an xarray dataset over point and replication.

        Swept values are coordinates of `point`; list columns and kept arrays get their
        declared axes; what has not been computed is NaN (0 or "" where a column has no
        NaN). Lists of different lengths are left out.
        """
        xarray = require("xarray")
        points, point = np.unique(self["point"], return_inverse=True)
        replications, replication = np.unique(self["replication"], return_inverse=True)
        axes = {column["name"]: column["axes"] for column in self.described()}
        coordinates: dict[str, Any] = {"point": points, "replication": replications}
        variables = {}
        names = [n for n in self.columns() if n not in ("point", "replication")]
        for name in [*names, *self.arrays]:
            values = self[name]
            if isinstance(values, list):
                continue
            tail = axes.get(name) or []
            if len(tail) != values.ndim - 1:
                tail = [f"{name}_{i}" for i in range(values.ndim - 1)]
            if name in self.swept:
                grid = np.zeros((len(points), *values.shape[1:]), values.dtype)
                grid[point] = values
                coordinates[name] = (["point", *tail], grid)
                continue
            shape = (len(points), len(replications), *values.shape[1:])
            fill = np.nan if values.dtype.kind == "f" else np.zeros((), values.dtype)
            grid = np.full(shape, fill, values.dtype)
            grid[point, replication] = values
            variables[name] = (["point", "replication", *tail], grid)
        return xarray.Dataset(
            variables, coordinates, {"spec": str(self.manifest["spec"])}
        )

    def to_records(self) -> list[dict[str, Any]]:
        """Return JSON-ready rows: arrays included, non-finite numbers as None."""
        rows = self._rows
        for name in self.arrays:
            rows = rows.append_column(name, self._array_column(name))
        return finite_or_none(rows.to_pylist())

    def described(self) -> list[dict[str, Any]]:
        """Return name, doc, unit and axes of the model's columns and kept arrays."""
        kept = [a for a in self.manifest["arrays"] if a["name"] in self.arrays]
        return [*self.manifest["columns"], *kept]

    def model_columns(self) -> list[str]:
        """Return the names of the model's own columns."""
        known = {*LEADING, *self.swept}
        return [name for name in self.columns() if name not in known]


def row_ids(point: np.ndarray, replication: np.ndarray) -> np.ndarray:
    """Return one unsigned 64-bit id for every (point, replication), in their order."""
    shifted = np.asarray(point).astype(np.uint64) << np.uint64(32)
    return shifted | np.asarray(replication).astype(np.uint64)


def _ids(table: pa.Table) -> np.ndarray:
    return row_ids(*(table.column(key).to_numpy() for key in ("point", "replication")))


def _sorted(table: pa.Table) -> pa.Table:
    """Sort by point and replication; of a row that occurs twice the last one stays."""
    keys = ("point", "replication")
    point, replication = (table.column(key).to_numpy() for key in keys)
    order = np.lexsort((replication, point))
    point, replication = point[order], replication[order]
    is_last = np.ones(len(order), bool)
    is_last[:-1] = (point[1:] != point[:-1]) | (replication[1:] != replication[:-1])
    order = order[is_last]
    if len(order) == len(table) and (np.diff(order) == 1).all():
        return table.combine_chunks()
    return table.take(order).combine_chunks()


def _to_numpy(column: pa.ChunkedArray) -> np.ndarray | list[Any]:
    import pyarrow as pa

    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    shape = [len(array)]
    while pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        lengths = np.unique(array.value_lengths().to_numpy(zero_copy_only=False))
        if len(lengths) > 1:
            return [np.asarray(value) for value in column.to_pylist()]
        shape.append(int(lengths[0]) if len(lengths) else 0)
        array = array.flatten()
    if pa.types.is_string(array.type):
        values = np.asarray(array.to_pylist(), dtype=np.str_)
    else:
        values = array.to_numpy(zero_copy_only=False)
    return values.reshape(shape) if math.prod(shape) == values.size else values
