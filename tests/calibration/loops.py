"""The estimators as textbooks write them: a window, a bucket, a trade at a time."""

import math

import numpy as np


def rolling(function, window, *columns, least=None):
    """Apply a function to the complete rows of every window; NaN with fewer than least.

    Without `least` a window with a NaN is NaN.
    """
    table = np.column_stack(columns)
    out = np.full(len(table), np.nan)
    for end in range(window - 1, len(table)):
        rows = table[end - window + 1 : end + 1]
        good = rows[np.isfinite(rows).all(axis=1)]
        needed = window if least is None else least
        if len(good) >= needed:
            out[end] = function(*good.T)
    return out


def line(y, x, with_intercept=True):
    """Return slope, intercept, classical and HC0 error and R2, by matrices."""
    columns = [x, np.ones_like(x)] if with_intercept else [x]
    design = np.column_stack(columns)
    if (x == x[0]).all() and (with_intercept or x[0] == 0):
        return (np.nan,) * 5
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ y
    residuals = y - design @ coefficients
    freedom = len(y) - design.shape[1]
    classical = inverse * (residuals @ residuals) / freedom
    robust = inverse @ (design.T * residuals**2) @ design @ inverse
    centre = y.mean() if with_intercept else 0.0
    r_squared = 1 - residuals @ residuals / ((y - centre) @ (y - centre))
    intercept = coefficients[1] if with_intercept else 0.0
    return (
        coefficients[0],
        intercept,
        math.sqrt(classical[0, 0]),
        math.sqrt(robust[0, 0]),
        r_squared,
    )


def tick_signs(prices):
    """Sign trades by the last price change."""
    signs, last, sign = [], math.nan, 0.0
    for price in prices:
        if math.isnan(price):
            signs.append(math.nan)
            continue
        if price > last:
            sign = 1.0
        elif price < last:
            sign = -1.0
        last = price
        signs.append(sign)
    return np.array(signs)


def bucket_imbalances(volume, signed_volume, size):
    """Fill buckets bar by bar; return bought less sold, and the bar each fills in."""
    imbalances, last_bars, room, own = [], [], size, 0.0
    for bar, (total, signed) in enumerate(zip(volume, signed_volume, strict=True)):
        left = total
        while left > 0 and left >= room * (1 - 1e-12):
            part = min(left, room)
            own += signed * part / total
            left -= part
            imbalances.append(own)
            last_bars.append(bar)
            room, own = size, 0.0
        if left > 0:
            own += signed * left / total
            room -= left
    return np.array(imbalances), np.array(last_bars)


def percentile(x):
    """Return the share of entries that are at most the last."""
    return np.mean(x <= x[-1])


def beliefs(signs, informed, buys, sells, prior):
    """Apply Bayes' rule order by order."""
    high, out = prior, []
    for sign in signs:
        if sign > 0:
            of_high, of_low = informed + (1 - informed) * buys, (1 - informed) * buys
        elif sign < 0:
            of_high, of_low = (1 - informed) * sells, informed + (1 - informed) * sells
        else:
            of_high = of_low = 1.0
        high = high * of_high / (high * of_high + (1 - high) * of_low)
        out.append(high)
    return np.array(out)
