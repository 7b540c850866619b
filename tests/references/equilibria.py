"""Reference equilibria of the trading game in whole shares, by enumeration.

The game is that of Kearns and Shi, *Algorithmic Aspects of Strategic Trading* (arXiv
2502.07606v2). Plain NumPy in double precision, straight from the definitions; correct
rather than fast. The package is tested against it.

A schedule holds the trades of one player, shape (T,). Costs are minimised. Wherever
players have trade limits, `lows` and `highs` broadcast to (players, T): a number, one
limit per step of shape (T,), one per player of shape (players, 1), or all of them.
"""

import itertools

import numpy as np


def boxes(lows, highs, players, horizon):
    """Return the trade limits of every player and step, two (players, T) arrays."""
    shape = (players, horizon)
    return np.broadcast_to(lows, shape), np.broadcast_to(highs, shape)


def enumerate_schedules(horizon, target, lows, highs):
    """Return every feasible schedule of whole trades in lexicographic order.

    Args:
        horizon: number of steps T.
        target: sum of the trades.
        lows: smallest trades, an integer or shape (T,).
        highs: largest trades, an integer or shape (T,).

    Returns:
        int64, shape (num, T).
    """
    lows = np.broadcast_to(np.asarray(lows, dtype=np.int64), (horizon,))
    highs = np.broadcast_to(np.asarray(highs, dtype=np.int64), (horizon,))
    if np.any(lows > highs) or not lows.sum() <= target <= highs.sum():
        raise ValueError(f"no schedule reaches target={target}")
    prefixes = np.zeros((1, 0), dtype=np.int64)
    for t in range(horizon):
        choices = np.arange(lows[t], highs[t] + 1)
        old = np.repeat(prefixes, len(choices), axis=0)
        new = np.tile(choices, len(prefixes))
        prefixes = np.column_stack([old, new])
        rest = target - prefixes.sum(axis=1)
        is_open = (lows[t + 1 :].sum() <= rest) & (rest <= highs[t + 1 :].sum())
        prefixes = prefixes[is_open]
    return prefixes


def cost(own, others, kappa, *, temporary_exponent=1.0, fixed_fee=0.0):
    """Return the cost of a schedule against the summed flow of the other players.

    sum_t a_t sign(s_t) |s_t|^exponent + kappa sum_t a_t (A_{t-1} + B_{t-1})
    + fee #{t: a_t != 0}, where s = a + b and A, B are the holdings (KS25 section 2,
    with power-law temporary impact and a fee for every step with a trade).

    Args:
        own: trades a, shape (..., T).
        others: summed trades b of all the others, shape (..., T).
        kappa: market impact coefficient, a number or shape (...).
        temporary_exponent: power of the temporary impact.
        fixed_fee: fee of a step with a trade.

    Returns:
        Costs, shape (...), the leading axes broadcast.
    """
    own, others = np.asarray(own, dtype=float), np.asarray(others, dtype=float)
    flow = own + others
    holdings_before = np.zeros_like(flow)
    holdings_before[..., 1:] = np.cumsum(flow[..., :-1], axis=-1)
    impact = np.sign(flow) * np.abs(flow) ** temporary_exponent
    temporary = np.sum(own * impact, axis=-1)
    permanent = np.sum(own * holdings_before, axis=-1)
    fees = fixed_fee * np.count_nonzero(own, axis=-1)
    return temporary + kappa * permanent + fees


def cost_tables(kappa, targets, horizon, lows, highs, **general):
    """Return all schedules and the cost tables of a small trading game.

    Args:
        kappa: market impact coefficient.
        targets: sums of the trades, shape (players,).
        horizon: number of steps T.
        lows: smallest trades, broadcast to (players, T).
        highs: largest trades, broadcast to (players, T).
        **general: `temporary_exponent` and `fixed_fee` of `cost`.

    Returns:
        A list of the schedules of every player, shapes (num_i, T), and a list with
        the cost of every player, each of shape (num_1, ..., num_n).
    """
    players = len(targets)
    lows, highs = boxes(lows, highs, players, horizon)
    schedules = [
        enumerate_schedules(horizon, target, low, high)
        for target, low, high in zip(targets, lows, highs, strict=True)
    ]
    spread = []  # schedules along an axis of their own: (1, .., num_i, .., 1, T)
    for i, own in enumerate(schedules):
        axes = tuple(j for j in range(players) if j != i)
        spread.append(np.expand_dims(own, axes))
    total = sum(spread)
    return schedules, [cost(own, total - own, kappa, **general) for own in spread]


