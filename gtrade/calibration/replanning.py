"""Planning again while a position is traded, with what has been learnt so far."""

import dataclasses
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gtrade.calibration.impact_filter import Execution, ImpactBelief, update_impact
from gtrade.numerics.sinh_profile import first_change
from gtrade.problems.almgren_chriss import AlmgrenChriss
from gtrade.problems.almgren_chriss_portfolio import AlmgrenChrissPortfolio
from gtrade.problems.base import is_batch, replace_fields

Model = TypeVar("Model", AlmgrenChriss, AlmgrenChrissPortfolio)

# Net of permanent impact a plan counts on this share of temporary impact at least.
_LEAST_NET_IMPACT = 1e-6


def replan(
    problem: Model, holdings_left: Any, periods_left: int, **changes: Any
) -> Model:
    """Return the problem of the periods that are left.

    With the same numbers its optimum is the rest of the first one: mean and variance of
    what is still to come depend on holdings alone, so plans are consistent in time.

    Args:
        problem: of all periods, one or a batch.
        holdings_left: what is still to sell, as `shares` of the problem has it.
        periods_left: at least 1, at most those of the problem (static).
        **changes: numbers that are known better by now, such as `temporary_impact`, as
            the problem of all periods has them.

    Raises:
        ValueError: for inadmissible numbers.
        TypeError: if the problem has no such number.
    """
    if not 1 <= periods_left <= problem.num_periods:
        rule = f"periods_left must be between 1 and {problem.num_periods}"
        raise ValueError(f"{rule}; got {periods_left}")
    known = {
        "shares": jnp.asarray(holdings_left, problem.shares.dtype),
        "horizon": problem.horizon * (periods_left / problem.num_periods),
        "num_periods": periods_left,
    }
    if isinstance(problem, AlmgrenChriss) and problem.volumes is not None:
        # Temporary impact is that of a mean volume: now of the periods that are left.
        known["volumes"] = problem.volumes[..., problem.num_periods - periods_left :]
        impact = changes.pop("temporary_impact", problem.temporary_impact)
        known["temporary_impact"] = impact * _volume_factor(problem, periods_left)
    if is_batch(problem):
        return replace_fields(problem, **(known | changes))
    fields = {f.name: getattr(problem, f.name) for f in dataclasses.fields(problem)}
    return type(problem)(**(fields | known | changes))


def _volume_factor(problem: AlmgrenChriss, periods_left: int) -> Float[Array, "..."]:
    def one(problem: AlmgrenChriss) -> Float[Array, ""]:
        weights = problem.volume_weights[problem.num_periods - periods_left :]
        return weights.mean() ** -problem.exponent

    return (eqx.filter_vmap(one) if is_batch(problem) else one)(problem)


class TradedPath(eqx.Module):
    """A position that was traded, and what was believed meanwhile.

    Attributes:
        holdings: shape (points,).
        trades: shape (periods,).
        shortfall: what fills brought less than the first price, currency, shape ().
        objective: what the plan makes least, impact and fixed cost and risk aversion
            times the variance that holdings bring, at the true impact, currency, shape
            ().
        temporary_means: mean of the belief about temporary impact before each period
            and after the last, shape (points,).
        temporary_stds: its standard deviations, shape (points,).
        permanent_means: the same of permanent impact, shape (points,).
        permanent_stds: shape (points,).
    """

    holdings: Float[Array, " points"]
    trades: Float[Array, " periods"]
    shortfall: Float[Array, ""]
    objective: Float[Array, ""]
    temporary_means: Float[Array, " points"]
    temporary_stds: Float[Array, " points"]
    permanent_means: Float[Array, " points"]
    permanent_stds: Float[Array, " points"]


def trade_and_learn(
    problem: AlmgrenChriss,
    belief: ImpactBelief,
    shocks: Float[Array, "periods 2"],
    *,
    fill_noise_std: Float[Array, ""],
    learns: Bool[Array, ""] | bool = True,
) -> TradedPath:
    """Trade a position in a closed loop: plan, trade, see, learn, plan again.

    Every period takes the first trade of the optimum for what is left, under the
    beliefs of the moment (means given that impact is positive). So the trader does not
    trade in order to learn, only learns from what it trades.

    Args:
        problem: with the true impact, linear and the same in all periods; its other
            numbers are known to the trader. Volatility greater than 0.
        belief: the trader's, before the first period.
        shocks: standard normal, of the price and of the fill in every period.
        fill_noise_std: of the average fill of a period, currency, greater than 0.
        learns: whether beliefs are updated.

    Returns:
        What happened. The mean of `shortfall` is that of the costs in `objective`,
        whatever the beliefs: noise of a period comes after its trade was chosen.
    """
    if problem.impact_exponent is not None or problem.volumes is not None:
        raise ValueError("impact must be linear and the same in all periods")
    tau, fixed_cost = problem.period_length, problem.fixed_cost
    price_noise_std = problem.volatility * jnp.sqrt(tau)
    risk = problem.risk_aversion * problem.volatility**2 * tau

    def share(belief: ImpactBelief, periods_left: Float[Array, ""]) -> Array:
        temporary = belief.temporary.positive_mean
        net = temporary - tau * belief.permanent.positive_mean / 2
        net = jnp.maximum(net, _LEAST_NET_IMPACT * temporary)
        return first_change(risk * tau / net, periods_left)

    def step(state, row):
        belief, held, fallen = state
        (price_shock, fill_shock), periods_left = row
        sold = held * share(belief, periods_left)
        left = held - sold
        missed = fixed_cost * jnp.sign(sold) + problem.temporary_impact * sold / tau
        noise = fill_noise_std * fill_shock
        after = fallen + problem.permanent_impact * sold - price_noise_std * price_shock
        seen = Execution(sold, -fallen, -fallen - missed - noise, -after)
        updated = update_impact(
            belief,
            seen,
            period_length=tau,
            fixed_cost=fixed_cost,
            fill_noise_std=fill_noise_std,
            price_noise_std=price_noise_std,
        )
        updated = jax.tree.map(lambda x, y: jnp.where(learns, x, y), updated, belief)
        shortfall = -sold * seen.fill
        lasting = problem.permanent_impact * sold * left
        cost = sold * missed + lasting + risk * left**2
        return (updated, left, after), (belief, sold, left, shortfall, cost)

    periods_left = jnp.arange(problem.num_periods, 0, -1, dtype=problem.shares.dtype)
    start = (belief, problem.shares, jnp.zeros_like(problem.shares))
    state, rows = jax.lax.scan(step, start, (shocks, periods_left))
    beliefs, trades, left, shortfalls, costs = rows
    beliefs = jax.tree.map(lambda x, y: jnp.append(x, y), beliefs, state[0])
    return TradedPath(
        jnp.append(problem.shares, left),
        trades,
        shortfalls.sum(),
        costs.sum(),
        beliefs.temporary.mean,
        beliefs.temporary.std,
        beliefs.permanent.mean,
        beliefs.permanent.std,
    )
