"""Random numbers with the lanes last: those of `jax.random`, bit for bit."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.numerics.threefry import _is_threefry, fold_in, uniform

KEYS = (7, 3)
CASES = list(itertools.product(["threefry2x32", "rbg"], [False, True], [False, True]))
OTHER_KEYS = [case for case in CASES if case[0] == "rbg"]


def draws(fold_in, uniform, keys, rounds, dtype):
    """Draw five numbers for each round of each key, mapped twice."""

    def draw(key, number):
        key = fold_in(key, number)
        return jax.random.key_data(key), uniform(key, dtype)

    inner = jax.vmap(draw, in_axes=(None, 0))
    return jax.vmap(jax.vmap(inner, in_axes=(0, None)), in_axes=(0, None))(keys, rounds)


@pytest.mark.parametrize(
    ("impl", "is_wide", "is_partitionable"),
    [
        # Keys of other kinds are left to jax: once is enough for the fast run.
        pytest.param(*case, marks=[pytest.mark.slow] * (case in OTHER_KEYS[1:]))
        for case in CASES
    ],
)
def test_draws_are_those_of_jax(impl, is_wide, is_partitionable):
    with jax.enable_x64(is_wide), jax.threefry_partitionable(is_partitionable):
        dtype = jnp.result_type(float)
        keys = jax.random.split(jax.random.key(5, impl=impl), KEYS)
        rounds = jnp.asarray([0, 1, 2499, 2**31 - 1])
        found = draws(fold_in, lambda k, d: uniform(k, 5, d), keys, rounds, dtype)
        expected = draws(
            jax.random.fold_in,
            lambda k, d: jax.random.uniform(k, (5,), d),
            keys,
            rounds,
            dtype,
        )
        for new, old in zip(found, expected, strict=True):
            assert new.dtype == old.dtype
            np.testing.assert_array_equal(new, old)


# Where 64-bit numbers are off, a float64 means a float32, and jax says so.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype:UserWarning")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_one_key(dtype):
    key = jax.random.key(3)
    assert _is_threefry(key)  # or the tests above have compared jax with itself
    np.testing.assert_array_equal(
        uniform(key, 4, dtype), jax.random.uniform(key, (4,), dtype)
    )
    assert fold_in(key, 9) == jax.random.fold_in(key, 9)
    raw = jax.random.PRNGKey(3)
    np.testing.assert_array_equal(fold_in(raw, 9), jax.random.fold_in(raw, 9))
