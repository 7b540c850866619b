"""The equilibrium along straight lines, mode by mode, and how steep it is around it.

In rates, one per cell, first-order conditions are A v + K P L v = constants for each
type, with A = 2 I + P and L the map from rates to mean positions in the cells. Rates of
mean zero move on a circle for L: shifting them by a cell shifts their positions, up to
a constant. So L is diagonal in the discrete Fourier modes exp(2 pi i n m / T), with
purely imaginary eigenvalues, and the conditions fall apart into one linear system of
all types for each mode.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade.numerics.elimination import solve_small
from gtrade.numerics.precision import product
from gtrade.problems.position_building import PositionBuilding

# Leaves 2 ** -45 of the matrix's size, whatever its spectrum.
_SQUARINGS = 45


def line_equilibrium(
    game: PositionBuilding, num_cells: int
) -> Float[Array, "types cells"]:
    """Return the Bayesian equilibrium among straight lines between equal times.

    Args:
        game: without bounds, risk aversion or non-strategic flow, which are ignored.
        num_cells: T.

    Returns:
        Rates in the cells, shares per unit time.
    """
    beliefs, impacts = game.beliefs(), game.permanent_impacts
    moved = impacts[:, None] * beliefs
    own = 2 * jnp.eye(game.size, dtype=beliefs.dtype) + beliefs
    cells = np.arange(num_cells)
    ramp = np.fft.rfft((cells + 0.5) / num_cells)
    positions = mode_positions(num_cells)

    def of_mode(position: Array, height: Array) -> Array:
        # Trading at even rates moves prices along a ramp; the modes have to undo it.
        wide = position.dtype
        matrix = own.astype(wide) + position * moved.astype(wide)
        push = product(moved, game.targets)
        return solve_small(matrix, -height * push.astype(wide))

    wide = np.result_type(beliefs.dtype, np.complex64)
    modes = jax.vmap(of_mode)(
        jnp.asarray(positions[1:], wide), jnp.asarray(ramp[1:], wide)
    )
    table = np.exp(2j * np.pi * np.outer(np.arange(1, len(ramp)), cells) / num_cells)
    table[: (num_cells - 1) // 2] *= 2  # with the conjugate modes, where they differ
    waves = product(modes.T, jnp.asarray(table, wide))
    return game.targets[:, None] + waves.real / num_cells


def mode_positions(num_cells: int) -> np.ndarray:
    """Return L's eigenvalues on the modes n = 0, ..., T // 2, the first of them unused.

    They are -i cot(pi n / T) / (2 T), close to 1 / (2 pi i n) for small n.
    """
    angles = np.pi * np.arange(1, num_cells // 2 + 1) / num_cells
    values = -0.5j / num_cells * np.cos(angles) / np.sin(angles)
    return np.concatenate([[0.0], values])


def monotonicity_modulus(game: PositionBuilding) -> Float[Array, ""]:
    """Return mu: gradients of rates a and b differ by at least mu |a - b|^2.

    <F(a) - F(b), a - b> >= mu |a - b|^2 in the norm with weight (probability of the
    type) / kappa, in which the terms of permanent impact cancel; one kappa needs no
    weights. Rosen's condition is mu > 0.

    Returns:
        The least eigenvalue of the symmetric part of A in that norm, shape (); NaN
        where only some kappas are 0. It is 1 for two or more firms with one kappa.

    Raises:
        ValueError: without a common prior.
    """
    joint, marginals = game.joint_beliefs()
    impacts = game.permanent_impacts
    is_common = jnp.all(impacts == impacts[0])
    weights = marginals / jnp.where(is_common, 1, impacts)
    beliefs = joint / marginals[:, None]
    root = jnp.sqrt(weights)
    scaled = root[:, None] * beliefs / root[None, :]
    matrix = 2 * jnp.eye(game.size, dtype=beliefs.dtype) + (scaled + scaled.T) / 2
    is_defined = is_common | jnp.all(impacts > 0)
    matrix = jnp.where(is_defined, matrix, jnp.eye(game.size, dtype=beliefs.dtype))
    return jnp.where(is_defined, _least_eigenvalue(matrix), jnp.nan)


def _least_eigenvalue(matrix: Float[Array, "n n"]) -> Float[Array, ""]:
    """Return the least eigenvalue of a symmetric matrix, by repeated squaring.

    It is the Rayleigh quotient of a high power of (2 bound - matrix): products only,
    for the reason given in `gtrade.numerics.elimination`.
    """
    eye = jnp.eye(len(matrix), dtype=matrix.dtype)
    bound = jnp.max(jnp.sum(jnp.abs(matrix), axis=1))

    def square(_: Array, power: Array) -> Array:
        power = product(power, power)
        return power / jnp.trace(power)

    start = (2 * bound * eye - matrix) / bound  # positive definite
    power = jax.lax.fori_loop(0, _SQUARINGS, square, start / jnp.trace(start))
    return jnp.trace(product(power, matrix)) / jnp.trace(power)
