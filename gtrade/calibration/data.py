"""Market data of one stock: what happened to its best quotes, and its trades.

Building a table from numbers applies the same rules as reading one (readers.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gtrade.calibration.requirements import finite, in_order, one_of, positive, whole
from gtrade.calibration.rules import Rule
from gtrade.calibration.tables import AbstractTable, Phases, shifted

SECONDS_OF_DAY = 86_400.0


def _quotes(is_size_known: bool) -> tuple[Rule, ...]:
    def is_size(name: str) -> Rule:
        return Rule(
            name,
            "be at least 0 and finite, where it is given",
            lambda c: ((c[name] >= 0) & (c[name] < np.inf)) | np.isnan(c[name]),
        )

    return (
        positive("bid", is_optional=True),
        positive("ask", is_optional=True),
        *((is_size("bid_size"), is_size("ask_size")) if is_size_known else ()),
        Rule(
            "bid",
            "not be above the ask (crossed quotes)",
            lambda c: ~(c["bid"] > c["ask"]),
            beside=("ask",),
        ),
    )


def _unless_halted(rule: Rule) -> Rule:
    def is_good(c: Mapping[str, Any]) -> np.ndarray:
        return rule.is_good(c) | (c["kind"] == 7)

    return Rule(rule.column, rule.phrase, is_good)


@dataclass(frozen=True, eq=False)
class Events(AbstractTable):
    """What happened to the best quotes of one stock on one day, in order.

    Several events may have one time, and the bid may equal the ask (locked quotes,
    as between venues); a bid above the ask is an error.

    Attributes:
        time: seconds after midnight, not decreasing, shape (n,).
        kind: 1 new limit order, 2 partial cancellation, 3 deletion, 4 visible
            execution, 5 hidden execution, 6 auction, 7 trading halt.
        order_id: 0 for hidden orders.
        size: shares of the event, above 0 (anything in a halt).
        price: currency, above 0 (anything in a halt).
        direction: of the *resting* order, 1 to buy and -1 to sell: trades have the
            opposite sign.
        bid: best price after the event, NaN for none.
        bid_size: shares there.
        ask: as `bid`.
        ask_size: as `bid_size`.
    """

    time: np.ndarray
    kind: np.ndarray
    order_id: np.ndarray
    size: np.ndarray
    price: np.ndarray
    direction: np.ndarray
    bid: np.ndarray
    bid_size: np.ndarray
    ask: np.ndarray
    ask_size: np.ndarray

    rules: ClassVar[Phases] = (
        (
            Rule(
                "time",
                "be seconds after midnight, in [0, 86400)",
                lambda c: (c["time"] >= 0) & (c["time"] < SECONDS_OF_DAY),
            ),
            one_of("kind", *range(1, 8), phrase="be a kind of event, 1 to 7"),
            whole("order_id"),
            _unless_halted(positive("size")),
            _unless_halted(positive("price")),
            _unless_halted(one_of("direction", 1, -1)),
            *_quotes(is_size_known=True),
        ),
        (in_order("time"),),
    )
    whole_columns: ClassVar[Mapping[str, type]] = {
        "kind": np.int8,
        "order_id": np.int64,
        "direction": np.int8,
    }

    @property
    def mid(self) -> np.ndarray:
        """Middle of the quotes after each event; NaN where a side is empty."""
        return (self.bid + self.ask) / 2

    @property
    def mid_before(self) -> np.ndarray:
        """Middle of the quotes that each event met; NaN for the first."""
        return shifted(self.mid)

    def is_execution(self, *, with_hidden: bool = False) -> np.ndarray:
        """Which events are trades in the book, hidden orders too if asked for."""
        visible = self.kind == 4
        return visible | (self.kind == 5) if with_hidden else visible

    @property
    def sign(self) -> np.ndarray:
        """1 for executions started by a buyer, -1 by a seller, 0 for other events."""
        return np.where(self.is_execution(with_hidden=True), -self.direction, 0)

    def executions(self, *, with_hidden: bool = False) -> "Trades":
        """Return the trades with the quotes they met."""
        chosen = self.is_execution(with_hidden=with_hidden)
        return Trades(
            time=self.time[chosen],
            price=self.price[chosen],
            size=self.size[chosen],
            side=-self.direction[chosen].astype(float),
            bid=shifted(self.bid)[chosen],
            ask=shifted(self.ask)[chosen],
        )

    def time_weighted_spread(self) -> float:
        """Return the mean quoted spread, weighted by how long it stood; currency."""
        spread, held = (self.ask - self.bid)[:-1], np.diff(self.time)
        is_known = np.isfinite(spread)
        total = held[is_known].sum()
        return float((spread * held)[is_known].sum() / total) if total > 0 else np.nan


@dataclass(frozen=True, eq=False)
class Trades(AbstractTable):
    """Trades in order.

    Attributes:
        time: seconds, from midnight or from 1970, not decreasing, shape (n,).
        price: currency, above 0.
        size: shares, above 0.
        side: 1 where a buyer started the trade, -1 where a seller did, 0 where unknown;
            a number between for the expected side of bulk classification.
        bid: best price just before the trade, NaN for none; None if not recorded.
        ask: as `bid`.
    """

    time: np.ndarray
    price: np.ndarray
    size: np.ndarray
    side: np.ndarray
    bid: np.ndarray | None = None
    ask: np.ndarray | None = None

    rules: ClassVar[Phases] = (
        (
            finite("time"),
            positive("price"),
            positive("size"),
            Rule("side", "lie in [-1, 1]", lambda c: np.abs(c["side"]) <= 1),
            *_quotes(is_size_known=False),
        ),
        (in_order("time"),),
    )

    @property
    def signed_size(self) -> np.ndarray:
        """Shares bought less shares sold by those who started the trades."""
        return self.side * self.size
