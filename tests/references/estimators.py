"""Microstructure estimators as loops over windows, trades and buckets.

Rolling results stand at the end of their window, NaN before the first full one.
"""

from bisect import bisect_right
from fractions import Fraction

import numpy as np
from scipy.stats import norm

REGRESSION = (
    "slope",
    "intercept",
    "standard_error",
    "robust_error",
    "t_statistic",
    "r_squared",
)


def regression(outputs, inputs, intercept=True):
    """Least squares of one series on another.

    Returns:
        A dict: slope, intercept, standard_error (classical), robust_error (HC0),
        t_statistic (classical), r_squared (about zero without an intercept). All NaN
        where the inputs do not vary.
    """
    y, x = np.asarray(outputs, float), np.asarray(inputs, float)
    count = len(y) - 1 - intercept
    moving = np.ptp(x) if intercept else np.abs(x).max(initial=0.0)
    if count < 0 or not moving > 0:
        return dict.fromkeys(REGRESSION, np.nan)
    design = np.column_stack([x, np.ones_like(x)] if intercept else [x])
    inverse = np.linalg.inv(design.T @ design)
    weights = np.linalg.lstsq(design, y, rcond=None)[0]
    rest = y - design @ weights
    meat = sum(e**2 * np.outer(row, row) for e, row in zip(rest, design, strict=True))
    robust = np.sqrt((inverse @ meat @ inverse)[0, 0])
    error = np.sqrt(rest @ rest / count * inverse[0, 0]) if count else np.nan
    base = y.mean() if intercept else 0.0
    total = np.sum((y - base) ** 2)
    values = (
        weights[0],
        weights[1] if intercept else 0.0,
        error,
        robust,
        weights[0] / error if error else np.nan,
        1 - rest @ rest / total if total else np.nan,
    )
    return dict(zip(REGRESSION, values, strict=True))


def rolling(function, window, *columns, skipna=False, min_periods=2):
    """Apply a function of one window of columns; NaN in a window gives NaN."""
    columns = [np.asarray(column, float) for column in columns]
    result = []
    for end in range(1, len(columns[0]) + 1):
        rows = np.array([column[max(end - window, 0) : end] for column in columns])
        valid = ~np.isnan(rows).any(axis=0)
        if end < window or (not skipna and not valid.all()):
            result.append(None)
        elif valid.sum() < (min_periods if skipna else 1):
            result.append(None)
        else:
            result.append(function(*rows[:, valid]))
    return result


def rolling_regression(outputs, inputs, window, intercept=True, **options):
    """Return a dict of series, keys as in `regression`."""
    rows = rolling(
        lambda y, x: regression(y, x, intercept), window, outputs, inputs, **options
    )
    return {
        name: np.array([np.nan if row is None else row[name] for row in rows])
        for name in REGRESSION
    }


def rolling_series(function, window, *columns, **options):
    rows = rolling(function, window, *columns, **options)
    return np.array([np.nan if row is None else row for row in rows], float)


def amihud(returns, prices, volumes):
    """Mean of |return| per currency traded; bars without volume do not count."""
    ratios = [
        abs(r) / (p * v)
        for r, p, v in zip(returns, prices, volumes, strict=True)
        if v != 0
    ]
    return sum(ratios) / len(ratios) if ratios else np.nan


def roll_spread(changes, ddof=1):
    """Roll (1984): twice the root of minus the covariance of neighbouring changes."""
    now, before = np.asarray(changes[1:]), np.asarray(changes[:-1])
    if len(now) <= ddof:
        return np.nan
    pairs = zip(now - now.mean(), before - before.mean(), strict=True)
    covariance = sum(a * b for a, b in pairs) / (len(now) - ddof)
    return 2 * np.sqrt(-covariance) if covariance < 0 else np.nan


def tick_rule(prices):
    """Sign of the last change of price; 0 before the first change."""
    signs, sign = [], 0
    for i, price in enumerate(prices):
        if i and price != prices[i - 1]:
            sign = 1 if price > prices[i - 1] else -1
        signs.append(sign)
    return np.array(signs)


def quote_rule(prices, mids):
    """Sign of price against mid; 0 at the mid."""
    return np.array([(p > m) - (p < m) for p, m in zip(prices, mids, strict=True)])


def lee_ready(prices, mids):
    """Lee and Ready (1991): the quote rule, and the tick rule at the mid."""
    both = zip(quote_rule(prices, mids), tick_rule(prices), strict=True)
    return np.array([quote or tick for quote, tick in both])


def buckets(volumes, bought, size):
    """Bought volume in each full bucket of `size`, bars poured in one after another.

    Args:
        volumes: of bars or trades; exact where they are integers or fractions.
        bought: share of each that is bought.
        size: of a bucket.
    """
    result, room, inside = [], Fraction(size), 0.0
    for volume, share in zip(volumes, bought, strict=True):
        left = Fraction(volume)
        while left > 0:
            poured = min(left, room)
            inside += float(poured) * share
            left, room = left - poured, room - poured
            if room == 0:
                result.append(inside)
                room, inside = Fraction(size), 0.0
    return np.array(result)


def bulk_shares(changes, std=None):
    """Bought share of bars from their price changes (normal, standard deviation)."""
    changes = np.asarray(changes, float)
    std = np.std(changes, ddof=1) if std is None else std
    return norm.cdf(changes / std) if std > 0 else np.full(len(changes), 0.5)


