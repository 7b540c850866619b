"""Tables of grid points: one point a row, columns named by spec keys."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from gtrade.catalog.base import Parameter
from gtrade.sweeps.complaints import RuleError
from gtrade.sweeps.values import SweptKey, normalise_all


def read_points(path: Path) -> dict[str, Any]:
    """Read a Parquet or CSV table of grid points as pyarrow columns by name.

    Raises:
        RuleError: if it is absent, unreadable or empty.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    if not path.is_file():
        raise RuleError("cannot be read (no such file)", str(path))
    try:
        if path.suffix == ".csv":
            table = pyarrow.csv.read_csv(path)
        elif path.suffix in (".parquet", ".pq"):
            table = pyarrow.parquet.read_table(path)
        else:
            raise RuleError("must be a .parquet or .csv file", str(path))
    except OSError as error:
        reason = error.strerror or "not a readable table"
        raise RuleError(f"cannot be read ({reason})", str(path)) from None
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise RuleError(f"cannot be read ({reason})", str(path)) from None
    if not table.num_rows or not table.num_columns:
        raise RuleError("must have at least one row and one column", str(path))
    if len(set(table.column_names)) < table.num_columns:
        raise RuleError("must have columns of different names", table.column_names)
    return {name: table.column(name) for name in table.column_names}


def from_arrow(swept: SweptKey, column: Any) -> np.ndarray | list[Any]:
    """Convert one column of a table of points.

    Raises:
        RuleError: for empty cells and values of the wrong type, naming the row.
    """
    import pyarrow as pa

    element = swept.element
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise RuleError(f"must have no empty cells (row {row})")
    kind = column.type
    is_number = pa.types.is_integer(kind) or (
        element.type == "number" and pa.types.is_floating(kind)
    )
    if element.ndim == 0 and is_number and element.type in ("integer", "number"):
        if kind == pa.uint64():
            raise RuleError("must fit 64 bits with a sign", str(kind))
        dtype = np.int64 if element.type == "integer" else np.float64
        return column.to_numpy().astype(dtype)
    values = column.to_pylist()
    if (element.type != "text" or element.ndim) and pa.types.is_string(kind):
        values = [_cell(element, value) for value in values]
    try:
        return normalise_all(element, values)
    except RuleError as error:
        rule = error.rule.replace("value", "row", 1)
        raise RuleError(rule, error.value, error.hint) from None


def _cell(element: Parameter, text: str) -> Any:
    """Read one CSV cell: lists as JSON, numbers beside texts as numbers."""
    try:
        return text if text in element.choices else json.loads(text)
    except json.JSONDecodeError:
        return text
