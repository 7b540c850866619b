"""All evidence about answers to the hidden-target game, as row columns.

Two things make linear rules and a filter a perfect Bayesian equilibrium. Beliefs: on
the path, the arbitrageur's guess is the conditional mean of what the trader has to buy.
This is checked by conditioning one joint normal distribution, not by a Kalman filter.
Optimality: each side's rule is a best response at every step and in every state, off
the path too, with the other's rule and filter held fixed. A trader who deviates is read
as if it had not. Either problem is linear, quadratic and Gaussian, so that the best
response is found with the noise left out (certainty equivalence), by dense quadratic
programs; what noise adds to its cost and to what a deviation could save is put together
from the states that each step's noise can lead to.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade.numerics.precision import product
from gtrade.problems.feedback_position import positions_of
from gtrade.problems.hidden_target import HiddenTargetGame, HiddenTargetPlay
from gtrade.solution import Solution, has_value
from gtrade.verification.feedback_position import feedback_responses
from gtrade.verification.linear_quadratic import Control, respond


def verify_hidden_target(
    game: HiddenTargetGame,
    solver: Any,
    solution: Solution,
    arrays: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Measure a solution; see the catalog for the columns.

    Args:
        game: one instance in float64.
        solver: not read.
        solution: rules of both sides.
        arrays: names of arrays wanted besides.

    Returns:
        Columns by name; NaN where there is no answer, or where its last rules do not
        trade all that is left. Costs and gains are NaN too where beliefs are off by
        more than a thousandth of the prior's standard deviation: what the arbitrageur
        should do then is another problem.
    """
    del solver
    play = solution.value
    tol = 10 * float(jnp.finfo(play.trades.dtype).eps) ** 0.5
    play = jax.tree.map(lambda x: x.astype(game.target_mean.dtype), play)
    steps = play.trades.shape[1]
    dtype = play.trades.dtype
    last = jnp.concatenate([play.trader_rules[-1], play.arbitrageur_rules[-1]])
    wanted = jnp.array([1, 0, 0, 1, 0], dtype)
    is_answer = has_value(solution.status) & (jnp.abs(last - wanted).max() <= tol)

    variances, surprises, belief_error = condition_beliefs(game, play)
    is_bayesian = belief_error <= 1e-3 * game.target_std
    starts = tuple(range(steps))
    trader = respond(trader_control(game, play), starts)
    other = respond(arbitrageur_control(game, play), starts)
    impacts = jnp.broadcast_to(game.permanent_impact, (2,))
    known = feedback_responses(impacts, play.known_gains, (0,))

    zero = jnp.zeros((), dtype)
    mean, target, own = game.target_mean, game.realised_target, game.arbitrageur_target
    noise = game.noise_std**2 / steps
    # Variances of the belief's next value, as either side sees it.
    shaken = noise * play.filter_gains**2, surprises * play.filter_gains**2
    at_target = jnp.stack([target, own, mean, zero])
    at_mean = jnp.stack([mean, own, mean, zero])
    at_start = jnp.stack([own, mean])
    prior = game.target_std**2
    added = _noise_sum(trader.costs, shaken[0], 2)
    costs = jnp.stack(
        [
            trader.cost(0, at_target) + added,
            other.cost(0, at_start) + _noise_sum(other.costs, shaken[1], 1),
        ]
    )
    average = trader.cost(0, at_mean) + prior * trader.costs[0, 0, 0] + added
    missed = _noise_sum(trader.gains, shaken[0], 2)
    gains = jnp.stack(
        [
            trader.gain(0, at_target) + missed,
            trader.gain(0, at_mean) + prior * trader.gains[0, 0, 0] + missed,
            other.gain(0, at_start) + _noise_sum(other.gains, shaken[1], 1),
        ]
    )
    public = jnp.stack([target, own, zero])
    known_costs = jax.vmap(lambda x: x.cost(0, public))(known)
    expected = jnp.stack([mean, own, zero])
    known_trader = known.costs[0, 0]
    known_average = _quadratic(known_trader, expected) + prior * known_trader[0, 0]
    size = mean**2 + prior + own**2
    anywhere = jnp.maximum(trader.largest_gain(), other.largest_gain())
    columns = {
        "exploitability": gains.max(),
        "off_path_gain": jnp.where(jnp.isfinite(anywhere), anywhere * size, anywhere),
        "expected_costs": costs,
        "welfare": average + costs[1],
        "known_costs": known_costs,
        "known_exploitability": jax.vmap(lambda x: x.gain(0, public))(known).max(),
        "hiding_value": known_costs[0] - costs[0],
        "mean_hiding_value": known_average - average,
    }
    columns = {k: jnp.where(is_bayesian, x, jnp.nan) for k, x in columns.items()}
    columns |= {
        "belief_error": belief_error,
        "belief_stds": jnp.sqrt(variances),
        "initial_rates": play.trades[:, 0] * steps,
    }
    if "schedules" in arrays:
        columns["schedules"] = positions_of(play.trades)
    if "times" in arrays:
        columns["times"] = jnp.linspace(0, 1, steps + 1, dtype=dtype)
    for name in ("trader_rules", "arbitrageur_rules", "filter_gains"):
        if name in arrays:
            columns[name] = getattr(play, name)
    return {name: jnp.where(is_answer, x, jnp.nan) for name, x in columns.items()}


