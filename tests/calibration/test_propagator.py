import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from gtrade import TransientImpact
from gtrade.calibration.fitting import LeastSquares
from gtrade.calibration.power_propagator import PowerLawPropagator
from gtrade.calibration.propagator import (
    ExponentialPropagator,
    KernelWeights,
    geometric_rates,
    nonnegative_solution,
)
from gtrade.calibration.transient_fit import transient_numbers
from gtrade.problems.base import make_batch
from gtrade.solution import status_names
from gtrade.solving import solve_batch
from tests.calibration.test_linear_impact import check_coverage

LANES, BARS, STEP, NOISE = 4, 300, 0.5, 1e-3
RATES = np.array([0.0, 0.05, 0.4, 3.0])
make_weights = jax.jit(
    lambda mids, flow, weights, rates: jax.vmap(
        lambda m, q, w: KernelWeights.from_flow(m, q, w, STEP, rates)
    )(mids, flow, weights)
)


def market(kernel, lanes=LANES, bars=BARS, seed=0, noise=NOISE):
    """Draw correlated flow, and mids that every trade so far moves by the kernel."""
    rng = np.random.default_rng(seed)
    flow = 100 * rng.normal(size=(lanes, bars))
    flow[:, 1:] += 0.3 * flow[:, :-1]
    lags = np.arange(bars)[:, None] - np.arange(bars)
    impact = np.where(lags >= 0, kernel(STEP * np.maximum(lags, 0)), 0)
    mids = flow @ impact.T + np.cumsum(noise * rng.normal(size=flow.shape), axis=1)
    return np.diff(mids, axis=1, prepend=0), flow


def exponentials(times, sizes, rates):
    return sum(w * np.exp(-r * times) for w, r in zip(sizes, rates, strict=True))


def sizes_of_kernels(sizes):
    return lambda t: exponentials(t, sizes, RATES)


@pytest.fixture(scope="module")
def on_a_grid():
    """Fit a kernel of which two weights are 0."""
    with jax.enable_x64(True):
        mids, flow = market(sizes_of_kernels([2e-5, 0, 4e-5, 0]))
        problems = make_weights(mids, flow, np.ones_like(flow), RATES)
        return mids, flow, problems, solve_batch(problems, LeastSquares())


def free(mids, flow, **changes):
    numbers = {"weights": np.ones_like(flow), "interval": STEP}
    numbers |= {"rates": np.array([0.3])}
    return make_batch(
        ExponentialPropagator,
        mid_changes=mids,
        signed_volume=flow,
        **(numbers | changes),
    )


def power(mids, flow, **changes):
    numbers = {"weights": np.ones_like(flow), "interval": STEP, "onset_time": 4.0}
    return make_batch(
        PowerLawPropagator,
        mid_changes=mids,
        signed_volume=flow,
        **(numbers | changes),
    )


@pytest.fixture(
    scope="module", params=["power", pytest.param("rates", marks=pytest.mark.slow)]
)
def fitted(request):
    """Fit a power law, or an exponential and its rate: all that describes the two."""
    with jax.enable_x64(True):
        if request.param == "power":
            known = 6e-5, 0.7
            problems = power(*market(kernel_of(known), seed=2))
        else:
            known = 2e-5, 4e-5, 0.4
            problems = free(*market(kernel_of(known), seed=1))
        return known, problems, solve_batch(problems, LeastSquares())


def kernel_of(values):
    """Return a power law of two numbers, an exponential beside a constant of three."""
    if len(values) == 2:
        return lambda t: values[0] * (1 + t / 4) ** -values[1]
    return lambda t: values[0] + values[1] * np.exp(-values[2] * t)


def test_weights_are_those_of_nonnegative_least_squares(in_float64, on_a_grid):
    _, _, problems, solution = on_a_grid
    assert (status_names(solution.status) == "converged").all()
    fit = solution.value
    for lane in range(LANES):
        expected, _ = optimize.nnls(
            np.array(problems.responses[lane]), np.array(problems.mid_changes[lane])
        )
        np.testing.assert_allclose(fit.values[lane], expected, atol=1e-11)
        np.testing.assert_array_equal(fit.is_at_bound[lane], expected == 0)
    assert np.isnan(fit.standard_error[fit.is_at_bound]).all()
    assert np.isfinite(fit.standard_error[~fit.is_at_bound]).all()
    # Among kernels on the grid many are alike; at the lags that matter they are near.
    times = np.array([0.0, 1.0, 5.0])
    for lane in range(LANES):
        kernel = exponentials(times, np.array(fit.values[lane]), RATES)
        true = exponentials(times, [2e-5, 0, 4e-5, 0], RATES)
        np.testing.assert_allclose(kernel, true, atol=8e-6)


