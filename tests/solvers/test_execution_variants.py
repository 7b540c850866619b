"""Volume profiles and participation caps against other algorithms; gradients of all."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.base import replace_fields
from gtrade.solution import status_names
from tests.problems.test_almgren_chriss import ODD
from tests.solvers.test_almgren_chriss import (
    CLOSED_FORM,
    COEFFICIENTS,
    batch,
    dense_optimum,
    solve,
)

BASE = {**ODD, "num_periods": 6}
VOLUMES = np.array([900.0, 300.0, 150.0, 200.0, 500.0, 1100.0])


def quadratic(problem):
    """Return matrix and costs of the objective in the trades, without constants."""
    num = problem.num_periods
    costs = np.asarray(COEFFICIENTS(problem)) - float(problem.permanent_impact) / 2
    risk = float(problem.risk_aversion) * float(problem.volatility) ** 2
    risk *= float(problem.horizon) / num
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


def test_without_risk_and_permanent_impact_volumes_are_followed(in_float64):
    numbers = {**BASE, "risk_aversion": 0.0, "permanent_impact": 0.0}
    for extra in ({}, {"impact_exponent": 0.6}, {"impact_exponent": 1.7}):
        problem, plan = solve(**{**numbers, "volumes": VOLUMES, **extra})
        wanted = 700 * VOLUMES / VOLUMES.sum()
        np.testing.assert_allclose(plan.trades, wanted, rtol=1e-12)
        np.testing.assert_allclose(problem.volume_trades, wanted, rtol=1e-12)


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
        np.testing.assert_allclose(np.sum(plan.trades), 700, rtol=1e-12)
        costs = np.asarray(COEFFICIENTS(problem)) - 0.02 / 2
        risk = 1e9 * 1.7**2 * 3 / 400
        held, trades = np.asarray(plan.holdings), np.asarray(plan.trades)
        later = costs[1:] * trades[1:]
        # Far from the end what is left shrinks by about A / (b + A) a period.
        assert 0 < held[1] < 1e-5 * 700
        first = costs[0] * trades[0] - later[0]
        np.testing.assert_allclose(first, risk * held[1], rtol=1e-10)


@pytest.mark.parametrize("scales", [False, True])
def test_caps_agree_with_every_set_of_full_periods(in_float64, scales):
    lams = np.array([0.0, 0.02, 0.4, 20.0] * 2)
    problems, solution = batch(
        **{**BASE, "risk_aversion": lams},
        volumes=VOLUMES,
        max_participation=np.repeat([0.25, 0.6], 4),
        scales_with_volume=scales,
    )
    assert (status_names(solution.status) == "converged").all()
    columns = gtrade.verify(problems, solution)
    assert (columns["kkt_residual"] < 1e-13).all()
    assert (columns["optimality_gap"] < 1e-10 * columns["objective"]).all()
    for i, trades in enumerate(np.asarray(solution.value.trades)):
        problem = jax.tree.map(lambda x, i=i: x[i], problems)
        wanted = capped_optimum(problem)
        np.testing.assert_allclose(trades, wanted, rtol=1e-9, atol=1e-8)
        assert (trades <= np.asarray(problem.caps)).all()


def test_caps_that_just_suffice_are_all_full(x64):
    caps = VOLUMES * (700 / VOLUMES.sum())
    problem, plan = solve(
        **BASE, volumes=VOLUMES, max_participation=700 / VOLUMES.sum()
    )
    rtol = 1e-12 if x64 else 1e-5
    np.testing.assert_allclose(plan.trades, caps, rtol=rtol)
    np.testing.assert_allclose(plan.trades.sum(), 700, rtol=rtol)


def test_too_little_room_is_invalid(in_float64):
    rates = jnp.asarray([0.1, 0.3, 0.2, 0.5, 0.6])
    problems = gtrade.make_batch(
        gtrade.AlmgrenChriss, **BASE, volumes=VOLUMES, max_participation=np.ones(5)
    )
    found = gtrade.solve_batch(
        replace_fields(problems, max_participation=rates), CLOSED_FORM
    )
    is_enough = 3150 * np.asarray(rates) > 700
    assert is_enough.tolist() == [False, True, False, True, True]
    assert ((status_names(found.status) == "converged") == is_enough).all()
    assert (status_names(found.status)[~is_enough] == "invalid_input").all()
    assert np.isnan(found.value.trades[~is_enough]).all()


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
    @jax.value_and_grad
    def value(numbers):
        problem = replace_fields(base, **numbers)
        return (weights * CLOSED_FORM.solve(problem).value.trades ** 2).sum()

    numbers = {name: getattr(base, name) for name in names}
    _, found = value(numbers)
    for name, x in numbers.items():
        step = 1e-5 * x
        high, low = (value({**numbers, name: x + s})[0] for s in (step, -step))
        wanted = (high - low) / (2 * step)
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5, err_msg=name)


def test_variants_in_float32_agree_with_float64():
    extra = {"volumes": VOLUMES, "max_participation": 0.3, "impact_exponent": 0.6}
    numbers = {**BASE, "temporary_impact": 5.0, **extra, "scales_with_volume": True}
    narrow = solve(**numbers)[1]
    with jax.enable_x64(True):
        wide = solve(**numbers)[1]
    np.testing.assert_allclose(narrow.trades, wide.trades, rtol=1e-4)
