"""Reads the sample data, which are no part of the repository."""

import functools
import os
from pathlib import Path

import numpy as np
import pyarrow.csv
import pytest

from gtrade.calibration import bars, readers

FOLDER = Path(
    os.environ.get("GTRADE_DATA", Path(__file__).parents[3] / "shared" / "data")
)


def find(name):
    """Return the path of a file, or skip the test without it."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"no sample data: {path} is absent (GTRADE_DATA names the folder)")
    return path


def read(name):
    """Return the columns of a file as they stand there, by no code of the package."""
    table = pyarrow.csv.read_csv(find(name))
    return {column: table[column].to_numpy() for column in table.column_names}


@functools.cache
def amazon():
    """Return one day of AMZN: events with the quotes after each."""
    return readers.read_events(find("amzn_2012-06-21_level1.csv.gz"))


@functools.cache
def futures(signs="none"):
    """Return three days of E-mini trades, unsigned or signed by a rule."""
    return readers.read_trades(find("es_futures_trades_2013-09.csv.gz"), signs=signs)


def minutes(trades):
    """Return the one-minute bar of each trade, counting bars with trades."""
    _, index = np.unique(trades.time // 60, return_inverse=True)
    return index


def amazon_bars(width):
    """Return mid changes and signed volume of AMZN by bars of so many seconds."""
    found = bars.signed_bars(amazon(), width)
    return found["price_change"], found["signed_volume"]
