"""Rows of a sweep as Arrow tables: one row per point and replication.

Floats keep NaN and infinities in Parquet (readers agree on them, and null would lose
which it was); in JSON they become null. Lists are nested lists.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gtrade.catalog.base import Column
from gtrade.sweeps.values import SweptKey

LEADING = ("point", "replication", "status", "residual", "num_steps", "precision")
_TYPES = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "text": pa.string(),
    "boolean": pa.bool_(),
}


def nested_array(values: np.ndarray) -> pa.Array:
    """Convert (rows, a, b, ...) to one nested list per row, without a Python loop."""
    kind = values.dtype.kind
    if kind == "f":
        values = values.astype(np.float64)
    elif kind in "iu":
        values = values.astype(np.int64)
    elif kind not in "bU":
        raise TypeError(f"a column must hold numbers or texts, not {values.dtype}")
    result = pa.array(np.ascontiguousarray(values).ravel())
    for axis in range(values.ndim - 1, 0, -1):
        num_lists = math.prod(values.shape[:axis])
        offsets = np.arange(num_lists + 1, dtype=np.int64) * values.shape[axis]
        is_long = offsets[-1] >= 2**31
        list_array = pa.LargeListArray if is_long else pa.ListArray
        kind = pa.int64() if is_long else pa.int32()
        result = list_array.from_arrays(pa.array(offsets, kind), result)
    return result


def swept_array(swept: SweptKey, column: np.ndarray | Sequence[Any], whole: Any) -> Any:
    """Convert values of a swept key; their type depends on the whole axis alone.

    Args:
        swept: the key.
        column: one value per row.
        whole: the column of the whole axis. Numbers beside texts, and lists beside
            numbers, are written as texts.
    """
    if isinstance(column, np.ndarray):
        return nested_array(column)
    texts = [isinstance(value, str) for value in whole]
    if all(texts):
        return pa.array(column, pa.string())
    lists = {isinstance(value, list) for value in whole if value is not None}
    if any(texts) or len(lists) > 1:
        words = [v if isinstance(v, str) else json.dumps(v) for v in column]
        return pa.array(words, pa.string())
    element = swept.element
    kind = _TYPES[element.type]
    for _ in range(max(element.ndim or 0, int(True in lists))):
        kind = pa.list_(kind)
    return pa.array(column, kind)


def make_rows(
    *,
    points: np.ndarray,
    replications: np.ndarray,
    precision: str,
    swept: Mapping[str, pa.Array],
    results: Mapping[str, np.ndarray],
    columns: Sequence[Column],
) -> pa.Table:
    """Put the rows of a chunk together, in the order of the result format.

    Args:
        points: point number of every row.
        replications: replication number of every row.
        precision: of the solve.
        swept: values of the swept keys.
        results: `status`, `residual`, `num_steps` and the model's columns.
        columns: the model's columns, in order.
    """
    data = {
        "point": nested_array(points),
        "replication": nested_array(replications),
        "status": pa.array(results["status"].tolist(), pa.string()),
        "residual": nested_array(results["residual"].astype(np.float64)),
        "num_steps": nested_array(results["num_steps"]),
        "precision": pa.array([precision] * len(points), pa.string()),
        **swept,
    }
    for column in columns:
        data[column.name] = nested_array(results[column.name])
    return pa.table(data)


def make_arrays(
    *,
    points: np.ndarray,
    replications: np.ndarray,
    results: Mapping[str, np.ndarray],
    names: Sequence[str],
) -> pa.Table | None:
    """Return the requested arrays of a chunk, keyed as the rows are, if any."""
    if not names:
        return None
    data = {"point": nested_array(points), "replication": nested_array(replications)}
    for name in names:
        data[name] = nested_array(results[name])
    return pa.table(data)


def finite_or_none(value: Any) -> Any:
    """Return JSON-ready data: non-finite numbers become None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [finite_or_none(x) for x in value]
    if isinstance(value, dict):
        return {key: finite_or_none(x) for key, x in value.items()}
    return value
