"""Searches, enumerations and limits agree with each other."""

import numpy as np
import pytest

from .almgren_chriss import objective, schedule
from .execution_variants import (
    capped_by_faces,
    capped_by_search,
    integer_by_enumeration,
    integer_by_program,
    power_law_limit,
    power_law_schedule,
    power_law_search,
    quadratic_cost,
    step_costs,
)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.6])
def test_power_law(exponent):
    market = (4.0, 0.9, 0.0, 0.3, 0.02)
    trades = power_law_schedule(10.0, 7, market, 0.15, exponent)
    assert trades.sum() == pytest.approx(10.0, rel=1e-12)
    assert (trades > 0).all()
    least = objective(trades, market, 0.15, exponent)
    found, cost = power_law_search(10.0, 7, market, 0.15, exponent, starts=4)
    assert least <= cost * (1 + 1e-14)
    np.testing.assert_allclose(found, trades, atol=2e-4)
    if exponent == 1:
        linear = schedule(10.0, 7, market, 0.15)
        np.testing.assert_allclose(trades, linear, rtol=1e-10)


def test_power_law_without_risk_is_even():
    market = (4.0, 0.9, 0.0, 0.3, 0.02)
    for exponent in (0.5, 1.0, 2.0):
        trades = power_law_schedule(10.0, 7, market, 0.0, exponent)
        np.testing.assert_allclose(trades, 10 / 7, rtol=1e-12)


@pytest.mark.parametrize("exponent", [0.5, 0.6, 1.0, 1.5, 2.0])
def test_power_law_in_continuous_time(exponent):
    shares, aversion = 10.0, 0.15
    clock = (exponent * 0.3 * shares ** (exponent - 1) / (aversion * 0.81)) ** (
        1 / (exponent + 1)
    )
    horizon, errors = 40 * clock, []
    for count in (200, 800):
        market = (horizon, 0.9, 0.0, 0.3, 0.0)
        trades = power_law_schedule(shares, count, market, aversion, exponent)
        times = np.arange(1, count + 1) * horizon / count
        limit = power_law_limit(times, shares, 0.9, 0.3, aversion, exponent)
        gap = shares - np.cumsum(trades) - limit
        errors.append(np.abs(gap[times < horizon / 4]).max() / shares)
    if exponent < 1:  # slow decay: what is left at the horizon is felt before
        assert errors[1] < 3e-4
    else:
        assert errors[1] < 3e-4
        assert errors[1] < 0.2 * errors[0]


def test_trading_ends_in_finite_time_for_convex_impact():
    shares, aversion, exponent = 10.0, 0.15, 2.0
    clock = (exponent * 0.3 * shares / (aversion * 0.81)) ** (1 / 3)
    trades = power_law_schedule(
        shares, 600, (6 * clock, 0.9, 0, 0.3, 0), aversion, exponent
    )
    left = (shares - np.cumsum(trades)) / shares
    assert left[280] > 1e-5  # 3 clocks = step 300
    assert np.abs(left[320:]).max() < 1e-12


def test_permanent_impact_can_break_convexity_of_power_laws():
    # Away from exponent one, half the permanent impact outweighs the curvature of the
    # temporary cost somewhere: small sales for exponents above one, large ones below.
    horizon, count, shares = 4.0, 10, 10.0
    tau, even = horizon / count, np.ones(10)
    for exponent in (2.0, 0.5):
        curvature = 0.3 * tau**-exponent * exponent * (exponent + 1)
        for permanent, is_even in ((0.5 * curvature, True), (1.5 * curvature, False)):
            market = (horizon, 0.9, permanent, 0.3, 0.0)
            least = objective(even, market, 0.0, exponent)
            rng = np.random.default_rng(10)
            change = rng.normal(size=count)
            near = even + 1e-3 * (change - change.mean())
            assert (objective(near, market, 0.0, exponent) > least) == is_even
    market = (horizon, 0.9, 1.5 * 0.3 * tau**-2 * 6, 0.3, 0.0)
    trades, cost = power_law_search(shares, count, market, 0.0, 2.0)
    assert cost < 0.97 * objective(even, market, 0.0, 2.0)
    assert trades.sum() == pytest.approx(shares)
    assert trades.min() < 1e-6


def test_caps():
    rng = np.random.default_rng(4)
    sale, holding = step_costs(7, (7.0, 0.8, 2e-7, 3e-6, 0.0), 1e-6)
    for _ in range(4):
        caps = rng.uniform(0.05, 0.5, 7) * 1e5
        trades, cost = capped_by_faces(1e5, caps, sale, holding)
        assert trades.sum() == pytest.approx(1e5)
        assert ((trades >= 0) & (trades <= caps * (1 + 1e-12))).all()
        found, near = capped_by_search(1e5, caps, sale, holding)
        assert cost <= near * (1 + 1e-12)
        np.testing.assert_allclose(found, trades, atol=1e-4 * 1e5)
    market = (7.0, 0.8, 2e-7, 3e-6, 0.0)
    free, _ = capped_by_faces(1e5, np.full(7, 1e5), sale, holding)
    np.testing.assert_allclose(free, schedule(1e5, 7, market, 1e-6), rtol=1e-9)


def test_quadratic_cost_is_the_objective():
    market = (7.0, 0.8, 2e-7, 3e-6, 0.0)
    trades = np.array([3e4, -1e4, 5e4])
    sale, holding = step_costs(3, market, 1e-6)
    whole = quadratic_cost(trades, sale, holding) + 2e-7 * 7e4**2 / 2
    assert objective(trades, market, 1e-6) == pytest.approx(whole)


@pytest.mark.parametrize(
    ("lots", "count", "sale", "holding", "cost"),
    [
        (10, 4, 1, 0.3, 43.8),
        (100, 10, 1, 0.05, 2053.75),
        (200, 12, 1, 0.5, 20001.5),
    ],
)
def test_published_lots(lots, count, sale, holding, cost):
    trades, least = integer_by_program(lots, count, sale, holding)
    assert least == pytest.approx(cost, abs=1e-9)
    assert trades.sum() == lots
    assert (trades >= 0).all()
    assert quadratic_cost(trades, sale, holding) == pytest.approx(cost, abs=1e-9)
    # One lot at a time, each where it adds least.
    greedy = np.zeros(count)
    for _ in range(lots):
        options = [quadratic_cost(greedy + x, sale, holding) for x in np.eye(count)]
        greedy[np.argmin(options)] += 1
    assert quadratic_cost(greedy, sale, holding) == pytest.approx(cost, abs=1e-9)


@pytest.mark.parametrize(("sale", "holding"), [(1, 0.3), (0.7, 0.0), (0.2, 2.0)])
def test_lots_by_enumeration(sale, holding):
    for lots, count in ((10, 4), (7, 5), (13, 3), (0, 3), (3, 1)):
        program, cost = integer_by_program(lots, count, sale, holding)
        listed, least = integer_by_enumeration(lots, count, sale, holding)
        assert cost == pytest.approx(least, rel=1e-12, abs=1e-15)
        assert program.sum() == listed.sum() == lots
        if holding == 0:
            assert np.ptp(program) <= 1
