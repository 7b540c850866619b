"""All evidence about answers to position building in steps, as row columns.

Costs and best responses come from the definition of a step's cost, with the net
position X as a state of its own, by dense quadratic programs. The solver's recursion,
in which X does not appear, is not used.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade.problems.feedback_position import (
    FeedbackPlay,
    FeedbackPositionGame,
    OpenLoopPlay,
    follow_rules,
    positions_of,
)
from gtrade.solution import Solution, has_value
from gtrade.verification.linear_quadratic import Control, Responses, respond


def verify_feedback_position(
    game: FeedbackPositionGame,
    solver: Any,
    solution: Solution,
    arrays: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Measure a solution; see the catalog for the columns.

    Args:
        game: one instance in float64.
        solver: not read.
        solution: feedback rules or schedules fixed in advance.
        arrays: names of arrays wanted besides.

    Returns:
        Columns by name; NaN where there is no answer, or one whose trades miss the
        targets or are not what its rules lead to.
    """
    del solver
    play = solution.value
    tol = 10 * float(jnp.finfo(play.trades.dtype).eps) ** 0.5
    play = jax.tree.map(lambda x: x.astype(game.targets.dtype), play)
    scale = jnp.abs(game.targets).max()
    missed = jnp.abs(play.trades.sum(axis=1) - game.targets).max()
    is_answer = has_value(solution.status) & (missed <= tol * scale)
    columns = {
        "expected_costs": game.costs(play.trades),
        "initial_rates": play.trades[:, 0] * play.trades.shape[1],
    }
    if isinstance(play, OpenLoopPlay):
        gains = schedule_gains(game, play.trades)
    else:
        found, is_sound = _judge_feedback(game, play, tol)
        is_answer = is_answer & is_sound
        gains = found.pop("gains")
        columns |= found
    columns["exploitability"] = gains.max()
    columns["welfare"] = columns["expected_costs"].sum()
    num_steps = play.trades.shape[1]
    if "schedules" in arrays:
        columns["schedules"] = positions_of(play.trades)
    if "times" in arrays:
        columns["times"] = jnp.linspace(0, 1, num_steps + 1, dtype=scale.dtype)
    if "gains" in arrays and isinstance(play, FeedbackPlay):
        columns["gains"] = play.gains
    return {name: jnp.where(is_answer, x, jnp.nan) for name, x in columns.items()}


def schedule_gains(
    game: FeedbackPositionGame, trades: Float[Array, "firms steps"]
) -> Float[Array, " firms"]:
    """Return what each firm gains by another schedule against the others' schedules.

    Args:
        game: one instance.
        trades: schedules that meet the targets, shape (firms, steps).

    Returns:
        The gains, shape (firms,).
    """
    steps = trades.shape[1]
    dtype = trades.dtype

    def of_firm(firm):
        kappa, own = game.permanent_impacts[firm], trades[firm]
        others = trades.sum(axis=0) - own
        zeros, ones = jnp.zeros(steps, dtype), jnp.ones(steps, dtype)
        # The state: shares left, the net position, and the number one.
        moved = jnp.zeros((3, 3), dtype).at[1, 2].set(1)
        transition = jnp.eye(3, dtype=dtype)[None] + moved[None] * others[:, None, None]
        weight = steps + kappa / 2
        rule = jnp.stack([zeros, zeros, own], axis=1)
        control = Control(
            transition=transition,
            effect=jnp.stack([-ones, ones, zeros], axis=1),
            flow_state=jnp.zeros((steps, 3), dtype),
            flow_trade=ones,
            price_state=jnp.stack([zeros, kappa * ones, weight * others], axis=1),
            price_trade=weight * ones,
            rule=rule.at[-1].set(jnp.array([1, 0, 0], dtype)),
        )
        start = jnp.stack([game.targets[firm], zeros[0], ones[0]])
        return respond(control, (0,)).gain(0, start)

    return jax.lax.map(of_firm, jnp.arange(game.num_firms))


def feedback_responses(
    impacts: Float[Array, " firms"],
    gains: Float[Array, "steps firms firms"],
    starts: tuple[int, ...],
) -> Responses:
    """Judge every firm's rule against the others' rules.

    Args:
        impacts: kappa of every firm.
        gains: the rules, as in `FeedbackPlay`.
        starts: steps at which the comparison begins (static).

    Returns:
        Costs and gains in the state (shares left of every firm, net position), with a
        leading axis of firms.
    """
    steps, firms, _ = gains.shape
    dtype = gains.dtype
    rules = jnp.pad(gains, ((0, 0), (0, 0), (0, 1)))  # nobody looks at the position
    # A share bought is one less to buy and one more in the net position.
    effects = jnp.concatenate(
        [-jnp.eye(firms, dtype=dtype), jnp.ones((1, firms), dtype)]
    )

    def of_firm(firm):
        is_own = jnp.arange(firms) == firm
        others = jnp.where(is_own[None, :, None], 0, rules)
        kappa = impacts[firm]
        weight = steps + kappa / 2
        moved = jnp.matmul(effects[None], others, precision=jax.lax.Precision.HIGHEST)
        held = (jnp.arange(firms + 1) == firms).astype(dtype)
        control = Control(
            transition=jnp.eye(firms + 1, dtype=dtype)[None] + moved,
            effect=jnp.broadcast_to(effects[:, firm], (steps, firms + 1)),
            flow_state=jnp.zeros((steps, firms + 1), dtype),
            flow_trade=jnp.ones(steps, dtype),
            price_state=weight * others.sum(axis=1) + kappa * held[None],
            price_trade=jnp.broadcast_to(weight, (steps,)),
            rule=rules[:, firm],
        )
        return respond(control, starts)

    return jax.lax.map(of_firm, jnp.arange(firms))


def comparison_starts(num_steps: int) -> tuple[int, ...]:
    """Return the steps at which rules are judged: the first, and three on the way."""
    return tuple(sorted({0, num_steps // 4, num_steps // 2, 3 * num_steps // 4}))


def _judge_feedback(game, play: FeedbackPlay, tol):
    """Return columns of feedback play, and whether rules and trades fit together."""
    scale = jnp.abs(game.targets).max()
    implied = follow_rules(play.gains, game.targets)
    off = jnp.abs(play.trades - implied).max()
    last = jnp.abs(play.gains[-1] - jnp.eye(game.num_firms, dtype=off.dtype)).max()
    is_sound = (off <= tol * scale) & (last <= tol)
    starts = comparison_starts(play.trades.shape[1])
    responses = feedback_responses(game.permanent_impacts, play.gains, starts)
    state = jnp.append(game.targets, jnp.zeros((), off.dtype))
    gains = jax.vmap(lambda x: x.gain(0, state))(responses)
    anywhere = jax.vmap(lambda x: x.largest_gain())(responses).max()
    # An infinite gain stays one where all targets are zero.
    size = (game.targets**2).sum()
    anywhere = jnp.where(jnp.isfinite(anywhere), anywhere * size, anywhere)
    fixed = schedule_gains(game, play.open_loop_trades)
    found = {
        "gains": gains,
        "off_path_gain": anywhere,
        "open_loop_costs": game.costs(play.open_loop_trades),
        "open_loop_gain": fixed.max(),
    }
    return found, is_sound
