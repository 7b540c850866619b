import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.calibration.fitting import LeastSquares
from gtrade.calibration.linear import (
    OrdinaryLeastSquares,
    block_starts,
    resampled_estimates,
)
from gtrade.calibration.linear_impact import LinearImpact, fit_windows
from gtrade.problems.base import make_batch
from gtrade.solution import status_names
from gtrade.solving import solve_batch
from tests.calibration import market_data

BARS, LANES = 120, 6
IMPACT, INTERCEPT, NOISE = 8e-5, 1e-3, 0.02
resample = eqx.filter_jit(resampled_estimates)


def market(rng, lanes=LANES, bars=BARS):
    """Draw flow with a mean, and mid changes with noise that grows with the flow."""
    flow = 400 * rng.standard_t(8, size=(lanes, bars)) + 150
    noise = NOISE * rng.normal(size=(lanes, bars)) * (0.6 + np.abs(flow) / 600)
    return INTERCEPT + IMPACT * flow + noise, flow


def batch(changes, flow, weights=None):
    weights = np.ones_like(flow) if weights is None else weights
    return make_batch(
        LinearImpact, price_changes=changes, signed_volume=flow, weights=weights
    )


def by_hand(changes, flow, errors, num_lags=0):
    """Fit one series as textbooks do, with sums over pairs of observations."""
    x = np.column_stack([flow, np.ones_like(flow)])
    values, squares, _, _ = np.linalg.lstsq(x, changes, rcond=None)
    left = changes - x @ values
    bread = np.linalg.inv(x.T @ x)
    if errors == "classical":
        covariance = bread * squares[0] / (len(flow) - 2)
    else:
        meat = np.zeros((2, 2))
        for s in range(len(flow)):
            for t in range(max(0, s - num_lags), min(len(flow), s + num_lags + 1)):
                weight = 1 - abs(s - t) / (num_lags + 1)
                meat += weight * left[s] * left[t] * np.outer(x[s], x[t])
        covariance = bread @ meat @ bread
    share = 1 - squares[0] / ((changes - changes.mean()) ** 2).sum()
    return values, covariance, share


@pytest.mark.parametrize(
    ("errors", "num_lags"), [("classical", 0), ("robust", 0), ("robust", 4)]
)
def test_fits_are_those_of_textbooks(in_float64, errors, num_lags):
    changes, flow = market(np.random.default_rng(1))
    solution = solve_batch(
        batch(changes, flow), OrdinaryLeastSquares(errors=errors, num_lags=num_lags)
    )
    assert (status_names(solution.status) == "converged").all()
    assert (solution.residual < 1e-12).all()
    fit = solution.value
    for lane in range(LANES):
        values, covariance, share = by_hand(changes[lane], flow[lane], errors, num_lags)
        np.testing.assert_allclose(fit.values[lane], values, rtol=1e-10)
        np.testing.assert_allclose(fit.covariance[lane], covariance, rtol=1e-9)
        np.testing.assert_allclose(fit.r_squared[lane], share, rtol=1e-10)
    assert (fit.rank == 2).all()
    assert (fit.num_observations == BARS).all()


def test_float32_is_as_good_as_its_digits():
    changes, flow = market(np.random.default_rng(2))
    fit = solve_batch(batch(changes, flow + 3000), OrdinaryLeastSquares()).value
    for lane in range(LANES):
        values, covariance, _ = by_hand(changes[lane], flow[lane] + 3000, "robust")
        np.testing.assert_allclose(fit.values[lane], values, rtol=1e-4)
        np.testing.assert_allclose(fit.covariance[lane], covariance, rtol=1e-3)


@pytest.mark.slow
def test_a_search_finds_the_closed_form(in_float64):
    """The general fitter knows nothing of linear regressions."""
    changes, flow = market(np.random.default_rng(3), 2)
    problems = batch(changes, flow)
    closed = solve_batch(problems, OrdinaryLeastSquares(num_lags=2)).value
    searched = solve_batch(problems, LeastSquares(num_lags=2)).value
    np.testing.assert_allclose(searched.values, closed.values, rtol=1e-8)
    np.testing.assert_allclose(searched.covariance, closed.covariance, rtol=1e-6)
    np.testing.assert_allclose(
        searched.log_likelihood, closed.log_likelihood, rtol=1e-10
    )


