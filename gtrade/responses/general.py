"""Exact best responses for general one-step costs: per-step tables of what trades cost.

A player's own permanent impact does not depend on the order of its trades, so whatever
the prices, fees and limits, a schedule's cost is a sum of one table entry per step (see
`TradingGame.expected_step_costs`): the holdings on the way do not matter, only the
target does. Splitting the target over the steps is a dynamic program.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from gtrade.numerics.backward_induction import cheapest_split
from gtrade.problems.discrete_trading import TradingGame


def table_response(
    table: Float[Array, "horizon trades"], target: Int[Array, ""], *, min_trade: int
) -> tuple[Int[Array, " horizon"], Float[Array, ""]]:
    """Minimise `sum_t table[t, a_t - min_trade]` over whole trades meeting a target.

    Args:
        table: cost of the trade min_trade + k in each step, shape (horizon, K); +inf
            forbids it.
        target: sum of the trades, shape (); may be traced.
        min_trade: trade of the first column (static).

    Returns:
        The schedule, shape (horizon,), int32 (the lexicographically smallest of the
        cheapest) and its cost, shape (), +inf if every schedule is forbidden.
    """
    horizon, num_trades = table.shape

    def step_cost(t, remaining, placed):
        return jnp.broadcast_to(table[t, placed], remaining.shape)

    units, cost = cheapest_split(
        step_cost,
        jnp.asarray(target, jnp.int32) - horizon * min_trade,
        horizon=horizon,
        max_units=num_trades - 1,
        dtype=table.dtype,
    )
    return units + min_trade, cost


def general_response(
    game: TradingGame,
    others: Shaped[Array, "flows horizon"],
    weights: Float[Array, " flows"],
    *,
    target: Int[Array, ""],
) -> tuple[Int[Array, " horizon"], Float[Array, ""]]:
    """Return the schedule of least expected cost against a mixture of flows.

    Args:
        game: one instance, general or not.
        others: total flows of all others, shape (R, horizon).
        weights: their probabilities, shape (R,); zero for padding.
        target: shares that the player ends with, shape ().

    Returns:
        The schedule, shape (horizon,), int32 (the lexicographically smallest of the
        cheapest) and its expected cost, shape ().
    """
    table = game.expected_step_costs(others, weights)
    schedule, cost = table_response(table, target, min_trade=game.lowest_trade)
    return schedule, cost + game.own_constant(target)
