"""Best responses under quadratic impact costs a' G (a + y), targets being fixed.

Trades that sum to a target differ by trades that sum to zero. Along those the cost is
a quadratic form, and a best response is one Cholesky factorisation away.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade.numerics.precision import product


@functools.cache
def zero_sum_basis(num_trades: int) -> np.ndarray:
    """Return an orthonormal basis of trades that sum to zero (Helmert's).

    Returns:
        Columns of length `num_trades`, shape (num_trades, num_trades - 1).
    """
    number = np.arange(1, num_trades)
    basis = np.triu(np.ones((num_trades, num_trades - 1)))
    basis[number, number - 1] = -number
    return basis / np.sqrt(number * (number + 1))


def smallest_curvatures(
    matrices: Float[Array, "models trades trades"],
) -> Float[Array, " models"]:
    """Return the least of h' G h over |h| = 1 summing to zero, for every G.

    Where it is positive, best responses exist and are unique.
    """
    return jnp.linalg.eigvalsh(_curvature(matrices) / 2)[:, 0]


def savings(
    matrices: Float[Array, "models trades trades"],
    trades: Float[Array, "types trades"],
    others: Float[Array, "types trades"],
) -> Float[Array, "models types"]:
    """Return what each type could save by other trades, were each model true.

    Moving from a to a + h changes the cost by g' h + h' G h, g = (G + G') a + G y. With
    a basis of trades that sum to zero in the columns of Z, the best of them saves

        g' Z (Z' (G + G') Z)^-1 Z' g / 2.

    Args:
        matrices: G of every model; positive definite on trades that sum to zero.
        trades: own trades a of every type.
        others: the others' trades y as that type expects them.
    """
    both = matrices + jnp.swapaxes(matrices, 1, 2)
    gradient = product(both, trades.T[None]) + product(matrices, others.T[None])
    basis = _basis(matrices)
    inner = product(basis.T[None], gradient)  # (models, trades - 1, types)
    factor = jnp.linalg.cholesky(_curvature(matrices))
    half = jax.lax.linalg.triangular_solve(factor, inner, left_side=True, lower=True)
    return (half**2).sum(axis=1) / 2


def best_trades(
    matrices: Float[Array, "types trades trades"],
    others: Float[Array, "types trades"],
    targets: Float[Array, " types"],
) -> Float[Array, "types trades"]:
    """Return every type's best response under its own model.

    Args:
        matrices: G of every type.
        others: what each type expects the other firms to trade.
        targets: what the trades sum to.
    """
    size = matrices.shape[-1]
    even = jnp.broadcast_to(targets[:, None] / size, (len(targets), size))
    both = matrices + jnp.swapaxes(matrices, 1, 2)
    gradient = jnp.einsum("kts,ks->kt", both, even, precision="highest")
    gradient = gradient + jnp.einsum(
        "kts,ks->kt", matrices, others, precision="highest"
    )
    basis = _basis(matrices)
    right = product(gradient, basis)[:, :, None]
    factor = jnp.linalg.cholesky(_curvature(matrices))

    def solve(right: Array, is_transposed: bool) -> Array:
        return jax.lax.linalg.triangular_solve(
            factor, right, left_side=True, lower=True, transpose_a=is_transposed
        )

    change = solve(solve(right, False), True)[:, :, 0]
    return even - product(change, basis.T)


def _curvature(matrices: Array) -> Array:
    """Return Z' (G + G') Z of every G, exactly symmetric."""
    basis = _basis(matrices)
    both = matrices + jnp.swapaxes(matrices, 1, 2)
    inner = product(product(basis.T[None], both), basis[None])
    return (inner + jnp.swapaxes(inner, 1, 2)) / 2


def _basis(matrices: Array) -> Array:
    return jnp.asarray(zero_sum_basis(matrices.shape[-1]), matrices.dtype)
