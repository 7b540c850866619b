"""Costs and variance of any plan by the definition, and refusals."""

import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError

PUBLISHED = {
    "shares": 1e6,
    "horizon": 5.0,
    "num_periods": 5,
    "volatility": 0.95,
    "permanent_impact": 2.5e-7,
    "temporary_impact": 2.5e-6,
    "fixed_cost": 0.0625,
}
ODD = {
    "shares": 700.0,
    "horizon": 3.0,
    "num_periods": 4,
    "volatility": 1.7,
    "permanent_impact": 0.02,
    "temporary_impact": 0.9,
    "fixed_cost": 0.3,
    "risk_aversion": 0.4,
}
VOLUMES = [100.0, 400.0, 250.0, 50.0]


def make(**numbers):
    return gtrade.AlmgrenChriss(**{**ODD, **numbers})


def shortfall(numbers, trades, shocks, price=50.0):
    """Sell by the definition, one period after another, with prices in full."""
    tau = numbers["horizon"] / numbers["num_periods"]
    p = numbers.get("impact_exponent", 1.0)
    weights = np.ones(len(trades))
    if "volumes" in numbers and "max_participation" not in numbers:
        weights = np.array(numbers["volumes"]) / np.mean(numbers["volumes"])
    worth, made = price * sum(trades), 0.0
    for n, w, xi in zip(trades, weights, shocks, strict=True):
        concession = numbers["fixed_cost"]
        concession += numbers["temporary_impact"] * (abs(n) / (tau * w)) ** p
        made += n * (price - np.sign(n) * concession)
        price += numbers["volatility"] * np.sqrt(tau) * xi
        price -= numbers["permanent_impact"] * n
    return worth - made


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"impact_exponent": 0.6},
        {"volumes": VOLUMES},
        {"volumes": VOLUMES, "impact_exponent": 1.4},
        {"volumes": VOLUMES, "max_participation": 3.0},
    ],
)
@pytest.mark.parametrize("side", [1, -1])
def test_mean_and_variance_follow_from_the_definition(x64, extra, side):
    problem = make(**extra)
    trades = side * np.array([300.0, 0.0, 450.0, -50.0])
    numbers = {**ODD, **extra}
    # The shortfall is linear in the shocks: its value and slopes say all.
    wanted = shortfall(numbers, trades, np.zeros(4))
    slopes = [shortfall(numbers, trades, unit) - wanted for unit in np.eye(4)]
    given = jnp.asarray(trades, problem.shares.dtype)
    rtol = 1e-12 if x64 else 1e-5
    np.testing.assert_allclose(problem.expected_cost(given), wanted, rtol=rtol)
    np.testing.assert_allclose(problem.period_costs(given).sum(), wanted, rtol=rtol)
    rtol = max(rtol, 1e-10)  # slopes are differences
    np.testing.assert_allclose(
        problem.variance(given), np.square(slopes).sum(), rtol=rtol
    )
    objective = wanted + 0.4 * np.square(slopes).sum()
    np.testing.assert_allclose(problem.objective(given), objective, rtol=rtol)


@pytest.mark.parametrize("num_periods", [1, 2, 5])
def test_reference_plans_have_closed_forms(in_float64, num_periods):
    numbers = {**ODD, "num_periods": num_periods}
    problem = gtrade.AlmgrenChriss(**numbers)
    size, horizon, count = 700.0, 3.0, num_periods
    tau = horizon / count
    impact, drift, fixed = 0.9, 0.02, 0.3 * size
    even = drift * size**2 / 2 + fixed + (impact - drift * tau / 2) * size**2 / horizon
    spread = 1.7**2 * size**2 * horizon * (1 - 1 / count) * (1 - 1 / (2 * count)) / 3
    at_once = fixed + impact * size**2 / tau
    trades = problem.even_trades
    np.testing.assert_allclose(problem.expected_cost(trades), even, rtol=1e-13)
    np.testing.assert_allclose(problem.variance(trades), spread, rtol=1e-13)
    trades = problem.immediate_trades
    np.testing.assert_allclose(problem.expected_cost(trades), at_once, rtol=1e-13)
    assert problem.variance(trades) == 0


def test_units_and_bounds(in_float64):
    problem = make(volumes=VOLUMES, max_participation=2.0, lot_size=70.0)
    np.testing.assert_allclose(problem.caps, [140, 770, 490, 70])
    np.testing.assert_array_equal(problem.volume_weights, np.ones(4))
    scaled = make(volumes=VOLUMES, max_participation=2.0, scales_with_volume=True)
    np.testing.assert_allclose(scaled.volume_weights, [0.5, 2, 1.25, 0.25])
    np.testing.assert_allclose(scaled.caps, [200, 800, 500, 100])
    np.testing.assert_allclose(
        scaled.impact_coefficients, 0.9 / (0.75 * np.array([0.5, 2, 1.25, 0.25]))
    )
    assert np.isinf(make().caps).all()
    published = gtrade.AlmgrenChriss(**PUBLISHED, risk_aversion=1e-6)
    np.testing.assert_allclose(1 / published.half_life, 0.6071, atol=5e-5)
    assert make(risk_aversion=0.0).half_life == np.inf
    assert np.isnan(make(impact_exponent=1.0).half_life)
    assert np.isnan(make(volumes=VOLUMES).half_life)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"risk_aversion": -1.0}, "risk_aversion must be at least 0; got -1.0"),
        ({"horizon": 0.0}, "horizon must be greater than 0; got 0.0"),
        ({"num_periods": 0}, "num_periods must be at least 1; got 0"),
        ({"volatility": np.nan}, "volatility must be finite"),
        (
            {"temporary_impact": 0.0, "permanent_impact": 0.0},
            "temporary_impact must be greater than 0; got 0.0",
        ),
        (
            {"temporary_impact": 0.0075},
            r"temporary_impact must be greater than permanent_impact \* horizon /"
            r" num_periods / 2; got 0.0075",
        ),
        (
            {"temporary_impact": np.array([1.0, 0.001])},
            r"temporary_impact .* got 0.001 \(row 1\)",
        ),
        (
            {"impact_exponent": 0.5, "temporary_impact": 0.01},
            "temporary_impact must be so large that trading has convex costs, above",
        ),
        (
            {"volumes": VOLUMES, "temporary_impact": 0.01},
            "convex costs, above 0.015; got 0.01",
        ),
        ({"impact_exponent": 0.0}, "impact_exponent must be greater than 0; got 0.0"),
        ({"max_participation": 0.1}, "max_participation must come with volumes"),
        ({"volumes": [1.0, 2.0]}, "volumes must have one number for each of the 4"),
        ({"volumes": [1.0, 2.0, 0.0, 1.0]}, "volumes must be greater than 0"),
        (
            {"volumes": VOLUMES, "max_participation": 0.5},
            "shares must be at most what the participation caps let trade in 4"
            " periods, 400; got 700.0",
        ),
        ({"lot_size": 300.0}, "shares must be a whole number of lots; got 700.0"),
        (
            {"volumes": VOLUMES, "max_participation": 0.9, "lot_size": 100.0},
            "shares must be at most .* periods, 500; got 700.0",
        ),
        (
            {"scales_with_volume": True},
            "scales_with_volume must be left out where there are no volumes",
        ),
        ({"confidence": 1.0}, "confidence must be between 0 and 1; got 1.0"),
    ],
)
def test_refusals(numbers, message):
    with pytest.raises(InadmissibleError, match=message):
        gtrade.AlmgrenChriss.validate(**{**ODD, **numbers})


def test_decimal_lots_are_whole():
    for lot in (0.1, 0.7, 7.0):
        make(lot_size=lot)
