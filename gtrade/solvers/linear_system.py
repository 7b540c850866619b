"""Bayesian equilibria under uncertain impact, by one dense linear system.

For every type k, with mu_k the price of its target,

    (G_k + G_k') a_k + G_k E[y | k] - mu_k 1 = 0,   1' a_k = V_k:

types (T + 1) equations in as many unknowns. Own costs are convex, so that solutions of
the system are the equilibria and nothing else is.

Every type's best response to expected trades y is linear, e_k V_k - W_k y, from one
Cholesky factorisation. Responses of the firm with most types, none of which faces
another, are put into the others'; theirs are eliminated together.
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gtrade._checks import check_integer
from gtrade.numerics.condition import refined
from gtrade.numerics.precision import product
from gtrade.problems.types import firm_of_type
from gtrade.problems.uncertain_impact import Trades, UncertainImpact
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver


class LinearSystem(AbstractSolver):
    """Solve for all types' trades at once.

    Attributes:
        num_points: equally spaced times between which there is one trade each, so that
            there are num_points - 1 trades (static).
    """

    num_points: int = eqx.field(static=True, default=65)

    cpu_block: ClassVar[int | None] = 4  # their matrices stay in cache

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
            times their condition number, as estimated.
        """
        game, is_valid = problem.admitted()
        num_trades = self.num_points - 1
        matrices = game.impact_matrices(num_trades)
        # Prices in units of each type's own impact.
        scale = num_trades * game.temporary_impacts + game.permanent_impacts
        scale = scale + game.transient_impacts
        matrices = matrices / scale[:, None, None]
        eps = jnp.finfo(matrices.dtype).eps
        is_convex = game.least_curvatures(num_trades) / scale > eps * num_trades
        is_valid = is_valid & is_convex.all()

        system = _System(game.beliefs(), matrices)
        solve = _elimination(system, game.num_types)
        # Sums of trades in units of sqrt(T) keep the system's border in proportion.
        sums = game.targets / num_trades**0.5
        right = jnp.pad(sums, [(system.size * num_trades, 0)])[:, None]
        found, inverse_norm = refined(system.times, solve, right)
        condition = system.norm() * inverse_norm
        rest = jnp.max(jnp.abs(right - system.times(found)))
        terms = jnp.max(system.magnitudes().times(jnp.abs(found)) + jnp.abs(right))
        rest = rest / jnp.where(terms > 0, terms, 1)
        residual = jnp.maximum(rest, eps) * condition

        status = Status.where(residual <= eps**0.5, Status.converged, Status.stalled)
        is_finite = jnp.isfinite(residual) & jnp.isfinite(found).all()
        status = Status.where(is_finite, status, Status.nonfinite)
        status = Status.where(is_valid, status, Status.invalid_input)
        trades = found[: system.size * num_trades].reshape(system.size, num_trades)
        value = Trades(trades, condition)
        has_value = is_valid & is_finite
        value = jax.tree.map(lambda x: jnp.where(has_value, x, jnp.nan), value)
        residual = jnp.where(is_valid, residual, jnp.nan)
        return Solution(value, status, residual, jnp.zeros((), jnp.int32))


