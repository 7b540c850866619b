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
from gtrade.numerics.elimination import solve_lanes
from gtrade.numerics.lanes import in_blocks, lanes_last
from gtrade.numerics.precision import require_float64
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.bimatrix import BimatrixGame
from gtrade.problems.strategies import MixedPairs
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver

# Pairs of supports beyond which enumeration is refused: 8 x 8 has 12 869.
_MOST_PAIRS = 20_000
# Pairs of supports that are tried at once, and pairs in all lanes that a CPU tries at
# once.
_MOST_AT_ONCE = 256
_BLOCK_SIZE = 2**11
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
        try_pairs = in_blocks(_try_all_pairs, max(_BLOCK_SIZE // num_pairs, 8))
        row, col, is_found, gap = lanes_last(try_pairs)(
            cost_row, cost_col, self.tol.astype(cost_row.dtype)
        )
        order = _found_first(is_found)
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


def _supports(num_strategies: int, size: int) -> np.ndarray:
    """Return all supports of a size, shape (supports, size)."""
    chosen = itertools.combinations(range(num_strategies), size)
    return np.array(list(chosen), np.int32)


def _wide(costs, is_valid):
    """Return costs in float64, zeros for inadmissible ones."""
    return jnp.where(is_valid, costs, 0).astype(jnp.float64)


def _scaled(costs):
    """Return costs with least value 0 and range 1."""
    span = costs.max() - costs.min()
    return (costs - costs.min()) / jnp.where(span > 0, span, 1)


def _found_first(is_found):
    """Return an order of the pairs that puts those found first; cheaper than a sort."""
    places = jnp.arange(len(is_found), dtype=jnp.int32)
    rank = jnp.cumsum(is_found, dtype=jnp.int32)
    place = jnp.where(is_found, rank - 1, rank[-1] + places - rank)
    return jnp.zeros_like(places).at[place].set(places, unique_indices=True)


def _try_all_pairs(cost_row, cost_col, tol):
    """Try all pairs of supports, small ones first, in lanes of games.

    Args:
        cost_row: scaled, shape (rows, cols, lanes).
        cost_col: same shape.
        tol: shape (lanes,).

    Returns:
        Mixtures, (pairs, rows, lanes) and (pairs, cols, lanes), whether each pair is an
        equilibrium, and its gap, both (pairs, lanes).
    """
    rows, cols, _ = cost_row.shape
    tried = []
    for size in range(1, min(rows, cols) + 1):
        in_row, in_col = _supports(rows, size), _supports(cols, size)
        num_pairs = len(in_row) * len(in_col)
        pairs = (
            np.repeat(in_row, len(in_col), axis=0),
            np.tile(in_col, (len(in_row), 1)),
        )
        # The last block is filled up with the first pairs.
        num_blocks = -(-num_pairs // _MOST_AT_ONCE)
        shape = (num_blocks, -(-num_pairs // num_blocks), size)
        blocks = [jnp.asarray(np.resize(x, shape).swapaxes(1, 2)) for x in pairs]
        found = jax.lax.map(
            lambda block: _try_pairs(cost_row, cost_col, tol, *block), blocks
        )
        tried.append([x.reshape(-1, *x.shape[2:])[:num_pairs] for x in found])
    return tuple(jnp.concatenate(x) for x in zip(*tried, strict=True))


def _try_pairs(cost_row, cost_col, tol, in_row, in_col):
    """Try pairs of supports of one size, given by their strategies, (size, pairs)."""
    rows, cols, _ = cost_row.shape
    # The column player's mixture makes the row player indifferent, and vice versa.
    blocks = [
        cost_row[in_row[:, None], in_col[None]],
        cost_col[in_row[None], in_col[:, None]],
    ]
    in_use = _indifferent(jnp.stack(blocks, axis=2))
    col, row = _spread(in_use[:, 0], in_col, cols), _spread(in_use[:, 1], in_row, rows)
    is_full = (in_use > _ZERO).all(axis=(0, 1))
    ahead = (cost_row[:, :, None] * col[None]).sum(axis=1)
    behind = (cost_col[:, :, None] * row[:, None]).sum(axis=0)
    gap = jnp.maximum(
        (row * (ahead - ahead.min(axis=0)[None])).sum(axis=0),
        (col * (behind - behind.min(axis=0)[None])).sum(axis=0),
    )
    gap = jnp.where(jnp.isfinite(gap), gap, jnp.inf)
    row, col = jnp.maximum(row, 0), jnp.maximum(col, 0)
    row, col = row / row.sum(axis=0)[None], col / col.sum(axis=0)[None]
    # Each support is met exactly, so that no equilibrium is found twice.
    is_found = is_full & (gap <= tol[None])
    return row.swapaxes(0, 1), col.swapaxes(0, 1), is_found, gap


def _indifferent(costs):
    """Return mixtures of the others that make all own strategies cost alike.

    Args:
        costs: own strategies by the others', shape (size, size, ...).

    Returns:
        Probabilities that add up to 1, shape (size, ...). NaN or infinite where the
        system is singular.
    """
    # Costs relative to the first own strategy vanish, and the last probability is
    # what the others leave.
    above = costs[1:] - costs[:1]
    last = above[:, -1:]
    first = solve_lanes(above[:, :-1] - last, -last)[:, 0]
    return jnp.concatenate([first, 1 - first.sum(axis=0)[None]])


def _spread(in_use, support, num_strategies):
    """Put probabilities on supports where their strategies are."""
    strategies = np.arange(num_strategies, dtype=np.int32)
    is_here = support[:, None] == strategies[None, :, None]
    return jnp.where(is_here[..., None], in_use[:, None], 0).sum(axis=0)