def test_pivots_find_what_scipy_finds(in_float64):
    rng = np.random.default_rng(3)
    tables = rng.normal(size=(50, 12, 6)) + 2 * rng.normal(size=(50, 12, 1))
    tables /= np.sqrt((tables**2).sum(axis=1, keepdims=True))
    right = rng.normal(size=(50, 12))
    found = jax.jit(jax.vmap(nonnegative_solution))(
        np.einsum("lij,lik->ljk", tables, tables),
        np.einsum("lij,li->lj", tables, right),
    )
    for table, y, x in zip(tables, right, found, strict=True):
        np.testing.assert_allclose(x, optimize.nnls(table, y)[0], atol=1e-9)


def check_prediction(problems, values, kernel):
    one = jax.tree.map(lambda x: x[0], problems)
    found = eqx.filter_jit(lambda p, v: p.predict(v))(one, jnp.asarray(values))
    if isinstance(problems, KernelWeights):
        flow = np.array(problems.responses[0, :, 0])  # without decay
    else:
        flow = np.array(problems.signed_volume[0])
    mids = [
        sum(kernel(STEP * (t - s)) * flow[s] for s in range(t + 1)) for t in range(BARS)
    ]
    np.testing.assert_allclose(found, np.diff(mids, prepend=0.0), atol=1e-9)


def test_weights_predict_sums_over_past_flow(in_float64, on_a_grid):
    _, flow, problems, _ = on_a_grid
    np.testing.assert_array_equal(problems.responses[0, :, 0], flow[0])
    sizes = np.array([1.0, 2.0, 3.0, 4.0])
    check_prediction(problems, sizes, sizes_of_kernels(sizes))


def test_kernels_predict_sums_over_past_flow(in_float64, fitted):
    known, problems, _ = fitted
    values = np.array([2.0, 3.0, 0.7] if len(known) == 3 else [2.0, 0.6])
    check_prediction(problems, values, kernel_of(values))


def test_kernels_are_recovered(in_float64, fitted):
    known, problems, solution = fitted
    assert (status_names(solution.status) == "converged").all()
    fit = solution.value
    errors = np.log(np.array(fit.values) / known)
    spread = np.sqrt(np.diagonal(np.array(fit.free_covariance), axis1=1, axis2=2))
    assert (np.abs(errors) < 4 * spread).all()
    assert (spread < 1).all()
    one = jax.tree.map(lambda x: x[0], problems)
    value = eqx.filter_jit(lambda p, v: p.residuals(v))

    def residuals(free):
        return np.array(value(one, jnp.asarray(np.exp(free) * known))) / NOISE

    best = optimize.least_squares(residuals, np.zeros(len(known)), xtol=1e-12)
    np.testing.assert_allclose(fit.values[0], np.exp(best.x) * known, rtol=1e-4)


def test_no_round_trip_earns_money(in_float64, on_a_grid, fitted):
    """Costs are the quadratic form of the kernel, positive for all round trips."""
    rng = np.random.default_rng(4)
    trips = rng.normal(size=(500, 40)) * rng.choice([0.0, 1.0], size=(500, 40))
    trips[:, -1] -= trips.sum(axis=1)
    lags = np.abs(np.arange(40)[:, None] - np.arange(40)) * 0.3
    _, _, problems, solution = on_a_grid
    for batch, fits in [(problems, solution), fitted[1:]]:
        one = jax.tree.map(lambda x: x[1], batch)
        kernel = np.array(one.kernel(fits.value.values[1], jnp.asarray(lags)))
        costs = np.einsum("is,st,it->i", trips, kernel, trips) / 2
        assert (costs > 0).all()
        line = kernel[0]
        assert (line >= 0).all()
        assert (np.diff(line) < 0).all()
        assert (np.diff(line, 2) > -1e-20).all()


