"""Solutions of position games: residuals, statuses, NaN where there is no answer."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gtrade._checks import InadmissibleError
from gtrade.numerics.precision import product
from gtrade.problems.position_building import PositionBuilding
from gtrade.problems.position_paths import PositionPaths
from gtrade.solution import Solution, Status


def check_unbounded(name: str, problem: Mapping[str, Any]) -> None:
    """Refuse bounds among a problem's numbers."""
    for side in ("lower", "upper"):
        if problem.get(side) is not None:
            rule = f"be left out for {name}; constrained takes bounds"
            raise InadmissibleError(side, rule, problem[side])


def require_unbounded(name: str, game: PositionBuilding) -> None:
    """Refuse a problem with bounds."""
    if game.is_bounded:
        raise ValueError(f"bounds must be left out for {name}; constrained takes them")


def size_of(game: PositionBuilding) -> Float[Array, ""]:
    """Return the largest target or believed flow, in shares; 1 if all are zero."""
    largest = jnp.maximum(
        jnp.max(jnp.abs(game.targets)), jnp.max(jnp.abs(game.non_strategic))
    )
    return jnp.where(largest > 0, largest, 1)


def reachable(tol: Float[Array, ""], dtype: Any) -> Float[Array, ""]:
    """Return a relative tolerance, no smaller than rounding allows."""
    return jnp.maximum(tol.astype(dtype), 32 * float(jnp.finfo(dtype).eps))


def safe_step(game: PositionBuilding, *, has_risk: bool = True) -> Float[Array, ""]:
    """Return a step length for gradients in rates that contracts.

    On the mode exp(2 pi i n t) gradient play acts with A + K P / (2 pi i n), where
    A = 2 I + P has eigenvalues a in [1, N + 1] and K P / (2 pi i n) imaginary ones up
    to b = kappa (N - 1) / (2 pi), so the step has to stay below 2 a / (a^2 + b^2). Half
    of that is taken. Risk aversion adds at most risk / pi^2 to a.

    Args:
        game: the game.
        has_risk: whether steps feel risk aversion; best responses have met it.
    """
    risk = jnp.max(game.risk_aversions) if has_risk else 0
    high = game.num_firms + 1 + risk / jnp.pi**2
    drift = jnp.max(game.permanent_impacts) * (game.num_firms - 1) / (2 * jnp.pi)
    return jnp.minimum(1 / (1 + drift**2), high / (high**2 + drift**2))


def first_integral_residual(
    game: PositionBuilding, paths: PositionPaths, *, has_risk: bool = True
) -> Float[Array, ""]:
    """Return how far first-order conditions, integrated once, are from constants.

    Along a best response 2 x' + y' + u' + kappa (y + u) - 2 risk int x is constant,
    y being what the type expects of the others. Relative to the largest rate or
    position times impact.

    Args:
        game: the game.
        paths: of all types.
        has_risk: whether there can be risk aversion (static).
    """
    times = paths.rule.times
    impacts = game.permanent_impacts[:, None]
    others = game.expected_others(paths.rates) + game.flow_rates(times)
    moved = impacts * (game.expected_others(paths.positions) + game.flow(times))
    terms = [2 * paths.rates, others, moved]
    if has_risk:
        table = jnp.asarray(paths.rule.cumulative(times).T, paths.rates.dtype)
        held = product(paths.positions, table)
        terms.append(-2 * game.risk_of_types[:, None] * held)
    integral = sum(terms)
    spread = jnp.max(integral, axis=1) - jnp.min(integral, axis=1)
    scale = sum(jnp.max(jnp.abs(x)) for x in terms)
    return jnp.max(spread) / jnp.where(scale > 0, scale, 1)


def answer(
    game: PositionBuilding,
    paths: PositionPaths,
    residual: Float[Array, ""],
    is_valid: Bool[Array, ""],
) -> Solution[PositionPaths]:
    """Return the solution of a direct method: no steps, judged by its residual.

    Rates whose quadrature misses the targets count as well: their layers are thinner
    than the nodes resolve, and costs would be wrong.
    """
    missed = jnp.max(jnp.abs(paths.integrals(paths.rates) - game.targets))
    residual = jnp.maximum(residual, missed / size_of(game))
    tol = jnp.finfo(residual.dtype).eps ** 0.5
    status = Status.where(residual <= tol, Status.converged, Status.stalled)
    status = Status.where(jnp.isfinite(residual), status, Status.nonfinite)
    return finish(paths, status, residual, jnp.zeros((), jnp.int32), is_valid)


def finish(
    paths: PositionPaths,
    status: Status,
    residual: Float[Array, ""],
    num_steps: Array,
    is_valid: Bool[Array, ""],
) -> Solution[PositionPaths]:
    """Return a solution, with NaN for everything where the game was inadmissible."""
    status = Status.where(is_valid, status, Status.invalid_input)
    has_value = is_valid & (status != Status.nonfinite)
    paths = jax.tree.map(lambda x: jnp.where(has_value, x, jnp.nan), paths)
    return Solution(paths, status, jnp.where(is_valid, residual, jnp.nan), num_steps)
