"""Results in the formats of other tools: CSV, one Parquet file, Zarr."""

import json
from pathlib import Path

from gtrade.sweeps.packages import require
from gtrade.sweeps.rows import finite_or_none
from gtrade.sweeps.table import Table

SUFFIXES = {"csv": ".csv", "parquet": ".parquet", "zarr": ".zarr"}


def export(table: Table, path: str | Path, to: str) -> None:
    """Write a table.

    Args:
        table: of a run.
        path: the file (for zarr: the folder) to write.
        to: "csv" (lists as JSON text), "parquet" (lists as lists) or "zarr" (over
            point and replication, kept arrays included).

    Raises:
        MissingPackageError: if zarr or xarray is absent, with the extra that brings it.
    """
    if to == "csv":
        _write_csv(table, path)
    elif to == "parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(table.to_arrow(), path, compression="zstd")
    elif to == "zarr":
        _write_zarr(table, path)
    else:
        raise ValueError(f"to must be one of {', '.join(SUFFIXES)}; got {to!r}")


def _write_csv(table: Table, path: str | Path) -> None:
    import pyarrow as pa
    import pyarrow.csv

    rows = table.to_arrow()
    for position, field in enumerate(rows.schema):
        if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
            lists = rows.column(position).to_pylist()
            texts = [json.dumps(finite_or_none(value)) for value in lists]
            rows = rows.set_column(position, field.name, pa.array(texts, pa.string()))
    pyarrow.csv.write_csv(rows, path)


def _write_zarr(table: Table, path: str | Path) -> None:
    for package in ("xarray", "zarr"):
        require(package, install="gtrade[arrays]")
    # Format 3 has no specification of texts yet.
    table.to_xarray().to_zarr(path, mode="w", zarr_format=2)
