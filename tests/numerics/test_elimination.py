import functools

import jax
import numpy as np
import pytest

from gtrade.numerics.elimination import (
    MOST_WRITTEN_OUT,
    solve_lanes,
    solve_small,
    solve_tiny,
)


@pytest.mark.parametrize("size", [1, 2, 5, 9])
@pytest.mark.usefixtures("in_float64")
def test_matches_lapack_with_zeros_on_the_diagonal(size):
    rng = np.random.default_rng(size)
    matrix = rng.normal(size=(6, size, size)) + 1j * rng.normal(size=(6, size, size))
    matrix[:, range(size), range(size)] *= size == 1
    right = rng.normal(size=(6, size)) + 0j
    found = jax.jit(jax.vmap(solve_small))(matrix, right)
    exact = np.linalg.solve(matrix, right[..., None])[..., 0]
    np.testing.assert_allclose(found, exact, rtol=1e-9)


def test_a_singular_system_has_no_finite_answer():
    found = jax.jit(solve_small)(np.zeros((2, 2), np.float32), np.ones(2, np.float32))
    assert not np.isfinite(found).any()


@pytest.mark.parametrize("size", [1, 2, 3, MOST_WRITTEN_OUT, MOST_WRITTEN_OUT + 1])
@pytest.mark.usefixtures("in_float64")
def test_written_out_it_matches_lapack_too(size):
    rng = np.random.default_rng(size)
    matrix = rng.normal(size=(20, size, size))
    matrix[::2, range(size), range(size)] *= size == 1
    right = rng.normal(size=(20, size, 3))
    found = jax.jit(jax.vmap(solve_tiny))(matrix, right)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-9)


def test_written_out_a_singular_system_has_no_finite_answer():
    found = jax.jit(solve_tiny)(
        np.ones((2, 2), np.float32), np.ones((2, 1), np.float32)
    )
    assert not np.isfinite(found).any()


@pytest.mark.parametrize("size", [1, 3, MOST_WRITTEN_OUT, MOST_WRITTEN_OUT + 1])
@pytest.mark.usefixtures("in_float64")
def test_positive_definite_systems_need_no_exchange_of_rows(size):
    rng = np.random.default_rng(size)
    half, skew = rng.normal(size=(2, 20, size, size))
    matrix = half @ half.swapaxes(1, 2) + 0.1 * np.eye(size)
    matrix = matrix + 3 * (skew - skew.swapaxes(1, 2))
    right = rng.normal(size=(20, size, 2))
    solve = functools.partial(solve_tiny, exchanges_rows=False)
    found = jax.jit(jax.vmap(solve))(matrix, right)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-8)


@pytest.mark.parametrize("size", [0, 1, 3, 7])
@pytest.mark.usefixtures("in_float64")
def test_lanes_match_lapack_and_leave_singular_neighbours_alone(size):
    rng = np.random.default_rng(size)
    matrix = rng.normal(size=(4, 5, size, size))
    matrix[::2, :, range(size), range(size)] *= size == 1
    matrix[3, 4] = 0
    right = rng.normal(size=(4, 5, size, 2))
    lanes = [np.moveaxis(x, (2, 3), (0, 1)) for x in (matrix, right)]
    found = np.moveaxis(jax.jit(solve_lanes)(*lanes), (0, 1), (2, 3))
    exact = np.linalg.solve(matrix[:3], right[:3])
    np.testing.assert_allclose(found[:3], exact, rtol=1e-9)
    assert not np.isfinite(found[3, 4]).any()