def test_weights_count_observations(in_float64):
    """A bar of weight 0 is not there, one of weight 2 is there twice."""
    changes, flow = market(np.random.default_rng(4))
    weights = np.ones_like(flow)
    weights[:3, 100:], weights[3:, 100:] = 0, 2
    flow[:3, 100:] = 1e6
    found = solve_batch(batch(changes, flow, weights), OrdinaryLeastSquares())
    for lane in range(LANES):
        bars = np.arange(BARS)[:100] if lane < 3 else np.r_[:BARS, 100:BARS]
        x = np.column_stack([flow[lane, bars], np.ones(len(bars))])
        values = np.linalg.lstsq(x, changes[lane, bars], rcond=None)[0]
        np.testing.assert_allclose(found.value.values[lane], values, rtol=1e-9)
    _, covariance, share = by_hand(changes[0, :100], flow[0, :100], "robust")
    np.testing.assert_allclose(found.value.covariance[0], covariance, rtol=1e-8)
    np.testing.assert_allclose(found.value.r_squared[0], share, rtol=1e-9)
    assert found.value.num_dropped.tolist() == [20, 20, 20, 0, 0, 0]


def test_scaling_rescales_as_units_say(in_float64):
    changes, flow = market(np.random.default_rng(5))
    fit, other = (
        jax.tree.map(np.asarray, solve_batch(x, OrdinaryLeastSquares()).value)
        for x in (batch(changes, flow), batch(7 * changes, 100 * flow))
    )
    factors = np.array([7 / 100, 7])
    np.testing.assert_allclose(other.values, fit.values * factors, rtol=1e-12)
    np.testing.assert_allclose(
        other.covariance, fit.covariance * np.outer(factors, factors), rtol=1e-10
    )
    np.testing.assert_allclose(other.r_squared, fit.r_squared, rtol=1e-12)


def test_degenerate_series_have_a_status_and_stay_alone(x64):
    changes, flow = market(np.random.default_rng(6))
    weights = np.ones_like(flow)
    expected = solve_batch(batch(changes, flow), OrdinaryLeastSquares()).value.values
    flow[1] = 0  # no trade
    flow[2] = 300  # buys of one size
    changes[3] = 0  # a price that stands still
    flow[4, 1:] = 0  # a single trade
    weights[5, 2:] = 0  # too few bars
    solution = solve_batch(batch(changes, flow, weights), OrdinaryLeastSquares())
    names = status_names(solution.status)
    assert names.tolist() == ["converged"] + ["invalid_input"] * 5
    assert np.isnan(solution.value.values[1:]).all()
    assert np.isnan(solution.value.standard_error[1:]).all()
    np.testing.assert_array_equal(solution.value.values[0], expected[0])


def test_a_lane_of_nan_stays_alone():
    changes, flow = market(np.random.default_rng(7), 2)

    @jax.jit
    def fits(changes, flow):
        problems = jax.vmap(LinearImpact)(changes, flow, jnp.ones_like(flow))
        return jax.vmap(OrdinaryLeastSquares().solve)(problems)

    good = fits(jnp.asarray(changes), jnp.asarray(flow))
    changes[1, 5] = np.nan
    bad = fits(jnp.asarray(changes), jnp.asarray(flow))
    assert status_names(bad.status).tolist() == ["converged", "invalid_input"]
    assert np.isnan(bad.value.values[1]).all()
    np.testing.assert_array_equal(bad.value.values[0], good.value.values[0])


@pytest.mark.slow
def test_gradients_are_those_of_differences(in_float64):
    changes, flow = market(np.random.default_rng(8), 1)

    @jax.jit
    def number(shift):
        moved = jnp.asarray(flow[0]).at[3].add(shift)
        problem = LinearImpact(changes[0], moved, jnp.ones(BARS))
        fit = OrdinaryLeastSquares(num_lags=2).solve(problem).value
        return fit.values[0] / fit.standard_error[0]

    step = 1e-3
    slope = (number(step) - number(-step)) / (2 * step)
    np.testing.assert_allclose(jax.jit(jax.grad(number))(0.0), slope, rtol=1e-6)


def test_windows_are_fitted_one_by_one(in_float64):
    changes, flow = (x[0] for x in market(np.random.default_rng(9), 1))
    changes[60] = np.nan
    found = jax.jit(lambda *x: fit_windows(*x, window=40, batch_size=7))(
        changes, flow, np.arange(BARS)
    )
    values, errors = np.array(found.value.values), np.array(found.value.standard_error)
    for end in (12, 39, 80, BARS - 1):
        bars = np.arange(max(0, end - 39), end + 1)
        bars = bars[np.isfinite(changes[bars])]
        expected, covariance, _ = by_hand(changes[bars], flow[bars], "robust")
        np.testing.assert_allclose(values[end], expected, rtol=1e-9)
        np.testing.assert_allclose(errors[end] ** 2, np.diag(covariance), rtol=1e-8)
        assert found.value.num_observations[end] == len(bars)
    assert status_names(found.status)[1] == "invalid_input"


