"""All evidence about a history of play in the trading game, as row columns."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from gtrade.problems.discrete_trading import TradingGame
from gtrade.problems.strategies import (
    CorrelatedExtremes,
    FractionalSchedules,
    MixedSchedules,
)
from gtrade.responses.dynamic_programming import is_unrolled
from gtrade.solution import Solution, has_value
from gtrade.verification.correlated import verify_correlated_trading
from gtrade.verification.dependence import tv_distance, tv_distance_ks25
from gtrade.verification.exploitability import best_response_gaps
from gtrade.verification.general import deviation_gains
from gtrade.verification.nash import (
    verify_fractional_schedules,
    verify_mixed_schedules,
)
from gtrade.verification.regret import (
    average_costs,
    external_regret,
    regret_curve,
    separable_oracle,
    swap_regret,
    table_oracle,
)


def verify_trading_solution(
    game: TradingGame, solver: Any, solution: Solution, arrays: tuple[str, ...] = ()
) -> dict[str, Array]:
    """Measure a solution of the trading game; see the catalog for the columns.

    Args:
        game: one instance, in float64.
        solver: what produced the solution; only its choice of oracle is read, so that
            the certificate can use the other one.
        solution: mixed, fractional or correlated schedules, or play: then
            `value.schedules` is a history, shape (rounds, players, horizon).
        arrays: names of arrays wanted besides.

    Returns:
        Columns and arrays by name; NaN where the solver had no answer.

    Raises:
        ValueError: if the history of a game with general one-step costs has several
            rounds.
    """
    if isinstance(solution.value, MixedSchedules):
        return verify_mixed_schedules(game, solution, arrays)
    if isinstance(solution.value, FractionalSchedules):
        return verify_fractional_schedules(game, solution, arrays)
    if isinstance(solution.value, CorrelatedExtremes):
        return verify_correlated_trading(game, solver, solution, arrays)
    schedules = solution.value.schedules
    low, high = game.lowest_trade, game.highest_trade
    oracle = separable_oracle(game)
    target_range = getattr(solver, "target_range", None)
    uses_closed_form = getattr(solver, "uses_closed_form", False)
    if uses_closed_form and is_unrolled(game.horizon, low, high, target_range):
        oracle = table_oracle(game, target_range)
    if game.is_general:
        regret = gaps = swap = deviation_gains(game, schedules)
    else:
        regret = external_regret(game, schedules, oracle)
        gaps = best_response_gaps(game, schedules, oracle)
        swap = swap_regret(game, schedules, oracle)
    costs = average_costs(game, schedules)
    columns = {
        "distance_to_cce": regret.max(),
        "distance_to_nash": gaps.max(),
        "distance_to_ce": swap.max(),
        "tv_distance": tv_distance(schedules, low, high),
        "tv_distance_ks25": tv_distance_ks25(schedules, low, high),
        "welfare": costs.sum(),
        "regret": regret,
        "costs": costs,
        "mean_trades": schedules.astype(jnp.int64).mean(axis=0),
    }
    if "regret_curve" in arrays:
        columns["regret_curve"] = regret_curve(game, schedules, oracle)
    has_answer = has_value(solution.status)
    columns = {k: jnp.where(has_answer, x, jnp.nan) for k, x in columns.items()}
    if "schedules" in arrays:
        columns["schedules"] = schedules
    return columns
