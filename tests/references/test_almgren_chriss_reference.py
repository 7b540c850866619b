"""The reference reproduces published numbers, closed forms and searches."""

import numpy as np
import pytest
from scipy.optimize import minimize

from .almgren_chriss import (
    PUBLISHED,
    least_value_at_risk,
    least_value_at_risk_on_frontier,
    moments,
    objective,
    paths,
    portfolio_moments,
    portfolio_schedule,
    portfolio_shortfall,
    regression_posterior,
    schedule,
    shortfall,
    value_at_risk,
)

SHARES = 1e6
TABLE = [  # risk aversion, E / 1e6, V / 1e12, 1 / kappa, thousands held after days
    (0.0, 0.6625, 1.0830, None, [800, 600, 400, 200]),
    (1e-9, 0.6625, 1.0812, 51.30, None),
    (5e-9, 0.6625, 1.0740, 22.94, None),
    (9e-9, 0.6626, 1.0669, 17.10, None),
    (1e-7, 0.6701, 0.9247, 5.138, [757.9, 544.6, 351.9, 172.7]),
    (1e-6, 0.9112, 0.3641, 1.647, [541.956, 289.854, 147.897, 62.142]),
    (2e-6, 1.1407, 0.2019, 1.182, [428.6, 182.9, 76.3, 27.6]),
    (1e-5, 1.8452, 0.0295, 0.579, [177.9, 31.6, 5.6, 1.0]),
]


def decimals(number):
    return len(str(number).split(".")[1]) if "." in str(number) else 0


def assert_printed(actual, printed):
    assert abs(actual - printed) <= 0.501 * 10.0 ** -decimals(printed), (
        actual,
        printed,
    )


def urgency(risk_aversion, num_periods, market):
    horizon, volatility, permanent, temporary, _ = market
    tau = horizon / num_periods
    ratio = risk_aversion * volatility**2 / (temporary - permanent * tau / 2)
    return 2 / tau * np.arcsinh(tau * np.sqrt(ratio) / 2)


def closed_form(shares, num_periods, market, risk_aversion):
    horizon, volatility, permanent, temporary, fixed = market
    tau, slope = (
        horizon / num_periods,
        temporary - permanent * horizon / num_periods / 2,
    )
    kappa = urgency(risk_aversion, num_periods, market)
    times = np.linspace(0, horizon, num_periods + 1)
    whole, step = np.sinh(kappa * horizon), np.sinh(kappa * tau)
    holdings = shares * np.sinh(kappa * (horizon - times)) / whole
    middle = horizon - (times[:-1] + times[1:]) / 2
    trades = shares * 2 * np.sinh(kappa * tau / 2) / whole * np.cosh(kappa * middle)
    mean = permanent * shares**2 / 2 + fixed * abs(shares)
    mean += (
        slope
        * shares**2
        * np.tanh(kappa * tau / 2)
        * (tau * np.sinh(2 * kappa * horizon) + 2 * horizon * step)
        / (2 * tau**2 * whole**2)
    )
    spread = tau * whole * np.cosh(kappa * (horizon - tau)) - horizon * step
    variance = volatility**2 * shares**2 / 2 * spread / (whole**2 * step)
    return holdings[1:-1], trades, mean, variance


@pytest.mark.parametrize(("aversion", "mean", "variance", "life", "held"), TABLE)
def test_published_table(aversion, mean, variance, life, held):
    trades = schedule(SHARES, 5, PUBLISHED, aversion)
    found = moments(trades, PUBLISHED)
    assert_printed(found[0] / 1e6, mean)
    assert_printed(found[1] / 1e12, variance)
    if life:
        assert_printed(1 / urgency(aversion, 5, PUBLISHED), life)
    if held:
        left = (SHARES - np.cumsum(trades)[:-1]) / 1e3
        for actual, printed in zip(left, held, strict=True):
            assert_printed(actual, printed)


def test_published_urgency():
    assert_printed(urgency(1e-6, 5, PUBLISHED), 0.6071)
    assert_printed(0.3 * 50 / np.sqrt(252), 0.9449)


