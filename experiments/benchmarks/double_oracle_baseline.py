"""NumPy baseline of the double oracle: exact equilibria of the trading game.

Each player keeps a set of schedules; the game of these sets is solved by pivoting, and
exact best responses to the mixtures join the sets until neither gains (McMahan, Gordon
and Blum 2003). Nothing of the package is used.
"""

import importlib.util

import numpy as np
from bimatrix_baselines import first_equilibrium
from numpy_baseline import all_schedules
from trading_responses import cheapest_schedules, price_pressure

# Gain that counts as none, relative to the largest absolute cost in the sets.
_TOLERANCE = 1e-12
_MOST_STEPS = 500
# Schedules of a player whose tableaux take half a gigabyte.
_MOST_SCHEDULES = 5000


def cost_table(own, others, kappa):
    """Return the cost of each own schedule against each of the other's flows."""
    alone = (own * price_pressure(own, kappa)).sum(axis=-1)
    return alone[:, None] + own @ price_pressure(others, kappa).T


def double_oracle(games: dict, numbers: dict) -> np.ndarray:
    """Find an equilibrium of every game, one after another.

    Returns:
        The largest gain from a deviation of each, shape (games,).
    """
    del numbers
    limits = games["min_trade"], games["max_trade"]
    targets, horizon = games["targets"], games["horizon"]
    gains = [
        _search(kappa, targets, horizon, limits) for kappa in games["permanent_impact"]
    ]
    return np.array(gains)


def _search(kappa, targets, horizon, limits):
    """Return the least of the largest gains met, from the even schedules onwards."""
    zeros, one = np.zeros((1, horizon)), np.ones(1)
    sets = [cheapest_schedules(zeros, one, target, *limits) for target in targets]
    costs = [cost_table(sets[i], sets[1 - i], kappa) for i in (0, 1)]
    weight, least = np.array([1 - kappa / 2]), np.inf
    for step in range(_MOST_STEPS):
        # Dropping another label first at every step saves a few steps (measured).
        pair = first_equilibrium(-costs[0], -costs[1].T, 1e-12, step)
        if pair is None:
            break
        gains, replies = [], []
        for i, mix in enumerate(pair):
            other = pair[1 - i] @ sets[1 - i]
            prices = price_pressure(other, kappa)
            reply = cheapest_schedules(prices[None], weight, targets[i], *limits)[0]
            against = costs[i] @ pair[1 - i]
            best = reply @ (price_pressure(reply, kappa) + prices)
            gains.append(mix @ against - best)
            replies.append(reply)
        least = min(least, max(gains))
        largest = max(np.abs(x).max() for x in costs)
        is_new = [
            not (known == reply).all(axis=1).any()
            for known, reply in zip(sets, replies, strict=True)
        ]
        if max(gains) <= _TOLERANCE * largest or not any(is_new):
            break
        for i in (0, 1):
            if is_new[i]:
                new = replies[i][None]
                row = cost_table(new, sets[1 - i], kappa)
                column = cost_table(sets[1 - i], new, kappa)
                costs[i] = np.concatenate([costs[i], row])
                costs[1 - i] = np.concatenate([costs[1 - i], column], axis=1)
                sets[i] = np.concatenate([sets[i], new])
    return least


# --- quantecon ------------------------------------------------------------------------


def _count_schedules(horizon, target, min_trade, max_trade):
    counts, step = np.ones(1), np.ones(max_trade - min_trade + 1)
    for _ in range(horizon):
        counts = np.convolve(counts, step)
    return counts[target - horizon * min_trade]


def tabulated(games: dict, numbers: dict) -> np.ndarray | None:
    """Do as `double_oracle` the direct way: tabulate all, pivot with quantecon.

    Returns:
        The largest gain from a deviation of each game, shape (games,); None for games
        with more schedules than tables have room for.
    """
    from quantecon.game_theory import NormalFormGame, Player, lemke_howson

    del numbers
    shapes = [
        (games["horizon"], target, games["min_trade"], games["max_trade"])
        for target in games["targets"]
    ]
    if max(_count_schedules(*shape) for shape in shapes) > _MOST_SCHEDULES:
        return None
    schedules = [all_schedules(*shape).astype(float) for shape in shapes]
    gains = []
    for kappa in games["permanent_impact"]:
        costs = [cost_table(schedules[i], schedules[1 - i], kappa) for i in (0, 1)]
        game = NormalFormGame([Player(-x) for x in costs])
        found = lemke_howson(game, max_iter=10**5)
        mixes = [np.maximum(x, 0) / np.maximum(x, 0).sum() for x in found]
        against = [costs[i] @ mixes[1 - i] for i in (0, 1)]
        gains.append(
            max(mix @ x - x.min() for mix, x in zip(mixes, against, strict=True))
        )
    return np.array(gains)


DOUBLE_ORACLE_PEERS = {}
if importlib.util.find_spec("quantecon"):
    DOUBLE_ORACLE_PEERS = {"trading-game/double-oracle": tabulated}
