"""LOBSTER pairs: a message file and its order book, without headers, line by line.

A message is time, type, order id, size, price times 10,000 and direction; the order
book after it is ask, size, bid, size for each level, the best first.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gtrade.calibration.parsing import Parsed, Shape, look_at, parse
from gtrade.calibration.rules import DataError, Rule

_MESSAGE = ("time", "kind", "order_id", "size", "price", "direction")
_BOOK = ("ask", "ask_size", "bid", "bid_size")


def parse_pair(
    shape: Shape, orderbook: str | Path | None
) -> tuple[Parsed, dict[str, str]]:
    """Read both files of a pair.

    Args:
        shape: of the message file.
        orderbook: its order book; if None, the file named the same but for
            `_orderbook_` in place of `_message_`.

    Returns:
        The columns of both, and what columns of the order book are called in messages.

    Raises:
        DataError: if they are no pair.
    """
    book = look_at(_find_orderbook(shape, orderbook))
    if book.names is not None or book.num_columns % 4:
        what = "is no LOBSTER order book: 4 columns a level and no header are expected"
        raise DataError(book.path, what)
    left = parse(shape, {name: i for i, name in enumerate(_MESSAGE)})
    right = parse(book, {name: i for i, name in enumerate(_BOOK)})
    last = [
        int(max([*x.rows[-1:], *(n for n, _ in x.unreadable[-1:])]))
        for x in (left, right)
    ]
    if last[0] != last[1]:
        what = f"has {last[0]} rows where its order book {book.path.name} has {last[1]}"
        raise DataError(shape.path, what)
    names = {name: f"{name} ({book.path.name})" for name in _BOOK}
    return _join(left, right, book.path.name), names


def _find_orderbook(shape: Shape, orderbook: str | Path | None) -> Path:
    path = shape.path
    if shape.num_columns not in (6, 7):
        what = "has no header and is no LOBSTER message file, which has 6 columns"
        raise DataError(path, f"{what}; got {shape.num_columns}")
    if orderbook is not None:
        return Path(orderbook)
    beside = path.with_name(path.name.replace("_message_", "_orderbook_"))
    if beside == path or not beside.exists():
        what = "has no header: a LOBSTER message file? Its order book must be given"
        raise DataError(path, what)
    return beside


def _join(left: Parsed, right: Parsed, book: str) -> Parsed:
    """Put the rows of two files side by side, line by line."""
    rows = np.intersect1d(left.rows, right.rows, assume_unique=True)
    at = [np.searchsorted(x.rows, rows) for x in (left, right)]
    columns = {k: x[at[0]] for k, x in left.columns.items()}
    columns |= {k: x[at[1]] for k, x in right.columns.items()}
    lost = dict(left.unreadable)
    for number, reason in right.unreadable:
        lost.setdefault(number, f"{reason} ({book})")
    # A line that is blank in one file only has lost its other half.
    for number in np.setxor1d(left.rows, right.rows, assume_unique=True):
        lost.setdefault(int(number), "must be in both files of the pair")
    unread = [
        _moved(rule, place)
        for x, place in zip((left, right), at, strict=True)
        for rule in x.unread
    ]
    return replace(
        left,
        columns=columns,
        rows=rows,
        unreadable=sorted(lost.items()),
        unread=unread,
    )


def _moved(rule: Rule, place: np.ndarray) -> Rule:
    good = rule.is_good({})[place]
    return replace(rule, is_good=lambda c: good)
