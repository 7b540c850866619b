"""Evidence about Nash equilibria: mixed schedules, fractional ones, bimatrix pairs."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from gtrade.numerics.precision import require_float64
from gtrade.problems.bimatrix import BimatrixGame
from gtrade.problems.discrete_trading import TradingGame
from gtrade.problems.strategies import (
    FractionalSchedules,
    MixedPairs,
    MixedSchedules,
)
from gtrade.responses.dynamic_programming import shortest_schedule
from gtrade.solution import Solution, has_value
from gtrade.verification.exploitability import best_response_gaps
from gtrade.verification.response_bounds import least_cost_bound

# Probabilities may miss one by this much, fractional schedules their targets by so much
# of the largest trade.
_PROBABILITY_TOLERANCE = 1e-12
_TARGET_TOLERANCE = 1e-8
_HIGHEST = jax.lax.Precision.HIGHEST


def verify_mixed_schedules(
    game: TradingGame, solution: Solution[MixedSchedules], arrays: tuple[str, ...] = ()
) -> dict[str, Array]:
    """Measure a mixed profile of the trading game.

    Columns are NaN where the solver has no answer, and where the answer is none: a
    schedule in a support misses its target or the limits, or weights are negative or do
    not sum to one.
    """
    require_float64("verification")
    value = solution.value
    schedules = value.schedules.astype(jnp.int64)
    weights = value.weights
    is_used = weights != 0
    lows, highs = (
        jnp.asarray(bound, jnp.int64)[None, None] for bound in game.trade_bounds
    )
    is_feasible = ((schedules >= lows) & (schedules <= highs)).all(axis=2) & (
        schedules.sum(axis=2) == game.targets.astype(jnp.int64)[:, None]
    )
    is_mixture = (weights >= 0).all() & (
        jnp.abs(weights.sum(axis=1) - 1) <= _PROBABILITY_TOLERANCE
    ).all()
    is_profile = is_mixture & (is_feasible | ~is_used).all()
    means = jnp.einsum(
        "is,ist->it", weights, schedules.astype(weights.dtype), precision=_HIGHEST
    )
    values, gains = [], []
    for player in range(game.num_players):
        if game.is_general:
            cost, best = _general_costs(game, schedules, weights, player)
        else:
            cost, best = _linear_costs(game, schedules, weights, means, player)
        values.append(cost)
        gains.append(cost - best)
    values, support = jnp.stack(values), is_used.sum(axis=1)
    columns = {
        "exploitability": jnp.stack(gains).max(),
        "welfare": values.sum(),
        "is_pure": (support == 1).all(),
        "values": values,
        "support_size": support,
        "mean_trades": means,
    }
    columns = _or_nan(columns, has_value(solution.status) & is_profile)
    kept = {"supports": value.schedules, "weights": weights}
    return columns | {name: kept[name] for name in arrays}


def _linear_costs(game, schedules, weights, means, player: int):
    """Return a player's expected cost, and a bound on what any schedule costs."""
    own, weight = schedules[player].astype(means.dtype), weights[player]
    pressure = game.price_pressure(means.sum(axis=0) - means[player])
    # A player's own cost does not depend on the order of its trades.
    fixed = game.permanent_impact / 2 * game.targets[player].astype(means.dtype) ** 2
    costs = (own * pressure[None] + game.own_cost_weight * own**2).sum(axis=1)
    best = least_cost_bound(
        pressure,
        game.own_cost_weight,
        game.targets[player],
        min_trade=game.lowest_trade,
        max_trade=game.highest_trade,
    )
    return (weight * costs).sum() + fixed, best + fixed


def _general_costs(game, schedules, weights, player: int):
    """Return a player's expected cost and its least one, prices being nonlinear.

    Every step's expected cost is written down from its definition, over the holdings.
    """
    if game.num_players != 2:
        raise ValueError(
            "mixed schedules with general one-step costs are verified for two players;"
            f" got {game.num_players}"
        )
    others, chances = schedules[1 - player], weights[1 - player]
    before = jnp.cumsum(others, axis=1) - others
    dtype = chances.dtype
    lows, highs = (jnp.asarray(bound) for bound in game.trade_bounds)

    def step_cost(t, holdings, trade):
        moved = game.temporary_price(trade.astype(others.dtype) + others[:, t])
        price = (chances * moved).sum()
        held = (chances * before[:, t].astype(dtype)).sum() + holdings.astype(dtype)
        cost = trade.astype(dtype) * (price + game.permanent_impact * held)
        if game.fixed_fee is not None:
            cost = cost + jnp.where(trade != 0, game.fixed_fee, 0)
        low, high = lows[t].astype(trade.dtype), highs[t].astype(trade.dtype)
        return jnp.where((trade >= low) & (trade <= high), cost, jnp.inf)

    def cost_of(schedule):
        holdings = jnp.cumsum(schedule) - schedule
        steps = jnp.arange(game.horizon)
        return jax.vmap(step_cost)(steps, holdings, schedule).sum()

    own_costs = jax.lax.map(cost_of, schedules[player])
    used = weights[player] != 0
    cost = jnp.where(used, weights[player] * jnp.where(used, own_costs, 0), 0).sum()
    _, best = shortest_schedule(
        step_cost,
        game.targets[player],
        horizon=game.horizon,
        min_trade=game.lowest_trade,
        max_trade=game.highest_trade,
        dtype=dtype,
    )
    return cost, best


