"""A made-up market with known numbers behind it: events and trades of a day.

Everything is NumPy, one pass over whole columns, and decided by the seed. The tables
are those that readers.py returns; writers.py writes them.
"""

from dataclasses import dataclass, fields

import numpy as np

from gtrade._checks import check, check_integer, check_nonnegative, check_positive
from gtrade.calibration.bars import CLOSE, OPEN
from gtrade.calibration.data import Events, Trades
from gtrade.calibration.tables import shifted

DAY = CLOSE - OPEN  # seconds of trading


@dataclass(frozen=True)
class Market:
    """A book whose mid moves with signed volume, as Kyle's market maker moves it.

    After a trade of q shares (bought: positive) the price is higher by
    price_impact q for good and by transient_impact q that decays, on top of a random
    walk. Quotes stand around it on a grid of ticks.

    Attributes:
        price_impact: Kyle's lambda, currency per share.
        transient_impact: of the part that decays, currency per share.
        decay_rate: of that part, 1 / second.
        volatility: of the price without trades, currency per square root of a second.
        half_spread: least distance of a quote from the price, currency.
        tick: distance of the prices that quotes can have, a multiple of 1e-4.
        start_price: currency.
        mean_size: of a trade, shares.
        execution_share: of events, in [0, 1].
        hidden_share: of events, that are executions of hidden orders, which move no
            price.
        sign_persistence: correlation of the sign of a trade with the one before, in
            [0, 1).
    """

    price_impact: float = 8e-5
    transient_impact: float = 0.0
    decay_rate: float = 0.05
    volatility: float = 0.01
    half_spread: float = 0.05
    tick: float = 0.01
    start_price: float = 220.0
    mean_size: float = 70.0
    execution_share: float = 0.16
    hidden_share: float = 0.04
    sign_persistence: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: naming the argument, the rule and the value.
        """
        for name in ("decay_rate", "volatility", "half_spread", "sign_persistence"):
            check_nonnegative(**{name: getattr(self, name)})
        for name in ("tick", "start_price"):
            check_positive(**{name: getattr(self, name)})
        check("be at least 1", lambda x: x >= 1, mean_size=self.mean_size)
        check("be below 1", lambda x: x < 1, sign_persistence=self.sign_persistence)
        check_nonnegative(execution_share=self.execution_share)
        check_nonnegative(hidden_share=self.hidden_share)
        total = self.execution_share + self.hidden_share
        rule = "be at most 1 with hidden_share"
        check(rule, lambda x: x + self.hidden_share <= 1, execution_share=total)
        rule = "be a multiple of 1e-4"
        check(
            rule, lambda x: np.abs(x * 1e4 - np.round(x * 1e4)) < 1e-6, tick=self.tick
        )


def simulate_events(market: Market, num_events: int, *, seed: int) -> Events:
    """Draw a day of events, 09:30 to 16:00.

    Raises:
        ValueError: if prices fall to zero.
    """
    check_integer(num_events=num_events, at_least=1)
    rng, n = np.random.default_rng(seed), num_events
    time = np.minimum(np.round(OPEN + DAY * np.sort(rng.random(n)), 9), CLOSE - 1e-9)
    kind = _kinds(market, rng, n)
    is_trade, is_hidden = kind == 4, kind == 5
    sign = _signs(rng, n, np.flatnonzero(is_trade | is_hidden), market.sign_persistence)
    size = rng.geometric(1 / market.mean_size, n)
    flow = np.where(is_trade, sign * size, 0)

    gap = np.diff(time, prepend=OPEN)
    noise = market.volatility * np.sqrt(gap) * rng.standard_normal(n)
    price = market.start_price + np.cumsum(noise + market.price_impact * flow)
    if market.transient_impact:
        left = decaying_sum(flow, np.exp(-market.decay_rate * gap))
        price += market.transient_impact * left

    grid = round(market.tick * 1e4)  # whole numbers of 1e-4 divide to what files hold
    tick = grid / 1e4
    bid = np.floor((price - market.half_spread) / tick) * grid / 1e4
    ask = np.ceil((price + market.half_spread) / tick) * grid / 1e4
    if not bid.min() > 0:
        low = float(bid.min())
        raise ValueError(
            f"start_price must be higher for prices above 0; quotes fall to {low:g}"
        )
    bid_size, ask_size = 100 * rng.geometric(0.5, (2, n))
    # What a trade takes was there before it.
    bid_size[:-1] = np.maximum(bid_size[:-1], -flow[1:])
    ask_size[:-1] = np.maximum(ask_size[:-1], flow[1:])

    is_execution = is_trade | is_hidden
    direction = np.where(is_execution, -sign, rng.choice([-1, 1], n))
    met = np.where(direction > 0, shifted(bid), shifted(ask))
    own = np.where(direction > 0, bid, ask)
    at = np.where((kind == 1) | np.isnan(met), own, met)
    inside = np.round((shifted(bid) + shifted(ask)) * 5e3) / 1e4
    ids = np.maximum(np.cumsum(kind == 1), 1)
    older = (rng.random(n) * ids).astype(np.int64) + 1
    return Events(
        time=time,
        kind=kind,
        order_id=np.where(is_hidden, 0, np.where(kind == 1, ids, older)),
        size=size,
        price=np.where(is_hidden, inside, at),
        direction=direction,
        bid=bid,
        bid_size=bid_size,
        ask=ask,
        ask_size=ask_size,
    )


def simulate_trades(market: Market, num_trades: int, *, seed: int) -> Trades:
    """Draw a day of trades, with their sides and the quotes they met.

    To have them unsigned, write them without: `write_trades(..., with_side=False)`.
    """
    check_integer(num_trades=num_trades, at_least=1)
    changes = {"execution_share": 1.0, "hidden_share": 0.0}
    only = {f.name: getattr(market, f.name) for f in fields(market)} | changes
    # The first event of a day sets the quotes.
    return simulate_events(Market(**only), num_trades + 1, seed=seed).executions()


def decaying_sum(x: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return y with y[i] = factors[i] y[i-1] + x[i], in log2(n) passes.

    Args:
        x: shape (n,).
        factors: shape (n,), in [0, 1].
    """
    total, kept = np.array(x, np.float64), np.array(factors, np.float64)
    step = 1
    while step < len(total):
        total[step:] = total[step:] + kept[step:] * total[:-step]
        kept[step:] = kept[step:] * kept[:-step]
        step *= 2
    return total


def _kinds(market: Market, rng: np.random.Generator, n: int) -> np.ndarray:
    rest = 1 - market.execution_share - market.hidden_share
    # New orders, partial cancellations, deletions, in the proportions of a real day.
    shares = [0.6 * rest, 0.01 * rest, 0.39 * rest]
    shares += [market.execution_share, market.hidden_share]
    edges = np.cumsum(shares)
    kind = 1 + np.searchsorted(edges[:-1], rng.random(n), side="right")
    kind[0] = 1
    return kind


def _signs(
    rng: np.random.Generator, n: int, trades: np.ndarray, persistence: float
) -> np.ndarray:
    """Return 1 or -1 for trades, a Markov chain, and 0 for the rest."""
    turns = np.where(rng.random(len(trades)) < (1 + persistence) / 2, 1, -1)
    sign = np.zeros(n, np.int64)
    sign[trades] = np.cumprod(turns) * rng.choice([-1, 1])
    return sign
