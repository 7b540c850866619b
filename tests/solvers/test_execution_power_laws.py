"""Power-law impact against a general minimiser, limits, and where it is not convex."""

import jax
import numpy as np
import pytest
import scipy.optimize

import gtrade
from gtrade.solution import status_names
from tests.problems.test_almgren_chriss import PUBLISHED
from tests.solvers.test_almgren_chriss import batch, solve
from tests.solvers.test_execution_variants import BASE, VOLUMES

OBJECTIVE = jax.jit(
    jax.value_and_grad(lambda problem, trades: problem.objective(trades), argnums=1)
)


def value_and_slope(n, problem):
    value, slope = OBJECTIVE(problem, n)
    return float(value), np.asarray(slope)


@pytest.mark.parametrize("extra", [{}, {"volumes": VOLUMES}])
def test_power_laws_agree_with_a_general_minimiser(in_float64, extra):
    """In units where all numbers are of order one."""
    problems, solution = batch(
        shares=1.3,
        horizon=2.0,
        num_periods=6,
        volatility=0.7,
        permanent_impact=0.05,
        temporary_impact=0.9,
        impact_exponent=np.resize([0.3, 1.0, 3.0], 9),
        risk_aversion=0.8,
        **extra,
    )
    assert (status_names(solution.status) == "converged").all()
    for i in range(3):
        problem = jax.tree.map(lambda x, i=i: x[i], problems)
        trades = np.asarray(solution.value.trades[i])
        found = scipy.optimize.minimize(
            value_and_slope,
            np.full(6, 1.3 / 6),
            args=(problem,),
            jac=True,
            method="SLSQP",
            bounds=[(1e-9, 1.3)] * 6,
            constraints=[
                {"type": "eq", "fun": lambda n: n.sum() - 1.3, "jac": np.ones_like}
            ],
            options={"ftol": 1e-15, "maxiter": 500},
        )
        ours = float(OBJECTIVE(problem, trades)[0])
        assert ours <= found.fun * (1 + 1e-12), i
        np.testing.assert_allclose(ours, found.fun, rtol=1e-8)
        np.testing.assert_allclose(trades, found.x, atol=2e-4)
        np.testing.assert_allclose(trades.sum(), 1.3, rtol=1e-12)


def test_exponent_one_is_the_closed_form(in_float64):
    lams = np.array([0.0, 1e-9, 1e-8, 1e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4])
    numbers = {**PUBLISHED, "num_periods": 6, "risk_aversion": lams}
    _, plain = batch(**numbers)
    _, power = batch(**numbers, impact_exponent=1.0)
    np.testing.assert_allclose(power.value.holdings, plain.value.holdings, rtol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("k", [0.5, 1.0, 2.0])
def test_long_horizons_approach_the_continuous_power_law(in_float64, k):
    """Almgren 2003: without an end, trading slows down as a power of time.

    With n(t) = x' the rate, the plan solves `k eta |x'|^(k + 1) = lambda sigma^2 x^2`;
    for k > 1 it ends by itself.
    """
    size, eta, risk = 2.0, 0.8, 0.6
    scale = (k * eta * size ** (k - 1) / risk) ** (1 / (k + 1))
    horizon = 60.0 if k < 1 else 12.0
    errors = []
    for num in (1000, 2000):
        _, plan = solve(
            shares=size,
            horizon=horizon,
            num_periods=num,
            volatility=1.0,
            permanent_impact=0.0,
            temporary_impact=eta,
            risk_aversion=risk,
            impact_exponent=k,
        )
        times = np.linspace(0, horizon, num + 1)
        if k == 1:
            wanted = size * np.exp(-times / scale)
        else:
            base = 1 + (1 - k) / (1 + k) * times / scale
            wanted = size * np.maximum(base, 0) ** (-(1 + k) / (1 - k))
        early = times < 4
        errors.append(np.abs(np.asarray(plan.holdings) - wanted)[early].max())
    assert errors[0] < 0.02 * size
    # What is left is the finite horizon for k < 1, else the step.
    assert errors[1] < (0.9 if k < 1 else 0.55) * errors[0]


def test_homogeneity_of_power_laws(in_float64):
    """With impact scaled to the size, all sizes have the same plan."""
    p, scale = np.resize([0.6, 1.0, 1.5], 9), np.repeat([1.0, 1e3, 10.0], 3)
    numbers = {
        "impact_exponent": p,
        "shares": 700 * scale,
        "temporary_impact": 5.0 * scale ** (1 - p),
    }
    _, solution = batch(**{**BASE, **numbers})
    assert (status_names(solution.status) == "converged").all()
    trades = np.asarray(solution.value.trades)
    for i in (3, 6):
        wanted = scale[i] * trades[:3]
        np.testing.assert_allclose(trades[i : i + 3], wanted, rtol=1e-11)


def test_concave_costs_are_refused(in_float64):
    """Above p = 1 permanent impact may make it pay to trade in fewer, larger lumps."""
    numbers = {**BASE, "impact_exponent": 2.0, "temporary_impact": 0.01}
    lams = np.array([0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1.0, 1e4])
    problems, solution = batch(**{**numbers, "risk_aversion": lams})
    good = status_names(solution.status) == "converged"
    assert good.tolist() == [True] * good.sum() + [False] * (9 - good.sum())
    assert 1 < good.sum() < 9
    assert (status_names(solution.status)[~good] == "invalid_input").all()
    assert np.isnan(solution.value.trades[~good]).all()
    columns = gtrade.verify(problems, solution)
    assert (columns["optimality_gap"][good] < 1e-9 * columns["objective"][good]).all()
    # Every trade is beyond where the cost per share is least.
    touch = 0.02 / (2 * 2 * 0.01 / 0.5**2)
    assert (np.asarray(solution.value.trades)[good] >= touch).all()
    _, free = batch(**{**numbers, "risk_aversion": lams, "permanent_impact": 0.0})
    assert (status_names(free.status) == "converged").all()


@pytest.mark.parametrize("p", [0.35, 0.8])
def test_barely_convex_costs_are_solved(in_float64, p):
    """Close to where the cost of trading all at once turns concave."""
    drift, size, tau = 0.02, 700.0, 0.5
    least = drift * tau**p / (p * (p + 1) * size ** (p - 1))
    for excess in (1e-1, 1e-4):
        numbers = {
            **BASE,
            "impact_exponent": p,
            "temporary_impact": least * (1 + excess),
        }
        lams = np.append(0.0, np.logspace(-4, 0, 8))
        _, solution = batch(**{**numbers, "risk_aversion": lams})
        assert (status_names(solution.status) == "converged").all()
        assert (np.asarray(solution.residual) < 1e-11).all()


@pytest.mark.parametrize("change", [{"num_periods": 1}, {"shares": 0.0}])
def test_where_there_is_one_plan_costs_do_not_matter(in_float64, change):
    extra = {"impact_exponent": 2.0, "temporary_impact": 1e-7}
    lams = np.linspace(0, 0.4, 9)
    problems, solution = batch(**{**BASE, **extra, **change, "risk_aversion": lams})
    assert (status_names(solution.status) == "converged").all()
    wanted = [700.0] if "num_periods" in change else np.zeros(6)
    np.testing.assert_array_equal(solution.value.trades, np.tile(wanted, (9, 1)))
    assert (gtrade.verify(problems, solution)["optimality_gap"] == 0).all()
