"""The likelihood of daily counts against plain Poisson terms and exact arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from gtrade.calibration.pin import (
    PinParameters,
    log_poisson,
    opening_spread,
    pin_log_likelihood,
    probability_of_informed_trading,
    simulate_days,
)
from gtrade.problems.base import replace_fields
from tests.references import glosten_milgrom as reference

likelihood = jax.jit(pin_log_likelihood)
slopes = jax.jit(jax.value_and_grad(pin_log_likelihood, argnums=2))
simulate = jax.jit(simulate_days, static_argnums=2)

NUMBERS = {
    "news_probability": 0.4,
    "bad_probability": 0.3,
    "buy_rate": 250.0,
    "sell_rate": 220.0,
    "informed_rate": 130.0,
}
BUYS = np.array([240, 380, 251, 0, 1, 700])
SELLS = np.array([225, 230, 352, 0, 900, 1])


def by_scipy(buys, sells, numbers):
    alpha, delta, eb, es, mu = numbers.values()
    with np.errstate(divide="ignore"):
        weights = np.log([1 - alpha, alpha * delta, alpha * (1 - delta)])
    rates = [(eb, es), (eb, es + mu), (eb + mu, es)]
    terms = [
        weight + stats.poisson.logpmf(buys, b) + stats.poisson.logpmf(sells, s)
        for weight, (b, s) in zip(weights, rates, strict=True)
    ]
    return special.logsumexp(terms, axis=0).sum()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"news_probability": 0.0},
        {"news_probability": 1.0},
        {"bad_probability": 0.0},
        {"bad_probability": 1.0},
        {"informed_rate": 0.0},
        {"informed_rate": 1e-6},
    ],
)
def test_agrees_with_plain_terms(x64, changes):
    numbers = NUMBERS | changes
    found = likelihood(BUYS, SELLS, PinParameters(**numbers))
    wanted = by_scipy(BUYS, SELLS, numbers)
    np.testing.assert_allclose(found, wanted, rtol=1e-12 if x64 else 1e-5)


def test_agrees_with_sixty_digits(in_float64):
    alpha, delta, eb, es, mu = NUMBERS.values()
    wanted = reference.arrival_log_likelihood(
        BUYS.tolist(), SELLS.tolist(), alpha, delta, eb, es, mu
    )
    found = likelihood(BUYS, SELLS, PinParameters(**NUMBERS))
    np.testing.assert_allclose(found, wanted, rtol=1e-13)


@pytest.mark.parametrize("rate", [1e3, 1e5, 3e6])
def test_large_counts(x64, rate):
    """A hundred thousand orders a day; plain probabilities underflow at 700."""
    numbers = NUMBERS | {
        "buy_rate": rate,
        "sell_rate": 0.9 * rate,
        "informed_rate": 0.2 * rate,
    }
    days = simulate(jax.random.key(0), PinParameters(**numbers), 60)
    found = likelihood(days.buys, days.sells, PinParameters(**numbers))
    wanted = by_scipy(np.asarray(days.buys), np.asarray(days.sells), numbers)
    assert np.isfinite(found)
    # The reference itself loses digits of terms of a million.
    np.testing.assert_allclose(found, wanted, rtol=1e-8 if x64 else 1e-4)


def test_poisson_terms(x64):
    counts = np.array([0, 1, 2, 15, 16, 17, 1000, 10**5], float)
    log = jax.jit(log_poisson)
    for rate in (0.0, 0.3, 16.0, 1e5):
        found = log(jnp.asarray(counts), jnp.asarray(rate))
        wanted = stats.poisson.logpmf(counts, rate)
        np.testing.assert_allclose(found, wanted, rtol=1e-9 if x64 else 1e-5)
    peak = log(jnp.asarray(1e5), jnp.asarray(1e5))
    exact = -0.5 * np.log(2 * np.pi * 1e5) - 1 / 12e5
    np.testing.assert_allclose(peak, exact, rtol=1e-14 if x64 else 1e-6)


def test_sides_may_change_places(in_float64):
    mirrored = NUMBERS | {
        "bad_probability": 0.7,
        "buy_rate": 220.0,
        "sell_rate": 250.0,
    }
    np.testing.assert_allclose(
        likelihood(BUYS, SELLS, PinParameters(**NUMBERS)),
        likelihood(SELLS, BUYS, PinParameters(**mirrored)),
        rtol=1e-15,
    )


@pytest.mark.parametrize("rate_factor", [1, 400])
@pytest.mark.parametrize("name", list(NUMBERS))
def test_gradients_are_exact(in_float64, name, rate_factor):
    numbers = {
        k: x * rate_factor if k.endswith("rate") else x for k, x in NUMBERS.items()
    }
    buys, sells = BUYS * rate_factor, SELLS * rate_factor
    parameters = PinParameters(**numbers)
    slope = getattr(slopes(buys, sells, parameters)[1], name)
    x = numbers[name]
    step = 1e-5 * x
    high, low = (
        likelihood(buys, sells, PinParameters(**numbers | {name: y}))
        for y in (x + step, x - step)
    )
    np.testing.assert_allclose(slope, (high - low) / (2 * step), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "bound", "inside"),
    [
        ("news_probability", 0.0, 1e-6),
        ("news_probability", 1.0, 1 - 1e-6),
        ("bad_probability", 0.0, 1e-6),
        ("bad_probability", 1.0, 1 - 1e-6),
        ("informed_rate", 0.0, 1e-6),
    ],
)
def test_gradients_at_bounds_are_their_limits(in_float64, name, bound, inside):
    buys, sells = np.array([250, 262, 244]), np.array([221, 215, 230])
    numbers = NUMBERS | {"informed_rate": 1.0}
    at_bound, near = (
        getattr(slopes(buys, sells, PinParameters(**numbers | {name: x}))[1], name)
        for x in (bound, inside)
    )
    assert np.isfinite(at_bound)
    np.testing.assert_allclose(at_bound, near, rtol=1e-4)


def test_days_that_cannot_be(x64):
    nobody = NUMBERS | {"buy_rate": 0.0, "bad_probability": 1.0}
    found = likelihood(np.array([1]), np.array([200]), PinParameters(**nobody))
    assert found == -np.inf
    # Without uninformed buyers a day with buys is one of good news.
    numbers = NUMBERS | {"buy_rate": 0.0}
    found = likelihood(np.array([120]), np.array([9]), PinParameters(**numbers))
    wanted = np.log(0.4 * 0.7) + stats.poisson.logpmf([120, 9], [130, 220]).sum()
    np.testing.assert_allclose(found, wanted, rtol=1e-12 if x64 else 1e-5)
    quiet = NUMBERS | {"buy_rate": 0.0, "sell_rate": 0.0, "informed_rate": 0.0}
    assert likelihood(np.array([0]), np.array([0]), PinParameters(**quiet)) == 0


def test_a_batch_of_parameters(in_float64):
    """Counts of one stock under many parameters, as a fit needs them."""
    alphas = jnp.linspace(0.1, 0.9, 5)

    def of_alpha(alpha):
        parameters = replace_fields(PinParameters(**NUMBERS), news_probability=alpha)
        return pin_log_likelihood(BUYS, SELLS, parameters)

    many = jax.jit(jax.vmap(of_alpha))(alphas)
    for alpha, found in zip(alphas, many, strict=True):
        wanted = by_scipy(BUYS, SELLS, NUMBERS | {"news_probability": float(alpha)})
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_the_share_of_informed_orders(x64):
    parameters = PinParameters(**NUMBERS)
    pin = probability_of_informed_trading(parameters)
    np.testing.assert_allclose(pin, 52 / (52 + 470), rtol=1e-6)
    quiet = NUMBERS | {"buy_rate": 0.0, "sell_rate": 0.0, "informed_rate": 0.0}
    assert probability_of_informed_trading(PinParameters(**quiet)) == 0
    even = NUMBERS | {"bad_probability": 0.5, "sell_rate": 250.0}
    parameters = PinParameters(**even)
    pin = probability_of_informed_trading(parameters)
    spread = opening_spread(parameters, jnp.asarray(90.0), jnp.asarray(110.0))
    np.testing.assert_allclose(spread, 20 * pin, rtol=1e-6)


def test_the_opening_spread_breaks_even(in_float64):
    alpha, delta, eb, es, mu = NUMBERS.values()
    chances = np.array([1 - alpha, alpha * delta, alpha * (1 - delta)])
    values = np.array([delta * 90 + (1 - delta) * 110, 90, 110])
    buys, sells = chances * [eb, eb, eb + mu], chances * [es, es + mu, es]
    wanted = buys @ values / buys.sum() - sells @ values / sells.sum()
    spread = opening_spread(
        PinParameters(**NUMBERS), jnp.asarray(90.0), jnp.asarray(110.0)
    )
    np.testing.assert_allclose(spread, wanted, rtol=1e-12)


def test_simulated_days(x64):
    number = 20_000
    days = simulate(jax.random.key(1), PinParameters(**NUMBERS), number)
    assert days.buys.dtype == np.int32
    assert days.buys.shape == days.sells.shape == days.news.shape == (number,)
    buys, sells, news = (np.asarray(x) for x in days)
    for kind, chance, rates in (
        (0, 0.6, (250, 220)),
        (-1, 0.12, (250, 350)),
        (1, 0.28, (380, 220)),
    ):
        chosen = news == kind
        error = np.sqrt(chance * (1 - chance) / number)
        assert abs(chosen.mean() - chance) < 5 * error
        for counts, rate in zip((buys, sells), rates, strict=True):
            own = counts[chosen]
            assert abs(own.mean() - rate) < 5 * np.sqrt(rate / len(own))
            assert abs(own.var() / rate - 1) < 5 * np.sqrt(2 / len(own))


def test_the_truth_is_likelier_than_its_neighbours(in_float64):
    truth = PinParameters(**NUMBERS)
    days = simulate(jax.random.key(2), truth, 20_000)
    best = likelihood(days.buys, days.sells, truth)
    for name, value in NUMBERS.items():
        for factor in (0.8, 1.25):
            other = PinParameters(**NUMBERS | {name: value * factor})
            assert likelihood(days.buys, days.sells, other) < best


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"news_probability": 1.5}, r"news_probability must lie in \[0, 1\]; got 1.5"),
        ({"bad_probability": -0.5}, r"bad_probability must lie in \[0, 1\]"),
        ({"buy_rate": -1.0}, "buy_rate must be at least 0; got -1.0"),
        ({"informed_rate": np.nan}, "informed_rate must be finite"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(ValueError, match=message):
        PinParameters(**NUMBERS | changes)
