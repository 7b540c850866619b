"""How columns of files are called, in which units, and which may be absent."""

from gtrade.calibration.data import Events, Trades
from gtrade.calibration.records import DailyCounts, Executions, Schedules

Table = Events | Trades | Executions | DailyCounts | Schedules

# Divisors to seconds.
TIME_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
# What LOBSTER writes for the price of an empty side.
NO_PRICE = 9_999_999_999

_TIMES = {
    "time": 1.0,
    "time_s": 1.0,
    "unix_s": 1.0,
    "time_ms": 1e3,
    "unix_ms": 1e3,
    "time_us": 1e6,
    "unix_us": 1e6,
    "time_ns": 1e9,
    "unix_ns": 1e9,
    "timestamp": 1.0,
}


def _prices(name: str) -> dict[str, float]:
    return {name: 1.0, f"{name}_1e4": 1e4}


def _plain(*names: str) -> dict[str, float]:
    return dict.fromkeys(names, 1.0)


# Usual spellings of every column, each with what its numbers are divided by.
SPELLINGS: dict[type[Table], dict[str, dict[str, float]]] = {
    Executions: {
        "parent": _plain("parent", "parent_id", "order"),
        "time": _TIMES,
        "side": _plain("side", "sign"),
        "size": _plain("size", "quantity", "shares"),
        "price": _plain("price", "fill_price"),
        "arrival_price": _plain("arrival_price"),
        "market_volume": _plain("market_volume"),
        "arrival_time": {f"arrival_{k}": x for k, x in _TIMES.items()},
    },
    DailyCounts: {
        "day": _plain("day", "date"),
        "stock": _plain("stock", "symbol", "ticker"),
        "buys": _plain("buys"),
        "sells": _plain("sells"),
    },
    Schedules: {
        "day": _plain("day", "date"),
        "firm": _plain("firm", "trader"),
        "time": _TIMES,
        "position": _plain("position"),
    },
    Events: {
        "time": _TIMES,
        "kind": _plain("kind", "type"),
        "order_id": _plain("order_id"),
        "size": _plain("size"),
        "price": _prices("price"),
        "direction": _plain("direction"),
        "bid": _prices("bid"),
        "bid_size": _plain("bid_size"),
        "ask": _prices("ask"),
        "ask_size": _plain("ask_size"),
    },
    Trades: {
        "time": _TIMES,
        "price": _prices("price"),
        "size": _plain("size", "volume", "quantity", "shares"),
        "side": _plain("side", "sign"),
        "bid": _prices("bid"),
        "ask": _prices("ask"),
    },
}
# Columns that may be absent.
OPTIONAL: dict[type[Table], tuple[str, ...]] = {
    Executions: ("market_volume", "arrival_time"),
    DailyCounts: ("stock",),
    Schedules: ("day",),
    Events: ("order_id",),
    Trades: ("side", "bid", "ask"),
}
# What kinds of files are called; those with rarer columns come first.
KINDS: dict[str, type[Table]] = {
    "executions": Executions,
    "counts": DailyCounts,
    "schedules": Schedules,
    "events": Events,
    "trades": Trades,
}
