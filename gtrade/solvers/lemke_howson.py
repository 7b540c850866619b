"""Nash equilibria of bimatrix games by complementary pivoting (Lemke & Howson 1964)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gtrade._arrays import as_float, as_int
from gtrade._checks import check_integer, check_positive, check_shape
from gtrade.numerics.precision import require_float64
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.bimatrix import BimatrixGame
from gtrade.problems.strategies import MixedPair
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.complementary_pivoting import pivot_to_equilibrium


class LemkeHowson(AbstractSolver):
    """Find one Nash equilibrium of a bimatrix game by Lemke-Howson pivoting.

    Attributes:
        tol: largest gain from a deviation, relative to the range of a player's costs,
            that counts as none, shape ().
        initial_label: label that is dropped first, from 0, modulo rows + cols: other
            labels may lead to other equilibria, shape ().
        max_pivots: pivots of one start before the next label is tried (static).
        num_starts: labels that are tried before giving up (static); each once at most.
    """

    tol: Float[Array, ""] = eqx.field(converter=as_float, default=1e-10)
    initial_label: Int[Array, ""] = eqx.field(converter=as_int, default=0)
    max_pivots: int = eqx.field(static=True, default=2000)
    num_starts: int = eqx.field(static=True, default=10)

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_shape((), tol=self.tol, initial_label=self.initial_label)
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls,
        *,
        tol: Any = 1e-10,
        initial_label: Any = 0,
        max_pivots: Any = 2000,
        num_starts: Any = 10,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_positive(tol=tol)
        check_integer(initial_label=initial_label, at_least=0)
        check_integer(max_pivots=max_pivots, at_least=1)
        check_integer(num_starts=num_starts, at_least=1)

    def solve(
        self, problem: BimatrixGame, *, key: PRNGKeyArray | None = None
    ) -> Solution[MixedPair]:
        """Pivot until an equilibrium is reached.

        Returns:
            The strategies, with status `converged`, `stalled` (no start met `tol`; the
            best is returned) or `invalid_input`; the residual is the largest gain from
            a deviation relative to the range of a player's costs, `num_steps` counts
            pivots.

        Raises:
            ValueError: if float64 is off.
        """
        require_float64("lemke-howson")
        game = problem
        rows, cols = game.shape
        is_valid = (
            jnp.isfinite(game.costs_row).all() & jnp.isfinite(game.costs_col).all()
        )
        found = pivot_to_equilibrium(
            # Narrower matrices are solved in float64 too.
            jnp.where(is_valid, game.costs_row, 0).astype(jnp.float64),
            jnp.where(is_valid, game.costs_col, 0).astype(jnp.float64),
            tol=self.tol,
            initial_label=self.initial_label,
            max_pivots=self.max_pivots,
            num_starts=min(self.num_starts, rows + cols),
        )
        status = Status.where(found.gap <= self.tol, Status.converged, Status.stalled)
        status = Status.where(is_valid, status, Status.invalid_input)
        pair = MixedPair(found.row, found.col)
        pair = jax.tree.map(lambda x: jnp.where(is_valid, x, jnp.nan), pair)
        residual = jnp.where(is_valid, found.gap, jnp.nan)
        return Solution(pair, status, residual, found.num_pivots)
