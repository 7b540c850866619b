"""Evidence about correlated equilibria: deviations, and how extreme they are.

By linear programming duality, prices on deviations prove a bound on the total cost of
every correlated equilibrium: no deviation gains in one, so that cost plus priced gains
is at most the cost, and its least value over all joint actions bounds it from below.
Prices that are wrong only make the bound loose.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gtrade.numerics.precision import product, require_float64
from gtrade.problems.bimatrix import BimatrixGame
from gtrade.problems.discrete_trading import TradingGame
from gtrade.problems.enumeration import joint_costs
from gtrade.problems.strategies import CorrelatedExtremes
from gtrade.solution import Solution, has_value


def verify_correlated_bimatrix(
    game: BimatrixGame, solver: Any, solution: Solution, arrays: tuple[str, ...] = ()
) -> dict[str, Array]:
    """Measure the extreme correlated equilibria of a bimatrix game.

    Args:
        game: one instance, in float64.
        solver: not read.
        solution: its value is a `CorrelatedExtremes`.
        arrays: arrays wanted besides: "joint_best", "joint_worst".

    Returns:
        Columns and arrays by name, see `verify_correlated_trading`.
    """
    del solver
    require_float64("verification")
    costs = jnp.stack([game.costs_row, game.costs_col])
    sizes = jnp.array(game.shape, solution.value.num_actions.dtype)
    is_complete = (solution.value.num_actions == sizes).all()
    return _evidence(costs, is_complete, solution, arrays)


def verify_correlated_trading(
    game: TradingGame, solver: Any, solution: Solution, arrays: tuple[str, ...] = ()
) -> dict[str, Array]:
    """Measure the extreme correlated equilibria of a trading game.

    Args:
        game: one instance, in float64.
        solver: not read.
        solution: its value is a `CorrelatedExtremes`, with all schedules of the game.
        arrays: arrays wanted besides: "joint_best", "joint_worst" (the first entries,
            as many as there are joint actions, in C order over the players' own
            actions), "schedules" (players, actions, horizon).

    Returns:
        `welfare_best` and `welfare_worst`, expected total costs; `bound_best`, below
        the total cost of every equilibrium of the concept, and `bound_worst`, above it;
        `deviation_gain`, the most that a player gains in either by a deviation (against
        a strict coarse equilibrium it is negative); `feasibility`, the largest amount
        by which the probabilities are none; `num_actions` of each player. NaN where the
        solver had no answer, or the answer does not list every schedule once.
    """
    del solver
    require_float64("verification")
    value = solution.value
    listed = [
        value.schedules[player, :size] for player, size in enumerate(value.best.shape)
    ]
    is_complete = jnp.stack(
        [
            is_enumeration(game, listed[player], value.num_actions[player], target)
            for player, target in enumerate(game.targets)
        ]
    ).all()
    columns = _evidence(joint_costs(game, listed), is_complete, solution, arrays)
    if "schedules" in arrays:
        columns["schedules"] = value.schedules
    return columns


def _evidence(
    costs: Float[Array, "players *actions"],
    is_complete: Bool[Array, ""],
    solution: Solution,
    arrays: tuple[str, ...],
) -> dict[str, Array]:
    value: CorrelatedExtremes = solution.value
    best, worst = value.best.astype(costs.dtype), value.worst.astype(costs.dtype)
    exists = [
        jnp.arange(size, dtype=count.dtype) < count
        for size, count in zip(best.shape, value.num_actions, strict=True)
    ]
    welfare = costs.sum(axis=0)
    columns = {
        "welfare_best": (best * welfare).sum(),
        "welfare_worst": (worst * welfare).sum(),
        "deviation_gain": jnp.maximum(
            deviation_gains(costs, best, exists, value.concept).max(),
            deviation_gains(costs, worst, exists, value.concept).max(),
        ),
        "bound_best": welfare_bound(
            costs, value.best_multipliers, exists, value.concept
        ),
        "bound_worst": welfare_bound(
            costs, value.worst_multipliers, exists, value.concept, is_lower=False
        ),
        "feasibility": jnp.maximum(
            _infeasibility(best, exists), _infeasibility(worst, exists)
        ),
    }
    is_good = has_value(solution.status) & is_complete
    columns = {k: jnp.where(is_good, x, jnp.nan) for k, x in columns.items()}
    columns["num_actions"] = value.num_actions
    for name, joint in (("joint_best", best), ("joint_worst", worst)):
        if name in arrays:
            columns[name] = _flat(joint, value.num_actions, exists)
    return columns


def deviation_gains(
    costs: Float[Array, "players *actions"],
    joint: Float[Array, "*actions"],
    exists: list[Bool[Array, " actions"]],
    concept: str,
) -> Float[Array, " players"]:
    """Return what each player gains at most by deviating from a correlated play.

    Args:
        costs: of every player and joint action.
        joint: probabilities of the joint actions.
        exists: which actions each player has; the others are padding.
        concept: "cce": by the best fixed action; "ce": by the best replacement of each
            action it is told (swap regret, never negative).

    Returns:
        Gains, shape (players,), not clipped.
    """
    gains = []
    for player, has in enumerate(exists):
        own, play = _own_first(costs[player], player), _own_first(joint, player)
        if concept == "cce":
            least = jnp.where(has, product(own, play.sum(axis=0)), jnp.inf).min()
            gains.append((play * own).sum() - least)
        else:
            instead = jnp.where(has[None], product(play, own.T), jnp.inf)
            gains.append(((play * own).sum(axis=1) - instead.min(axis=1)).sum())
    return jnp.stack(gains)


def welfare_bound(
    costs: Float[Array, "players *actions"],
    multipliers: Float[Array, "players *deviations"],
    exists: list[Bool[Array, " actions"]],
    concept: str,
    *,
    is_lower: bool = True,
) -> Float[Array, ""]:
    """Return a bound on the total cost of every correlated equilibrium.

    Args:
        costs: of every player and joint action.
        multipliers: a price of each deviation, clipped at zero; shape (players, A) for
            "cce", (players, A, A) by action and deviation for "ce".
        exists: which actions each player has.
        concept: of equilibrium.
        is_lower: whether to bound from below.
    """
    sign = 1 if is_lower else -1
    total = sign * costs.sum(axis=0)
    for player, has in enumerate(exists):
        own, size = _own_first(costs[player], player), len(has)
        rest = tuple(n for i, n in enumerate(total.shape) if i != player)
        price = jnp.maximum(multipliers[player, ..., :size].astype(own.dtype), 0)
        price = jnp.where(has if concept == "cce" else has[None], price, 0)
        if concept == "cce":
            gains = price.sum() * own - product(price, own)[None]
        else:
            price = price[:size]
            gains = price.sum(axis=1)[:, None] * own - product(price, own)
        total = total + jnp.moveaxis(gains.reshape(size, *rest), 0, player)
    return sign * jnp.where(_all_exist(exists), total, jnp.inf).min()


def is_enumeration(
    game: TradingGame,
    schedules: Int[Array, "actions horizon"],
    num_actions: Int[Array, ""],
    target: Int[Array, ""],
) -> Bool[Array, ""]:
    """Return whether the first schedules are all those of a target, each once.

    Args:
        game: one instance.
        schedules: in ascending lexicographic order, padded.
        num_actions: how many of them count.
        target: what they have to sum to.
    """
    lows, highs = game.trade_bounds
    is_listed = jnp.arange(len(schedules), dtype=num_actions.dtype) < num_actions
    is_feasible = (schedules >= lows[None]) & (schedules <= highs[None])
    sums = schedules.sum(axis=1, dtype=jnp.int64)
    is_feasible = is_feasible.all(axis=1) & (sums == target.astype(jnp.int64))
    steps = schedules[1:] - schedules[:-1]
    first = jnp.argmax(steps != 0, axis=1)
    ascends = jnp.take_along_axis(steps, first[:, None], axis=1)[:, 0] > 0
    return (
        (is_feasible | ~is_listed).all()
        & (ascends | ~is_listed[1:]).all()
        & (num_actions <= len(schedules))
        & (num_actions.astype(jnp.int64) == _num_schedules(game, target))
    )


def _num_schedules(game: TradingGame, target: Int[Array, ""]) -> Int[Array, ""]:
    """Count the schedules of a target step by step; exact below 2^62 / states."""
    lows, highs = game.trade_bounds
    widths = (highs - lows).astype(np.int64)
    size = int(widths.sum()) + 1
    most = 2**62 // size  # beyond it a count is just large, and no sum overflows
    states = jnp.arange(size)  # shares above the lower limits so far

    def step(ways, width):
        sums = jnp.concatenate([jnp.zeros((1,), ways.dtype), jnp.cumsum(ways)])
        ways = sums[states + 1] - sums[jnp.maximum(states - width, 0)]
        return jnp.minimum(ways, most), None

    start = jnp.zeros((size,), jnp.int64).at[0].set(1)
    ways, _ = jax.lax.scan(step, start, jnp.asarray(widths))
    units = target.astype(jnp.int64) - int(lows.sum(dtype=np.int64))
    is_in_reach = (units >= 0) & (units < size)
    return jnp.where(is_in_reach, ways[jnp.clip(units, 0, size - 1)], 0)


def _infeasibility(
    joint: Float[Array, "*actions"], exists: list[Bool[Array, " actions"]]
) -> Float[Array, ""]:
    """Return the largest amount by which numbers are no probabilities of actions."""
    padding = jnp.abs(jnp.where(_all_exist(exists), 0, joint)).max()
    excess = jnp.abs(joint.sum() - 1)
    return jnp.maximum(jnp.maximum(excess, -joint.min()), padding)


def _flat(
    joint: Float[Array, "*actions"],
    num_actions: Int[Array, " players"],
    exists: list[Bool[Array, " actions"]],
) -> Float[Array, " joint"]:
    """Return probabilities in C order over the actions that exist, zeros after them."""
    place = jnp.zeros((1,) * joint.ndim, num_actions.dtype)
    for player, size in enumerate(joint.shape):
        own = jnp.arange(size, dtype=place.dtype)
        place = place * num_actions[player] + _along(own, player, joint.ndim)
    place = jnp.where(_all_exist(exists), place, joint.size)
    flat = jnp.zeros((joint.size,), joint.dtype)
    return flat.at[place.ravel()].set(joint.ravel(), mode="drop")


def _all_exist(exists: list[Bool[Array, " actions"]]) -> Bool[Array, "*actions"]:
    """Return which joint actions consist of actions that exist."""
    result = jnp.ones((1,) * len(exists), bool)
    for player, has in enumerate(exists):
        result = result & _along(has, player, len(exists))
    return result


def _along(values: Array, axis: int, ndim: int) -> Array:
    """Return a vector as an array of `ndim` axes, all but one of length one."""
    return values.reshape((1,) * axis + (-1,) + (1,) * (ndim - axis - 1))


def _own_first(
    joint: Float[Array, "*actions"], player: int
) -> Float[Array, "own others"]:
    return jnp.moveaxis(joint, player, 0).reshape(joint.shape[player], -1)
