import jax
import jax.numpy as jnp
import numpy as np

from gtrade.numerics.bisection import bisect


def test_roots_to_the_last_bits(x64):
    dtype = np.float64 if x64 else np.float32
    goals = np.array([1e-6, 0.3, 2.0, 900.0], dtype)
    goals = jnp.asarray(goals)
    low, high = jnp.zeros_like(goals), jnp.full_like(goals, 1000)
    roots = bisect(lambda x: x * x * x - goals, low, high)
    assert roots.dtype == dtype
    np.testing.assert_allclose(roots, np.cbrt(goals), rtol=4 * np.finfo(dtype).eps)


def test_a_bracket_without_a_root_gives_its_nearer_end(in_float64):
    low, high = jnp.array([1.0, 1.0]), jnp.array([2.0, 2.0])
    roots = jax.jit(lambda x: bisect(lambda y: y - x, low, high))(jnp.array([0.0, 9.0]))
    np.testing.assert_allclose(roots, [1.0, 2.0], rtol=1e-15)
