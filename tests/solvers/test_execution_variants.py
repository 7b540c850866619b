"""Volume profiles, participation caps and power laws against other algorithms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import gtrade
from gtrade.problems.base import replace_fields
from gtrade.solution import status_names
from tests.problems.test_almgren_chriss import ODD, PUBLISHED
from tests.solvers.test_almgren_chriss import CLOSED_FORM, batch, dense_optimum, solve

BASE = {**ODD, "num_periods": 6}
VOLUMES = np.array([900.0, 300.0, 150.0, 200.0, 500.0, 1100.0])


def quadratic(problem):
    """Return matrix and costs of the objective in the trades, without constants."""
    num = problem.num_periods
    costs = np.asarray(problem.impact_coefficients - problem.permanent_impact / 2)
    risk = float(problem.risk_aversion * problem.volatility**2 * problem.period_length)
    after = np.triu(np.ones((num, num)), 1)  # holdings from trades
    return np.diag(costs) + risk * after.T @ after


def capped_optimum(problem):
    """Try every set of full periods: the best feasible one is the optimum."""
    matrix, caps = quadratic(problem), np.asarray(problem.caps)
    num, total = problem.num_periods, float(problem.shares)
    best = np.inf, None
    for full in itertools.product([False, True], repeat=num):
        full = np.array(full)
        free = np.flatnonzero(~full)
        trades = np.where(full, caps, 0.0)
        if len(free):
            size = len(free)
            system = np.block(
                [
                    [2 * matrix[np.ix_(free, free)], np.ones((size, 1))],
                    [np.ones((1, size)), np.zeros((1, 1))],
                ]
            )
            right = np.append(-2 * (matrix @ trades)[free], total - trades.sum())
            trades[free] = np.linalg.solve(system, right)[:size]
        elif abs(trades.sum() - total) > 1e-9:
            continue
        if (trades < -1e-9).any() or (trades > caps + 1e-9).any():
            continue
        value = trades @ matrix @ trades
        if value < best[0]:
            best = value, trades
    return best[1]


@pytest.mark.parametrize("lam", [0.0, 0.05, 3.0])
def test_volume_profiles_agree_with_dense_algebra(in_float64, lam):
    problem, plan = solve(**{**BASE, "volumes": VOLUMES, "risk_aversion": lam})
    wanted = dense_optimum(problem)
    np.testing.assert_allclose(plan.holdings, wanted, rtol=1e-11, atol=1e-10)
    assert plan.holdings[0] == 700
    assert plan.holdings[-1] == 0


def test_without_risk_and_permanent_impact_volumes_are_followed(x64):
    numbers = {**BASE, "risk_aversion": 0.0, "permanent_impact": 0.0}
    for extra in ({}, {"impact_exponent": 0.6}, {"impact_exponent": 1.7}):
        problem, plan = solve(**{**numbers, "volumes": VOLUMES, **extra})
        wanted = 700 * VOLUMES / VOLUMES.sum()
        rtol = 1e-12 if x64 else 1e-5
        np.testing.assert_allclose(plan.trades, wanted, rtol=rtol)
        np.testing.assert_allclose(problem.volume_trades, wanted, rtol=rtol)


def test_even_volumes_change_nothing(in_float64):
    _, plain = solve(**BASE)
    _, profile = solve(**BASE, volumes=np.full(6, 300.0))
    np.testing.assert_allclose(profile.trades, plain.trades, rtol=1e-12)
    _, ignored = solve(**BASE, volumes=VOLUMES, scales_with_volume=False)
    np.testing.assert_array_equal(ignored.trades, plain.trades)


def test_profiles_last_thousands_of_e_foldings(in_float64):
    numbers = {**ODD, "num_periods": 400, "risk_aversion": 1e9}
    volumes = np.random.default_rng(0).uniform(0.5, 2, 400)
    for extra in ({}, {"volumes": volumes}, {"impact_exponent": 1.0}):
        problem, plan = solve(**{**numbers, **extra})
        np.testing.assert_allclose(plan.trades.sum(), 700, rtol=1e-12)
        costs = problem.impact_coefficients - problem.permanent_impact / 2
        risk = 1e9 * 1.7**2 * 3 / 400
        held, later = np.asarray(plan.holdings), costs[1:] * plan.trades[1:]
        # Far from the end what is left shrinks by about A / (b + A) a period.
        assert 0 < held[1] < 1e-5 * 700
        first = costs[0] * plan.trades[0] - later[0]
        np.testing.assert_allclose(first, risk * held[1], rtol=1e-10)


@pytest.mark.parametrize("lam", [0.0, 0.02, 0.4, 20.0])
@pytest.mark.parametrize("participation", [0.25, 0.6])
def test_caps_agree_with_every_set_of_full_periods(in_float64, lam, participation):
    numbers = {
        **BASE,
        "volumes": VOLUMES,
        "max_participation": participation,
        "risk_aversion": lam,
    }
    for scales in (False, True):
        problem, plan = solve(**numbers, scales_with_volume=scales)
        wanted = capped_optimum(problem)
        np.testing.assert_allclose(plan.trades, wanted, rtol=1e-9, atol=1e-8)
        assert (np.asarray(plan.trades) <= np.asarray(problem.caps)).all()
        columns = gtrade.verify(problem, gtrade.solve(problem, CLOSED_FORM))
        assert columns["kkt_residual"] < 1e-13
        assert columns["optimality_gap"] < 1e-10 * columns["objective"]


def test_caps_that_just_suffice_are_all_full(x64):
    caps = VOLUMES * (700 / VOLUMES.sum())
    problem, plan = solve(
        **BASE, volumes=VOLUMES, max_participation=700 / VOLUMES.sum()
    )
    rtol = 1e-12 if x64 else 1e-5
    np.testing.assert_allclose(plan.trades, caps, rtol=rtol)
    np.testing.assert_allclose(plan.trades.sum(), 700, rtol=rtol)


def test_too_little_room_is_invalid(in_float64):
    rates = jnp.asarray([0.1, 0.3])

    @jax.jit
    @jax.vmap
    def plans(rate):
        problem = gtrade.AlmgrenChriss(
            **BASE, volumes=jnp.asarray(VOLUMES), max_participation=rate
        )
        return CLOSED_FORM.solve(problem)

    found = plans(rates)
    assert status_names(found.status).tolist() == ["invalid_input", "converged"]
    assert np.isnan(found.value.trades[0]).all()


def test_caps_that_do_not_bind_change_nothing(in_float64):
    lams = np.array([0.0, 1e-6, 0.4, 1e6, 1e12])
    _, plain = batch(**{**BASE, "risk_aversion": lams})
    numbers = {**BASE, "volumes": VOLUMES, "risk_aversion": lams}
    _, capped = batch(**numbers, max_participation=5.0)
    np.testing.assert_allclose(
        capped.value.holdings, plain.value.holdings, rtol=1e-11, atol=1e-300
    )
    _, profile = batch(**numbers)
    _, both = batch(**numbers, max_participation=5.0, scales_with_volume=True)
    np.testing.assert_allclose(
        both.value.holdings, profile.value.holdings, rtol=1e-11, atol=1e-300
    )


@pytest.mark.parametrize("p", [0.3, 0.6, 1.0, 1.5, 3.0])
def test_power_laws_agree_with_a_general_minimiser(in_float64, p):
    """In units where all numbers are of order one."""
    numbers = {
        "shares": 1.3,
        "horizon": 2.0,
        "num_periods": 6,
        "volatility": 0.7,
        "permanent_impact": 0.05,
        "temporary_impact": 0.9,
        "impact_exponent": p,
        "risk_aversion": 0.8,
    }
    for extra in ({}, {"volumes": VOLUMES}):
        problem, plan = solve(**numbers, **extra)
        objective = jax.jit(lambda n, task=problem: task.objective(n))
        gradient = jax.jit(jax.grad(lambda n, task=problem: task.objective(n)))
        found = scipy.optimize.minimize(
            lambda n, f=objective: float(f(jnp.asarray(n))),
            np.full(6, 1.3 / 6),
            jac=lambda n, g=gradient: np.asarray(g(jnp.asarray(n))),
            method="SLSQP",
            bounds=[(1e-9, 1.3)] * 6,
            constraints=[
                {"type": "eq", "fun": lambda n: n.sum() - 1.3, "jac": np.ones_like}
            ],
            options={"ftol": 1e-15, "maxiter": 500},
        )
        ours = float(problem.objective(plan.trades))
        assert ours <= found.fun * (1 + 1e-12)
        np.testing.assert_allclose(ours, found.fun, rtol=1e-8)
        np.testing.assert_allclose(plan.trades, found.x, atol=2e-4)
        np.testing.assert_allclose(plan.trades.sum(), 1.3, rtol=1e-12)


def test_exponent_one_is_the_closed_form(x64):
    lams = np.array([0.0, 1e-9, 1e-7, 1e-6, 1e-4])
    _, plain = batch(**PUBLISHED, risk_aversion=lams)
    _, power = batch(**PUBLISHED, risk_aversion=lams, impact_exponent=1.0)
    rtol = 1e-11 if x64 else 1e-4
    np.testing.assert_allclose(power.value.holdings, plain.value.holdings, rtol=rtol)


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


@pytest.mark.parametrize("p", [0.6, 1.5])
def test_homogeneity_of_power_laws(in_float64, p):
    """With impact scaled to the size, all sizes have the same plan."""
    numbers = {**BASE, "impact_exponent": p, "temporary_impact": 5.0}
    _, plan = solve(**numbers)
    scale = 1e3
    larger = {
        **numbers,
        "shares": 700 * scale,
        "temporary_impact": 5.0 * scale ** (1 - p),
    }
    _, scaled = solve(**larger)
    np.testing.assert_allclose(scaled.trades, scale * plan.trades, rtol=1e-11)


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
    lams = lams[[0, -1]]
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
        _, solution = batch(
            **{**numbers, "risk_aversion": np.array([0.0, 1e-4, 1e-2, 1.0])}
        )
        assert (status_names(solution.status) == "converged").all()
        assert (np.asarray(solution.residual) < 1e-11).all()


@pytest.mark.parametrize(
    "extra",
    [
        {"volumes": VOLUMES},
        {"volumes": VOLUMES, "max_participation": 0.3},
        {"impact_exponent": 0.6, "temporary_impact": 5.0},
        {
            "impact_exponent": 1.5,
            "volumes": VOLUMES,
            "max_participation": 0.3,
            "scales_with_volume": True,
        },
    ],
)
def test_gradients_match_finite_differences(in_float64, extra):
    base = gtrade.AlmgrenChriss(**{**BASE, "risk_aversion": 0.01, **extra})
    weights = jnp.arange(1.0, 7.0)
    names = ["risk_aversion", "temporary_impact", "shares", "permanent_impact"]
    names += ["impact_exponent"] if "impact_exponent" in extra else []

    @jax.jit
    def value(numbers):
        problem = replace_fields(base, **numbers)
        return (weights * CLOSED_FORM.solve(problem).value.trades ** 2).sum()

    numbers = {name: getattr(base, name) for name in names}
    found = jax.jit(jax.grad(value))(numbers)
    for name, x in numbers.items():
        step = 1e-5 * x
        high, low = (value({**numbers, name: x + s}) for s in (step, -step))
        wanted = (high - low) / (2 * step)
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5, err_msg=name)


def test_variants_in_float32_agree_with_float64():
    extra = {"volumes": VOLUMES, "max_participation": 0.3, "impact_exponent": 0.6}
    numbers = {**BASE, "temporary_impact": 5.0, **extra, "scales_with_volume": True}
    narrow = solve(**numbers)[1]
    with jax.enable_x64(True):
        wide = solve(**numbers)[1]
    np.testing.assert_allclose(narrow.trades, wide.trades, rtol=1e-4)
