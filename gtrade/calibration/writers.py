"""Writers of the files that readers.py reads, whole or not at all.

The name says the format: `.csv`, `.csv.gz` or `.parquet`. Equal tables give equal
bytes, and floats are written so that reading them gives the same floats back.
"""

import gzip
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from gtrade._files import write_file
from gtrade.calibration.data import Events, Trades
from gtrade.calibration.records import DailyCounts, Executions, Schedules
from gtrade.calibration.rules import DataError
from gtrade.calibration.spellings import NO_PRICE, Table
from gtrade.calibration.tables import Labels

_GZIP_LEVEL = 1  # a million events in seconds; level 9 takes ten times as long


def write_events(events: Events, path: str | Path) -> None:
    """Write events with the columns of a LOBSTER message and order book row, joined.

    Prices are whole numbers of 1e-4; an empty side has the price that LOBSTER gives it.

    Raises:
        ValueError: for prices that are no multiple of 1e-4.
        OSError: if the file cannot be written; an older one is then as it was.
    """
    _write(_event_columns(events), path)


def write_lobster(events: Events, message: str | Path, orderbook: str | Path) -> None:
    """Write events as a LOBSTER pair: two files without a header, row by row.

    Raises:
        ValueError: as `write_events`, or for names that are not those of CSV files.
        OSError: if a file cannot be written.
    """
    columns = _event_columns(events)
    for path in (message, orderbook):
        if _format(Path(path)) == "parquet":
            raise ValueError(f"path must end in .csv or .csv.gz; got {path}")
    first = ("time_s", "type", "order_id", "size", "price_1e4", "direction")
    _write({k: columns[k] for k in first}, message, has_header=False)
    rest = ("ask_1e4", "ask_size", "bid_1e4", "bid_size")
    _write({k: columns[k] for k in rest}, orderbook, has_header=False)


def write_trades(
    trades: Trades,
    path: str | Path,
    *,
    with_side: bool = True,
    with_quotes: bool = True,
) -> None:
    """Write trades, on request without what was recorded besides price and size.

    Raises:
        OSError: if the file cannot be written; an older one is then as it was.
    """
    columns: dict[str, Any] = {
        "time": trades.time,
        "price": trades.price,
        "size": trades.size,
    }
    if with_side:
        columns["side"] = trades.side
    if with_quotes and trades.bid is not None:
        columns |= {"bid": trades.bid, "ask": trades.ask}
    _write(columns, path)


def write_executions(executions: Executions, path: str | Path) -> None:
    """Write fills of parent orders.

    Raises:
        OSError: if the file cannot be written; an older one is then as it was.
    """
    _write_all(executions, path)


def write_counts(counts: DailyCounts, path: str | Path) -> None:
    """Write daily counts.

    Raises:
        OSError: if the file cannot be written; an older one is then as it was.
    """
    _write_all(counts, path)


def write_schedules(schedules: Schedules, path: str | Path) -> None:
    """Write observed positions.

    Raises:
        OSError: if the file cannot be written; an older one is then as it was.
    """
    _write_all(schedules, path)


def _event_columns(events: Events) -> dict[str, Any]:
    return {
        "time_s": events.time,
        "type": events.kind,
        "order_id": events.order_id,
        "size": events.size,
        "price_1e4": _in_1e4("price", events.price, NO_PRICE),
        "direction": events.direction,
        "ask_1e4": _in_1e4("ask", events.ask, NO_PRICE),
        "ask_size": np.nan_to_num(events.ask_size),
        "bid_1e4": _in_1e4("bid", events.bid, -NO_PRICE),
        "bid_size": np.nan_to_num(events.bid_size),
    }


def _in_1e4(name: str, price: np.ndarray, missing: int) -> np.ndarray:
    scaled = np.round(price * 1e4)
    bad = np.flatnonzero(np.abs(price * 1e4 - scaled) > 1e-4)
    if len(bad):
        rule = "be a multiple of 1e-4 to be written so"
        value = repr(float(price[bad[0]]))
        row = int(bad[0]) + 1
        raise DataError("Events", rule, row=row, column=name, value=value)
    return np.where(np.isnan(price), missing, scaled).astype(np.int64)


def _write_all(table: Table, path: str | Path) -> None:
    _write({name: getattr(table, name) for name in table.column_names()}, path)


def _write(
    columns: Mapping[str, Any], path: str | Path, *, has_header: bool = True
) -> None:
    path = Path(path)
    form = _format(path)
    table = pa.table({name: _arrow(x) for name, x in columns.items()})

    def write(file: BinaryIO) -> None:
        if form == "parquet":
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)
            return
        options = pyarrow.csv.WriteOptions(
            include_header=has_header, quoting_style="needed"
        )
        if form == "csv":
            pyarrow.csv.write_csv(table, file, options)
            return
        # Neither a name nor a time in the header: equal tables give equal bytes.
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
            with io.BufferedWriter(packed, 1 << 20) as buffered:  # type: ignore
                pyarrow.csv.write_csv(table, buffered, options)

    write_file(path, write)


def _arrow(column: Any) -> pa.Array:
    if isinstance(column, Labels):
        codes = pa.array(column.codes.astype(np.int32))
        names = pa.array(list(column.names), pa.string())
        return pa.DictionaryArray.from_arrays(codes, names).cast(pa.string())
    if column.dtype.kind == "f":
        # A missing number is an empty cell, and a whole one has no decimal point.
        is_whole = bool((np.floor(column) == column).all())
        is_small = bool((np.abs(column) < 2.0**53).all())
        if is_whole and is_small and len(column):
            return pa.array(column.astype(np.int64))
        return pa.array(column, from_pandas=True)
    return pa.array(column)


def _format(path: Path) -> str:
    for form, endings in (
        ("gzip", (".csv.gz",)),
        ("csv", (".csv",)),
        ("parquet", (".parquet", ".pq")),
    ):
        if path.name.endswith(endings):
            return form
    raise ValueError(f"path must end in .csv, .csv.gz or .parquet; got {path}")
