"""Every whole schedule of a small trading game: how many, which, and what they cost."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gtrade.problems.discrete_trading import TradingGame


def count_schedules(target: int, lows: Any, highs: Any) -> int:
    """Count the schedules that reach a target, exactly and without listing them.

    With u units above the lower limits and widths `w_t = highs_t - lows_t` it is the
    coefficient of x^u in `prod_t (1 + x + ... + x^w_t)`, that is in
    `prod_t (1 - x^(w_t + 1)) / (1 - x)^T`.

    Args:
        target: sum of the trades.
        lows: fewest shares of each step, shape (horizon,).
        highs: most shares of each step, shape (horizon,).

    Returns:
        The number of schedules, 0 where the target is out of reach.
    """
    widths = [int(high) - int(low) for low, high in zip(lows, highs, strict=True)]
    units = int(target) - sum(int(low) for low in lows)
    units = min(units, sum(widths) - units)  # as many schedules, mirrored
    if units < 0:
        return 0
    numerator = {0: 1}
    for width in widths:
        for power, coefficient in list(numerator.items()):
            after = power + width + 1
            if after <= units:
                numerator[after] = numerator.get(after, 0) - coefficient
    horizon = len(widths)
    return sum(
        coefficient * math.comb(units - power + horizon - 1, horizon - 1)
        for power, coefficient in numerator.items()
    )


def enumerate_schedules(target: int, lows: Any, highs: Any) -> np.ndarray:
    """List the schedules that reach a target, in ascending lexicographic order.

    Args:
        target: sum of the trades.
        lows: fewest shares of each step, shape (horizon,).
        highs: most shares of each step, shape (horizon,).

    Returns:
        Whole flows, shape (schedules, horizon), int32; no row where the target is out
        of reach.
    """
    lows, highs = np.asarray(lows, np.int64), np.asarray(highs, np.int64)
    schedules, rest = np.zeros((1, 0), np.int32), np.array([target], np.int64)
    for t in range(len(lows)):
        # Trades after which the later steps can still make up the rest.
        first = np.maximum(lows[t], rest - highs[t + 1 :].sum())
        last = np.minimum(highs[t], rest - lows[t + 1 :].sum())
        counts = np.maximum(last - first + 1, 0)
        prefix = np.repeat(np.arange(len(rest)), counts)
        place = np.arange(len(prefix)) - np.repeat(np.cumsum(counts) - counts, counts)
        trades = first[prefix] + place
        schedules = np.column_stack([schedules[prefix], trades.astype(np.int32)])
        rest = rest[prefix] - trades
    return schedules


def joint_costs(
    game: TradingGame, schedules: Sequence[Int[Array, "actions horizon"]]
) -> Float[Array, "players *actions"]:
    """Return every player's cost of every combination of listed schedules.

    Args:
        game: one instance.
        schedules: flows that each player chooses from, shapes (A_i, horizon).

    Returns:
        Costs, shape (players, A_1, ..., A_n).
    """
    sizes = [len(flows) for flows in schedules]
    costs = []
    for player, own in enumerate(schedules):
        others = [j for j in range(len(sizes)) if j != player]
        matrix = game.cost_matrix(
            jnp.asarray(own), _total_flows([schedules[j] for j in others], game.horizon)
        )
        tensor = matrix.reshape(sizes[player], *(sizes[j] for j in others))
        costs.append(jnp.moveaxis(tensor, 0, player))
    return jnp.stack(costs)


def _total_flows(schedules: Sequence[Any], horizon: int) -> Int[Array, "flows horizon"]:
    """Return the summed flow of every combination of schedules, in C order."""

    def add(total, flows):
        return (total[:, None] + jnp.asarray(flows)[None]).reshape(-1, horizon)

    return functools.reduce(add, schedules, jnp.zeros((1, horizon), jnp.int32))
