"""PIN from daily counts, against searches by SciPy from the same starts."""

import functools
import itertools

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy import optimize, special, stats

import gtrade
from gtrade.calibration.fitting import MaximumLikelihood
from gtrade.calibration.pin import PinParameters, news_probabilities
from gtrade.calibration.pin_fit import PinDays, PinLikelihood
from gtrade.calibration.pin_search import day_sums, look
from gtrade.solution import status_names

DAYS, LANES = 250, 12
NAMES = PinDays.names


def draw(rng, numbers, num_days):
    """Draw counts of days; numbers in the order of NAMES."""
    alpha, delta, buy, sell, informed = numbers
    kind = rng.random(num_days)
    is_bad, is_good = kind < alpha * delta, (kind >= alpha * delta) & (kind < alpha)
    buys = rng.poisson(buy + informed * is_good)
    return buys, rng.poisson(sell + informed * is_bad)


def likelihood(numbers, buys, sells):
    """Return the log-likelihood, as a textbook writes it."""
    alpha, delta, buy, sell, informed = numbers
    with np.errstate(divide="ignore"):
        chances = np.log([1 - alpha, alpha * delta, alpha * (1 - delta)])
    rates = [(buy, sell), (buy, sell + informed), (buy + informed, sell)]
    terms = [
        chance + stats.poisson.logpmf(buys, b) + stats.poisson.logpmf(sells, s)
        for chance, (b, s) in zip(chances, rates, strict=True)
    ]
    return special.logsumexp(terms, axis=0).sum()


def grid(buys, sells):
    """Return the starts of the literature in free coordinates."""
    shares = [0.1, 0.3, 0.5, 0.7, 0.9]
    for alpha, delta, quiet in itertools.product(shares, repeat=3):
        buy = quiet * buys.mean()
        informed = (buys.mean() - buy) / (alpha * (1 - delta))
        sell = sells.mean() - alpha * delta * informed
        if sell > 0:
            rates = np.log([buy, sell, informed])
            yield np.concatenate([special.logit([alpha, delta]), rates])


def searched(buys, sells):
    """Return the best log-likelihood that SciPy finds from the grid."""
    base = -special.gammaln(buys + 1) - special.gammaln(sells + 1)

    def loss(free):
        alpha, delta = special.expit(free[:2])
        buy, sell, informed = np.exp(np.minimum(free[2:], 20))
        of_bad = sells * np.log1p(informed / sell) - informed
        of_good = buys * np.log1p(informed / buy) - informed
        chances = special.log_expit([-free[0], free[0]])
        kinds = special.log_expit([free[1], -free[1]]) + chances[1]
        terms = np.stack(
            [0 * of_bad + chances[0], kinds[0] + of_bad, kinds[1] + of_good]
        )
        days = special.logsumexp(terms, axis=0)
        none, bad, good = np.exp(terms - days)
        quiet = buys * np.log(buy) - buy + sells * np.log(sell) - sell
        in_buys, in_sells = informed / (buy + informed), informed / (sell + informed)
        slope = [
            (bad + good - alpha).sum(),
            (bad * (1 - delta) - good * delta).sum(),
            (buys * (1 - good * in_buys) - buy).sum(),
            (sells * (1 - bad * in_sells) - sell).sum(),
            (good * buys * in_buys + bad * sells * in_sells).sum()
            - informed * (bad + good).sum(),
        ]
        return -(days + quiet + base).sum() / len(buys), -np.array(slope) / len(buys)

    bounds = [(-30, 30)] * 2 + [(-20, 20)] * 3
    ends = [
        optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).fun
        for start in grid(buys, sells)
    ]
    return -min(ends) * len(buys)


def fit_all(cases, **options):
    """Fit cases of any length up to DAYS in one batch of LANES, padded by weight 0."""
    buys, sells, weights = np.ones((3, LANES, DAYS))
    weights[:] = 0
    for lane, (b, s) in enumerate(cases):
        buys[lane, : len(b)], sells[lane, : len(s)] = b, s
        weights[lane, : len(b)] = 1
    for lane in range(len(cases), LANES):
        buys[lane], sells[lane], weights[lane] = buys[0], sells[0], weights[0]
    days = gtrade.make_batch(PinDays, buys=buys, sells=sells, weights=weights)
    solution = gtrade.solve_batch(days, PinLikelihood(**options))
    return jax.tree.map(np.asarray, solution)


