"""The share of informed traders from counts, against sums over values day by day."""

import functools

import jax
import numpy as np
import pytest

import gtrade
from gtrade.calibration.fitting import MaximumLikelihood
from gtrade.calibration.informed_share import (
    OrderDays,
    OrderDaysOfUnknownPrior,
    noise_probabilities,
)
from gtrade.solution import status_names

DAYS, LANES = 80, 8
TRUTH = {"informed": 0.2, "buy": 0.4, "sell": 0.3}
NUMBERS = np.array([0.2, 0.7, 4 / 7])  # the same, as a fit has them


def chances(informed, buy, sell, is_high):
    """Return probabilities of a buy, a sell and a pass, given the value."""
    quiet = 1 - informed
    news = np.array([is_high, not is_high, 0]) * informed
    return news + quiet * np.array([buy, sell, 1 - buy - sell])


def draw(rng, num_days, traders=40, prior=0.5, informed=0.2, buy=0.4, sell=0.3):
    """Draw counts of buys, sells and passes, shape (3, days)."""
    is_high = rng.random(num_days) < prior
    pair = [chances(informed, buy, sell, x) for x in (False, True)]
    counts = [rng.multinomial(traders, pair[int(x)]) for x in is_high]
    return np.array(counts, float).T


def enumerated(counts, informed, buy, sell, prior):
    """Return the log-likelihood, one order and one value of a day after the other."""
    total = 0.0
    for day in counts.T.astype(int):
        day_chance = 0.0
        for is_high, weight in ((True, prior), (False, 1 - prior)):
            own = weight
            for chance, count in zip(
                chances(informed, buy, sell, is_high), day, strict=True
            ):
                for _ in range(count):
                    own *= chance
            day_chance += own
        total += np.log(day_chance)
    return total


def batch(cases, model=OrderDays, **more):
    """Return problems, LANES of DAYS, padded by weight 0 and by the first case."""
    counts, weights = np.ones((3, LANES, DAYS)), np.zeros((LANES, DAYS))
    for lane in range(LANES):
        case = cases[lane] if lane < len(cases) else cases[0]
        counts[:, lane, : case.shape[1]] = case
        weights[lane, : case.shape[1]] = 1
    columns = dict(zip(("buys", "sells", "passes"), counts, strict=True))
    return gtrade.make_batch(model, **columns, weights=weights, **more)


def fit_all(cases, prior=0.5):
    days = batch(cases, prior_high=np.broadcast_to(prior, LANES).astype(float))
    solution = gtrade.solve_batch(days, MaximumLikelihood(errors="hessian"))
    return jax.tree.map(np.asarray, solution)


@functools.cache
def fitted():
    """Return cases and their fits, with odd ones among good ones."""
    rng = np.random.default_rng(2)
    good = draw(rng, DAYS)
    short = draw(rng, 40, traders=25, buy=0.5, sell=0.5)
    few = np.zeros((3, 60))
    one = few.copy()
    one[0, 0] = 1
    alike = np.array([[12.0], [9.0], [9.0]]) * np.ones(DAYS)
    all_buys = np.array([[20.0], [0.0], [0.0]]) * np.ones(DAYS)
    cases = [good, good[[1, 0, 2]], short, few, one, alike, all_buys, good]
    return cases, fit_all(cases)


def test_recovers_the_truth(in_float64):
    _, solution = fitted()
    fit = solution.value
    assert status_names(solution.status)[0] == "converged"
    errors = np.sqrt(np.diagonal(fit.covariance[0]))
    assert (np.abs(fit.values[0] - NUMBERS) < 3 * errors).all()
    assert (errors < 0.1).all()
    assert fit.num_observations[0] == DAYS
    assert (fit.num_observations[2], fit.num_dropped[2]) == (40, DAYS - 40)


def test_noise_probabilities(in_float64):
    _, solution = fitted()
    fit = jax.tree.map(lambda x: x[0], solution.value)
    found, errors = noise_probabilities(fit)
    _, trades, buying = fit.values
    np.testing.assert_allclose(
        found, [trades * buying, trades * (1 - buying), 1 - trades]
    )
    assert (np.abs(np.array(found) - [0.4, 0.3, 0.3]) < 3 * np.array(errors)).all()
    variance = fit.covariance
    np.testing.assert_allclose(errors.passing, np.sqrt(variance[1, 1]))
    both = buying**2 * variance[1, 1] + trades**2 * variance[2, 2]
    both += 2 * buying * trades * variance[1, 2]
    np.testing.assert_allclose(errors.buy, np.sqrt(both))


