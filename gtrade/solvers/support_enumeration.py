"""All Nash equilibria of tiny bimatrix games, by trying every pair of supports.

In a nondegenerate game the supports of an equilibrium are of one size, and each pair of
supports holds at most one equilibrium: the solution of two small linear systems that
make each player indifferent (von Stengel 2002, algorithm 3.4). Of degenerate games, in
which equilibria come in continua, those are found that such systems determine.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gtrade._arrays import as_float
from gtrade._checks import InadmissibleError, check_positive, check_shape
from gtrade.numerics.precision import require_float64
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.bimatrix import BimatrixGame
from gtrade.problems.strategies import MixedPairs
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver

# Pairs of supports beyond which enumeration is refused: 8 x 8 has 12 869.
_MOST_PAIRS = 20_000
# Probabilities up to this are rounding.
_ZERO = 1e-13


class SupportEnumeration(AbstractSolver):
    """Find every equilibrium with supports of one size; for games up to about 8 x 8.

    Attributes:
        tol: rounding allowed in probabilities and gains, relative to the range of a
            player's costs, shape ().
    """

    tol: Float[Array, ""] = eqx.field(converter=as_float, default=1e-9)

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_shape((), tol=self.tol)
        validate_if_concrete(self)

    @classmethod
    def validate(cls, *, tol: Any = 1e-9) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_positive(tol=tol)

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError for games with too many pairs of supports."""
        del numbers
        name = "costs_row" if problem.get("costs_row") is not None else "payoffs_row"
        shape = np.shape(problem[name])[-2:]
        if num_support_pairs(*shape) > _MOST_PAIRS:
            rule = f"have at most {_MOST_PAIRS} pairs of supports; lemke-howson has no"
            raise InadmissibleError(name, f"{rule} limit", f"a {shape} matrix")

    def solve(
        self, problem: BimatrixGame, *, key: PRNGKeyArray | None = None
    ) -> Solution[MixedPairs]:
        """Try all pairs of supports.

        Returns:
            The equilibria, padded to the number of pairs, with status `converged`,
            `stalled` (a degenerate game of which none was found) or `invalid_input`;
            the residual is the largest relative gain among them, `num_steps` the number
            of pairs tried.

        Raises:
            ValueError: if float64 is off or the game is too large.
        """
        require_float64("support-enumeration")
        rows, cols = problem.shape
        num_pairs = num_support_pairs(rows, cols)
        if num_pairs > _MOST_PAIRS:
            raise ValueError(
                f"support-enumeration tries at most {_MOST_PAIRS} pairs of supports;"
                f" a {rows} x {cols} game has {num_pairs}"
            )
        game = problem
        is_valid = (
            jnp.isfinite(game.costs_row).all() & jnp.isfinite(game.costs_col).all()
        )
        cost_row = _scaled(_wide(game.costs_row, is_valid))
        cost_col = _scaled(_wide(game.costs_col, is_valid))
        supports = _support_pairs(rows, cols)

        def try_pair(pair):
            in_row, in_col = pair
            # The column player's mixture makes the row player indifferent.
            col = _indifferent(cost_row, in_row, in_col)
            row = _indifferent(cost_col.T, in_col, in_row)
            gap = _gap(cost_row, cost_col, row, col)
            tol = self.tol.astype(cost_row.dtype)
            is_found = (row >= -tol).all() & (col >= -tol).all() & (gap <= tol)
            # Each support is met exactly, so that no equilibrium is found twice.
            is_found &= (row > _ZERO).sum() == in_row.sum()
            is_found &= (col > _ZERO).sum() == in_col.sum()
            row, col = jnp.maximum(row, 0), jnp.maximum(col, 0)
            return row / row.sum(), col / col.sum(), is_found, gap

        row, col, is_found, gap = jax.lax.map(try_pair, supports, batch_size=256)
        order = jnp.argsort(~is_found, stable=True)
        is_found = is_found[order] & is_valid
        pairs = MixedPairs(
            jnp.where(is_found[:, None], row[order], 0),
            jnp.where(is_found[:, None], col[order], 0),
            is_found,
        )
        status = Status.where(is_found.any(), Status.converged, Status.stalled)
        status = Status.where(is_valid, status, Status.invalid_input)
        found_gap = jnp.where(is_found, gap[order], 0).max()
        residual = jnp.where(is_found.any(), found_gap, gap.min())
        residual = jnp.where(is_valid, residual, jnp.nan)
        num_steps = jnp.asarray(num_pairs, jnp.int32)
        return Solution(pairs, status, residual, num_steps)


def num_support_pairs(rows: int, cols: int) -> int:
    """Return the number of pairs of supports of one size."""
    sizes = range(1, min(rows, cols) + 1)
    return sum(math.comb(rows, k) * math.comb(cols, k) for k in sizes)


def _support_pairs(rows: int, cols: int) -> tuple[Array, Array]:
    """Return all pairs of supports of one size as masks, small supports first."""
    in_row, in_col = [], []
    for size in range(1, min(rows, cols) + 1):
        for one in itertools.combinations(range(rows), size):
            for other in itertools.combinations(range(cols), size):
                in_row.append(np.isin(np.arange(rows), one))
                in_col.append(np.isin(np.arange(cols), other))
    return jnp.asarray(np.array(in_row)), jnp.asarray(np.array(in_col))


def _wide(costs, is_valid):
    """Return costs in float64, zeros for inadmissible ones."""
    return jnp.where(is_valid, costs, 0).astype(jnp.float64)


def _scaled(costs):
    """Return costs with least value 0 and range 1."""
    span = costs.max() - costs.min()
    return (costs - costs.min()) / jnp.where(span > 0, span, 1)


def _indifferent(costs, own, other):
    """Return the other's mixture that makes all own strategies in a support cost alike.

    The system is padded: probabilities off the support are zero, and rows off the own
    support fall away. NaN or infinite where it is singular.
    """
    num_own, num_other = costs.shape
    size = max(num_own, num_other)
    order_own = jnp.argsort(~own, stable=True)
    order_other = jnp.argsort(~other, stable=True)
    count = own.sum()
    place = jnp.arange(size)
    block = jnp.zeros((size, size), costs.dtype)
    block = block.at[:num_own, :num_other].set(costs[order_own][:, order_other])
    inside = place < count
    is_inside = inside[:, None] & inside[None]
    block = jnp.where(is_inside, block, jnp.eye(size, dtype=costs.dtype))
    ones = inside.astype(costs.dtype)
    matrix = jnp.zeros((size + 1, size + 1), costs.dtype)
    matrix = matrix.at[:size, :size].set(block)
    matrix = matrix.at[:size, size].set(-ones).at[size, :size].set(ones)
    right = jnp.zeros(size + 1, costs.dtype).at[size].set(1)
    solved = jnp.linalg.solve(matrix, right)[:size]
    solved = jnp.where(inside, solved, 0)[:num_other]
    return jnp.zeros(num_other, costs.dtype).at[order_other].set(solved)


def _gap(cost_row, cost_col, row, col):
    highest = jax.lax.Precision.HIGHEST
    ahead = jnp.matmul(cost_row, col, precision=highest)
    behind = jnp.matmul(row, cost_col, precision=highest)
    gap = jnp.maximum(
        (row * (ahead - ahead.min())).sum(), (col * (behind - behind.min())).sum()
    )
    return jnp.where(jnp.isfinite(gap), gap, jnp.inf)
