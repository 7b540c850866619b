"""Beliefs about impact against regressions in one go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from gtrade.calibration.impact_filter import (
    Execution,
    SlopeBelief,
    filter_impact,
    init_impact,
    init_slope,
    update_slope,
)
from tests.references.almgren_chriss import regression_posterior

TAU, EPSILON, FILL_NOISE, PRICE_NOISE = 0.25, 0.05, 0.02, 0.4
ETA, GAMMA = 2e-4, 3e-5
KNOWN = {
    "period_length": TAU,
    "fixed_cost": EPSILON,
    "fill_noise_std": FILL_NOISE,
    "price_noise_std": PRICE_NOISE,
}


def record(num_periods, seed=0):
    """Return what periods show, made from the model's definition."""
    rng = np.random.default_rng(seed)
    trades = rng.normal(size=num_periods) * 500
    trades[3] = 0.0
    price, seen = 50.0, []
    for n in trades:
        fill = price - EPSILON * np.sign(n) - ETA * n / TAU + FILL_NOISE * rng.normal()
        after = price - GAMMA * n + PRICE_NOISE * rng.normal()
        seen.append((n, price, fill, after))
        price = after
    return Execution(*(jnp.asarray(x) for x in np.array(seen).T))


def known():
    return {name: jnp.asarray(x) for name, x in KNOWN.items()}


def least_squares(regressor, response, noise):
    """Return slope and standard error of a regression through the origin."""
    information = (regressor**2).sum() / noise**2
    return regressor @ response / (regressor**2).sum(), 1 / np.sqrt(information)


@pytest.mark.parametrize("std", [np.inf, 1e-5])
def test_one_by_one_is_all_at_once(in_float64, std):
    seen = record(40)
    prior = (1e-4, std)
    start = init_impact(*(jnp.asarray(x) for x in (*prior, *prior)))
    last, each = jax.jit(filter_impact)(start, seen, **known())
    n, before, fill, after = (np.array(x) for x in jax.tree.leaves(seen))
    slippage = before - fill - EPSILON * np.sign(n)
    slippage[3] = 0.0  # nothing was traded: no fill either
    rows = {
        "temporary": (n / TAU, slippage, FILL_NOISE),
        "permanent": (n, before - after, PRICE_NOISE),
    }
    wanted = {}
    for name, (x, y, noise) in rows.items():
        if np.isinf(std):
            wanted[name] = least_squares(x, y, noise)
        else:
            mean, variance = regression_posterior(x, y, 1e-4, std**2, noise**2)
            wanted[name] = mean, np.sqrt(variance)
    for name, (mean, spread) in wanted.items():
        belief = getattr(last, name)
        np.testing.assert_allclose(belief.mean, mean, rtol=1e-12)
        np.testing.assert_allclose(belief.std, spread, rtol=1e-12)
        assert getattr(each, name).mean.shape == (40,)
        assert (np.diff(getattr(each, name).std) <= 0).all()
    # A period without a trade teaches nothing.
    np.testing.assert_array_equal(each.temporary.mean[2], each.temporary.mean[3])
    np.testing.assert_array_equal(each.permanent.std[2], each.permanent.std[3])


def test_order_does_not_matter(in_float64):
    seen = record(30)
    start = init_impact(*map(jnp.asarray, (1e-4, 1e-4, 1e-5, 1e-5)))
    last, _ = filter_impact(start, seen, **known())
    back, _ = filter_impact(start, jax.tree.map(lambda x: x[::-1], seen), **known())
    for one, other in zip(jax.tree.leaves(last), jax.tree.leaves(back), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_impact_is_recovered_as_well_as_it_is_said_to_be(in_float64):
    """Over 400 records at once: errors in standard deviations are standard normal."""
    records = [record(50, seed) for seed in range(400)]
    seen = jax.tree.map(lambda *x: jnp.stack(x), *records)
    nothing = init_impact(*map(jnp.asarray, (0.0, np.inf, 0.0, np.inf)))
    last, _ = jax.vmap(lambda s: filter_impact(nothing, s, **known()))(seen)
    for belief, true in ((last.temporary, ETA), (last.permanent, GAMMA)):
        errors = np.array((belief.mean - true) / belief.std)
        assert abs(errors.mean()) < 5 / np.sqrt(400)
        assert abs(errors.std() - 1) < 5 / np.sqrt(800)
        assert (np.abs(errors) < 3).mean() > 0.99
    assert (np.abs(last.temporary.mean / ETA - 1) < 0.05).all()


def test_missing_fills_without_a_trade_do_no_harm(in_float64):
    start = init_impact(*map(jnp.asarray, (1e-4, 1e-4, 1e-5, 1e-5)))
    seen = Execution(*(jnp.array([x]) for x in (0.0, 50.0, np.nan, 50.1)))
    last, _ = filter_impact(start, seen, **known())
    np.testing.assert_allclose(last.temporary.mean, 1e-4, rtol=1e-15)
    np.testing.assert_allclose(last.permanent.std, 1e-5, rtol=1e-15)


def test_a_lane_of_nan_stays_alone(in_float64):
    beliefs = jax.vmap(init_slope)(jnp.ones(3), jnp.array([1.0, 2.0, 3.0]))
    noise = jnp.ones(3)
    x = jnp.array([1.0, np.nan, 2.0])
    updated = jax.vmap(update_slope)(beliefs, x, x, noise)
    assert np.isnan(updated.mean).tolist() == [False, True, False]
    one = update_slope(init_slope(*map(jnp.asarray, (1.0, 3.0))), x[2], x[2], noise[2])
    assert updated.mean[2] == one.mean


def mean_above_zero(mean):
    """Return the mean of a normal number with unit variance, given that it is positive.

    Below 0 by integrals against an exponential density, in which nothing cancels.
    """
    if mean > -2.5:
        return mean + norm.pdf(mean) / norm.cdf(mean)
    x, weight = np.polynomial.laguerre.laggauss(120)
    x = -x / mean
    weight = weight * np.exp(-(x**2) / 2)
    return (weight * x).sum() / weight.sum()


MEANS = [5.0, 0.3, 0.0, -2.0, -2.99, -3.01, -9.0, -11.0, -40.0, -99.0, -101.0, -1e4]


def test_mean_given_that_impact_is_positive(x64):
    @jax.jit
    @jax.vmap
    @jax.value_and_grad
    def found(mean):
        return init_slope(mean, jnp.full_like(mean, 0.5)).positive_mean

    values, slopes = found(jnp.array(MEANS) / 2)
    wanted = [mean_above_zero(mean) / 2 for mean in MEANS]
    np.testing.assert_allclose(values, wanted, rtol=1e-12 if x64 else 1e-5)
    assert (slopes > 0).all()
    assert (slopes <= 1).all()


def test_what_is_certain_stays(in_float64):
    certain = init_slope(*map(jnp.asarray, (2e-4, 1e-12)))
    np.testing.assert_allclose(certain.positive_mean, 2e-4, rtol=1e-14)
    moved = update_slope(certain, *map(jnp.asarray, (1.0, 9.0, 1.0)))
    np.testing.assert_allclose(moved.mean, 2e-4, rtol=1e-10)
    assert isinstance(moved, SlopeBelief)