def test_units_padding_and_degenerate_flow(in_float64, fitted):
    known, problems, solution = fitted
    mids, flow = np.array(problems.mid_changes), np.array(problems.signed_volume)
    weights = np.ones_like(flow)
    mids[1] *= 3
    flow[1] *= 100
    flow[2] = 0
    weights[3, 2:] = 0
    build, unit = (power, [3 / 100, 1])
    if len(known) == 3:
        build, unit = (free, [3 / 100, 3 / 100, 1])
    others = solve_batch(build(mids, flow, weights=weights), LeastSquares())
    assert status_names(others.status).tolist() == [
        "converged",
        "converged",
        "invalid_input",
        "invalid_input",
    ]
    before, after = solution.value, others.value
    np.testing.assert_allclose(after.values[0], before.values[0], rtol=1e-9)
    np.testing.assert_allclose(
        after.values[1], np.array(before.values[1]) * unit, rtol=1e-6
    )
    np.testing.assert_allclose(
        after.standard_error[1],
        np.array(before.standard_error[1]) * unit,
        rtol=1e-5,
    )
    assert np.isnan(after.values[2:]).all()


def test_still_prices_and_no_flow_on_a_grid(in_float64, on_a_grid):
    mids, flow, _, solution = on_a_grid
    mids, flow = mids.copy(), flow.copy()
    mids[1], flow[2], flow[3] = 0, 0, 100
    problems = make_weights(mids, flow, np.ones_like(flow), RATES)
    found = solve_batch(problems, LeastSquares())
    names = ["converged"] + ["invalid_input"] * 3
    assert status_names(found.status).tolist() == names
    np.testing.assert_allclose(
        found.value.values[0], solution.value.values[0], rtol=1e-9
    )
    assert np.isnan(found.value.values[1:]).all()


def test_gradients_are_those_of_differences(in_float64, fitted):
    _, problems, solution = fitted
    one = jax.tree.map(lambda x: x[0], problems)
    value = jax.jit(lambda v: one.log_likelihoods(v).sum())
    point = 1.2 * solution.value.values[0]
    slopes = jax.jit(jax.grad(value))(point)
    for i in range(len(point)):
        step = 1e-6 * float(point[i]) * np.eye(len(point))[i]
        change = value(point + step) - value(point - step)
        np.testing.assert_allclose(slopes[i], change / (2 * step[i]), rtol=1e-5)


def test_the_game_gets_the_fitted_exponential(in_float64):
    horizon, rate, size = 6.0, 0.7, 3e-5

    def numbers(rate):
        return transient_numbers(
            lambda t: size * jnp.exp(-rate * t), horizon, temporary_cost=2 * size
        )

    found = jax.jit(numbers)(rate)
    np.testing.assert_allclose(found.decay, rate * horizon, rtol=1e-8)
    np.testing.assert_allclose(found.price_scale, size, rtol=1e-14)
    np.testing.assert_allclose(found.temporary_cost, 2.0, rtol=1e-14)
    assert found.misfit < 1e-8
    slope = jax.jit(jax.grad(lambda x: numbers(x).decay))(rate)
    np.testing.assert_allclose(slope, horizon, rtol=1e-7)
    game = TransientImpact([1.0, -1.0], found.decay, found.temporary_cost)
    np.testing.assert_allclose(game.impact_after(0.5), np.exp(-rate * 3), rtol=1e-8)
    # Of any other kernel the mean is kept, and how far it is from an exponential told.
    mixed = jax.jit(
        lambda: transient_numbers(lambda t: 1 + jnp.exp(-50 * t), horizon)
    )()
    mean = (1 + 1 / 300) / 2
    decay = float(mixed.decay)
    np.testing.assert_allclose((1 - np.exp(-decay)) / decay, mean, rtol=1e-7)
    assert mixed.misfit > 0.3
    lasting = jax.jit(lambda: transient_numbers(jnp.ones_like, horizon))()
    assert np.isnan(lasting.decay)


def test_rates_are_a_grid():
    np.testing.assert_allclose(
        geometric_rates(0.01, 1.0, 3), [0, 0.01, 0.1, 1], rtol=1e-5
    )
    assert geometric_rates(0.01, 1.0, 3, has_permanent=False).shape == (3,)
    with pytest.raises(ValueError, match="slowest must be greater than 0"):
        geometric_rates(0.0, 1.0, 3)


@pytest.mark.slow
def test_intervals_cover_as_often_as_they_say(in_float64):
    sizes, rates = np.array([3e-5, 6e-5]), np.array([0.0, 0.4])
    mids, flow = market(lambda t: exponentials(t, sizes, rates), 1000, 600, 5)
    problems = make_weights(mids, flow, np.ones_like(flow), rates)
    solution = solve_batch(problems, LeastSquares())
    assert (status_names(solution.status) == "converged").all()
    check_coverage(solution.value, sizes)
