"""Cyclic reduction against dense elimination."""

import jax
import numpy as np
import pytest

from gtrade.numerics.cyclic_reduction import solve_block_tridiagonal


def slow(*values):
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


solve = jax.jit(solve_block_tridiagonal)


# Each fast number of rows halves through odd and even numbers in its own way.
@pytest.mark.parametrize("rows", [1, 5, 12, 15, 16, *slow(2, 3, 4, 6)])
@pytest.mark.parametrize("size", [6, *slow(1, 3)])
def test_agrees_with_a_dense_system(in_float64, rows, size):
    rng = np.random.default_rng(rows)
    below, above = rng.normal(size=(2, size, size))
    diagonal = rng.normal(size=(size, size)) + 4 * size * np.eye(size)
    right = rng.normal(size=(rows, size))
    found, norm = solve(below, diagonal, above, right)
    dense = np.kron(np.eye(rows), diagonal) + np.kron(np.eye(rows, k=-1), below)
    dense += np.kron(np.eye(rows, k=1), above)
    exact = np.linalg.solve(dense, right.ravel()).reshape(rows, size)
    np.testing.assert_allclose(found, exact, atol=1e-13)
    assert norm <= 2 * np.linalg.norm(np.linalg.inv(dense), 1)


def test_a_singular_system_has_a_large_pivot(in_float64):
    # 2 cos(pi / 8) on the diagonal, -1 beside it: seven rows are a standing wave.
    one = np.ones((1, 1))
    wave = 2 * np.cos(np.pi / 8) * one
    right = np.ones((7, 1))
    _, norm = solve(-one, wave, -one, right)
    assert norm > 1e12
    _, norm = solve(-one, 1.01 * wave, -one, right)
    assert norm < 1e4
