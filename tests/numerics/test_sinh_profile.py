"""Ratios of sinh against high-precision arithmetic, at every size of the argument."""

import decimal
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.numerics.sinh_profile import (
    decay_per_step,
    first_change,
    sinh_profile,
    squared_decay,
)

CURVATURES = [0.0, 1e-30, 1e-14, 1e-7, 1e-3, 0.00999, 0.0101, 0.3, 5.0, 1e4, 1e30]


compiled = jax.jit(sinh_profile, static_argnums=1)
forwards = jax.jit(jax.jacfwd(lambda c: sinh_profile(c, 4)))
backwards = jax.jit(jax.jacrev(lambda c: sinh_profile(c, 4)))
change = jax.jit(first_change)


def reference(curvature, num_steps):
    """Run the recursion itself, from the end, in sixty digits."""
    with decimal.localcontext() as context:
        context.prec = 60
        c = decimal.Decimal(float(curvature))
        x = [decimal.Decimal(0), decimal.Decimal(1)]
        while len(x) <= num_steps:
            x.append((2 + c) * x[-1] - x[-2])
        x = [value / x[-1] for value in reversed(x)]
        n = [before - after for before, after in itertools.pairwise(x)]
        return np.array(x, float), np.array(n, float)


@pytest.mark.parametrize("num_steps", [1, 2, 5, 40])
def test_matches_high_precision(in_float64, num_steps):
    for curvature in CURVATURES:
        got = compiled(jnp.asarray(curvature), num_steps)
        for have, want in zip(got, reference(curvature, num_steps), strict=True):
            np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("curvature", [0.0, 1e-7, 0.01, 0.3, 1e4])
def test_single_precision(curvature):
    got = compiled(jnp.asarray(curvature, jnp.float32), 5)
    for have, want in zip(got, reference(np.float32(curvature), 5), strict=True):
        assert have.dtype == jnp.float32
        np.testing.assert_allclose(have, want, rtol=2e-5, atol=1e-30)


@pytest.mark.parametrize("curvature", [1e9, 1e300, np.inf])
def test_large_arguments_neither_overflow_nor_fail(in_float64, curvature):
    positions, changes = compiled(jnp.asarray(curvature), 1000)
    assert np.isfinite(positions).all()
    assert np.isfinite(changes).all()
    np.testing.assert_allclose(positions[:2], [1, 0], atol=1e-8)
    np.testing.assert_allclose(changes.sum(), 1, rtol=1e-12)


def test_changes_sum_to_one(in_float64):
    many = jax.jit(jax.vmap(lambda c: sinh_profile(c, 300)))
    _, changes = many(jnp.array(CURVATURES))
    changes = np.asarray(changes)
    np.testing.assert_allclose(changes.sum(axis=1), 1, rtol=1e-13)
    assert (changes >= 0).all()


@pytest.mark.parametrize("curvature", [0.0, 1e-17, 1e-9, 1e-3, 0.4])
def test_derivatives(in_float64, curvature):
    """Against central differences of the high-precision values."""
    got = forwards(jnp.asarray(curvature))
    back = backwards(jnp.asarray(curvature))
    step = 1e-6 * max(curvature, 1e-2)
    low, high = (reference(max(curvature + s * step, 0), 4) for s in (-1, 1))
    for have, reverse, a, b in zip(got, back, low, high, strict=True):
        if curvature < step:  # a one-sided quotient: no curvature below zero
            want = (b - a) / (curvature + step)
        else:
            want = (b - a) / (2 * step)
        np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(reverse, have, rtol=1e-12, atol=1e-14)


def test_decay_inverts_its_definition(in_float64):
    curvature = jnp.array([1e-18, 1e-12, 1e-3, 0.7, 30.0, 1e6])
    rho = np.asarray(jax.jit(decay_per_step)(curvature))
    np.testing.assert_allclose(4 * np.sinh(rho / 2) ** 2, curvature, rtol=1e-13)
    found = jax.jit(squared_decay)(curvature)
    np.testing.assert_allclose(found, rho**2, rtol=1e-14)
    assert jax.jit(jax.grad(squared_decay))(jnp.zeros(())) == 1


def test_the_first_change_again_and_again_is_the_profile(in_float64):
    """With traced numbers of steps, and derivatives where there is no curve."""
    curvatures = np.array(CURVATURES)
    many = jax.jit(jax.vmap(lambda c: sinh_profile(c, 30)))
    wanted = np.asarray(many(curvatures)[0])
    left = np.ones_like(curvatures)
    for j, steps in enumerate(range(30, 0, -1)):
        steps = np.full_like(curvatures, steps)
        left = left * (1 - np.asarray(change(curvatures, steps)))
        np.testing.assert_allclose(left, wanted[:, j + 1], rtol=1e-11, atol=1e-14)
    slope = jax.jit(jax.grad(first_change))(jnp.zeros(()), jnp.asarray(3.0))
    back, _ = jax.jit(jax.jacfwd(lambda c: sinh_profile(c, 3)))(jnp.zeros(()))
    np.testing.assert_allclose(slope, -np.asarray(back)[1], rtol=1e-13)


def test_the_first_change_in_single_precision():
    steps = np.arange(1, 9, dtype=np.float32)
    found = change(np.full(8, 0.3, np.float32), steps)
    wanted = [reference(np.float32(0.3), n)[1][0] for n in range(1, 9)]
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
