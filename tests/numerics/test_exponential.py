"""Exponentials of one matrix over many spans against SciPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from gtrade.numerics.exponential import exponentials

SPANS = np.array([0.0, 0.01, 0.3, 0.5])


def random_matrices(norms):
    matrices = np.random.default_rng(3).normal(size=(len(norms), 5, 5))
    return matrices * (norms / np.abs(matrices).sum(axis=1).max(axis=1))[:, None, None]


@jax.jit
def of_batch(matrices):
    return jax.vmap(lambda matrix: exponentials(matrix, SPANS))(matrices)


def test_agrees_with_scipy_in_a_batch_of_any_norms(in_float64):
    norms = np.array([0.0, 1e-3, 2.0, 4.0, 30.0, 300.0])
    matrices = random_matrices(np.maximum(norms, 1e-300)) * (norms > 0)[:, None, None]
    found = of_batch(matrices)
    for matrix, exponential in zip(matrices, found, strict=True):
        for span, one in zip(SPANS, exponential, strict=True):
            exact = scipy.linalg.expm(span * matrix)
            size = np.abs(exact).max()
            rounding = 1e-15 * max(10, 10 * np.abs(matrix).sum(axis=0).max())
            np.testing.assert_allclose(one, exact, rtol=0, atol=rounding * size)


def test_a_matrix_that_is_too_large_keeps_to_itself(in_float64):
    matrices = random_matrices(np.array([1.0, 1e8, np.nan]))
    found = of_batch(matrices)
    assert not np.isfinite(found[1:, -1]).any()
    np.testing.assert_array_equal(found[0], of_batch(matrices[:1])[0])


@pytest.mark.parametrize("norm", [0.5, 9.0])
def test_derivatives_both_ways(in_float64, norm):
    matrices = random_matrices(np.array([norm, 2 * norm]))
    weights = np.random.default_rng(4).normal(size=(len(SPANS), 5, 5))
    change = np.random.default_rng(5).normal(size=(5, 5))

    @jax.jit
    def total(matrix):
        return (exponentials(matrix, SPANS) * weights).sum()

    backward = jax.jit(jax.vmap(jax.grad(total)))(matrices)
    for matrix, slope in zip(matrices, backward, strict=True):
        matrix = jnp.asarray(matrix)
        _, forward = jax.jvp(total, (matrix,), (jnp.asarray(change),))
        np.testing.assert_allclose((slope * change).sum(), forward, rtol=1e-11)
        exact = sum(
            (scipy.linalg.expm_frechet(t * matrix, t * change)[1] * w).sum()
            for t, w in zip(SPANS, weights, strict=True)
        )
        np.testing.assert_allclose(forward, exact, rtol=1e-10)