def test_windows_refuse_what_is_not_there():
    series = np.zeros(10)
    with pytest.raises(ValueError, match="ends must be below the number of bars, 10"):
        fit_windows(series, series, [3, 10], window=5)
    with pytest.raises(ValueError, match="window must be at least 1"):
        fit_windows(series, series, [3], window=0)


@pytest.mark.parametrize("block_length", [1, 7])
def test_resamples_are_made_of_blocks(in_float64, block_length):
    rng = np.random.default_rng(10)
    changes, flow = market(rng, 1)
    weights = np.ones(BARS)
    weights[[4, 50, 51]] = 0
    problem = LinearImpact(changes[0], flow[0], weights)
    key, num_resamples = jax.random.key(3), 300  # more than a chunk
    found = np.array(resample(problem, key, num_resamples, block_length))
    used = np.flatnonzero(weights)
    num_blocks = -(-BARS // block_length)
    starts = np.array(block_starts(key, num_resamples, num_blocks, len(used)))
    assert starts.min() >= 0
    assert starts.max() < len(used)
    for row in (0, 1, 255, 256, 299):
        blocks = [
            (start + np.arange(block_length)) % len(used) for start in starts[:, row]
        ]
        chosen = used[np.concatenate(blocks)[: len(used)]]
        x = np.column_stack([flow[0][chosen], np.ones(len(used))])
        values = np.linalg.lstsq(x, changes[0][chosen], rcond=None)[0]
        np.testing.assert_allclose(found[row], values, rtol=1e-9)


@pytest.mark.slow
def test_a_bootstrap_finds_robust_errors(in_float64):
    changes, flow = market(np.random.default_rng(11), 2)
    fitter = OrdinaryLeastSquares(errors="bootstrap", num_resamples=4000)
    keys = jax.random.split(jax.random.key(5), 2)
    found = solve_batch(batch(changes, flow), fitter, keys=keys).value
    robust = solve_batch(batch(changes, flow), OrdinaryLeastSquares()).value
    np.testing.assert_array_equal(found.values, robust.values)
    # Errors from 4000 draws are good to 1 %; HC0 itself is a few percent too small.
    ratio = np.array(found.standard_error / robust.standard_error)
    assert ((ratio > 0.97) & (ratio < 1.1)).all()
    with pytest.raises(ValueError, match="key must be given"):
        solve_batch(batch(changes, flow), fitter)


def test_unknown_errors_are_refused():
    with pytest.raises(ValueError, match="errors must be 'classical' or 'robust'"):
        OrdinaryLeastSquares(errors="hac")
    with pytest.raises(ValueError, match="weights must be at least 0"):
        LinearImpact(np.zeros(3), np.zeros(3), -np.ones(3))


@pytest.mark.slow
@pytest.mark.parametrize("errors", ["classical", "robust", "bootstrap"])
def test_intervals_cover_as_often_as_they_say(in_float64, errors):
    rng = np.random.default_rng(12)
    num, bars = 1000, 600
    flow = 400 * rng.normal(size=(num, bars)) + 150
    noise = NOISE * rng.normal(size=(num, bars))
    if errors != "classical":
        noise *= 0.6 + np.abs(flow) / 600
    problems = batch(INTERCEPT + IMPACT * flow + noise, flow)
    fitter = OrdinaryLeastSquares(errors=errors, num_resamples=400)
    keys = jax.random.split(jax.random.key(1), num)
    solution = solve_batch(problems, fitter, keys=keys)
    assert (status_names(solution.status) == "converged").all()
    check_coverage(solution.value, [IMPACT, INTERCEPT])


def check_coverage(fit, known):
    """Require 93 to 97 % within the intervals, and little bias in standard errors."""
    low, high = np.moveaxis(np.array(jax.vmap(lambda x: x.interval())(fit)), 1, 0)
    inside = ((low < known) & (known < high)).mean(axis=0)
    assert ((inside > 0.93) & (inside < 0.97)).all(), inside
    error = np.sqrt((np.array(fit.standard_error) ** 2).mean(axis=0))
    bias = (np.array(fit.values) - known).mean(axis=0) / error
    assert (np.abs(bias) < 0.1 * np.sqrt(len(low) / 100)).all(), bias


def test_a_real_day(in_float64):
    changes, flow = market_data.amazon_bars(10)
    fit = solve_batch(batch(changes[None], flow[None]), OrdinaryLeastSquares()).value
    assert abs(fit["price_impact"][0] - 7.917e-5) < 0.5e-8
    assert abs(fit.standard_error[0, 0] - 6.36e-6) < 0.5e-8
