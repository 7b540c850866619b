"""Reads the sample data, which are no part of the repository."""

import os
from pathlib import Path

import numpy as np
import pyarrow.csv
import pytest

FOLDER = Path(
    os.environ.get("GTRADE_DATA", Path(__file__).parents[3] / "shared" / "data")
)


def read(name):
    """Return the columns of a file as NumPy arrays, or skip the test without it."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"no sample data: {path} is absent (GTRADE_DATA names the folder)")
    table = pyarrow.csv.read_csv(path)
    return {column: table[column].to_numpy() for column in table.column_names}


def amazon():
    """Return one day of AMZN: quotes after every event, and visible executions."""
    rows = read("amzn_2012-06-21_level1.csv.gz")
    bid, ask = rows["bid_1e4"] / 1e4, rows["ask_1e4"] / 1e4
    is_trade = rows["type"] == 4
    quotes = {"times": rows["time_s"], "mids": (bid + ask) / 2, "spreads": ask - bid}
    trades = {
        "times": rows["time_s"][is_trade],
        "prices": rows["price_1e4"][is_trade] / 1e4,
        "sizes": rows["size"][is_trade],
        "signs": -rows["direction"][is_trade],
        "rows": np.flatnonzero(is_trade),
    }
    return quotes, trades


def futures():
    """Return E-mini trades with their one-minute bars, counting those with trades."""
    rows = read("es_futures_trades_2013-09.csv.gz")
    _, index = np.unique(rows["unix_ms"] // 60_000, return_inverse=True)
    return rows["price"], rows["volume"], index
