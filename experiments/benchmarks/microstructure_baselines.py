"""The way one solves the microstructure models with NumPy alone.

`BASELINES` has, for every case of `cases.py` about one of them, a function of its games
and of its solver's numbers, which returns the answer for all games, first axis, or
nothing where answers are random. They are written from docs/models and import nothing
of the package. Simulations are those of `monte_carlo_baselines.py`, one game after the
other.
"""

import numpy as np
from execution_baselines import (
    execution_simulated,
    least_at_risk,
    lot_trades,
    plan_trades,
    portfolio_simulated,
    portfolio_trades,
)
from monte_carlo_baselines import KyleAuction, KyleAuctions, simulate
from stacks import Baseline, Numbers

_MOST_STEPS = 100
_CHUNK = 2**14


# --- Kyle -----------------------------------------------------------------------------


def kyle_rules(games: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """Return price impact and intensity of one auction, all games at once."""
    value_std, noise_std = games["value_std"], games["noise_std"]
    insiders, error_std = games["num_insiders"], games["signal_noise_std"]
    signal = value_std**2 + error_std**2
    reliability = value_std**2 / signal
    if games["signals"] == "common":
        rivalry = 1 + insiders
    else:
        rivalry = 2 + (insiders - 1) * reliability
    impact = np.sqrt(insiders * reliability) * value_std / (rivalry * noise_std)
    return impact, noise_std / np.sqrt(insiders * signal)


def kyle_impacts(games: Numbers, numbers: Numbers) -> np.ndarray:
    """Return price impacts, shape (games,)."""
    del numbers
    return kyle_rules(games)[0]


def kyle_simulated(games: Numbers, numbers: Numbers) -> None:
    """Simulate every game; the answer is random."""
    columns = {k: x for k, x in games.items() if isinstance(x, np.ndarray)}
    shared = {k: x for k, x in games.items() if k not in columns}
    columns["price_impact"], columns["intensity"] = kyle_rules(games)
    _simulate_all(KyleAuction, columns, shared, numbers)


def sequential_logarithms(games: Numbers, numbers: Numbers) -> np.ndarray:
    """Return logarithms of price impacts, shape (games, auctions)."""
    del numbers
    return sequential_rules(games)[0]


def sequential_rules(games: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """Solve the recursion of auctions in sequence, all games at once.

    With q = alpha lambda and D = 1 + M (1 - 2 q) an auction's q follows from the next
    one's, q^2 (M + 1 / (1 - 2 q)) = M r with r = (1 - q')^2 / (M (1 - 2 q') D'^2) for
    equal steps. With p = 1 - 2 q the left side falls from infinity to 0: Newton's steps
    are for its logarithm, kept within bounds.

    Returns:
        Logarithms of price impacts, and what part of the value that is not in the price
        an insider's order takes it to; shape (games, auctions).
    """
    insiders, auctions = games["num_insiders"].astype(float), games["num_auctions"]
    slack = np.ones((auctions, len(insiders)))
    for auction in range(auctions - 2, -1, -1):
        later = slack[auction + 1]
        wanted = (1 + later) ** 2 / (later * (1 + insiders * later) ** 2)
        slack[auction] = _slack_before(np.log(wanted), insiders)
    gain = 1 + insiders * slack
    variance = 2 * np.log(games["value_std"]) - np.cumsum(np.log(gain), axis=0)
    noise = 2 * np.log(games["noise_std"]) - np.log(auctions)
    impacts = (variance - noise + np.log(insiders * slack / gain)) / 2
    return impacts.T, (slack / gain).T


def _slack_before(wanted: np.ndarray, insiders: np.ndarray) -> np.ndarray:
    """Return p in (0, 1) where 2 log(1 - p) + log(M + 1 / p) is as wanted."""
    low, high = np.zeros_like(wanted), np.ones_like(wanted)
    slack = 1 / (1 + np.exp(wanted))
    for _ in range(_MOST_STEPS):
        excess = 2 * np.log1p(-slack) + np.log(insiders + 1 / slack) - wanted
        low, high = np.where(excess > 0, slack, low), np.where(excess > 0, high, slack)
        slope = 2 / (1 - slack) + 1 / (slack * (1 + insiders * slack))
        new = slack + excess / slope
        new = np.where((new > low) & (new < high), new, (low + high) / 2)
        is_over = (np.abs(new - slack) <= 1e-15 * slack).all()
        slack = new
        if is_over:
            break
    return slack


def sequential_simulated(games: Numbers, numbers: Numbers) -> None:
    """Simulate every game; the answer is random."""
    impacts, shares = sequential_rules(games)
    auctions = games["num_auctions"]
    columns = {
        "value_std": games["value_std"],
        "num_insiders": games["num_insiders"],
        "noise_stds": games["noise_std"][:, None] * np.full(auctions, auctions**-0.5),
        "price_impacts": np.exp(impacts),
        "shares": shares,
    }
    _simulate_all(KyleAuctions, columns, {}, numbers)


def _simulate_all(model, columns: Numbers, shared: Numbers, numbers: Numbers) -> None:
    rng = np.random.Generator(np.random.SFC64(5))
    for game in range(len(next(iter(columns.values())))):
        one = shared | {k: x[game] for k, x in columns.items()}
        moments = simulate(
            model, one, numbers["num_paths"], chunk=_CHUNK, dtype="float32", rng=rng
        )
        moments.estimates()


# --- Glosten and Milgrom --------------------------------------------------------------


def quotes(games: Numbers, numbers: Numbers) -> np.ndarray:
    """Return the asks along paths of orders, two values, all games at once.

    Returns:
        Shape (games, orders + 1).
    """
    del numbers
    return _quotes(games)[1]


def _quotes(games: Numbers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return bids, asks and beliefs."""
    orders, informed = games["orders"], games["informed_fraction"][:, None]
    noise_buy = (1 - informed) * games["buy_probability"]
    noise_sell = (1 - informed) * games["sell_probability"]
    of_buy = np.log((informed + noise_buy) / noise_buy)
    of_sell = np.log(noise_sell / (informed + noise_sell))
    told = np.where(orders > 0, of_buy, np.where(orders < 0, of_sell, 0.0))
    prior = games["prior_high"][:, None]
    odds = np.log(prior / (1 - prior)) + np.pad(told.cumsum(axis=1), [(0, 0), (1, 0)])
    low, gap = games["low"][:, None], (games["high"] - games["low"])[:, None]
    beliefs, buys, sells = (
        1 / (1 + np.exp(-x)) for x in (odds, odds + of_buy, odds + of_sell)
    )
    return low + gap * sells, low + gap * buys, beliefs


def quotes_simulated(games: Numbers, numbers: Numbers) -> None:
    """Send a trader to every belief of every path, and count; answers are random."""
    bids, asks, beliefs = _quotes(games)
    rng = np.random.Generator(np.random.SFC64(5))
    for game, orders in enumerate(games["orders"]):
        informed = games["informed_fraction"][game]
        buys_below = games["buy_probability"]
        sells_from = 1 - games["sell_probability"]
        low, high = games["low"][game], games["high"][game]
        sums = np.zeros((len(beliefs[game]), 12))
        for first in range(0, numbers["num_paths"], _CHUNK):
            count = min(_CHUNK, numbers["num_paths"] - first)
            for time, belief in enumerate(beliefs[game]):
                is_high = rng.random(count) < belief
                trader = rng.random(count)
                knows = trader < informed
                other = (trader - informed) / (1 - informed)
                buy = np.where(knows, is_high, other < buys_below)
                sell = np.where(knows, ~is_high, other >= sells_from)
                value = np.where(is_high, high, low)
                paid, got = (
                    buy * (value - asks[game, time]),
                    sell * (value - bids[game, time]),
                )
                rows = [buy.sum(), sell.sum(), is_high.sum()]
                rows += [paid.sum(), np.dot(paid, paid), got.sum(), np.dot(got, got)]
                if time < len(orders):
                    order = orders[time]
                    same = buy if order > 0 else sell if order < 0 else ~(buy | sell)
                    follow = same * (is_high - beliefs[game, time + 1])
                    rows += [same.sum(), follow.sum(), np.dot(follow, follow)]
                sums[time, : len(rows)] += rows


BASELINES: dict[str, Baseline] = {
    "kyle/closed-form": kyle_impacts,
    "kyle/monte-carlo": kyle_simulated,
    "kyle-sequential/closed-form": sequential_logarithms,
    "kyle-sequential/monte-carlo": sequential_simulated,
    "glosten-milgrom/closed-form": quotes,
    "glosten-milgrom/monte-carlo": quotes_simulated,
    "almgren-chriss/closed-form": plan_trades,
    "almgren-chriss/dynamic-program": lot_trades,
    "almgren-chriss/value-at-risk": least_at_risk,
    "almgren-chriss/monte-carlo": execution_simulated,
    "almgren-chriss-portfolio/closed-form": portfolio_trades,
    "almgren-chriss-portfolio/monte-carlo": portfolio_simulated,
}
