"""Reference of the trading game with general one-step costs, by enumeration.

Plain NumPy in double precision, straight from the definition: the net flow s of a step
moves its price by sign(s) |s|^exponent and by kappa times the position built before;
every step in which a player trades costs a fee; each step has limits of its own. A
profile has shape (players, T); costs are minimised.
"""

import itertools

import numpy as np


def enumerate_schedules(lows, highs, target):
    """Return every feasible schedule in lexicographic order, shape (num, T), int64."""
    steps = [range(low, high + 1) for low, high in zip(lows, highs, strict=True)]
    rows = [row for row in itertools.product(*steps) if sum(row) == target]
    return np.array(rows, dtype=np.int64)


def cost(profile, player, kappa, exponent=1.0, fee=0.0):
    """Return the cost of one player of a profile."""
    total, held = 0.0, 0
    for t in range(np.shape(profile)[1]):
        trade, flow = int(profile[player][t]), int(sum(row[t] for row in profile))
        price = np.sign(flow) * float(abs(flow)) ** exponent + kappa * held
        total += trade * price + (fee if trade != 0 else 0.0)
        held += flow
    return total


def best_response(others, target, lows, highs, kappa, exponent=1.0, fee=0.0):
    """Return the cheapest schedule against a whole flow, and its cost."""
    schedules = enumerate_schedules(lows, highs, target)
    costs = [cost([row, others], 0, kappa, exponent, fee) for row in schedules]
    best = int(np.argmin(costs))
    return schedules[best], costs[best]


def gap(profile, player, lows, highs, kappa, exponent=1.0, fee=0.0):
    """Return what a player gains by leaving a profile for its best response."""
    profile = np.asarray(profile)
    others = profile.sum(axis=0) - profile[player]
    target = profile[player].sum()
    _, least = best_response(others, target, lows, highs, kappa, exponent, fee)
    return cost(profile, player, kappa, exponent, fee) - least
