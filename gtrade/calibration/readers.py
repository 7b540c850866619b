"""Readers of market data: CSV (plain or gzip) and Parquet, each row checked.

Every reader takes `columns`, a mapping from the table's names to the file's (names not
given are looked for under their usual spellings), and `skip_bad`, which counts bad rows
in the result's `dropped` and leaves them out instead of raising. What is raised is a
`DataError`: one line that names the file, the row, the column, the rule and the value.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gtrade.calibration import lobster, signing
from gtrade.calibration.data import Events, Trades
from gtrade.calibration.parsing import Parsed, Shape, look_at, parse
from gtrade.calibration.records import DailyCounts, Executions, Schedules
from gtrade.calibration.requirements import one_of
from gtrade.calibration.rules import DataError, Origin, screen, select
from gtrade.calibration.spellings import (
    KINDS,
    NO_PRICE,
    OPTIONAL,
    SPELLINGS,
    TIME_UNITS,
    Table,
)
from gtrade.calibration.tables import Labels

Path_ = str | Path


def read_events(
    path: Path_,
    orderbook: Path_ | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    time_unit: str | None = None,
    skip_bad: bool = False,
) -> Events:
    """Read events with the best quotes after each.

    Args:
        path: a joined table with a header, or a LOBSTER message file, which has none:
            time, type, order id, size, price times 10,000, direction.
        orderbook: the LOBSTER order book that belongs to a message file; where it is
            left out, the file named the same but for `_orderbook_` is looked for.
        columns: the file's names of columns, by the table's.
        time_unit: "s", "ms", "us" or "ns"; by default what the column's name says.
        skip_bad: count and drop bad rows.

    Raises:
        DataError: if a file cannot be read or a row breaks a rule.
    """
    shape = look_at(path)
    if shape.names is not None:
        if orderbook is not None:
            raise DataError(path, "has a header, so no order book belongs to it")
        return _read(Events, shape, columns, time_unit, skip_bad)
    if columns is not None:
        raise DataError(path, "has no header, so columns cannot be named")
    joined, names = lobster.parse_pair(shape, orderbook)
    divisors = {"price": 1e4, "bid": 1e4, "ask": 1e4}
    divisors["time"] = _divisor(time_unit, 1.0)
    return _finish(Events, shape, joined, names, divisors, skip_bad)


def read_trades(
    path: Path_,
    *,
    columns: Mapping[str, str] | None = None,
    signs: str = "given",
    bar_seconds: float = 60.0,
    time_unit: str | None = None,
    skip_bad: bool = False,
) -> Trades:
    """Read trades, and sign them if the file does not.

    Args:
        path: a table with time, price and size; side where signs are given; bid and
            ask, prevailing just before each trade, where a rule needs quotes.
        columns: the file's names of columns, by the table's.
        signs: "given" (side holds 1, -1, 0, buy or sell), "tick", "quote",
            "lee-ready", "bulk", or "none" for trades whose side stays unknown.
        bar_seconds: length of the bars that bulk classification works on.
        time_unit: "s", "ms", "us" or "ns"; by default what the column's name says.
        skip_bad: count and drop bad rows.

    Raises:
        DataError: if the file cannot be read or a row breaks a rule.
    """
    if signs not in signing.METHODS:
        known = ", ".join(signing.METHODS)
        raise ValueError(f"signs must be one of {known}; got {signs!r}")
    shape = look_at(path)
    needed = {"given": ("side",), "quote": ("bid", "ask"), "lee-ready": ("bid", "ask")}
    found = _read(
        Trades,
        shape,
        columns,
        time_unit,
        skip_bad,
        needed=needed.get(signs, ()),
        ignored=() if signs == "given" else ("side",),
    )
    return signing.sign(found, signs, bar_seconds=bar_seconds)


def read_executions(
    path: Path_,
    *,
    columns: Mapping[str, str] | None = None,
    time_unit: str | None = None,
    skip_bad: bool = False,
) -> Executions:
    """Read fills of parent orders; market volume and arrival time may be absent.

    Raises:
        DataError: if the file cannot be read or a row breaks a rule.
    """
    return _read(Executions, look_at(path), columns, time_unit, skip_bad)


def read_counts(
    path: Path_,
    *,
    columns: Mapping[str, str] | None = None,
    skip_bad: bool = False,
) -> DailyCounts:
    """Read daily counts; without a column for the stock they are all of one.

    Raises:
        DataError: if the file cannot be read or a row breaks a rule.
    """
    return _read(DailyCounts, look_at(path), columns, None, skip_bad)


def read_schedules(
    path: Path_,
    *,
    columns: Mapping[str, str] | None = None,
    skip_bad: bool = False,
) -> Schedules:
    """Read observed positions; without a column for the day they are all of one.

    Raises:
        DataError: if the file cannot be read or a row breaks a rule.
    """
    return _read(Schedules, look_at(path), columns, None, skip_bad)


def sniff(path: Path_, columns: Mapping[str, str] | None = None) -> str:
    """Return the kind of a file, a key of `KINDS`, from the names of its columns.

    Args:
        path: of the file.
        columns: names that stand for others, as for the readers.

    Raises:
        DataError: if it has none of the tables' columns.
    """
    shape = look_at(path)
    if shape.names is None:
        if shape.num_columns in (6, 7):
            return "events"
        raise DataError(path, "has no header and is no LOBSTER message file")
    for kind, table in KINDS.items():
        spellings = SPELLINGS[table]
        required = set(spellings) - set(OPTIONAL[table])
        given = {name for name, x in (columns or {}).items() if x in shape.names}
        if all(
            name in given or set(spellings[name]) & set(shape.names)
            for name in required
        ):
            return kind
    listed = "; ".join(
        f"{kind}: {', '.join(x for x in SPELLINGS[t] if x not in OPTIONAL[t])}"
        for kind, t in KINDS.items()
    )
    raise DataError(path, f"has the columns of no table ({listed})")


def read_any(path: Path_, kind: str | None = None, **options: Any) -> Table:
    """Read a file by its kind, a key of `KINDS`; by default what its columns say.

    Args:
        path: of the file.
        kind: "events", "trades", "executions", "counts" or "schedules".
        options: of that kind's reader. Trades without a side are signed by the tick
            rule unless `signs` says otherwise.

    Raises:
        DataError: if the file cannot be read or a row breaks a rule.
    """
    if kind is None:
        kind = sniff(path)
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    if kind == "trades" and "signs" not in options:
        names = look_at(path).names or ()
        mapped = dict(options.get("columns") or {})
        has_side = "side" in mapped or set(names) & set(SPELLINGS[Trades]["side"])
        options["signs"] = "given" if has_side else "tick"
    readers: dict[str, Any] = {
        "events": read_events,
        "trades": read_trades,
        "executions": read_executions,
        "counts": read_counts,
        "schedules": read_schedules,
    }
    return readers[kind](path, **options)


def _read(
    table: Any,
    shape: Shape,
    columns: Mapping[str, str] | None,
    time_unit: str | None,
    skip_bad: bool,
    *,
    needed: Sequence[str] = (),
    ignored: Sequence[str] = (),
) -> Any:
    if shape.names is None:
        raise DataError(shape.path, "has no header: names of columns are expected")
    spellings = {k: x for k, x in SPELLINGS[table].items() if k not in ignored}
    unknown = set(columns or {}) - set(spellings)
    if unknown:
        known = ", ".join(spellings)
        raise ValueError(f"columns must name {known}; got {', '.join(sorted(unknown))}")
    optional = set(OPTIONAL[table]) - set(needed)
    wanted, names, divisors = {}, {}, {}
    for name, usual in spellings.items():
        chosen = (columns or {}).get(name)
        found = [x for x in ([chosen] if chosen else usual) if x in shape.names]
        if not found:
            if name in optional and not chosen:
                continue
            sought = f"'{chosen}'" if chosen else f"'{name}'"
            if not chosen and len(usual) > 1:
                sought += f" (nor {', '.join(x for x in usual if x != name)})"
            rule = f"has no column {sought}; its columns are {', '.join(shape.names)}"
            raise DataError(shape.path, rule)
        if len(found) > 1 or shape.names.count(found[0]) > 1:
            listed = " and ".join(x for x in shape.names if x in found)
            rule = f"has several columns for {name}: {listed}"
            raise DataError(shape.path, rule)
        wanted[name], names[name] = shape.names.index(found[0]), found[0]
        divisors[name] = usual.get(found[0], 1.0)
    if {"bid", "ask"} & set(wanted) and table is Trades and "bid" not in needed:
        if not {"bid", "ask"} <= set(wanted):  # one quote alone tells nothing
            wanted = {k: i for k, i in wanted.items() if k not in ("bid", "ask")}
    for name in ("time", "arrival_time"):
        if name in divisors:
            divisors[name] = _divisor(time_unit, divisors[name])
    parsed = parse(shape, wanted, labels=sorted(table.label_names() & set(wanted)))
    return _finish(table, shape, parsed, names, divisors, skip_bad)


def _finish(
    table: Any,
    shape: Shape,
    parsed: Parsed,
    names: Mapping[str, str],
    divisors: Mapping[str, float],
    skip_bad: bool,
) -> Any:
    """Convert units, apply the table's rules to the file's rows, build the table."""
    raw, columns = parsed.columns, {}
    if not len(parsed.rows) and not parsed.unreadable:
        raise DataError(shape.path, "has no rows")
    for name, values in raw.items():
        divisor = divisors.get(name, 1.0)
        if isinstance(values, np.ndarray) and divisor != 1.0:
            is_none = (divisor == 1e4) & (np.abs(values) == NO_PRICE)
            values = np.where(is_none, np.nan, values / divisor)
        columns[name] = values
    size = len(parsed.rows)
    for name in set(OPTIONAL[table]) - {"bid", "ask"}:
        only = Labels(np.zeros(size, np.int64), ("1",))
        is_label = name in table.label_names()
        absent = {"side": 0.0, "order_id": 0.0}.get(name, np.nan)
        columns.setdefault(name, only if is_label else np.full(size, absent))
    phases = table.rules_for(columns)
    if table is Trades and "side" in raw:
        phases[0] = [one_of("side", 1, -1, 0), *phases[0]]
    origin = Origin(
        shape.path,
        parsed.place,
        parsed.rows,
        names=names,
        raw=raw,
        unreadable=parsed.unreadable,
        unread=parsed.unread,
    )
    keep, dropped = screen(columns, phases, origin, skip_bad=skip_bad)
    if not keep.any():
        raise DataError(shape.path, f"has no good rows ({sum(dropped.values())} bad)")
    return table(**select(columns, keep), dropped=dropped)


def _divisor(time_unit: str | None, usual: float) -> float:
    if time_unit is None:
        return usual
    if time_unit not in TIME_UNITS:
        known = ", ".join(TIME_UNITS)
        raise ValueError(f"time_unit must be one of {known}; got {time_unit!r}")
    return TIME_UNITS[time_unit]
