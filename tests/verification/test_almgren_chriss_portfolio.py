"""Evidence about schedules of several assets against dense programs."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import gtrade
from gtrade.problems.almgren_chriss_portfolio import PortfolioSchedule
from gtrade.solution import Solution, Status
from tests.references.almgren_chriss import portfolio_moments, portfolio_schedule
from tests.solvers.portfolios import THREE, make, market

SHARES = np.array(THREE["shares"])
MARKET = market(THREE)
BARE = market(THREE | {"fixed_cost": None})  # without fixed cost
AVERSION = THREE["risk_aversion"]
SOLVER = gtrade.PortfolioClosedForm()


def answer(trades, status=Status.converged, holdings=None):
    trades = np.asarray(trades)
    if holdings is None:
        left = np.cumsum(trades[::-1], axis=0)[::-1]
        holdings = np.concatenate([left, np.zeros((1, trades.shape[1]))])
    value = PortfolioSchedule(
        jnp.asarray(trades), jnp.asarray(holdings), jnp.zeros(trades.shape[1])
    )
    return Solution(value, status, jnp.zeros(()), jnp.zeros((), jnp.int32))


def random_trades(seed=2):
    trades = np.random.default_rng(seed).normal(size=(6, 3)) * 200
    return trades + (SHARES - trades.sum(axis=0)) / 6


def measured(problem, solution):
    return gtrade.verify(problem, solution, arrays=("times", "risks"))


def test_the_gap_is_what_the_optimum_saves(in_float64):
    trades = random_trades()
    found = measured(make(), answer(trades))
    mean, variance = portfolio_moments(trades, MARKET)
    bare, _ = portfolio_moments(trades, BARE)
    best = portfolio_moments(portfolio_schedule(SHARES, 6, MARKET, AVERSION), BARE)
    gap = bare + AVERSION * variance - (best[0] + AVERSION * best[1])
    np.testing.assert_allclose(found["optimality_gap"], gap, rtol=1e-9)
    np.testing.assert_allclose(found["expected_cost"], mean, rtol=1e-12)
    np.testing.assert_allclose(found["variance"], variance, rtol=1e-12)
    np.testing.assert_allclose(found["objective"], mean + AVERSION * variance)
    spread = np.sqrt(variance)
    np.testing.assert_allclose(
        found["value_at_risk"], mean + norm.ppf(0.95) * spread, rtol=1e-12
    )
    tail = spread * norm.pdf(norm.ppf(0.95)) / 0.05
    np.testing.assert_allclose(
        found["conditional_value_at_risk"], mean + tail, rtol=1e-12
    )
    fixed = np.array(THREE["fixed_cost"])
    extra = (np.abs(trades).sum(axis=0) - np.abs(SHARES)) @ fixed
    np.testing.assert_allclose(found["round_trip_cost"], extra, rtol=1e-12)
    for name, plan in (("even", make().even_trades), ("immediate", None)):
        plan = np.eye(6, 1) * SHARES if plan is None else np.array(plan)
        mean, variance = portfolio_moments(plan, MARKET)
        np.testing.assert_allclose(found[f"{name}_cost"], mean, rtol=1e-12)
        np.testing.assert_allclose(found[f"{name}_variance"], variance, rtol=1e-12)
    np.testing.assert_allclose(found["times"], np.linspace(0, 2, 7))
    risk = np.sqrt(SHARES @ THREE["covariance"] @ SHARES)
    np.testing.assert_allclose(found["risks"][[0, -1]], [risk, 0])


@pytest.mark.parametrize("num_periods", [1, pytest.param(2, marks=pytest.mark.slow), 6])
def test_an_optimum_leaves_nothing_to_gain(in_float64, num_periods):
    problem = make(num_periods)
    found = measured(problem, gtrade.solve(problem, SOLVER))
    assert 0 <= found["optimality_gap"] < 1e-20 * found["objective"]
    assert found["first_order_residual"] < 1e-14
    np.testing.assert_array_equal(found["holdings"][-1], 0)
    np.testing.assert_allclose(found["trades"].sum(axis=0), SHARES, rtol=1e-14)


def test_gaps_are_bounds_where_there_is_no_risk(in_float64):
    """Then the Hessian is the one that the bound leans on; immediate selling is bad."""
    problem = make(risk_aversion=0.0)
    found = measured(problem, answer(problem.immediate_trades))
    saved = found["immediate_cost"] - found["even_cost"]
    np.testing.assert_allclose(found["optimality_gap"], saved, rtol=1e-11)
    best, _ = portfolio_moments(portfolio_schedule(SHARES, 6, MARKET, 0.0), MARKET)
    np.testing.assert_allclose(found["even_cost"], best, rtol=1e-12)


def test_fixed_costs_and_the_gap_bound_what_can_be_saved(in_float64):
    """Against a search: no schedule beats objective - gap - round trips."""
    from scipy.optimize import minimize

    numbers = {**THREE, "shares": [300.0, 0.0, 0.0], "fixed_cost": [0.01, 0.2, 0.2]}
    problem = make(3, **{n: numbers[n] for n in ("shares", "fixed_cost")})
    found = measured(problem, gtrade.solve(problem, SOLVER))
    assert found["round_trip_cost"] > 0
    shares = np.array(numbers["shares"])

    def objective(inner):
        points = np.concatenate([shares[None], inner.reshape(2, 3), np.zeros((1, 3))])
        mean, variance = portfolio_moments(-np.diff(points, axis=0), market(numbers))
        return mean + AVERSION * variance

    start = found["holdings"][1:-1].ravel()
    best = minimize(objective, start, method="Powell", options={"maxiter": 50}).fun
    saved = found["objective"] - best
    assert 0 < saved <= found["optimality_gap"] + found["round_trip_cost"]


def test_answers_that_are_none(in_float64):
    trades, holdings = random_trades(), np.zeros((7, 3))
    wrong_sum = trades + 1
    for solution in (
        answer(wrong_sum),
        answer(trades, Status.invalid_input),
        answer(trades, holdings=holdings),
    ):
        found = measured(make(), solution)
        assert all(np.isnan(x).all() for x in found.values())
    assert np.isfinite(measured(make(), answer(trades))["optimality_gap"])


def test_single_precision_answers_are_measured():
    problem = make()
    solution = gtrade.solve(problem, SOLVER)
    found = measured(problem, solution)
    mean, variance = portfolio_moments(np.array(solution.value.trades), MARKET)
    np.testing.assert_allclose(found["expected_cost"], mean, rtol=1e-5)
    np.testing.assert_allclose(found["variance"], variance, rtol=1e-4)
    assert 0 <= found["optimality_gap"] < 1e-8 * found["objective"]


@pytest.mark.parametrize("aversion", [0.0, 1e3, 1e12])
def test_small_holdings_keep_their_digits(aversion):
    """Where risk counts for all, what is left after the first period is tiny."""
    problem = make(risk_aversion=aversion)
    found = measured(problem, gtrade.solve(problem, SOLVER))
    assert 0 <= found["optimality_gap"] < 1e-9 * found["objective"]
    assert found["first_order_residual"] < 1e-5