@pytest.mark.parametrize("num_periods", [2, 5, 60])
@pytest.mark.parametrize("aversion", [1e-8, 1e-6, 3e-5])
@pytest.mark.parametrize("shares", [1e6, -3e5])
def test_closed_forms(num_periods, aversion, shares):
    market = (7.0, 0.8, 2e-7, 3e-6, 0.05)
    trades = schedule(shares, num_periods, market, aversion)
    holdings, sales, mean, variance = closed_form(shares, num_periods, market, aversion)
    np.testing.assert_allclose(trades, sales, rtol=1e-9, atol=1e-9)
    left = shares - np.cumsum(trades)[:-1]
    np.testing.assert_allclose(left, holdings, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(moments(trades, market), (mean, variance), rtol=1e-11)
    assert trades.sum() == pytest.approx(shares, rel=1e-12)


def test_moments_of_any_schedule():
    horizon, volatility, permanent, temporary, fixed = market = (
        3.0,
        0.9,
        4e-3,
        0.05,
        2,
    )
    trades = np.array([3.0, -1.0, 0.0, 7.0])
    tau, held = horizon / 4, trades.sum() - np.cumsum(trades)
    mean = (
        permanent * 9.0**2 / 2
        + fixed * 11.0
        + (temporary - permanent * tau / 2) / tau * np.sum(trades**2)
    )
    variance = volatility**2 * tau * np.sum(held**2)
    assert moments(trades, market) == pytest.approx((mean, variance), rel=1e-13)
    shocks = np.random.default_rng(0).normal(size=4)
    noise = volatility * np.sqrt(tau) * np.sum(shocks[:-1] * held[:-1])
    direct = (
        fixed * np.abs(trades).sum()
        + temporary / tau * np.sum(trades**2)
        + permanent * np.sum(trades * held)
        - noise
    )
    assert shortfall(trades, market, shocks) == pytest.approx(direct, rel=1e-12)


def test_paths_meet_the_moments():
    trades = schedule(SHARES, 5, PUBLISHED, 1e-6)
    mean, variance = moments(trades, PUBLISHED)
    shocks = np.random.default_rng(1).normal(size=(20_000, 5))
    costs = paths(trades, PUBLISHED, shocks)
    assert abs(costs.mean() - mean) < 4 * np.sqrt(variance / 20_000)
    assert costs.var() == pytest.approx(variance, rel=0.04)
    quantile, tail = value_at_risk(trades, PUBLISHED, 0.95)
    assert np.quantile(costs, 0.95) == pytest.approx(quantile, rel=0.02)
    assert costs[costs > quantile].mean() == pytest.approx(tail, rel=0.02)


@pytest.mark.parametrize("aversion", [1e-7, 1e-5])
def test_system_is_the_optimum(aversion):
    market = (*PUBLISHED[:-1], 0.0)  # signs may change
    trades = schedule(SHARES, 6, market, aversion)
    least = objective(trades, market, aversion)
    rng = np.random.default_rng(2)
    for size in (1.0, 1e3, 1e5):
        change = rng.normal(size=6)
        change -= change.mean()
        up = objective(trades + size * change, market, aversion)
        down = objective(trades - size * change, market, aversion)
        assert up > least
        assert abs(up - down) < 1e-6 * (up + down - 2 * least) + 1e-9 * least


def test_reference_strategies():
    horizon, volatility, permanent, temporary, fixed = market = (
        6.0,
        0.8,
        2e-7,
        3e-6,
        0.1,
    )
    count, x = 9, 2e5
    tau = horizon / count
    even = moments(np.full(count, x / count), market)
    slope = temporary - permanent * tau / 2
    mean = permanent * x**2 / 2 + fixed * x + slope * x**2 / horizon
    assert even[0] == pytest.approx(mean)
    share = (1 - 1 / count) * (1 - 1 / (2 * count)) / 3
    assert even[1] == pytest.approx(volatility**2 * x**2 * horizon * share)
    at_once = moments(np.eye(count)[0] * x, market)
    assert at_once == pytest.approx((fixed * x + temporary * x**2 / tau, 0.0))
    for aversion in (1e-7, 1e-5, 1e-3):
        mean, variance = moments(schedule(x, count, market, aversion), market)
        assert even[0] < mean < at_once[0]
        assert variance < even[1]
        cost = mean + aversion * variance
        assert cost < min(even[0] + aversion * even[1], at_once[0])


def test_slope_of_the_frontier():
    for aversion in (1e-8, 1e-6, 1e-5):
        near = [aversion * (1 - 1e-4), aversion * (1 + 1e-4)]
        ends = [moments(schedule(SHARES, 8, PUBLISHED, a), PUBLISHED) for a in near]
        (low_mean, low_variance), (mean, variance) = ends
        slope = (mean - low_mean) / (variance - low_variance)
        assert slope == pytest.approx(-aversion, rel=1e-6)


def test_least_value_at_risk():
    trades, value, aversion = least_value_at_risk(SHARES, 5, PUBLISHED, 1.645)
    assert abs(value - 1_877_207) < 0.51
    assert abs(aversion - 1.694e-6) < 0.501e-9
    same = least_value_at_risk_on_frontier(SHARES, 5, PUBLISHED, 1.645)
    assert same[0] == pytest.approx(value, rel=1e-13)
    assert same[1] == pytest.approx(aversion, rel=1e-6)
    again = schedule(SHARES, 5, PUBLISHED, aversion)
    np.testing.assert_allclose(trades, again, atol=SHARES * 1e-6)


def test_immediate_execution_from_five_standard_deviations_on():
    # For any schedule: what is gained in mean is at most 5 standard deviations.
    horizon, volatility, permanent, temporary, _ = PUBLISHED
    bound = 2 * (temporary - permanent / 2) * SHARES / volatility
    assert bound == pytest.approx(5.0)
    immediate = moments(SHARES * np.eye(5)[0], PUBLISHED)[0]
    gains = []
    for aversion in np.geomspace(1e-9, 1e2, 200):
        mean, variance = moments(schedule(SHARES, 5, PUBLISHED, aversion), PUBLISHED)
        gains.append((immediate - mean) / np.sqrt(variance))
    assert (np.diff(gains) > -1e-6).all()
    assert 4.99 < max(gains) < 5.0001


def portfolio(size, seed=5):
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(3, size, size))
    permanent = 0.05 * (b + b.T)
    temporary = c @ c.T / size + 2 * np.eye(size)
    return (3.0, a @ a.T / size, permanent, temporary, rng.uniform(0.1, 1, size))


