"""Levinson's recursion against elimination."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from gtrade.numerics.toeplitz import solve_toeplitz


@pytest.mark.parametrize("size", [1, 2, 7, 65])
def test_agrees_with_elimination(in_float64, size):
    rng = np.random.default_rng(size)
    fading = np.exp(-3 * np.arange(size) / size)
    right = rng.normal(size=size)
    for above in (0.0, 0.3, 1.0):  # triangular, in between, symmetric
        row = above * fading
        found = jax.jit(solve_toeplitz)(fading, row, right)
        matrix = scipy.linalg.toeplitz(fading, row)
        exact = np.linalg.solve(matrix, right)
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-12 * size)


def test_gradient_matches_differences(in_float64):
    fading = jnp.array([2.0, 0.7, 0.4, -0.1])
    right = jnp.array([1.0, -2.0, 0.5, 3.0])

    def first(column):
        return solve_toeplitz(column, fading, right)[0]

    slope = jax.jit(jax.grad(first))(fading)
    for k in range(4):
        step = 1e-6 * np.eye(4)[k]
        change = (first(fading + step) - first(fading - step)) / 2e-6
        np.testing.assert_allclose(slope[k], change, rtol=1e-7)