def condition_beliefs(
    game: HiddenTargetGame, play: HiddenTargetPlay
) -> tuple[Float[Array, " steps"], Float[Array, " steps"], Float[Array, ""]]:
    """Compare the arbitrageur's guesses with exact conditional means.

    The prior and all noise are independent normals; what the arbitrageur has seen and
    its error `r - m` are linear in them. A guess is the conditional mean exactly if
    the error is uncorrelated with everything seen before.

    Args:
        game: one instance.
        play: rules and filter gains.

    Returns:
        Conditional variances of what the trader has to buy, before every step; those
        of what each step's price move tells, 0 in the last; and the largest root mean
        square distance of a guess from the conditional mean.
    """
    steps = play.filter_gains.shape[0]
    dtype = play.filter_gains.dtype
    signals = play.trader_rules[:, 0]
    noise_std = game.noise_std / steps**0.5
    # Coefficients on the prior's draw and on every step's noise.
    error = jnp.zeros(steps, dtype).at[0].set(game.target_std)

    def step(error, now):
        index, signal, gain = now
        noise = jnp.where(jnp.arange(steps) == index + 1, noise_std, 0)
        seen = signal * error + noise
        return error - signal * error - gain * seen, (error, seen)

    inputs = jnp.arange(steps), signals, play.filter_gains
    _, (errors, seen) = jax.lax.scan(step, error, inputs)
    if steps == 1:
        return game.target_std[None] ** 2, jnp.zeros(1, dtype), jnp.zeros((), dtype)
    seen = seen[:-1]  # nothing is left to learn from the last step
    factor = jnp.linalg.cholesky(product(seen, seen.T))
    # Rows: independent pieces of news; an error may hold none of those before it.
    news = jax.scipy.linalg.solve_triangular(
        factor, product(seen, errors.T), lower=True
    )
    before = jnp.arange(steps - 1)[:, None] < jnp.arange(steps)[None]
    known = jnp.where(before, news**2, 0).sum(axis=0)
    variances = jnp.maximum((errors**2).sum(axis=1) - known, 0)
    surprises = jnp.append(jnp.diagonal(factor) ** 2, jnp.zeros((), dtype))
    return variances, surprises, jnp.sqrt(known.max())


def trader_control(game: HiddenTargetGame, play: HiddenTargetPlay) -> Control:
    """Return the trader's problem in the state (r, q, m, net position)."""
    steps = play.filter_gains.shape[0]
    dtype = play.filter_gains.dtype
    zeros, ones = jnp.zeros(steps, dtype), jnp.ones(steps, dtype)
    kappa, gain = game.permanent_impact, play.filter_gains
    weight = steps + kappa / 2
    rule, reply = _padded(play)
    # The trade that the arbitrageur expects is the rule's at r = m.
    expected = jnp.stack([zeros, rule[:, 1], rule[:, 0] + rule[:, 2], zeros], axis=1)
    moved = jnp.stack(
        [0 * reply, -reply, -(1 + gain)[:, None] * expected, reply], axis=1
    )
    held = jnp.array([0, 0, 0, 1], dtype)
    return Control(
        transition=jnp.eye(4, dtype=dtype)[None] + moved,
        effect=jnp.stack([-ones, zeros, gain, ones], axis=1),
        flow_state=jnp.zeros((steps, 4), dtype),
        flow_trade=ones,
        price_state=weight * reply + kappa * held[None],
        price_trade=weight * ones,
        rule=rule,
    )


def arbitrageur_control(game: HiddenTargetGame, play: HiddenTargetPlay) -> Control:
    """Return the arbitrageur's problem in the state (q, m).

    Its step is written as the flow times `(T - kappa / 2) b + kappa q`, the rise of the
    price of all that it has to buy: summed by parts, what the definition charges, and
    without the net position, which it does not know.
    """
    steps = play.filter_gains.shape[0]
    dtype = play.filter_gains.dtype
    zeros, ones = jnp.zeros(steps, dtype), jnp.ones(steps, dtype)
    kappa = game.permanent_impact
    rule = play.trader_rules
    expected = jnp.stack([rule[:, 1], rule[:, 0] + rule[:, 2]], axis=1)
    moved = jnp.stack([jnp.zeros_like(expected), -expected], axis=1)
    own = jnp.array([1, 0], dtype)
    return Control(
        transition=jnp.eye(2, dtype=dtype)[None] + moved,
        effect=jnp.stack([-ones, zeros], axis=1),
        flow_state=expected,
        flow_trade=ones,
        price_state=jnp.broadcast_to(kappa * own, (steps, 2)),
        price_trade=(steps - kappa / 2) * ones,
        rule=play.arbitrageur_rules,
    )


def _padded(play: HiddenTargetPlay) -> tuple[Array, Array]:
    """Return both rules as rows on (r, q, m, net position)."""
    rule = jnp.pad(play.trader_rules, ((0, 0), (0, 1)))
    return rule, jnp.pad(play.arbitrageur_rules, ((0, 0), (1, 1)))


def _noise_sum(forms: Array, variances: Array, index: int) -> Array:
    """Sum what every step's noise adds through the belief that it leads to."""
    return (variances[:-1] * forms[1:, index, index]).sum()


def _quadratic(form: Array, state: Array) -> Array:
    return product(state, product(form, state))