TRUTHS = [
    ((0.4, 0.3, 250, 220, 130), 60),
    ((0.2, 0.5, 250, 220, 60), 60),
    ((0.6, 0.5, 20, 25, 20), 250),
    ((0.3, 0.5, 1e4, 1.1e4, 700), 250),
    ((0.4, 0.3, 1e5, 9e4, 2e4), 60),
    ((0.3, 0.7, 1e5, 1e5, 3e3), 120),
    ((0.5, 0.2, 3e4, 1e5, 1e5), 90),
]


@functools.cache
def recovered():
    """Return counts of every truth, and their fits."""
    rng = np.random.default_rng(3)
    cases = [draw(rng, numbers, count) for numbers, count in TRUTHS]
    # Sides that change places, for the symmetry.
    return cases, fit_all(cases + [(s, b) for b, s in cases[:4]])


def test_recovers_the_truth(in_float64):
    _, solution = recovered()
    fit = solution.value.fit
    for lane, (numbers, _) in enumerate(TRUTHS):
        assert status_names(solution.status)[lane] == "converged"
        errors = np.sqrt(np.diagonal(fit.covariance[lane]))
        assert (np.abs(fit.values[lane] - numbers) < 3 * errors).all()
        alpha, _, buy, sell, informed = numbers
        pin = alpha * informed / (alpha * informed + buy + sell)
        miss = np.abs(solution.value.pin[lane] - pin)
        assert miss < 3 * solution.value.pin_standard_error[lane]
        assert not fit.is_at_bound[lane].any()
        assert 0 < fit.num_agreeing[lane] <= fit.num_starts[lane] <= 160


def test_is_at_least_as_likely_as_the_truth_and_any_search(in_float64):
    cases, solution = recovered()
    for lane, (numbers, count) in enumerate(TRUTHS):
        fit = solution.value.fit
        found = likelihood(fit.values[lane], *cases[lane])
        np.testing.assert_allclose(fit.log_likelihood[lane], found, rtol=1e-10)
        assert found >= likelihood(numbers, *cases[lane])
        if count <= 90:
            assert found >= searched(*cases[lane]) - 1e-6
            assert fit.num_starts[lane] >= len(list(grid(*cases[lane])))
            assert fit.num_observations[lane] == count
            assert fit.num_dropped[lane] == DAYS - count


def test_finds_what_the_usual_grid_misses(in_float64):
    """News on nearly every day: all starts of the grid end far below the truth."""
    numbers = (0.95, 0.1, 1e5, 1e5, 5e3)
    draws = [draw(np.random.default_rng(seed), numbers, 60) for seed in range(6)]
    found = fit_all(draws).value.fit.log_likelihood
    for case, height in zip(draws, found, strict=False):
        assert height >= likelihood(numbers, *case)
    assert searched(*draws[0]) < found[0] - 100


def test_sides_may_change_places(in_float64):
    _, solution = recovered()
    values = solution.value.fit.values
    for lane in range(4):
        alpha, delta, buy, sell, informed = values[lane]
        mirrored = [alpha, 1 - delta, sell, buy, informed]
        np.testing.assert_allclose(values[len(TRUTHS) + lane], mirrored, rtol=1e-6)


def test_errors_are_those_of_the_curvature(in_float64):
    """By differences of the textbook's likelihood; PIN's by its gradient."""
    cases, solution = recovered()
    fit, found = solution.value.fit, solution.value
    for lane in (0, 2):
        values, size = fit.values[lane], len(NAMES)
        steps = 1e-3 * np.sqrt(np.diagonal(fit.covariance[lane]))
        information = np.empty((size, size))
        for i, j in itertools.product(range(size), repeat=2):
            corners = [
                x
                * y
                * likelihood(
                    values + x * steps * np.eye(size)[i] + y * steps * np.eye(size)[j],
                    *cases[lane],
                )
                for x, y in itertools.product((1, -1), repeat=2)
            ]
            information[i, j] = -sum(corners) / (4 * steps[i] * steps[j])
        covariance = np.linalg.inv(information)
        size = np.sqrt(np.diagonal(covariance))
        misses = (fit.covariance[lane] - covariance) / np.outer(size, size)
        np.testing.assert_allclose(misses, 0, atol=2e-3)
        alpha, _, buy, sell, informed = values
        pin, total = found.pin[lane], alpha * informed + buy + sell
        slope = np.array([informed, 0, 0, 0, alpha]) * (1 - pin) / total
        slope -= np.array([0, 0, 1, 1, 0]) * pin / total
        error = np.sqrt(slope @ covariance @ slope)
        np.testing.assert_allclose(found.pin_standard_error[lane], error, rtol=2e-3)
        low, high = found.pin_interval()[lane]
        np.testing.assert_allclose(high - low, 2 * 1.96 * error, rtol=0.1)