def vpin(volumes, bought, size, count):
    """Mean order imbalance of the last `count` buckets, at the end of each bucket."""
    full = buckets(volumes, bought, size)
    size = float(size)
    imbalance = np.array([abs(2 * b - size) / size for b in full])
    return rolling_series(np.mean, count, imbalance)


def madhavan(changes, signs, num_lags=1):
    """Madhavan, Richardson and Roomans (1997), just identified.

    Args:
        changes: of transaction prices, the first from the trade before the first sign's
            successor: as long as `signs`, with its first entry not used.
        signs: of trades.
        num_lags: of the covariance of moments, Bartlett weights.

    Returns:
        A dict: adverse (th), fixed (f), persistence (rho), spread 2 (f + th), share
        th / (f + th), and standard errors of adverse, fixed, share.
    """
    x = np.asarray(signs, float)
    y, now, before = np.asarray(changes, float)[1:], x[1:], x[:-1]
    mean = x.mean()
    rho = np.sum((now - mean) * (before - mean)) / np.sum((x - mean) ** 2)
    design = np.column_stack([now, before, np.ones_like(now)])
    first, second, constant = np.linalg.lstsq(design, y, rcond=None)[0]
    adverse = (first + second) / (1 - rho) if rho != 1 else np.nan
    fixed = first - adverse

    def moments(numbers):
        f, th, rho, constant = numbers
        u = y - constant - (f + th) * now + (f + rho * th) * before
        persists = (now - mean) * (before - mean) - rho * (now - mean) ** 2
        return np.column_stack([u * now, u * before, u, persists])

    numbers = np.array([fixed, adverse, rho, constant])
    slopes = [
        (moments(numbers + 1e-6 * unit) - moments(numbers - 1e-6 * unit)).mean(axis=0)
        for unit in np.eye(4)
    ]
    bread = np.linalg.inv(np.array(slopes).T / 2e-6)
    count = len(y)
    rows = moments(numbers)
    long_run = rows.T @ rows / count
    for lag in range(1, num_lags + 1):
        cross = rows[lag:].T @ rows[:-lag] / count
        long_run += (1 - lag / (num_lags + 1)) * (cross + cross.T)
    covariance = bread @ long_run @ bread.T / count
    total = fixed + adverse
    towards = np.array([-adverse, fixed]) / total**2
    return {
        "adverse": adverse,
        "fixed": fixed,
        "persistence": rho,
        "spread": 2 * total,
        "share": adverse / total,
        "fixed_error": np.sqrt(covariance[0, 0]),
        "adverse_error": np.sqrt(covariance[1, 1]),
        "share_error": np.sqrt(towards @ covariance[:2, :2] @ towards),
    }


def huang_stoll(mids, spreads, signs):
    """Huang and Stoll (1997), three ways, without intercepts.

    Args:
        mids: of the quotes at each trade.
        spreads: at each trade.
        signs: of trades.

    Returns:
        A dict: adverse, inventory, processing, reversal (pi), both (adverse plus
        inventory), and slope_error, classical, of `both`.
    """
    q, half = np.asarray(signs, float), np.asarray(spreads, float) / 2
    changes, first, second = [], [], []
    for t in range(2, len(q)):
        changes.append(mids[t] - mids[t - 1])
        first.append(half[t - 1] * q[t - 1])
        second.append(half[t - 2] * q[t - 2])
    design = np.column_stack([first, second])
    slopes = np.linalg.lstsq(design, changes, rcond=None)[0]
    rest = np.array(changes) - design @ slopes
    inverse = np.linalg.inv(design.T @ design)
    persistence = (q[1:] @ q[:-1]) / (q[:-1] @ q[:-1])
    adverse = -slopes[1] / persistence if persistence != 0 else np.nan
    return {
        "adverse": adverse,
        "inventory": slopes[0] - adverse,
        "processing": 1 - slopes[0],
        "reversal": (1 - persistence) / 2,
        "both": slopes[0],
        "slope_error": np.sqrt(rest @ rest / (len(rest) - 2) * inverse[0, 0]),
    }


def trade_spreads(times, prices, signs, mids, quote_times, quote_mids, horizon):
    """Effective and realised spread of each trade.

    Args:
        times: of trades.
        prices: of trades.
        signs: of trades.
        mids: before each trade.
        quote_times: increasing.
        quote_mids: from these times on.
        horizon: time after the trade; NaN where it is after the last quote.
    """
    effective, realised = [], []
    for time, price, sign, mid in zip(times, prices, signs, mids, strict=True):
        effective.append(2 * sign * (price - mid))
        later = bisect_right(quote_times, time + horizon) - 1
        known = later >= 0 and time + horizon <= quote_times[-1]
        realised.append(2 * sign * (price - quote_mids[later]) if known else np.nan)
    return np.array(effective), np.array(realised)


def trailing_share(series, window):
    """Share of the last `window` values, this one included, that are not above it."""
    return rolling_series(lambda x: np.mean([v <= x[-1] for v in x]), window, series)


def trailing_score(series, window):
    """Distance from the trailing median in median absolute deviations."""

    def score(x):
        centre = np.median(x)
        deviation = np.median(np.abs(x - centre))
        return (x[-1] - centre) / deviation if deviation > 0 else np.nan

    return rolling_series(score, window, series)


def position_limit(base, impact, reference_trade, price_std, most_conservative):
    if np.isnan(impact):
        return most_conservative
    if impact <= 0:
        return base
    return base / (1 + impact * reference_trade / price_std)
