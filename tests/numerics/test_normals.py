import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gtrade.numerics.counter_random import normals

KEY_NUMBER = 11


def drawn(first, count, num_draws, dtype):
    paths = jnp.arange(first, first + count, dtype=jnp.uint32)
    key = jax.random.key(KEY_NUMBER)
    found = normals(key, paths, num_draws, jnp.dtype(dtype))
    assert found.dtype == dtype
    return np.asarray(found, float)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normals_are_normal_and_independent(dtype):
    with jax.enable_x64(dtype == "float64"):
        numbers = drawn(0, 2**16, 5, dtype)
    for row in numbers:
        assert stats.kstest(row, "norm").pvalue > 1e-3
    # Both of a pair share a radius: their squares have to be uncorrelated, too.
    for power in (1, 2):
        apart = np.corrcoef(numbers**power) - np.eye(5)
        assert np.abs(apart).max() < 5 / 2**8
    tail = (np.abs(numbers) > 3).mean()
    expected = 2 * stats.norm.sf(3)
    assert abs(tail - expected) < 5 * np.sqrt(expected / numbers.size)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_path_draws_the_same_whatever_is_drawn_beside_it(dtype):
    with jax.enable_x64(dtype == "float64"):
        many = drawn(0, 300, 6, dtype)
        few = drawn(100, 7, 3, dtype)
    np.testing.assert_allclose(few, many[:3, 100:107], rtol=1e-6)