class _System(eqx.Module):
    """The matrix: trades of all types first, then their prices mu.

    Attributes:
        beliefs: P, shape (types, types).
        impacts: G of every type.
        own: G + G' of every type.
        border: what prices count for in conditions, minus what trades do in sums.
    """

    beliefs: Float[Array, "types types"]
    impacts: Float[Array, "types trades trades"]
    own: Float[Array, "types trades trades"]
    border: Float[Array, ""]

    def __init__(self, beliefs: Array, impacts: Array, own: Any = None, sign: int = -1):
        """Store the matrices."""
        self.beliefs, self.impacts = beliefs, impacts
        self.own = impacts + jnp.swapaxes(impacts, 1, 2) if own is None else own
        self.border = jnp.asarray(sign / impacts.shape[1] ** 0.5, impacts.dtype)

    @property
    def size(self) -> int:
        """Number of types."""
        return len(self.impacts)

    def split(self, columns: Array) -> tuple[Array, Array]:
        """Return trades, shape (types, trades, m), and prices, shape (types, m)."""
        shape = (*self.impacts.shape[:2], -1)
        cut = self.size * shape[1]
        return columns[:cut].reshape(shape), columns[cut:]

    def times(self, columns: Float[Array, "n m"]) -> Float[Array, "n m"]:
        """Return the product with some columns."""
        trades, prices = self.split(columns)
        expected = jnp.tensordot(self.beliefs, trades, 1, precision="highest")
        above = product(self.impacts, expected) + product(self.own, trades)
        above = above + self.border * prices[:, None]
        below = jnp.abs(self.border) * trades.sum(axis=1)
        return jnp.concatenate([above.reshape(-1, columns.shape[1]), below])

    def magnitudes(self) -> "_System":
        """Return the matrix of absolute values."""
        return _System(self.beliefs, jnp.abs(self.impacts), jnp.abs(self.own), 1)

    def norm(self) -> Float[Array, ""]:
        """Return the largest sum of magnitudes in a column."""
        num_trades = self.impacts.shape[1]
        faced = product(self.beliefs.T, jnp.abs(self.impacts).sum(axis=1))
        sums = faced + jnp.abs(self.own).sum(axis=1) + jnp.abs(self.border)
        return jnp.maximum(jnp.max(sums), num_trades**0.5)


def _elimination(
    system: _System, num_types: tuple[int, ...]
) -> Callable[[Float[Array, "n m"]], Float[Array, "n m"]]:
    """Factorise; return what solves for columns of right sides."""
    size, num_trades = system.impacts.shape[:2]
    one = jnp.eye(num_trades, dtype=system.impacts.dtype)
    factor = jnp.linalg.cholesky(system.own)
    half = jax.lax.linalg.triangular_solve(
        factor, jnp.broadcast_to(one, factor.shape), left_side=True, lower=True
    )
    inverse = product(jnp.swapaxes(half, 1, 2), half)
    # What a price does to trades; with prices such that the sum stays, N.
    lift = inverse.sum(axis=2)
    total = lift.sum(axis=1)[:, None]
    share = lift / total
    bound = inverse - lift[:, :, None] * share[:, None, :]
    responses = product(bound, system.impacts)  # W

    firms = firm_of_type(num_types)
    (first,) = np.nonzero(firms == np.argmax(num_types))
    (rest,) = np.nonzero(firms != np.argmax(num_types))
    beliefs = system.beliefs
    to_first, to_rest = beliefs[rest][:, first], beliefs[first][:, rest]
    if len(rest):
        through = jnp.einsum(
            "lf,fm,fts->ltms", to_first, to_rest, responses[first], precision="highest"
        )
        faced = (
            beliefs[rest][:, rest][:, None, :, None] * one[None, :, None, :] - through
        )
        order = len(rest) * num_trades
        reduced = product(responses[rest], faced.reshape(len(rest), num_trades, order))
        reduced = reduced.reshape(order, order) + jnp.eye(order, dtype=one.dtype)
        factors, _, order_of_rows = jax.lax.linalg.lu(reduced)

    def respond(types: np.ndarray, beliefs: Array, trades: Array) -> Array:
        expected = jnp.tensordot(beliefs, trades, 1, precision="highest")
        return product(responses[types], expected)

    def solve(columns: Array) -> Array:
        right, sums = system.split(columns)
        sums = sums * num_trades**0.5
        alone = product(bound, right) + share[:, :, None] * sums[:, None]
        trades = alone[first]
        if len(rest):
            left = alone[rest] - respond(rest, to_first, trades)
            flat = left.reshape(-1, columns.shape[1])
            triangular = functools.partial(
                jax.lax.linalg.triangular_solve, factors, left_side=True
            )
            flat = triangular(flat[order_of_rows], lower=True, unit_diagonal=True)
            others = triangular(flat).reshape(left.shape)
            trades = trades - respond(first, to_rest, others)
            both = jnp.concatenate([trades, others])
            trades = both[np.argsort(np.concatenate([first, rest]))]
        expected = jnp.tensordot(beliefs, trades, 1, precision="highest")
        right = right - product(system.impacts, expected)
        prices = (sums - (lift[:, :, None] * right).sum(axis=1)) / total
        flat = trades.reshape(-1, columns.shape[1])
        return jnp.concatenate([flat, prices * num_trades**0.5])

    return solve
