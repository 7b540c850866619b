"""Best responses of the trading game in NumPy, many at a time.

What a player pays for its own impact depends on the sizes of its trades alone, so that
a best response minimises sum_t g_t a_t + w a_t^2 with the others' price pressure g and
w = 1 - kappa/2: for w > 0 the cheapest units are bought one by one, otherwise whole
steps are filled, the cheapest first.
"""

import numpy as np

# Trades a step beyond which a search for the price of the last unit comes first.
_MOST_LISTED = 16


def price_pressure(flow, kappa):
    """Return b + kappa (strict prefix sums of b) along the last axis of flows b.

    Args:
        flow: shape (..., horizon).
        kappa: permanent impact; its axes are the first of the flow's.
    """
    before = np.cumsum(flow, axis=-1) - flow
    kappa = np.asarray(kappa)
    return (
        flow + kappa.reshape(kappa.shape + (1,) * (before.ndim - kappa.ndim)) * before
    )


def cheapest_schedules(
    prices, weights, targets, min_trade, max_trade, *, decimals=None
):
    """Minimise sum_t prices_t a_t + weight a_t^2 over whole trades that meet a target.

    Args:
        prices: shape (lanes, horizon).
        weights: of either sign, shape (lanes,).
        targets: a number, or shape (lanes,).
        min_trade: smallest trade of a step.
        max_trade: largest trade of a step.
        decimals: to which costs of units are rounded, so that rounding errors do not
            tell apart what costs the same; not at all if None.

    Returns:
        The lexicographically smallest minimisers, shape (lanes, horizon).
    """
    horizon, span = prices.shape[1], max_trade - min_trade
    units = np.broadcast_to(targets, len(prices)) - horizon * min_trade
    is_convex = weights > 0
    limits = min_trade, span
    if is_convex.all():
        return min_trade + _cheapest_units(prices, weights, units, limits, decimals)
    schedules = np.empty(prices.shape, np.int64)
    rest = ~is_convex
    schedules[rest] = _filled_steps(prices[rest], units[rest], span)
    if is_convex.any():
        lanes = prices[is_convex], weights[is_convex], units[is_convex]
        schedules[is_convex] = _cheapest_units(*lanes, limits, decimals)
    return min_trade + schedules


def _filled_steps(prices, units, span):
    """Fill the cheapest steps, the later of equal ones first."""
    order = prices.shape[1] - 1 - np.argsort(prices[:, ::-1], axis=1, kind="stable")
    amounts = units[:, None] - span * np.arange(prices.shape[1])
    filled = np.empty(prices.shape, np.int64)
    np.put_along_axis(filled, order, np.clip(amounts, 0, span), axis=1)
    return filled


def _cheapest_units(prices, weights, units, limits, decimals):
    """Take the cheapest units of all steps; of equal ones those of later steps."""
    min_trade, span = limits
    if span == 0:
        return np.zeros(prices.shape, np.int64)
    if span <= _MOST_LISTED:
        sure, room = np.zeros((1, 1), np.int64), span
    else:
        sure, room = _narrowed(prices, weights, units, min_trade, span)
        units = units - sure.sum(axis=1)
    listed = np.arange(np.max(room))
    after = 2 * (min_trade + sure[:, :, None] + listed) + 1
    costs = prices[:, :, None] + weights[:, None, None] * after
    if decimals is not None:
        costs = np.round(costs, decimals)
    if np.ndim(room):
        costs[listed >= room[:, :, None]] = np.inf
    flat = costs.reshape(len(prices), -1)
    last = np.maximum(units - 1, 0)
    ordered = np.partition(flat, np.unique(last), axis=1)
    dearest = np.take_along_axis(ordered, last[:, None], axis=1)
    dearest[units == 0] = -np.inf
    taken = (costs < dearest[:, :, None]).sum(axis=2)
    is_tied = (costs == dearest[:, :, None]).any(axis=2)
    missing = units - taken.sum(axis=1)
    is_late = np.cumsum(is_tied[:, ::-1], axis=1)[:, ::-1] <= missing[:, None]
    return sure + taken + (is_tied & is_late)


def _narrowed(prices, weights, units, min_trade, span):
    """Bracket the price of the last unit; return units surely taken, and in doubt."""
    scaled = prices / (2 * weights[:, None])

    def taken(level):
        count = np.floor(level[:, None] - scaled + (0.5 - min_trade))
        return np.clip(count, 0, span)

    low = scaled.min(axis=1) + min_trade
    high = scaled.max(axis=1) + (min_trade + span + 1)
    largest = np.maximum(np.abs(scaled).max(axis=1), np.abs(high))
    slack = 8 * np.finfo(float).eps * (largest + prices.shape[1])
    while (high - low > np.maximum(0.25, 8 * slack)).any():
        middle = (low + high) / 2
        is_low = taken(middle).sum(axis=1) <= units
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    sure = taken(low - slack).astype(np.int64)
    return sure, taken(high + slack).astype(np.int64) - sure