def test_portfolio_moments():
    horizon, covariance, permanent, temporary, fixed = market = portfolio(3)
    rng = np.random.default_rng(6)
    trades = rng.normal(size=(4, 3))
    tau, shares = horizon / 4, trades.sum(axis=0)
    net = temporary - tau * permanent / 2
    held = shares - np.cumsum(trades, axis=0)
    mean = shares @ permanent @ shares / 2 + fixed @ np.abs(trades).sum(axis=0)
    mean += sum(n @ net @ n for n in trades) / tau
    variance = tau * sum(x @ covariance @ x for x in held)
    assert portfolio_moments(trades, market) == pytest.approx((mean, variance))


def test_portfolio_optimum():
    market = portfolio(3)
    free = (*market[:-1], np.zeros(3))
    shares = np.array([3.0, -1.0, 0.0])
    trades = portfolio_schedule(shares, 5, market, 0.7)
    np.testing.assert_allclose(trades.sum(axis=0), shares, atol=1e-12)
    assert np.abs(trades[:, 2]).max() > 1e-3  # a hedge in an asset not held

    def loss(first):
        first = first.reshape(4, 3)
        whole = np.vstack([first, shares - first.sum(axis=0)])
        mean, variance = portfolio_moments(whole, free)
        return mean + 0.7 * variance

    best = minimize(loss, np.zeros(12), method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(trades[:-1].ravel(), best.x, atol=1e-6)
    assert loss(trades[:-1].ravel()) <= best.fun * (1 + 1e-12)


def test_separate_assets_are_scalars():
    covariance, permanent, temporary = np.diag([0.5, 2.0]), [0.1, 0.3], [1.0, 0.4]
    market = (3.0, covariance, np.diag(permanent), np.diag(temporary), np.zeros(2))
    trades = portfolio_schedule([4.0, -7.0], 6, market, 0.9)
    for i, shares in enumerate((4.0, -7.0)):
        single = (3.0, np.sqrt(covariance[i, i]), permanent[i], temporary[i], 0.0)
        alone = schedule(shares, 6, single, 0.9)
        np.testing.assert_allclose(trades[:, i], alone, rtol=1e-11)


def test_portfolio_in_own_directions():
    horizon, covariance, permanent, temporary, _ = market = portfolio(4)
    shares, aversion, count = np.array([3.0, -1.0, 0.5, 2.0]), 0.8, 6
    tau = horizon / count
    values, vectors = np.linalg.eigh(temporary - tau * permanent / 2)
    root = vectors * np.sqrt(values) @ vectors.T
    inverse = np.linalg.inv(root)
    rates, turn = np.linalg.eigh(aversion * inverse @ covariance @ inverse)
    kappa = 2 / tau * np.arcsinh(tau * np.sqrt(rates) / 2)
    left = np.linspace(horizon, 0, count + 1)[:, None]
    fading = np.sinh(kappa * left) / np.sinh(kappa * horizon)
    held = fading * (turn.T @ root @ shares) @ turn.T @ inverse
    trades = portfolio_schedule(shares, count, market, aversion)
    np.testing.assert_allclose(-np.diff(held, axis=0), trades, atol=1e-12)


def test_portfolio_paths():
    market = portfolio(2)
    trades = portfolio_schedule([2.0, 1.0], 4, market, 0.3)
    mean, variance = portfolio_moments(trades, market)
    shocks = np.random.default_rng(8).normal(size=(5000, 4, 2))
    costs = np.array([portfolio_shortfall(trades, market, z) for z in shocks])
    assert abs(costs.mean() - mean) < 4 * np.sqrt(variance / 5000)
    assert costs.var() == pytest.approx(variance, rel=0.08)


def test_volume_profile():
    volume = np.array([5.0, 2.0, 1.0, 2.0, 6.0])
    trades = schedule(800.0, 5, (5.0, 0.9, 0.0, 0.0, 0.0), 0.0, 0.3 / volume)
    np.testing.assert_allclose(trades, 800 * volume / volume.sum(), rtol=1e-12)
    market = (5.0, 0.9, 1e-3, 0.02, 0.0)
    even = schedule(800.0, 5, market, 0.01, np.full(5, 0.02), np.full(5, 0.81))
    np.testing.assert_allclose(even, schedule(800.0, 5, market, 0.01), rtol=1e-12)
    # Permanent impact takes its half from every weight, so that the volume-weighted
    # schedule is the optimum without it only.
    impact = schedule(800.0, 5, (5.0, 0.9, 0.05, 0.0, 0.0), 0.0, 0.3 / volume)
    weights = 0.3 / volume - 0.05 / 2
    np.testing.assert_allclose(impact * weights, impact[0] * weights[0], rtol=1e-10)


def test_plans_are_consistent():
    trades = schedule(SHARES, 10, PUBLISHED, 1e-6)
    left = SHARES - trades[:4].sum()
    rest = schedule(left, 6, (3.0, *PUBLISHED[1:]), 1e-6)
    np.testing.assert_allclose(rest, trades[4:], rtol=1e-10)


def test_homogeneity_and_units():
    trades = schedule(SHARES, 8, PUBLISHED, 1e-6)
    np.testing.assert_allclose(schedule(-3e5, 8, PUBLISHED, 1e-6), -0.3 * trades)
    horizon, volatility, permanent, temporary, fixed = PUBLISHED
    hours = (
        horizon * 6.5,
        volatility / np.sqrt(6.5),
        permanent,
        temporary * 6.5,
        fixed,
    )
    np.testing.assert_allclose(schedule(SHARES, 8, hours, 1e-6), trades, rtol=1e-11)
    assert moments(trades, hours) == pytest.approx(moments(trades, PUBLISHED))


def test_posterior_of_a_slope():
    rng = np.random.default_rng(9)
    inputs = rng.uniform(1, 3, 12)
    outputs = 0.4 * inputs + 0.1 * rng.normal(size=12)
    mean, variance = regression_posterior(inputs, outputs, 0.2, 0.5, 0.01)
    grid = np.linspace(mean - 0.3, mean + 0.3, 4001)
    log = -((grid - 0.2) ** 2) / (2 * 0.5)
    log -= ((outputs - grid[:, None] * inputs) ** 2).sum(axis=1) / (2 * 0.01)
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    assert weight @ grid == pytest.approx(mean, rel=1e-10)
    assert weight @ (grid - mean) ** 2 == pytest.approx(variance, rel=1e-8)
