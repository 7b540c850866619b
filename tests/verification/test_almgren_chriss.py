"""Evidence about execution plans: bounds hold for plans that are not optimal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import gtrade
from gtrade.problems.almgren_chriss import ExecutionSchedule
from gtrade.solution import Solution, Status
from tests.problems.test_almgren_chriss import ODD, PUBLISHED

BASE = {**ODD, "num_periods": 6}
VOLUMES = [900.0, 300.0, 150.0, 200.0, 500.0, 1100.0]
VARIANTS = [
    {},
    {"volumes": VOLUMES, "max_participation": 0.4},
    {"impact_exponent": 0.6, "temporary_impact": 5.0},
    {"impact_exponent": 1.5, "permanent_impact": 0.0},
    {"lot_size": 10.0},
]


def batch(**extra):
    numbers = {**BASE, "risk_aversion": np.array([0.0, 0.01, 0.4]), **extra}
    return gtrade.make_batch(gtrade.AlmgrenChriss, **numbers)


def answer(trades, holdings=None):
    trades = jnp.asarray(trades)
    left = jnp.cumsum(trades[:, ::-1], axis=1)[:, ::-1]
    if holdings is None:
        holdings = jnp.pad(left, [(0, 0), (0, 1)])
    size = len(trades)
    status = jax.vmap(
        lambda good: Status.where(good, Status.converged, Status.invalid_input)
    )(jnp.ones(size, bool))
    value = ExecutionSchedule(trades, jnp.asarray(holdings))
    return Solution(value, status, jnp.zeros(size), jnp.zeros(size, jnp.int32))


def perturbed(plans, noise, extra):
    """Return other feasible plans."""
    if "lot_size" in extra:
        lots = 10 * np.ceil(5 * np.abs(noise[:, :1]))
        return plans + lots * np.array([-1, 0, 0, 1, 0, 0])
    caps = 0.4 * np.array(VOLUMES) if "volumes" in extra else 700
    worse = np.clip(plans * (1 + noise), 0, caps)
    missing = 700 - worse.sum(axis=1, keepdims=True)
    room = np.where(missing > 0, caps - worse, worse)
    return worse + missing * room / room.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("extra", VARIANTS)
def test_the_gap_bounds_what_is_lost(in_float64, extra):
    problems = batch(**extra)
    best = gtrade.solve_batch(problems, gtrade.AlmgrenChrissClosedForm())
    columns = gtrade.verify(problems, best)
    scale = columns["objective"]
    assert (columns["optimality_gap"] <= 1e-10 * scale).all()
    rng = np.random.default_rng(4)
    optimum = np.asarray(best.value.trades)
    for size in (1e-3, 0.1, 0.5):
        worse = perturbed(optimum, size * rng.uniform(-1, 1, optimum.shape), extra)
        found = gtrade.verify(problems, answer(worse))
        lost = found["objective"] - scale
        assert (lost >= -1e-12 * scale).all()
        assert (found["optimality_gap"] >= lost - 1e-12 * scale).all()
        if "lot_size" not in extra:
            assert (found["kkt_residual"] > 1e-7).all()
        assert np.isfinite(found["optimality_gap"]).all()


def test_rows_hold_what_they_say(in_float64):
    problems = batch(confidence=0.975)
    solution = gtrade.solve_batch(problems, gtrade.AlmgrenChrissClosedForm())
    found = gtrade.verify(problems, solution, arrays=("times", "period_costs"))
    row = {name: x[2] for name, x in found.items()}
    std, z = np.sqrt(row["variance"]), scipy.stats.norm.ppf(0.975)
    np.testing.assert_allclose(row["value_at_risk"], row["expected_cost"] + z * std)
    # The mean beyond the quantile, integrated from the normal distribution.
    tail = scipy.stats.norm.expect(lambda x: x, lb=z) / 0.025
    np.testing.assert_allclose(
        row["conditional_value_at_risk"], row["expected_cost"] + tail * std
    )
    np.testing.assert_allclose(
        row["objective"], row["expected_cost"] + 0.4 * row["variance"]
    )
    np.testing.assert_allclose(row["times"], np.linspace(0, 3, 7))
    np.testing.assert_allclose(row["period_costs"].sum(), row["expected_cost"])
    assert row["even_cost"] < row["expected_cost"] < row["immediate_cost"]
    assert row["even_variance"] > row["variance"] > row["immediate_variance"] == 0
    assert row["trades"].shape == (6,)
    assert row["holdings"].shape == (7,)


def test_what_is_no_plan_has_no_row(in_float64):
    problems = batch()
    good = np.full((3, 6), 700 / 6)
    short, torn = good.copy(), np.array(answer(good).value.holdings)
    short[1] *= 0.99
    torn[2, 3] += 5
    found = gtrade.verify(problems, answer(short))
    assert np.isnan(found["expected_cost"]).tolist() == [False, True, False]
    found = gtrade.verify(problems, answer(good, torn))
    assert np.isnan(found["optimality_gap"]).tolist() == [False, False, True]


def test_plans_beyond_bounds_are_seen(in_float64):
    problems = batch(volumes=VOLUMES, max_participation=0.4)
    found = gtrade.verify(problems, answer(np.full((3, 6), 700 / 6)))
    # The third period may trade 60 shares.
    np.testing.assert_allclose(found["kkt_residual"][:2], (700 / 6 - 60) / 700)
    problems = batch(lot_size=10.0)
    found = gtrade.verify(problems, answer(np.full((3, 6), 700 / 6)))
    assert np.isposinf(found["optimality_gap"]).all()


def test_float32_answers_are_measured_in_float64():
    lams = np.array([0.0, 1e-6, 1e-5])
    problems = gtrade.make_batch(gtrade.AlmgrenChriss, **PUBLISHED, risk_aversion=lams)
    solution = gtrade.solve_batch(problems, gtrade.AlmgrenChrissClosedForm())
    columns = gtrade.verify(problems, solution)
    assert columns["expected_cost"].dtype == np.float64
    wanted = [662_500.0, 911_226.986, 1_845_211.26]
    np.testing.assert_allclose(columns["expected_cost"], wanted, rtol=1e-6)
    assert (columns["optimality_gap"] < 1e-6 * columns["objective"]).all()
    assert (columns["first_order_residual"] < 1e-6).all()