def test_a_look_has_the_exact_derivatives(in_float64):
    buys, sells = (x.astype(float) for x in recovered()[0][0])
    weights = np.linspace(0.5, 2, len(buys))
    free = np.array([-0.4, 0.3, np.log(240), np.log(230), np.log(90)])

    @jax.jit
    def derivatives(free):
        def loss(free):
            days = PinDays(buys, sells, weights)
            rates = jax.numpy.exp(free[2:])
            values = jax.numpy.concatenate([jax.nn.sigmoid(free[:2]), rates])
            return (weights * days.log_likelihoods(values)).sum()

        place = look(day_sums(buys, sells, weights), free)
        return (
            place,
            loss(free),
            loss(place.safe),
            jax.grad(loss)(free),
            jax.hessian(loss)(free),
        )

    place, height, higher, gradient, hessian = derivatives(free)
    newton = -np.linalg.solve(hessian, gradient)
    np.testing.assert_allclose(place.newton, newton, rtol=1e-8)
    np.testing.assert_allclose(place.gain, gradient @ newton / 2, rtol=1e-8)
    mean = np.average(buys, weights=weights), np.average(sells, weights=weights)
    flat = weights @ stats.poisson.logpmf([buys, sells], np.array(mean)[:, None]).sum(0)
    np.testing.assert_allclose(place.height, height - flat, rtol=1e-8)
    assert higher > height


@functools.cache
def strange():
    """Return fits of days that say little, among others that say enough."""
    rng = np.random.default_rng(5)
    good = draw(rng, TRUTHS[0][0], 60)
    none, same = np.zeros(60), np.full(60, 100)
    return fit_all(
        [
            good,
            (none, none),  # 1: no trades
            (same, same),  # 2: days that are alike
            (good[0][:1], good[1][:1]),  # 3: one day
            (good[0], none),  # 4: all buys
            (none, good[1]),  # 5: all sells
            good,
            draw(rng, (1.0, 0.4, 200, 200, 100), 60),  # 7: news every day
            draw(rng, (0.4, 0.0, 200, 200, 100), 60),  # 8: no bad news
        ]
    )


def test_days_that_say_nothing(in_float64):
    solution = strange()
    names, found = status_names(solution.status), solution.value
    for lane in (1, 3):
        assert names[lane] == "invalid_input"
        assert np.isnan(found.fit.values[lane]).all()
        assert np.isnan([found.pin[lane], found.pin_standard_error[lane]]).all()
    assert names[2] == "degenerate"
    np.testing.assert_allclose(found.fit.values[2, 2:4], 100)
    np.testing.assert_allclose(found.fit.values[2, [0, 4]], 0, atol=1e-8)
    np.testing.assert_allclose(found.pin[2], 0, atol=1e-12)
    assert np.isnan(found.pin_standard_error[2])
    errors = np.sqrt(np.diagonal(found.fit.covariance[2]))
    np.testing.assert_allclose(errors[2:4], np.sqrt(100 / 60))
    assert np.isnan(errors[[0, 1, 4]]).all()
    assert not found.fit.is_identified[2, [0, 1, 4]].any()


def test_bounds_are_flagged(in_float64):
    solution = strange()
    fit = solution.value.fit
    flags = {
        lane: {NAMES[i] for i in np.flatnonzero(fit.is_at_bound[lane])}
        for lane in (0, 4, 5, 7, 8)
    }
    assert flags == {
        0: set(),
        4: {"bad_probability", "sell_rate"},
        5: {"bad_probability", "buy_rate"},
        7: {"news_probability"},
        8: {"bad_probability"},
    }
    for lane in (4, 5, 7, 8):
        assert status_names(solution.status)[lane] == "converged"
        errors = np.sqrt(np.diagonal(fit.covariance[lane]))
        np.testing.assert_array_equal(np.isnan(errors), fit.is_at_bound[lane])
        assert np.isfinite(solution.value.pin_standard_error[lane])


