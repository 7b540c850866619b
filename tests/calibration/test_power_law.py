import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from gtrade.calibration.fitting import LeastSquares
from gtrade.calibration.power_law import PowerLawImpact, at_rate
from gtrade.problems.base import make_batch
from gtrade.solution import status_names
from gtrade.solving import solve_batch
from tests.calibration.test_linear_impact import check_coverage

LANES, FILLS, TYPICAL = 6, 150, np.exp(11.0)
COST, EXPONENT = KNOWN = (0.08, 0.6)


def fills(rng, kind, lanes=LANES, number=FILLS):
    """Draw rates over two orders of magnitude, and costs."""
    rates = rng.choice([-1, 1], (lanes, number)) * np.exp(
        rng.normal(11, 1, (lanes, number))
    )
    costs = COST * (np.abs(rates) / TYPICAL) ** EXPONENT
    noise = rng.normal(size=rates.shape)
    return rates, costs + 0.04 * noise if kind == "level" else costs * np.exp(
        0.4 * noise
    )


def batch(rates, costs, **changes):
    ones = np.ones_like(rates)
    numbers = {"noise_scales": ones, "weights": ones, "reference_rate": TYPICAL}
    return make_batch(PowerLawImpact, rates=rates, costs=costs, **(numbers | changes))


@pytest.fixture(
    scope="module", params=["level", pytest.param("log", marks=pytest.mark.slow)]
)
def fitted(request):
    with jax.enable_x64(True):
        rates, costs = fills(np.random.default_rng(1), request.param)
        problems = batch(rates, costs, kind=request.param)
        return request.param, rates, costs, solve_batch(problems, LeastSquares())


def test_fits_are_those_of_scipy(in_float64, fitted):
    kind, rates, costs, solution = fitted
    assert (status_names(solution.status) == "converged").all()
    assert (solution.value.num_agreeing == 4).all()
    for lane in range(LANES):
        x = np.log(np.abs(rates[lane]) / TYPICAL)
        if kind == "level":
            expected, _ = optimize.curve_fit(
                lambda x, c, p: c * np.exp(p * x),
                x,
                costs[lane],
                p0=[0.1, 1.0],
                ftol=1e-14,
                xtol=1e-14,
            )
        else:
            slope, level = np.polyfit(x, np.log(costs[lane]), 1)
            expected = np.exp(level), slope
        np.testing.assert_allclose(solution.value.values[lane], expected, rtol=1e-5)


def test_errors_are_those_of_the_sandwich(in_float64, fitted):
    kind, rates, costs, solution = fitted
    cost, exponent = np.array(solution.value.values[0])
    x = np.log(np.abs(rates[0]) / TYPICAL)
    if kind == "level":
        shape = np.exp(exponent * x)
        left, slopes = costs[0] - cost * shape, np.stack([shape, cost * shape * x])
    else:
        left = np.log(costs[0]) - np.log(cost) - exponent * x
        slopes = np.stack([np.ones_like(x) / cost, x])
    bread = np.linalg.inv(slopes @ slopes.T)
    expected = bread @ (slopes * left**2) @ slopes.T @ bread
    found = np.array(solution.value.covariance[0])
    # The package takes the Hessian where this oracle takes products of slopes.
    np.testing.assert_allclose(found, expected, rtol=0.15, atol=0.1 * found[0, 0])


def test_units_and_padding(in_float64, fitted):
    kind, rates, costs, solution = fitted
    costs, weights = costs.copy(), np.ones_like(costs)
    costs[1] *= 100
    weights[2, 100:] = 0
    references = np.full(LANES, TYPICAL)
    rates = rates.copy()
    rates[3] *= 7
    references[3] *= 7
    references[4] = 1.0
    others = solve_batch(
        batch(rates, costs, weights=weights, reference_rate=references, kind=kind),
        LeastSquares(),
    )
    values, errors = (
        np.array(others.value.values),
        np.array(others.value.standard_error),
    )
    before = np.array(solution.value.values), np.array(solution.value.standard_error)
    np.testing.assert_allclose(values[0], before[0][0], rtol=1e-9)
    np.testing.assert_allclose(values[1], before[0][1] * [100, 1], rtol=1e-7)
    np.testing.assert_allclose(errors[1], before[1][1] * [100, 1], rtol=1e-6)
    np.testing.assert_allclose(values[3], before[0][3], rtol=1e-7)
    assert others.value.num_observations[2] == 100
    # Fitted at a rate of 1, or taken there afterwards.
    one = jax.tree.map(lambda x: x[4], solution.value)
    moved = jax.jit(at_rate)(one, TYPICAL, 1.0)
    np.testing.assert_allclose(values[4], moved.values, rtol=1e-5)
    np.testing.assert_allclose(errors[4], moved.standard_error, rtol=1e-3)
    back = jax.jit(at_rate)(moved, 1.0, TYPICAL)
    np.testing.assert_allclose(back.covariance, one.covariance, rtol=1e-8)


def test_degenerate_fills_have_a_status_and_stay_alone(in_float64, fitted):
    kind, rates, costs, solution = fitted
    rates, weights = rates.copy(), np.ones_like(costs)
    rates[1] = TYPICAL  # one rate, the reference: the cost at it is known
    rates[2] = 2 * TYPICAL  # one rate, another
    weights[3, 1:] = 0  # one fill
    weights[4] = 0
    found = solve_batch(batch(rates, costs, weights=weights, kind=kind), LeastSquares())
    assert status_names(found.status).tolist() == [
        "converged",
        "degenerate",
        "degenerate",
        "invalid_input",
        "invalid_input",
        "converged",
    ]
    fit = found.value
    assert fit.is_identified[1].tolist() == [True, False]
    assert fit.is_identified[2].tolist() == [False, False]
    assert np.isnan(fit.standard_error[1]).tolist() == [False, True]
    mean = costs[1].mean() if kind == "level" else np.exp(np.log(costs[1]).mean())
    np.testing.assert_allclose(fit.values[1, 0], mean, rtol=1e-6)
    assert np.isnan(fit.values[3:5]).all()
    np.testing.assert_allclose(fit.values[0], solution.value.values[0], rtol=1e-9)


def test_without_a_rate_the_mean_one_is_taken(in_float64):
    rates, costs = fills(np.random.default_rng(2), "level", 1)
    ones = np.ones(FILLS)
    problem = PowerLawImpact(rates[0], costs[0], ones, ones)
    mean = np.exp(np.log(np.abs(rates[0])).mean())
    np.testing.assert_allclose(problem.reference, mean, rtol=1e-12)
    values = jnp.array([2.0, 0.5])
    np.testing.assert_allclose(
        problem.predict(values), 2 * np.sqrt(np.abs(rates[0]) / mean), rtol=1e-12
    )


def test_logarithms_refuse_costs_below_zero():
    ones = np.ones(4)
    costs = np.array([1.0, -1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="costs must be greater than 0"):
        PowerLawImpact(ones, costs, ones, ones, kind="log")
    PowerLawImpact(ones, costs, ones, np.array([1.0, 0, 1, 1]), kind="log")
    with pytest.raises(ValueError, match="kind must be 'level' or 'log'"):
        PowerLawImpact(ones, costs, ones, ones, kind="ratio")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["level", "log"])
def test_intervals_cover_as_often_as_they_say(in_float64, kind):
    rates, costs = fills(np.random.default_rng(3), kind, 1000, 500)
    solution = solve_batch(batch(rates, costs, kind=kind), LeastSquares())
    assert (status_names(solution.status) == "converged").all()
    check_coverage(solution.value, KNOWN)
