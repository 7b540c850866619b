"""The game's kappa from two impact coefficients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.calibration.fit import Fit
from gtrade.calibration.kappa import (
    continuous_kappa,
    discrete_kappa,
    kappa_draws,
    kappa_from,
    kappa_of_fit,
)
from gtrade.solution import status_names

GAMMA, ETA, HORIZON = 3e-7, 2.5e-6, 5.0
COVARIANCE = np.array([[4e-15, 3e-15], [3e-15, 9e-14]])

KAPPA = jax.jit(kappa_from)


def test_the_interval_is_the_delta_methods(in_float64):
    found = KAPPA(GAMMA, ETA, HORIZON, COVARIANCE)
    assert status_names(found.status) == "converged"
    slope = np.array([HORIZON / ETA, -GAMMA * HORIZON / ETA**2])
    error = np.sqrt(slope @ COVARIANCE @ slope)
    value = GAMMA * HORIZON / ETA
    np.testing.assert_allclose(found.value, value, rtol=1e-13)
    np.testing.assert_allclose(found.standard_error, error, rtol=1e-12)
    z = 1.959963984540054
    np.testing.assert_allclose(found.interval, [value - z * error, value + z * error])
    ends = value * np.exp([-z * error / value, z * error / value])
    np.testing.assert_allclose(found.log_interval, ends, rtol=1e-12)


def test_both_intervals_hold_a_simulated_share(in_float64):
    draws = np.random.default_rng(3).multivariate_normal(
        [GAMMA, ETA], COVARIANCE / 100, 20_000
    )
    found = KAPPA(GAMMA, ETA, HORIZON, COVARIANCE / 100)
    simulated = draws[:, 0] / draws[:, 1] * HORIZON
    for low, high in (found.interval, found.log_interval):
        inside = (simulated > float(low)) & (simulated < float(high))
        assert abs(inside.mean() - 0.95) < 0.006


def test_units_cancel(in_float64):
    base = KAPPA(GAMMA, ETA, HORIZON, COVARIANCE)
    price, shares, time = 7.0, 0.2, 390.0
    units = np.array([price / shares**2, price * time / shares**2])
    scaled = KAPPA(
        GAMMA * units[0],
        ETA * units[1],
        HORIZON * time,
        COVARIANCE * np.outer(units, units),
    )
    for one, other in zip(jax.tree.leaves(base), jax.tree.leaves(scaled), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-12)


def test_lanes_that_cannot_be_answered(x64):
    gamma = [GAMMA, -GAMMA, 0.0, GAMMA, np.nan, GAMMA]
    eta = [ETA, ETA, ETA, 0.0, ETA, ETA]
    covariance = np.stack([COVARIANCE] * 6)
    covariance[5] = np.nan
    found = KAPPA(np.array(gamma), np.array(eta), HORIZON, covariance)
    assert list(status_names(found.status)) == [
        "converged",
        "degenerate",
        "degenerate",
        "invalid_input",
        "invalid_input",
        "degenerate",
    ]
    single = KAPPA(GAMMA, ETA, HORIZON, COVARIANCE)
    for name in ("value", "standard_error"):
        lanes = np.asarray(getattr(found, name))
        np.testing.assert_allclose(lanes[0], getattr(single, name), rtol=1e-6)
        assert np.isnan(lanes[[3, 4]]).all()
    # Of a slope below zero, or at it, the straight interval is still an answer.
    np.testing.assert_allclose(found.value[1], -single.value, rtol=1e-6)
    assert np.isfinite(found.interval[:, [1, 2]]).all()
    expected = HORIZON / ETA * np.sqrt(COVARIANCE[0, 0])
    np.testing.assert_allclose(found.standard_error[2], expected, rtol=1e-5)
    assert np.isnan(found.log_interval[:, 1:]).all()
    assert np.isfinite(found.value[5])
    assert np.isnan(found.standard_error[5])


def test_gradients_match_differences(in_float64):
    def log_end(gamma):
        return KAPPA(gamma, ETA, HORIZON, COVARIANCE).log_interval[1]

    step = 1e-5 * GAMMA
    difference = (log_end(GAMMA + step) - log_end(GAMMA - step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(log_end)(GAMMA), difference, rtol=1e-7)


def test_discrete_weights_and_back(in_float64):
    kappa, steps = np.array([0.0, 0.5, 4.0, 1e3, np.inf]), 10
    discrete = discrete_kappa(kappa, steps)
    np.testing.assert_allclose(discrete[:4], 2 * kappa[:4] / (20 + kappa[:4]))
    assert discrete[4] == 2
    np.testing.assert_allclose(continuous_kappa(discrete, steps), kappa, rtol=1e-12)
    assert np.isnan(continuous_kappa(2.5, steps))
    assert np.isnan(discrete_kappa(-1.0, steps))
    assert np.isnan(discrete_kappa(1.0, 0))


def made_fit(names=("permanent_impact", "temporary_impact")):
    values = jnp.array([GAMMA, ETA])
    covariance = jnp.asarray(COVARIANCE)
    true = jnp.ones(2, bool)
    one = jnp.ones((), jnp.int32)
    return Fit(
        values=values,
        covariance=covariance,
        free=jnp.log(values),
        free_covariance=covariance / values[:, None] / values[None],
        log_likelihood=jnp.zeros(()),
        r_squared=jnp.ones(()),
        is_at_bound=~true,
        is_identified=true,
        rank=one,
        condition=jnp.ones(()),
        num_starts=one,
        num_agreeing=one,
        num_observations=one,
        num_dropped=one,
        names=names,
        domains=("positive", "positive"),
    )


def test_kappa_of_a_fit(in_float64):
    fit = made_fit()
    found = kappa_of_fit(fit, HORIZON)
    expected = KAPPA(GAMMA, ETA, HORIZON, COVARIANCE)
    np.testing.assert_allclose(found.log_interval, expected.log_interval, rtol=1e-13)
    swapped = kappa_of_fit(
        fit, HORIZON, permanent="temporary_impact", temporary="permanent_impact"
    )
    turned = COVARIANCE[::-1, ::-1]
    expected = KAPPA(ETA, GAMMA, HORIZON, turned)
    np.testing.assert_allclose(swapped.interval, expected.interval, rtol=1e-13)
    batch = jax.tree.map(lambda x: jnp.stack([x, x]), fit)
    both = kappa_of_fit(batch, HORIZON)
    assert both.interval.shape == (2, 2)
    np.testing.assert_allclose(both.interval[:, 0], found.interval, rtol=1e-13)
    with pytest.raises(ValueError, match="must have a number 'temporary_impact'; it"):
        kappa_of_fit(made_fit(("permanent_impact", "eta")), HORIZON)


def test_draws_are_as_uncertain_as_the_interval(in_float64):
    drawn = np.asarray(kappa_draws(made_fit(), jax.random.key(1), 20_000, HORIZON))
    assert (drawn > 0).all()
    low, high = kappa_of_fit(made_fit(), HORIZON).log_interval
    # Gaussian in logarithms, and so is the ratio: the share is exact but for noise.
    inside = (drawn > float(low)) & (drawn < float(high))
    assert abs(inside.mean() - 0.95) < 0.006
