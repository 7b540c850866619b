"""Bayesian equilibria under uncertain impact, by one dense linear system.

For every type k, with mu_k the price of its target,

    (G_k + G_k') a_k + G_k E[y | k] - mu_k 1 = 0,   1' a_k = V_k:

types (T + 1) equations in as many unknowns. Own costs are convex, so that solutions of
the system are the equilibria and nothing else is.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from gtrade._checks import check_integer
from gtrade.numerics.precision import product
from gtrade.problems.uncertain_impact import Trades, UncertainImpact
from gtrade.responses.impact_models import smallest_curvatures
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver


class LinearSystem(AbstractSolver):
    """Solve for all types' trades at once.

    Attributes:
        num_points: equally spaced times between which there is one trade each, so that
            there are num_points - 1 trades (static).
    """

    num_points: int = eqx.field(static=True, default=65)

    def __check_init__(self) -> None:
        """Check the number of points."""
        self.validate(num_points=self.num_points)

    @classmethod
    def validate(cls, *, num_points: Any = 65) -> None:
        """Raise ValueError for inadmissible numbers."""
        check_integer(num_points=num_points, at_least=3)

    def solve(
        self, problem: UncertainImpact, *, key: PRNGKeyArray | None = None
    ) -> Solution[Trades]:
        """Solve one game.

        Returns:
            The equilibrium, with status `converged`, `stalled` (equations so close to
            singular that their solution means little), `nonfinite` or `invalid_input`
            (also where a type's own cost is not convex to rounding). The residual
            bounds the error relative to the largest unknown, in order of magnitude: the
            equations' residual relative to their terms, at least one rounding error,
            times their condition number.
        """
        game, is_valid = problem.admitted()
        num_trades = self.num_points - 1
        matrices = game.impact_matrices(num_trades)
        # Prices in units of each type's own impact.
        scale = num_trades * game.temporary_impacts + game.permanent_impacts
        scale = scale + game.transient_impacts
        matrices = matrices / scale[:, None, None]
        eps = jnp.finfo(matrices.dtype).eps
        is_convex = smallest_curvatures(matrices) > eps * num_trades
        is_valid = is_valid & is_convex.all()

        system, right = _equations(game, matrices)
        factors = jax.scipy.linalg.lu_factor(system)
        found = jax.scipy.linalg.lu_solve(factors, right)
        correction = right - product(system, found)
        found = found + jax.scipy.linalg.lu_solve(factors, correction)

        one = jnp.eye(len(right), dtype=system.dtype)
        inverse = jax.scipy.linalg.lu_solve(factors, one)
        condition = _norm(system) * _norm(inverse)
        rest = jnp.max(jnp.abs(right - product(system, found)))
        terms = jnp.max(product(jnp.abs(system), jnp.abs(found)) + jnp.abs(right))
        rest = rest / jnp.where(terms > 0, terms, 1)
        residual = jnp.maximum(rest, eps) * condition

        status = Status.where(residual <= eps**0.5, Status.converged, Status.stalled)
        is_finite = jnp.isfinite(residual) & jnp.isfinite(found).all()
        status = Status.where(is_finite, status, Status.nonfinite)
        status = Status.where(is_valid, status, Status.invalid_input)
        trades = found[: game.size * num_trades].reshape(game.size, num_trades)
        value = Trades(trades, condition)
        has_value = is_valid & is_finite
        value = jax.tree.map(lambda x: jnp.where(has_value, x, jnp.nan), value)
        residual = jnp.where(is_valid, residual, jnp.nan)
        return Solution(value, status, residual, jnp.zeros((), jnp.int32))


def _equations(
    game: UncertainImpact, matrices: Float[Array, "types trades trades"]
) -> tuple[Float[Array, "n n"], Float[Array, " n"]]:
    """Return matrix and right side: trades of all types first, then their prices mu."""
    size, num_trades = matrices.shape[:2]
    # Entry (k, t, l, s): what trades of type l in step s do to k's condition at t.
    coupled = game.beliefs()[:, None, :, None] * matrices[:, :, None, :]
    own = jnp.eye(size, dtype=matrices.dtype)[:, None, :, None]
    both = matrices + jnp.swapaxes(matrices, 1, 2)
    coupled = coupled + own * both[:, :, None, :]
    coupled = coupled.reshape(size * num_trades, size * num_trades)
    # Sums of trades in units of sqrt(T) keep the system's border in proportion.
    ones = jnp.ones((num_trades, 1), matrices.dtype) / num_trades**0.5
    border = jnp.kron(jnp.eye(size, dtype=matrices.dtype), ones)
    corner = jnp.zeros((size, size), matrices.dtype)
    system = jnp.block([[coupled, -border], [border.T, corner]])
    right = jnp.pad(game.targets / num_trades**0.5, [(size * num_trades, 0)])
    return system, right


def _norm(matrix: Float[Array, "n n"]) -> Float[Array, ""]:
    return jnp.max(jnp.abs(matrix).sum(axis=0))