def test_neighbours_do_not_matter(in_float64):
    fit = strange().value.fit
    np.testing.assert_array_equal(fit.values[0], fit.values[6])
    rng = np.random.default_rng(5)
    alone = fit_all([draw(rng, TRUTHS[0][0], 60)]).value.fit
    np.testing.assert_allclose(fit.values[0], alone.values[0], rtol=1e-9)


def test_days_by_their_news(in_float64):
    buys, sells = np.array([250, 380, 255]), np.array([220, 215, 350])
    numbers = PinParameters(**dict(zip(NAMES, TRUTHS[0][0], strict=True)))
    found = jax.jit(news_probabilities)(buys, sells, numbers)
    assert np.argmax(found, axis=1).tolist() == [0, 2, 1]
    np.testing.assert_allclose(np.sum(found, axis=1), 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"buys": [1.5, 2.0]}, "buys must be whole numbers; got"),
        ({"sells": [-1.0, 2.0]}, "sells must be at least 0; got"),
        ({"weights": [np.nan, 1.0]}, "weights must be"),
        ({"buys": [], "sells": []}, "buys must hold at least one day"),
        ({"buys": [1.0, 2.0, 3.0]}, "shape"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(ValueError, match=message):
        PinDays(**{"buys": [1.0, 2.0], "sells": [3.0, 4.0]} | changes)


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [TRUTHS[0][0], (0.4, 0.4, 1e5, 9e4, 2e3)])
def test_intervals_cover_the_truth(in_float64, numbers):
    rng = np.random.default_rng(11)
    buys, sells = np.moveaxis([draw(rng, numbers, 120) for _ in range(1000)], 1, 0)
    days = gtrade.make_batch(
        PinDays, buys=buys, sells=sells, weights=np.ones(buys.shape)
    )
    solution = gtrade.solve_batch(days, PinLikelihood())
    found = solution.value
    assert (status_names(solution.status) == "converged").all()
    ends = np.asarray(jax.jit(jax.vmap(lambda fit: fit.interval()))(found.fit))
    is_inside = (ends[:, 0] <= numbers) & (numbers <= ends[:, 1])
    assert (np.abs(is_inside.mean(axis=0) - 0.95) <= 0.02).all()
    alpha, _, buy, sell, informed = numbers
    pin = alpha * informed / (alpha * informed + buy + sell)
    low, high = np.asarray(found.pin_interval()).T
    assert abs(np.mean((low <= pin) & (pin <= high)) - 0.95) <= 0.02
    misses = (np.asarray(found.fit.values) - numbers) / found.fit.standard_error
    assert (np.abs(misses.mean(axis=0)) < 0.1 * np.sqrt(10)).all()


@pytest.mark.slow
def test_single_precision_loses_digits_only():
    rng = np.random.default_rng(13)
    cases = [draw(rng, *TRUTHS[lane]) for lane in (0, 3, 4)]
    narrow = fit_all(cases).value
    with jax.enable_x64(True):
        wide = fit_all(cases).value
    assert narrow.fit.values.dtype == np.float32
    errors = np.sqrt(np.diagonal(wide.fit.covariance, axis1=1, axis2=2))
    assert (np.abs(narrow.fit.values - wide.fit.values) < 0.1 * errors).all()
    np.testing.assert_allclose(
        narrow.pin_standard_error, wide.pin_standard_error, rtol=0.05
    )


@pytest.mark.slow
def test_the_general_search_finds_the_same(in_float64):
    buys, sells = (x.astype(float) for x in recovered()[0][0])
    days = PinDays(buys, sells)
    fitter = MaximumLikelihood(errors="hessian")
    starts = days.starts()[10:50:10]
    found = eqx.filter_jit(fitter.solve_from)(days, starts).value
    own = recovered()[1].value.fit
    np.testing.assert_allclose(found.values, own.values[0], rtol=1e-6)
    np.testing.assert_allclose(found.covariance, own.covariance[0], rtol=1e-5)
