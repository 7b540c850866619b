"""Execution plans with NumPy: Almgren and Chriss, in lots, at risk, and portfolios."""

import numpy as np
from monte_carlo_baselines import Execution, simulate
from scipy.stats import norm
from stacks import Numbers, in_stacks

_BISECTIONS = 200
_CHUNK = 2**14


def plans(
    games: Numbers, risk_aversion: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return holdings by hyperbolic functions, expected costs and variances.

    Args:
        games: numbers of the model, shape (games,), and `num_periods`.
        risk_aversion: shape (games,).

    Returns:
        Holdings, shape (games, points); expected costs and variances, shape (games,).
    """
    periods, shares = games["num_periods"], games["shares"]
    tau = games["horizon"] / periods
    impact = games["temporary_impact"] - games["permanent_impact"] * tau / 2
    urgency = risk_aversion * (games["volatility"] * tau) ** 2 / impact
    rate = 2 * np.arcsinh(np.sqrt(urgency) / 2)[:, None]  # kappa tau
    left = periods - np.arange(periods + 1)
    with np.errstate(invalid="ignore"):
        ratio = np.exp(-rate * (periods - left)) * np.expm1(-2 * rate * left)
        ratio /= np.expm1(-2 * rate * periods)
    holdings = shares[:, None] * np.where(rate > 0, ratio, left / periods)
    trades = -np.diff(holdings, axis=1)
    cost = games["permanent_impact"] * shares**2 / 2
    cost = cost + games["fixed_cost"] * np.abs(trades).sum(axis=1)
    cost += impact / tau * (trades**2).sum(axis=1)
    variance = games["volatility"] ** 2 * tau * (holdings[:, 1:] ** 2).sum(axis=1)
    return holdings, cost, variance


def plan_trades(games: Numbers, numbers: Numbers) -> np.ndarray:
    """Return the trades of the optimal plans, shape (games, periods)."""
    del numbers
    return -np.diff(plans(games, games["risk_aversion"])[0], axis=1)


def least_at_risk(games: Numbers, numbers: Numbers) -> np.ndarray:
    """Bisect for the risk aversion z / (2 sqrt(V)) of the least E + z sqrt(V).

    Returns:
        Trades, shape (games, periods).
    """
    z = norm.ppf(numbers.get("confidence", 0.95))
    low = np.full(len(games["shares"]), np.log(1e-20))
    high = np.full_like(low, np.log(1e3))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        _, _, variance = plans(games, np.exp(middle))
        is_low = np.exp(middle) * 2 * np.sqrt(variance) < z
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
        if (high - low).max() < 1e-14 * np.abs(middle).min():
            break
    return -np.diff(plans(games, np.exp((low + high) / 2))[0], axis=1)


@in_stacks(64)
def lot_trades(games: Numbers, numbers: Numbers) -> np.ndarray:
    """Work tables over the lots left back from the last period, games in stacks.

    Returns:
        Trades, shape (games, periods).
    """
    del numbers
    periods, lot = games["num_periods"], games["lot_size"]
    tau = games["horizon"] / periods
    impact = games["temporary_impact"] - games["permanent_impact"] * tau / 2
    trade_cost = (impact / tau * lot**2)[:, None, None]
    risk = games["risk_aversion"] * games["volatility"] ** 2 * tau * lot**2
    lots = np.round(games["shares"] / lot).astype(int)
    counts = np.arange(lots.max() + 1)
    sold = counts[:, None] - counts  # lots before (rows) and after (columns)
    spread = (games["fixed_cost"] * lot)[:, None, None]
    step = np.where(sold >= 0, trade_cost * sold**2 + spread * sold, np.inf)
    step = step + risk[:, None, None] * counts**2
    value = np.where(counts == 0, 0.0, np.inf) * np.ones((len(lots), 1))
    choices = []
    for _ in range(periods):
        total = step + value[:, None]
        choices.append(total.argmin(axis=2))
        value = total.min(axis=2)
    left, trades = lots, np.empty((len(lots), periods))
    for period, choice in enumerate(reversed(choices)):
        after = choice[np.arange(len(lots)), left]
        trades[:, period], left = (left - after) * lot, after
    return trades


def execution_simulated(games: Numbers, numbers: Numbers) -> None:
    """Simulate every game; the answer is random."""
    trades = plan_trades(games, numbers)
    columns = {k: x for k, x in games.items() if isinstance(x, np.ndarray)}
    shared = {k: x for k, x in games.items() if k not in columns}
    rng = np.random.Generator(np.random.SFC64(5))
    for game, own in enumerate(trades):
        one = shared | {k: x[game] for k, x in columns.items()} | {"trades": own}
        paths = numbers["num_paths"]
        simulate(
            Execution, one, paths, chunk=_CHUNK, dtype="float32", rng=rng
        ).estimates()


# --- Several assets -------------------------------------------------------------------


@in_stacks(64)
def portfolio_trades(games: Numbers, numbers: Numbers) -> np.ndarray:
    """Sell uncoupled portfolios one by one, games in stacks.

    With R R = H - tau G / 2, the eigenvectors of lambda R^-1 C R^-1 are portfolios of
    which each is sold along its own hyperbolic sine.

    Returns:
        Trades, shape (games, periods, assets).
    """
    del numbers
    periods = games["num_periods"]
    tau = (games["horizon"] / periods)[:, None]
    impact = games["temporary_impact"] - tau[:, None] * games["permanent_impact"] / 2
    values, vectors = np.linalg.eigh(impact)
    turned = vectors.swapaxes(1, 2)
    root = vectors * np.sqrt(values)[:, None] @ turned
    inverse = vectors / np.sqrt(values)[:, None] @ turned
    risk = games["risk_aversion"][:, None, None] * games["covariance"]
    urgency, modes = np.linalg.eigh(inverse @ risk @ inverse)
    rate = 2 * np.arcsinh(tau * np.sqrt(np.maximum(urgency, 0)) / 2)[:, None]
    left = (periods - np.arange(periods + 1))[:, None]
    start = modes.swapaxes(1, 2) @ (root @ games["shares"][:, :, None])
    with np.errstate(invalid="ignore"):
        ratio = np.exp(-rate * (periods - left)) * np.expm1(-2 * rate * left)
        ratio /= np.expm1(-2 * rate * periods)
    ratio = np.where(rate > 0, ratio, left / periods)
    holdings = (start.swapaxes(1, 2) * ratio) @ (inverse @ modes).swapaxes(1, 2)
    return -np.diff(holdings, axis=1)


def portfolio_simulated(games: Numbers, numbers: Numbers) -> None:
    """Simulate every game period by period, in chunks of paths."""
    trades, periods = portfolio_trades(games, numbers), games["num_periods"]
    rng = np.random.Generator(np.random.SFC64(5))
    for game, own in enumerate(trades):
        tau = games["horizon"][game] / periods
        variances, vectors = np.linalg.eigh(tau * games["covariance"][game])
        noise = (vectors * np.sqrt(np.maximum(variances, 0))) @ vectors.T
        noise = noise.astype("float32")
        concessions = own / tau @ games["temporary_impact"][game]
        falls = (own @ games["permanent_impact"][game]).astype("float32")
        fixed = (own * concessions).sum()
        assets, sums = own.shape[1], np.zeros(2)
        sold = own.astype("float32")
        for first in range(0, numbers["num_paths"], _CHUNK):
            count = min(_CHUNK, numbers["num_paths"] - first)
            prices = np.zeros((assets, count), "float32")
            shortfall = np.full(count, fixed, "float32")
            for period in range(periods):
                shortfall -= sold[period] @ prices
                shocks = rng.standard_normal((assets, count), dtype="float32")
                prices += noise @ shocks
                prices -= falls[period][:, None]
            sums += shortfall.sum(), np.dot(shortfall, shortfall)
