"""Evidence about transient impact: every firm's quadratic program, solved exactly."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade.numerics.precision import product, require_float64
from gtrade.problems.transient_impact import TransientImpact, TransientTrades
from gtrade.solution import Solution, has_value

# Relative to the largest target: what rounding in a narrower solve leaves.
_TARGET_TOLERANCE = 1e-3
# Trades this small, relative to the largest, have no sign worth reporting.
_SIGN_TOLERANCE = 1e-6


def verify_transient_impact(
    problem: TransientImpact,
    solver: Any,
    solution: Solution[TransientTrades],
    arrays: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Measure a profile of trades; see the catalog for the columns."""
    del solver
    require_float64("verification")
    value = jax.tree.map(lambda x: x.astype(jnp.float64), solution.value)
    trades, num_points = value.trades, value.trades.shape[-1]
    spacing = 1 / (num_points - 1)
    scale = jnp.maximum(jnp.abs(problem.targets).max(), jnp.finfo(jnp.float64).tiny)
    missing = trades.sum(axis=1) - problem.targets
    is_profile = jnp.abs(missing).max() <= _TARGET_TOLERANCE * scale
    # What a narrower solve misses of a target is traded evenly before costs are read.
    trades = trades - missing[:, None] / num_points
    costs, gains, smallest = deviation_gains(problem, trades)
    profiles = jnp.stack([value.common, value.deviation])
    is_played = jnp.array([True, problem.num_firms > 1])  # one firm differs from none
    columns = {
        "exploitability": gains.max(),
        "welfare": costs.sum(),
        "expected_costs": costs,
        "temporary_costs": problem.temporary_cost * (trades**2).sum(axis=1),
        "initial_rates": trades[:, 0] / spacing,
        "initial_trades": trades[:, 0],
        "final_trades": trades[:, -1],
        "is_alternating": jax.vmap(_alternates)(profiles) & is_played,
        "critical_temporary_cost": problem.critical_temporary_costs,
        "smallest_eigenvalue": smallest,
    }
    has_answer = has_value(solution.status) & is_profile
    blank = {"b": False, "f": jnp.nan}
    columns = {
        name: jnp.where(has_answer, x, jnp.asarray(blank[x.dtype.kind], x.dtype))
        for name, x in columns.items()
    }
    kept = {
        "schedules": jnp.cumsum(trades, axis=1),
        "trades": trades,
        "profiles": profiles,
        "times": jnp.arange(num_points, dtype=jnp.float64) * spacing,
    }
    return columns | {name: kept[name] for name in arrays}


def deviation_gains(
    problem: TransientImpact, trades: Float[Array, "firms points"]
) -> tuple[Float[Array, " firms"], Float[Array, " firms"], Float[Array, ""]]:
    """Return costs, exact gains from the best deviation, and the least curvature.

    A firm's cost is `x' A x / 2 + g' x` with one matrix A for all and g the impact of
    the others' trades; what A is worth is read from its spectrum, never from the linear
    systems of an equilibrium. At the best x under `1'x = target`, A x + g is a multiple
    of 1, so a feasible firm gains half the A-norm of its distance from it: a sum of
    squares, in which nothing cancels.

    Returns:
        Costs and gains, shape (firms,), and the smallest eigenvalue of A, shape ().
    """
    num_points = trades.shape[-1]
    eigenvalues, vectors = jnp.linalg.eigh(problem.own_cost_matrix(num_points))
    others = trades.sum(axis=0)[None] - trades
    pressure = product(others, problem.others_impact(num_points).T)

    # Coordinates in which A is the identity.
    root = jnp.sqrt(jnp.maximum(eigenvalues, jnp.finfo(eigenvalues.dtype).tiny))
    ones = vectors.sum(axis=0) / root
    gradient = product(trades, vectors) * root[None]
    gradient = gradient + product(pressure, vectors) / root[None]
    price = product(gradient, ones) / product(ones, ones)
    distance = gradient - price[:, None] * ones[None]
    gains = (distance**2).sum(axis=1) / 2
    return problem.costs(trades), gains, eigenvalues[0]


def _alternates(profile: Float[Array, " points"]) -> Array:
    """Return whether neighbouring trades have opposite signs anywhere."""
    threshold = _SIGN_TOLERANCE * jnp.abs(profile).max()
    is_buy, is_sale = profile > threshold, profile < -threshold
    return ((is_buy[1:] & is_sale[:-1]) | (is_sale[1:] & is_buy[:-1])).any()
