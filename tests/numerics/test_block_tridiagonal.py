"""Block tridiagonal systems against LAPACK's dense solver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.numerics.block_tridiagonal import BlockTridiagonal

solve = jax.jit(BlockTridiagonal.solve)


def slow(*values):
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def random_matrix(rng, size):
    """Return blocks of a matrix that is far from symmetric, and positive definite."""
    half = rng.normal(size=(size, size)) / np.sqrt(size)
    beside, skew = half @ half.T / 2, rng.normal(size=(size, size))
    on = 2 * beside + 0.1 * np.eye(size) + (skew - skew.T)
    drift = 3 * np.eye(size) + (skew + skew.T) / 2
    return BlockTridiagonal(*map(jnp.asarray, (drift - beside, on, -drift - beside)))


def dense(matrix, count):
    kinds = zip((-1, 0, 1), matrix, strict=True)
    return sum(np.kron(np.eye(count, k=k), np.asarray(x)) for k, x in kinds)


@pytest.mark.parametrize("size", [2, 6, *slow(1, 4)])
@pytest.mark.parametrize("count", [1, 40, *slow(2)])
def test_matches_lapack_with_some_unknowns_fixed(in_float64, size, count):
    rng = np.random.default_rng(size)
    matrix = random_matrix(rng, size)
    right = rng.normal(size=(count, size))
    table = dense(matrix, count)
    np.testing.assert_allclose(
        matrix.times(right).ravel(), table @ right.ravel(), rtol=1e-12, atol=1e-12
    )
    for share in (1.0, 0.7, 0.0):
        is_free = rng.random((count, size)) < share
        system = np.where(is_free.reshape(-1, 1), table, np.eye(count * size))
        exact = np.linalg.solve(system, right.ravel()).reshape(right.shape)
        found = solve(matrix, right, is_free)
        np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-10)
        np.testing.assert_array_equal(found[~is_free], right[~is_free])


def test_a_batch_is_its_systems(in_float64):
    rng = np.random.default_rng(0)
    matrices = [random_matrix(rng, 3) for _ in range(5)]
    right, is_free = rng.normal(size=(5, 9, 3)), rng.random((5, 9, 3)) < 0.8
    batch = jax.tree.map(lambda *x: np.stack(x), *matrices)
    found = jax.jit(jax.vmap(BlockTridiagonal.solve))(batch, right, is_free)
    for i, matrix in enumerate(matrices):
        one = solve(matrix, right[i], is_free[i])
        np.testing.assert_allclose(found[i], one, rtol=1e-12, atol=1e-12)
