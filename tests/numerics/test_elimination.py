import jax
import numpy as np
import pytest

from gtrade.numerics.elimination import solve_small


@pytest.mark.parametrize("size", [1, 2, 5, 9])
@pytest.mark.usefixtures("in_float64")
def test_matches_lapack_with_zeros_on_the_diagonal(size):
    rng = np.random.default_rng(size)
    matrix = rng.normal(size=(6, size, size)) + 1j * rng.normal(size=(6, size, size))
    matrix[:, range(size), range(size)] *= size == 1
    right = rng.normal(size=(6, size)) + 0j
    found = jax.vmap(solve_small)(matrix, right)
    exact = np.linalg.solve(matrix, right[..., None])[..., 0]
    np.testing.assert_allclose(found, exact, rtol=1e-9)


def test_a_singular_system_has_no_finite_answer():
    found = solve_small(np.zeros((2, 2), np.float32), np.ones(2, np.float32))
    assert not np.isfinite(found).any()
