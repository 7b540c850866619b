import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.numerics.vector_functions import circle, log

WIDTHS = ["float32", "float64"]

angles = jax.jit(circle, static_argnames="dtype")


def words(seed, count, dtype):
    """Return what `circle` takes, the extreme words among them."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 2**32, (2, count), dtype=np.uint32)
    drawn[:, :2] = 0, 2**32 - 1
    return list(drawn[: 1 if dtype == "float32" else 2])


@pytest.mark.parametrize("dtype", WIDTHS)
def test_logarithm_is_right_to_the_last_digits(dtype):
    with jax.enable_x64(dtype == "float64"):
        rng = np.random.default_rng(0)
        x = np.concatenate(
            [
                rng.uniform(0.01, 1.0, 10_000),
                2.0 ** rng.uniform(-100, 100, 10_000),
                1 - 2.0 ** -rng.uniform(1, 23, 1000),
                [1.0, 2.0**-32, np.sqrt(0.5), np.sqrt(2), np.finfo(dtype).tiny],
            ]
        ).astype(dtype)
        found = jax.jit(log)(x)
        assert found.dtype == dtype
        exact = np.log(x.astype(np.longdouble))
        np.testing.assert_allclose(found, exact, rtol=3 * np.finfo(dtype).eps)
        assert log(jnp.ones((), dtype)) == 0
        assert (np.asarray(found)[x < 1] < 0).all()


@pytest.mark.parametrize("dtype", WIDTHS)
def test_angles_are_uniform_on_the_circle(dtype):
    with jax.enable_x64(dtype == "float64"):
        count = 80_000
        across, up = angles(*words(1, count, dtype), dtype=jnp.dtype(dtype))
        assert across.dtype == up.dtype == dtype
        across, up = np.asarray(across, float), np.asarray(up, float)
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(across**2 + up**2, 1, atol=2 * eps)
        turns = np.arctan2(up, across) / (2 * np.pi) % 1
        counts, _ = np.histogram(turns, 16, (0, 1))
        expected = count / 16
        assert ((counts - expected) ** 2 / expected).sum() < 44.3  # 1 in 10^4


@pytest.mark.parametrize("dtype", WIDTHS)
def test_mirrored_angles_are_equally_likely(dtype):
    """Turning the bits of words round mirrors an angle: nothing favours a side."""
    with jax.enable_x64(dtype == "float64"):
        drawn = words(2, 1000, dtype)
        within = [x ^ (2**30 - 1 if i == 0 else 2**32 - 1) for i, x in enumerate(drawn)]
        across, up = map(np.asarray, angles(*drawn, dtype=jnp.dtype(dtype)))
        other = angles(*within, dtype=jnp.dtype(dtype))
        is_upright = drawn[0] & 2**30 != 0
        np.testing.assert_array_equal(np.where(is_upright, -across, across), other[0])
        np.testing.assert_array_equal(np.where(is_upright, up, -up), other[1])
        back = angles(drawn[0] ^ np.uint32(2**31), *drawn[1:], dtype=jnp.dtype(dtype))
        np.testing.assert_array_equal(np.where(is_upright, across, -across), back[0])
        np.testing.assert_array_equal(np.where(is_upright, -up, up), back[1])
