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
CAPPED = {"volumes": VOLUMES, "max_participation": 0.3, "scales_with_volume": False}
ALL = {
    "volumes": VOLUMES,
    "max_participation": 0.3,
    "scales_with_volume": True,
    "impact_exponent": 0.6,
    "temporary_impact": 5.0,
}
VOLUME_TRADES = jax.jit(jax.vmap(lambda problem: problem.volume_trades))


def plans(risk_aversion=0.4, **numbers):
    """Solve eight problems, whatever differs among them: one program a variant."""
    lams = np.resize(risk_aversion, 8)
    problems, solution = batch(**{**BASE, **numbers, "risk_aversion": lams})
    assert (status_names(solution.status) == "converged").all()
    return problems, solution.value


def one_of(problems, i):
    return jax.tree.map(lambda x: x[i], problems)


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


def test_volume_profiles_agree_with_dense_algebra(in_float64):
    problems, found = plans([0.0, 0.05, 3.0], volumes=VOLUMES)
    for i in range(3):
        wanted = dense_optimum(one_of(problems, i))
        np.testing.assert_allclose(found.holdings[i], wanted, rtol=1e-11, atol=1e-10)
    assert (found.holdings[:, 0] == 700).all()
    assert (found.holdings[:, -1] == 0).all()


def test_without_risk_and_permanent_impact_volumes_are_followed(in_float64):
    exponents = {"impact_exponent": np.array([0.6, 1.7] * 4), "max_participation": 5.0}
    for extra in ({"volumes": VOLUMES}, ALL | exponents):
        problems, found = plans(0.0, permanent_impact=0.0, **extra)
        wanted = np.tile(700 * VOLUMES / VOLUMES.sum(), (8, 1))
        np.testing.assert_allclose(found.trades, wanted, rtol=1e-12)
        np.testing.assert_allclose(VOLUME_TRADES(problems), wanted, rtol=1e-12)


def test_even_volumes_change_nothing(in_float64):
    _, plain = plans()
    _, profile = plans(volumes=np.full(6, 300.0))
    np.testing.assert_allclose(profile.trades, plain.trades, rtol=1e-12)
    _, ignored = plans(volumes=VOLUMES, scales_with_volume=False)
    np.testing.assert_array_equal(ignored.trades, plain.trades)


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"volumes": np.random.default_rng(0).uniform(0.5, 2, 400)},
        pytest.param({"impact_exponent": 1.0}, marks=pytest.mark.slow),
    ],
)
def test_profiles_last_thousands_of_e_foldings(in_float64, extra):
    numbers = {**ODD, "num_periods": 400, "risk_aversion": 1e9}
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
    problems, solution = batch(
        **{**BASE, "risk_aversion": np.array([0.0, 0.02, 0.4, 20.0] * 2)},
        volumes=VOLUMES,
        max_participation=np.repeat([0.25, 0.6], 4),
        scales_with_volume=scales,
    )
    assert (status_names(solution.status) == "converged").all()
    columns = gtrade.verify(problems, solution)
    assert (columns["kkt_residual"] < 1e-13).all()
    assert (columns["optimality_gap"] < 1e-10 * columns["objective"]).all()
    for i, trades in enumerate(np.asarray(solution.value.trades)):
        problem = one_of(problems, i)
        wanted = capped_optimum(problem)
        np.testing.assert_allclose(trades, wanted, rtol=1e-9, atol=1e-8)
        assert (trades <= np.asarray(problem.caps)).all()


def test_caps_that_just_suffice_are_all_full(in_float64):
    rate = 700 / VOLUMES.sum()
    _, found = plans(**CAPPED | {"max_participation": rate})
    wanted = np.tile(VOLUMES * rate, (8, 1))
    np.testing.assert_allclose(found.trades, wanted, rtol=1e-12)
    np.testing.assert_allclose(np.sum(found.trades, axis=1), 700, rtol=1e-12)


def test_too_little_room_is_invalid(in_float64):
    rates = np.array([0.1, 0.3, 0.2, 0.5, 0.6, 0.22, 0.23, 1.0])
    problems, _ = plans(**CAPPED)
    problems = replace_fields(problems, max_participation=jnp.asarray(rates))
    found = gtrade.solve_batch(problems, CLOSED_FORM)
    is_enough = 3150 * rates > 700
    assert is_enough.tolist() == [False, True, False, True, True, False, True, True]
    assert ((status_names(found.status) == "converged") == is_enough).all()
    assert (status_names(found.status)[~is_enough] == "invalid_input").all()
    assert np.isnan(np.asarray(found.value.trades)[~is_enough]).all()


def test_caps_that_do_not_bind_change_nothing(in_float64):
    lams = [0.0, 1e-6, 0.4, 1e6, 1e12]
    for scales, uncapped in ((False, {}), (True, {"volumes": VOLUMES})):
        loose = {"max_participation": 5.0, "scales_with_volume": scales}
        _, plain = plans(lams, **uncapped)
        _, capped = plans(lams, **CAPPED | loose)
        np.testing.assert_allclose(
            capped.holdings, plain.holdings, rtol=1e-11, atol=1e-300
        )


WEIGHTS = np.arange(1.0, 7.0)


@jax.jit
@jax.value_and_grad
def weighted_trades(numbers, problem):
    trades = CLOSED_FORM.solve(replace_fields(problem, **numbers)).value.trades
    return (WEIGHTS * trades**2).sum()


@pytest.mark.parametrize(
    "extra",
    [
        {"volumes": VOLUMES},
        CAPPED,
        ALL,
        ALL | {"impact_exponent": 1.5, "temporary_impact": 0.9},
        pytest.param(
            {"impact_exponent": 0.6, "temporary_impact": 5.0}, marks=pytest.mark.slow
        ),
    ],
)
def test_gradients_match_finite_differences(in_float64, extra):
    problem = gtrade.AlmgrenChriss(**{**BASE, "risk_aversion": 0.01, **extra})
    names = ["risk_aversion", "temporary_impact", "shares", "permanent_impact"]
    names += ["impact_exponent"] if "impact_exponent" in extra else []
    numbers = {name: np.asarray(getattr(problem, name)) for name in names}
    _, found = weighted_trades(numbers, problem)
    for name, x in numbers.items():
        step = 1e-5 * x
        high, low = (
            weighted_trades({**numbers, name: x + s}, problem)[0] for s in (step, -step)
        )
        wanted = (high - low) / (2 * step)
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5, err_msg=name)


def test_variants_in_float32_agree_with_float64():
    _, narrow = plans(**ALL)
    with jax.enable_x64(True):
        _, wide = plans(**ALL)
    np.testing.assert_allclose(narrow.trades, wide.trades, rtol=1e-4)
