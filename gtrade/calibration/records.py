"""Records of traders and days: fills of orders, daily counts, observed schedules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gtrade.calibration.requirements import (
    finite,
    in_order,
    named,
    one_of,
    positive,
    same_within,
    unique,
    whole,
)
from gtrade.calibration.rules import Rule
from gtrade.calibration.tables import AbstractTable, Labels, Phases, shifted


@dataclass(frozen=True, eq=False)
class Executions(AbstractTable):
    """Fills of parent orders; rows of one parent are in order, parents may mix.

    Attributes:
        parent: which order a fill belongs to.
        time: seconds, when the fill's slice ended, shape (n,).
        side: 1 for a purchase, -1 for a sale, one for all of a parent.
        size: shares filled in the slice, above 0.
        price: average price of the slice, currency.
        arrival_price: before the parent's first fill, one for all of a parent.
        market_volume: shares traded by everybody in the slice; NaN if unknown.
        arrival_time: when the parent's first slice began; NaN if unknown.
    """

    parent: Labels
    time: np.ndarray
    side: np.ndarray
    size: np.ndarray
    price: np.ndarray
    arrival_price: np.ndarray
    market_volume: np.ndarray
    arrival_time: np.ndarray

    rules: ClassVar[Phases] = (
        (
            named("parent"),
            finite("time"),
            one_of("side", 1, -1),
            positive("size"),
            positive("price"),
            positive("arrival_price"),
            positive("market_volume", is_optional=True),
            Rule(
                "arrival_time",
                "be before the fill's time where it is given",
                lambda c: (c["arrival_time"] < c["time"]) | np.isnan(c["arrival_time"]),
                beside=("time",),
            ),
        ),
        (
            in_order("time", within=("parent",)),
            same_within("side", "parent"),
            same_within("arrival_price", "parent"),
            same_within("arrival_time", "parent"),
        ),
    )
    whole_columns: ClassVar[Mapping[str, type]] = {"side": np.int8}

    @property
    def duration(self) -> np.ndarray:
        """Seconds since the parent's fill before, or since its arrival.

        NaN for the first fill of a parent whose arrival time is unknown.
        """
        order = np.argsort(self.parent.codes, kind="stable")
        codes, time = self.parent.codes[order], self.time[order]
        is_first = np.diff(codes, prepend=-1) != 0
        before = np.where(is_first, self.arrival_time[order], shifted(time))
        found = np.empty(len(time))
        found[order] = time - before
        return found


@dataclass(frozen=True, eq=False)
class DailyCounts(AbstractTable):
    """Buys and sells of stocks by day, each day of a stock once, in any order.

    Attributes:
        day: any label of a day, shape (n,).
        stock: any label.
        buys: trades started by buyers, a whole number.
        sells: likewise.
    """

    day: Labels
    stock: Labels
    buys: np.ndarray
    sells: np.ndarray

    rules: ClassVar[Phases] = (
        (
            named("day"),
            named("stock"),
            whole("buys", at_least=0),
            whole("sells", at_least=0),
        ),
        (unique("day", "day", "stock"),),
    )
    whole_columns: ClassVar[Mapping[str, type]] = {"buys": np.int64, "sells": np.int64}

    def padded(self) -> dict[str, np.ndarray]:
        """Return buys, sells and weights, shape (stocks, most days of one stock).

        Stocks are in the order of `stock.names`; where one has fewer days than others,
        counts and weights are 0.
        """
        codes, num_stocks = self.stock.codes, len(self.stock.names)
        days = np.bincount(codes, minlength=num_stocks)
        order = np.argsort(codes, kind="stable")
        column = np.arange(len(codes)) - np.repeat(np.cumsum(days) - days, days)
        found = {}
        ones = np.ones(len(self))
        for name, x in (("buys", self.buys), ("sells", self.sells), ("weights", ones)):
            found[name] = np.zeros((num_stocks, days.max(initial=0)))
            found[name][codes[order], column] = x[order]
        return found


@dataclass(frozen=True, eq=False)
class Schedules(AbstractTable):
    """Observed positions of firms over time.

    Attributes:
        day: on which they were observed; firms play one game a day.
        firm: whose position.
        time: any unit, increasing among the rows of a day and firm, shape (n,).
        position: shares, either sign.
    """

    day: Labels
    firm: Labels
    time: np.ndarray
    position: np.ndarray

    rules: ClassVar[Phases] = (
        (named("day"), named("firm"), finite("time"), finite("position")),
        (in_order("time", within=("day", "firm"), is_strict=True),),
    )

    def paths(self) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
        """Yield day, firm, times and positions of every observed path."""
        for day, day_name in enumerate(self.day.names):
            for firm, firm_name in enumerate(self.firm.names):
                chosen = (self.day.codes == day) & (self.firm.codes == firm)
                if chosen.any():
                    yield day_name, firm_name, self.time[chosen], self.position[chosen]