def _check_mixture(schedules, weights, target, low, high):
    """Raise where a mixed strategy is not one: weights, targets and trade limits."""
    if not (np.all(weights >= 0) and abs(weights.sum() - 1) <= 1e-9):
        raise ValueError("weights have to be nonnegative and sum to one")
    if len(weights) != len(schedules):
        raise ValueError("one weight is needed for each schedule")
    if np.any(schedules.sum(axis=1) != target):
        raise ValueError(f"a schedule misses target={target}")
    if np.any(schedules < low) or np.any(schedules > high):
        raise ValueError("a schedule exceeds the trade limits")
    if np.any(schedules != np.round(schedules)):
        raise ValueError("trades have to be whole")


def nash_gap(supports, weights, kappa, targets, lows, highs, **general):
    """Return what each player gains by its best deviation, all schedules tried.

    Players mix independently; the expectation runs over all combinations of the
    others' schedules, so costs need not be affine in the others' flow.

    Args:
        supports: schedules in use, n arrays of shape (S_i, T).
        weights: their probabilities, n arrays of shape (S_i,), each with sum one to
            1e-9.
        kappa: market impact coefficient.
        targets: sums of the trades, shape (n,).
        lows: smallest trades, broadcast to (n, T).
        highs: largest trades, broadcast to (n, T).
        **general: `temporary_exponent` and `fixed_fee` of `cost`.

    Returns:
        Expected cost minus the least expected cost, shape (n,); zero up to rounding
        at a Nash equilibrium, and not clipped.
    """
    supports = [np.asarray(support) for support in supports]
    weights = [np.asarray(weight, dtype=float) for weight in weights]
    players, horizon = len(targets), supports[0].shape[1]
    lows, highs = boxes(lows, highs, players, horizon)
    for mixture in zip(supports, weights, targets, lows, highs, strict=True):
        _check_mixture(*mixture)

    gaps = []
    for i in range(players):
        deviations = enumerate_schedules(horizon, targets[i], lows[i], highs[i])
        paid, least = 0.0, np.zeros(len(deviations))
        others = [j for j in range(players) if j != i]
        for picks in itertools.product(*(range(len(weights[j])) for j in others)):
            chosen = list(zip(others, picks, strict=True))
            probability = np.prod([weights[j][k] for j, k in chosen])
            flow = sum((supports[j][k] for j, k in chosen), np.zeros(horizon))
            paid += probability * (
                weights[i] @ cost(supports[i], flow, kappa, **general)
            )
            least += probability * cost(deviations, flow, kappa, **general)
        gaps.append(paid - least.min())
    return np.array(gaps)


def pure_gap(profile, kappa, targets, lows, highs, **general):
    """Return what each player of a pure profile (n, T) gains by its best deviation.

    As `nash_gap`, with one schedule for each of the n players.
    """
    supports = [np.asarray(schedule)[None] for schedule in profile]
    weights = [np.ones(1)] * len(supports)
    return nash_gap(supports, weights, kappa, targets, lows, highs, **general)


def planner_optimum(kappa, targets, horizon, lows, highs):
    """Return the least total cost of all players, every profile tried.

    The total cost sum_i a_i'M S = S'M S depends on the summed flow S alone, so every
    sum of the players' schedules is formed, and its cost computed once. Arguments as
    in `cost_tables`, without general costs.
    """
    players = len(targets)
    lows, highs = boxes(lows, highs, players, horizon)
    base = int(np.max(highs.sum(axis=0) - lows.sum(axis=0))) + 1
    if horizon * np.log2(base) > 62:
        raise ValueError("the game is too large")
    # Flows above the lower limits are the digits of a number: numbers add as flows do.
    place_values = base ** np.arange(horizon, dtype=np.int64)
    sums = np.zeros(1, dtype=np.int64)
    for target, low, high in zip(targets, lows, highs, strict=True):
        schedules = enumerate_schedules(horizon, target, low, high)
        codes = (schedules - low) @ place_values
        blocks = [
            np.unique(sums[first : first + 500, None] + codes)
            for first in range(0, len(sums), 500)
        ]
        sums = np.unique(np.concatenate(blocks))
    flows = sums[:, None] // place_values % base + lows.sum(axis=0)
    return float(np.min(cost(flows, np.zeros(horizon), kappa)))
