"""Costs of decisions under every draw: the matrix that a value of information is from.

Rows are decisions, columns draws. The first row decides for the draws' average, row
1 + d for draw d alone. In both models costs are linear in the numbers that are drawn
(the variance, not the volatility), so that the first row is the best single decision.
For the value of knowing one number let the draws differ in it alone, the others at
their means.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from gtrade._arrays import as_float
from gtrade.numerics.precision import product
from gtrade.numerics.quadrature import Rule
from gtrade.problems.almgren_chriss import AlmgrenChriss
from gtrade.problems.base import replace_fields
from gtrade.problems.position_building import PositionBuilding
from gtrade.problems.position_paths import PositionPaths
from gtrade.solution import has_value
from gtrade.solvers.almgren_chriss import AlmgrenChrissClosedForm
from gtrade.solvers.spectral import Spectral


class DecisionCosts(eqx.Module):
    """What every decision costs under every draw.

    Attributes:
        decisions: trades of each period, or rates at the nodes of a quadrature rule,
            shape (1 + draws, ...).
        costs: NaN where numbers are not admissible, shape (1 + draws, draws).
        weights: of the draws, summing to 1, shape (draws,).
    """

    decisions: Float[Array, "decisions places"]
    costs: Float[Array, "decisions draws"]
    weights: Float[Array, " draws"]


def execution_costs(
    problems: AlmgrenChriss, weights: ArrayLike | None = None
) -> DecisionCosts:
    """Return the objectives E + lambda V of execution plans under every draw.

    Args:
        problems: a batch, one a draw; they may differ in volatility, impacts and fixed
            cost, and have everything else in common. With a power law for temporary
            impact costs are not linear in its exponent: the first plan is then that
            for the mean exponent, and not quite the best.
        weights: of the draws; equal if left out.
    """
    solver = AlmgrenChrissClosedForm()
    solutions = jax.vmap(solver.solve)(problems)
    is_good = has_value(solutions.status)
    share = _shares(weights, is_good, problems.shares.dtype)

    def mean(values: Array) -> Array:
        return (jnp.where(is_good, values, 0) * share).sum()

    first = jax.tree.map(lambda x: x[jnp.argmax(is_good)], problems)
    numbers: dict[str, Any] = {
        name: mean(getattr(problems, name))
        for name in ("permanent_impact", "temporary_impact", "fixed_cost")
    }
    numbers["volatility"] = jnp.sqrt(mean(problems.volatility**2))
    if problems.impact_exponent is not None:
        numbers["impact_exponent"] = mean(problems.impact_exponent)
    average = solver.solve(replace_fields(first, **numbers)).value.trades
    plans = jnp.concatenate([average[None], solutions.value.trades])

    def under(problem: AlmgrenChriss) -> Array:
        return jax.vmap(problem.objective)(plans)

    costs = jax.vmap(under, out_axes=1)(problems)
    return DecisionCosts(plans, jnp.where(is_good[None], costs, jnp.nan), share)


class Rivals(eqx.Module):
    """What a firm faces under every draw.

    Attributes:
        impacts: its kappa, shape (draws,).
        target: shares it ends with, shape ().
        positions: what the others hold together, at the nodes of `rule`, shares, shape
            (draws, nodes).
        rates: their trading rates, likewise.
        is_valid: whether a draw's numbers are admissible, shape (draws,).
        rule: quadrature on [0, 1] (static).
    """

    impacts: Float[Array, " draws"]
    target: Float[Array, ""]
    positions: Float[Array, "draws nodes"]
    rates: Float[Array, "draws nodes"]
    is_valid: Array
    rule: Rule = eqx.field(static=True)


def rivals_in_equilibrium(games: PositionBuilding, place: int = 0) -> Rivals:
    """Return what a type expects of the others where all play each draw's equilibrium.

    The others know what was drawn.

    Args:
        games: a batch, one a draw, with a common prior and no risk aversion or bounds.
        place: the type, in (firm, type) order; its target is that of the first draw.
    """
    solutions = jax.vmap(Spectral(num_points=2).solve)(games)
    paths = solutions.value

    def expected(game: PositionBuilding, quantity: Array) -> Array:
        return game.admitted()[0].expected_others(quantity)[place]

    is_valid = has_value(solutions.status)
    return Rivals(
        impacts=games.permanent_impacts[:, place],
        target=games.targets[jnp.argmax(is_valid), place],
        positions=jax.vmap(expected)(games, paths.positions),
        rates=jax.vmap(expected)(games, paths.rates),
        is_valid=is_valid,
        rule=paths.rule,
    )


def given_rivals(impacts: ArrayLike, target: ArrayLike, paths: PositionPaths) -> Rivals:
    """Return rivals that follow given paths, whatever was drawn.

    Args:
        impacts: the firm's kappa under every draw, shape (draws,).
        target: its target, shape ().
        paths: of one row, the others' sum.
    """
    impacts = as_float(impacts)
    shape = (impacts.shape[0], paths.rule.size)
    return Rivals(
        impacts=impacts,
        target=as_float(target),
        positions=jnp.broadcast_to(paths.positions, shape),
        rates=jnp.broadcast_to(paths.rates, shape),
        is_valid=jnp.isfinite(impacts) & (impacts >= 0),
        rule=paths.rule,
    )


def response_costs(rivals: Rivals, weights: ArrayLike | None = None) -> DecisionCosts:
    """Return a firm's costs of paths against its rivals under every draw.

    With y the others' positions, the cost is int (x' + y') x' + kappa (x + y) x' dt,
    and the best path has the rate

        x' = V + (c - y' - kappa y) / 2,   c = int y' + kappa y dt.

    Against several draws y' + kappa y is replaced by its mean.

    Args:
        rivals: and the firm's numbers.
        weights: of the draws; equal if left out.
    """
    dtype = rivals.positions.dtype
    is_good = rivals.is_valid
    share = _shares(weights, is_good, dtype)
    impacts = jnp.where(is_good, rivals.impacts, 0)
    price = rivals.rates + impacts[:, None] * rivals.positions
    price = jnp.where(is_good[:, None], price, 0)
    average = product(share[None, :], price)
    prices = jnp.concatenate([average, price])
    quadrature = jnp.asarray(rivals.rule.weights, dtype)
    constants = product(prices, quadrature[:, None])
    rates = rivals.target + (constants - prices) / 2
    own = product(rates**2, quadrature[:, None])
    held = impacts * rivals.target**2 / 2
    costs = own + held[None, :] + product(rates, (price * quadrature[None, :]).T)
    is_kept = jnp.concatenate([is_good.any()[None], is_good])
    costs = jnp.where(is_kept[:, None] & is_good[None, :], costs, jnp.nan)
    rates = jnp.where(is_kept[:, None], rates, jnp.nan)
    return DecisionCosts(rates, costs, share)


def _shares(weights: ArrayLike | None, is_good: Array, dtype: Any) -> Array:
    """Return weights that sum to 1 over the draws with admissible numbers."""
    if weights is None:
        weights = jnp.ones(is_good.shape[0], dtype)
    good = jnp.where(is_good, as_float(weights).astype(dtype), 0)
    total = good.sum()
    return good / jnp.where(total > 0, total, 1)