@pytest.mark.parametrize("prior", [0.5, 0.2, 1.0])
def test_likelihood_is_the_enumerated_one(in_float64, prior):
    counts = draw(np.random.default_rng(4), 12, traders=15, prior=prior)
    values = np.array([0.3, 0.8, 0.6])
    wanted = enumerated(counts, 0.3, 0.8 * 0.6, 0.8 * 0.4, prior)
    known = OrderDays(*counts, prior_high=prior)
    np.testing.assert_allclose(known.log_likelihoods(values).sum(), wanted)
    unknown = OrderDaysOfUnknownPrior(*counts)
    found = unknown.log_likelihoods(np.append(values, prior)).sum()
    np.testing.assert_allclose(found, wanted)


def test_is_likelier_than_the_truth_and_its_neighbours(in_float64):
    cases, solution = fitted()
    fit = solution.value

    def at(values, lane):
        informed, trades, buying = values
        noise = trades * buying, trades * (1 - buying)
        return enumerated(cases[lane], informed, *noise, 0.5)

    for lane in (0, 2):
        best = at(fit.values[lane], lane)
        np.testing.assert_allclose(fit.log_likelihood[lane], best, rtol=1e-10)
        assert best >= at(NUMBERS, lane)
        for place, step in ((0, 0.01), (0, -0.01), (2, 0.01), (2, -0.01)):
            other = fit.values[lane] + step * np.eye(3)[place]
            assert at(other, lane) < best


def test_buys_and_sells_may_change_places(in_float64):
    _, solution = fitted()
    informed, trades, buying = solution.value.values[0]
    mirrored = [informed, trades, 1 - buying]
    np.testing.assert_allclose(solution.value.values[1], mirrored, rtol=1e-7)


def test_days_that_say_nothing(in_float64):
    _, solution = fitted()
    fit, names = solution.value, status_names(solution.status)
    for lane in (3, 4):
        assert names[lane] == "invalid_input"
        assert np.isnan(fit.values[lane]).all()
    # Nobody passes: noise always trades.
    assert fit.is_at_bound[2].tolist() == [False, True, False]
    # Days that are all alike have no informed traders.
    assert fit.is_at_bound[5].tolist() == [True, False, False]
    np.testing.assert_allclose(fit.values[5, 1:], [0.7, 4 / 7], rtol=1e-4)
    assert np.isnan(fit.covariance[5, 0]).all()
    assert np.isfinite(fit.covariance[5, 1:, 1:]).all()
    assert fit.is_at_bound[6].all()
    np.testing.assert_array_equal(fit.values[0], fit.values[7])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"buys": [0.5, 2.0]}, "buys must be whole numbers; got"),
        ({"passes": [-1.0, 2.0]}, "passes must be at least 0; got"),
        ({"prior_high": 1.5}, r"prior_high must lie in \[0, 1\]; got 1.5"),
        ({"sells": [1.0]}, "shape"),
    ],
)
def test_refusals(changes, message):
    counts = {"buys": [1.0, 2.0], "sells": [3.0, 4.0], "passes": [0.0, 0.0]}
    with pytest.raises(ValueError, match=message):
        OrderDays(**counts | changes)


@pytest.mark.slow
def test_intervals_cover_the_truth(in_float64):
    rng = np.random.default_rng(8)
    counts = np.stack([draw(rng, DAYS) for _ in range(1000)], axis=1)
    columns = dict(zip(("buys", "sells", "passes"), counts, strict=True))
    days = gtrade.make_batch(OrderDays, **columns, weights=np.ones((1000, DAYS)))
    solution = gtrade.solve_batch(days, MaximumLikelihood(errors="hessian"))
    assert (status_names(solution.status) == "converged").all()
    ends = np.asarray(jax.jit(jax.vmap(lambda fit: fit.interval()))(solution.value))
    is_inside = (ends[:, 0] <= NUMBERS) & (ends[:, 1] >= NUMBERS)
    assert (np.abs(is_inside.mean(axis=0) - 0.95) <= 0.02).all()


@pytest.mark.slow
def test_the_prior_can_be_fitted_too(in_float64):
    rng = np.random.default_rng(9)
    cases = [draw(rng, DAYS, prior=0.3), draw(rng, DAYS, informed=0.4, prior=0.6)]
    cases += [case[[1, 0, 2]] for case in cases]
    solution = gtrade.solve_batch(
        batch(cases, OrderDaysOfUnknownPrior), MaximumLikelihood(errors="hessian")
    )
    fit = jax.tree.map(np.asarray, solution.value)
    for lane, prior, informed in ((0, 0.3, 0.2), (1, 0.6, 0.4)):
        truth = np.array([informed, *NUMBERS[1:], prior])
        errors = np.sqrt(np.diagonal(fit.covariance[lane]))
        assert (np.abs(fit.values[lane] - truth) < 3 * errors).all()
        mirrored = [*fit.values[lane, :2], *(1 - fit.values[lane, 2:])]
        np.testing.assert_allclose(fit.values[lane + 2], mirrored, rtol=1e-6)
