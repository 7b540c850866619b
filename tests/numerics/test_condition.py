"""Solutions, refined, and estimates of condition numbers, against inverses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.numerics.condition import refined


@jax.jit
def solve_and_estimate(matrix, right):
    inverse = jnp.linalg.inv(matrix)
    return refined(lambda x: matrix @ x, lambda x: inverse @ x, right[:, None])


@pytest.mark.parametrize("size", [1, 3, 20])
@pytest.mark.parametrize("smallest", [1.0, 1e-8])
def test_norms_are_never_too_large_and_rarely_small(in_float64, size, smallest):
    rng = np.random.default_rng(size)
    for _ in range(20):
        left, _ = np.linalg.qr(rng.normal(size=(size, size)))
        matrix = (
            left * np.geomspace(1.0, smallest, size) @ rng.normal(size=(size, size))
        )
        right = rng.normal(size=size)
        found, norm = solve_and_estimate(matrix, right)
        exact = np.linalg.norm(np.linalg.inv(matrix), 1)
        assert exact / 3 <= norm <= exact * (1 + 1e-6)
        missed = np.abs(matrix @ np.asarray(found)[:, 0] - right).max()
        assert missed <= 1e-12 * np.abs(matrix).max() * np.abs(found).max() * size