def verify_fractional_schedules(
    game: TradingGame,
    solution: Solution[FractionalSchedules],
    arrays: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Measure fractional schedules in the game of fractional shares, and whole ones.

    Columns are NaN where the solver has no answer or the schedules are none.
    """
    require_float64("verification")
    trades, whole = solution.value.trades, solution.value.schedules.astype(jnp.int64)
    low, high = game.lowest_trade, game.highest_trade
    targets = game.targets.astype(trades.dtype)
    flow = trades.sum(axis=0)
    fixed = game.permanent_impact / 2 * targets**2

    def of_player(player):
        own, target = player
        pressure = game.price_pressure(flow - own)
        cost = (own * pressure + game.own_cost_weight * own**2).sum()
        best = least_cost_bound(
            pressure,
            game.own_cost_weight,
            target,
            min_trade=low,
            max_trade=high,
            in_whole_lots=False,
        )
        return cost, cost - best

    costs, gains = jax.lax.map(of_player, (trades, game.targets))
    values = costs + fixed
    whole_flow = whole.sum(axis=0)
    pressure = game.price_pressure(whole_flow)
    whole_welfare = (whole_flow.astype(pressure.dtype) * pressure).sum()
    largest = jnp.maximum(jnp.abs(trades).max(), 1)
    misses = jnp.abs(trades.sum(axis=1) - targets).max() / largest
    is_profile = (
        (misses <= _TARGET_TOLERANCE)
        & ((trades >= low) & (trades <= high)).all()
        & ((whole >= low) & (whole <= high)).all()
        & (whole.sum(axis=1) == game.targets.astype(jnp.int64)).all()
    )
    columns = {
        "exploitability": gains.max(),
        "lots_exploitability": best_response_gaps(game, whole[None]).max(),
        "welfare": values.sum(),
        "lots_welfare": whole_welfare,
        "is_pure": jnp.ones((), bool),
        "values": values,
        "support_size": jnp.ones(game.num_players, jnp.int64),
        "mean_trades": trades,
    }
    columns = _or_nan(columns, has_value(solution.status) & is_profile)
    return columns | ({"lots": solution.value.schedules} if "lots" in arrays else {})


def verify_mixed_pair(
    game: BimatrixGame, solution: Solution, arrays: tuple[str, ...] = ()
) -> dict[str, Array]:
    """Measure a mixed pair of a bimatrix game, or a list of pairs.

    Of a list the pair with the least welfare is shown, and the largest exploitability.
    """
    require_float64("verification")
    value = solution.value
    if isinstance(value, MixedPairs):
        measured = jax.lax.map(
            lambda pair: _pair_columns(game, *pair), (value.row, value.col)
        )
        found = value.is_found
        welfare = jnp.where(found, measured["welfare"], jnp.inf)
        place = jnp.argmin(welfare)
        columns = {name: x[place] for name, x in measured.items()}
        gaps = jnp.where(found, measured["exploitability"], -jnp.inf)
        columns["exploitability"] = gaps.max()
        highest = jnp.where(found, measured["welfare"], -jnp.inf).max()
        columns["welfare_worst"] = highest
        has_answer = has_value(solution.status) & found.any()
        columns = _or_nan(columns, has_answer)
        columns["num_equilibria"] = found.sum()
        kept = {"row_strategies": value.row, "col_strategies": value.col}
        return columns | {name: kept[name] for name in arrays}
    columns = _pair_columns(game, value.row, value.col)
    return _or_nan(columns, has_value(solution.status))


def _pair_columns(game: BimatrixGame, row, col) -> dict[str, Array]:
    against_col = jnp.matmul(game.costs_row, col, precision=_HIGHEST)
    against_row = jnp.matmul(row, game.costs_col, precision=_HIGHEST)
    # Differences from the best reply, so that no two large sums are subtracted.
    gains = jnp.stack(
        [
            (row * (against_col - against_col.min())).sum(),
            (col * (against_row - against_row.min())).sum(),
        ]
    )
    values = jnp.stack([(row * against_col).sum(), (col * against_row).sum()])
    sizes = jnp.stack([(row > 0).sum(), (col > 0).sum()])
    is_pair = (
        (row >= 0).all()
        & (col >= 0).all()
        & (jnp.abs(row.sum() - 1) <= _PROBABILITY_TOLERANCE)
        & (jnp.abs(col.sum() - 1) <= _PROBABILITY_TOLERANCE)
    )
    columns = {
        "exploitability": gains.max(),
        "welfare": values.sum(),
        "is_pure": (sizes == 1).all(),
        "values": values,
        "support_size": sizes,
        "row_strategy": row,
        "col_strategy": col,
    }
    return _or_nan(columns, is_pair)


def _or_nan(columns: dict[str, Any], has_answer) -> dict[str, Array]:
    """Return the columns, without numbers where there is no answer."""
    blank = {"b": False, "i": 0, "f": jnp.nan}
    return {
        name: jnp.where(has_answer, x, jnp.asarray(blank[x.dtype.kind], x.dtype))
        for name, x in columns.items()
    }
