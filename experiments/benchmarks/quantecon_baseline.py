"""quantecon's compiled Lemke-Howson as a baseline, timed in the same run.

Its game objects exist, and its code is compiled, before the clock starts.
"""

import time

import jax.numpy as jnp
import numpy as np
from measuring import once, row, timed
from quantecon.game_theory import NormalFormGame, Player, lemke_howson

import gtrade
from gtrade.problems.enumeration import enumerate_schedules


def solve_all(what, payoffs, max_iter, repeats, largest_gap):
    """Time its loop over games of two players, one after another, on one core.

    Args:
        what: name of the games.
        payoffs: of both players, two arrays (games, rows, cols).
        max_iter: most pivots in a game.
        repeats: calls after the first; calls that cycle take so long that one, without
            a warm-up of its own, will do.
        largest_gap: function of payoffs and both players' mixtures.
    """
    games = [
        NormalFormGame([Player(np.array(x, order="C")) for x in (a, b.T)])
        for a, b in zip(*payoffs, strict=True)
    ]

    def call():
        return [lemke_howson(g, max_iter=max_iter, full_output=True) for g in games]

    start = time.perf_counter()
    lemke_howson(games[0], max_iter=max_iter, full_output=True)
    compile_s = time.perf_counter() - start
    found, first, later = timed(call, repeats) if repeats > 1 else once(call)
    pair = [np.stack([mix[i] for mix, _ in found]) for i in (0, 1)]
    pair = [np.maximum(x, 0) / np.maximum(x, 0).sum(axis=1)[:, None] for x in pair]
    is_good = np.array([info.converged for _, info in found])
    pair = [x[is_good] for x in pair]
    result = row(
        f"quantecon lemke_howson, {what}, max_iter {max_iter}",
        "float64",
        1,
        1,
        first,
        later,
        games_per_s=len(games) / float(np.median(later)),
        largest_gap=largest_gap([x[is_good] for x in payoffs], *pair),
        gap_is="of the games that converged",
        without_answer=int((~is_good).sum()),
        steps=int(sum(info.num_iter for _, info in found)),
        most_steps=int(max(info.num_iter for _, info in found)),
    )
    return result | {"compile_s": compile_s}


def solve_tabulated(numbers, kappa):
    """Time it on all schedules of a small trading game, the direct way.

    Args:
        numbers: of a game of two players with the same target.
        kappa: permanent impact.
    """
    horizon, low, high = (numbers[x] for x in ("horizon", "min_trade", "max_trade"))
    flows = enumerate_schedules(
        numbers["targets"][0], [low] * horizon, [high] * horizon
    )
    game = gtrade.TradingGame(**numbers, permanent_impact=kappa)
    start = time.perf_counter()
    costs = np.asarray(game.cost_matrix(jnp.asarray(flows), jnp.asarray(flows)))
    tabulation = time.perf_counter() - start
    full = NormalFormGame([Player(np.ascontiguousarray(-costs)) for _ in (0, 1)])
    (found, info), first, later = timed(
        lambda: lemke_howson(full, max_iter=10**5, full_output=True), repeats=1
    )
    mixes = [np.maximum(x, 0) / np.maximum(x, 0).sum() for x in found]
    against = [costs @ mixes[1], costs @ mixes[0]]
    values = [mix @ cost for mix, cost in zip(mixes, against, strict=True)]
    gaps = [value - cost.min() for value, cost in zip(values, against, strict=True)]
    return row(
        f"quantecon lemke_howson, all {len(flows)}^2 pairs, kappa={kappa:g}",
        "float64",
        1,
        1,
        first,
        later,
        games_per_s=1 / float(np.median(later)),
        largest_gap=float(max(gaps) / max(map(abs, values))),
        gap_is="exploitability / largest cost of a player, NumPy",
        without_answer=int(not info.converged),
        steps=int(info.num_iter),
        tabulation_s=tabulation,
    )
