"""Pushes of total rates against the game's own functions and bisection."""

import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.numerics.bisection import bisect
from gtrade.solvers.power_law_push import Push

LAWS = [(0.3, 0.0), (0.5, 0.7), (1.0, 0.0), (1.0, 0.4), (2.5, 0.0), (3.0, 0.2)]


def push_of(exponent, smoothing, linear=0.6):
    game = gtrade.PowerLawPosition([1.0] * 3, 1.0, exponent, smoothing)
    return Push(game, jnp.asarray(linear))


def expected(push, rate):
    game = push.game
    usual = 3 * game.pressure(rate) + rate * game.slope(rate)
    return usual + push.linear * rate


@pytest.mark.parametrize("law", LAWS)
def test_pushes_and_slopes_are_those_of_the_game(in_float64, law):
    push = push_of(*law)
    rates = jnp.asarray([-30.0, -1.0, -1e-3, 1e-4, 0.2, 1.0, 50.0])
    found = push.at(jnp.sign(rates), jnp.log(jnp.abs(rates)))
    np.testing.assert_allclose(found.rate, rates, rtol=1e-14)
    np.testing.assert_allclose(found.pushed, expected(push, rates), rtol=1e-13)
    step = 1e-6 * jnp.abs(rates)
    rise = expected(push, rates + step) - expected(push, rates - step)
    np.testing.assert_allclose(found.gain, 2 * step / rise, rtol=1e-7)


@pytest.mark.parametrize("law", LAWS)
def test_rates_of_pushes_converge_from_anywhere(in_float64, law):
    push = push_of(*law)
    wanted = jnp.asarray([-40.0, -1e-3, 1e-5, 0.3, 7.0, 500.0])
    size = bisect(
        lambda y: expected(push, y) - jnp.abs(wanted),
        jnp.zeros(6),
        jnp.full(6, 1e6),
        num_steps=200,
    )
    exact = jnp.sign(wanted) * size
    for start in (-1e3, 1e-6, 1.0, 1e4):
        here = push.at(jnp.sign(start), jnp.full(6, np.log(abs(start))))
        here = push.move(here, wanted)
        np.testing.assert_allclose(here.rate, exact, rtol=0.2)
        for _ in range(2):
            here = push.move(here, wanted)
        np.testing.assert_allclose(here.rate, exact, rtol=1e-12)


def test_powers_of_rates_too_small_for_floats_are_kept():
    push = push_of(0.02, 0.0)
    found = push.at(jnp.ones(()), jnp.asarray(-150.0))
    assert found.rate == 0
    np.testing.assert_allclose(found.pushed, 3.02 * np.exp(-3.0), rtol=1e-5)
    assert found.gain == 0
    moved = push.move(found, found.pushed)
    np.testing.assert_allclose(moved.log_rate, -150.0, rtol=1e-4)
