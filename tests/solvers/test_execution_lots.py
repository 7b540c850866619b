"""Plans in whole lots: known optima, one lot at a time, every plan, and a program."""

import itertools

import jax
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.solution import status_names
from tests.solvers.test_almgren_chriss import CLOSED_FORM

PROGRAM = gtrade.ExecutionProgram()
UNIT = {
    "volatility": 1.0,
    "permanent_impact": 0.0,
    "temporary_impact": 1.0,
    "lot_size": 1.0,
}
BASE = {
    "shares": 120.0,
    "horizon": 3.0,
    "num_periods": 6,
    "volatility": 1.3,
    "permanent_impact": 0.1,
    "temporary_impact": 1.1,
    "fixed_cost": 0.2,
    "lot_size": 2.0,
}
VOLUMES = [90.0, 30.0, 15.0, 20.0, 50.0, 110.0]
VARIANTS = [
    pytest.param(
        {"volumes": VOLUMES, "max_participation": 0.5}, marks=pytest.mark.slow
    ),
    {
        "volumes": VOLUMES,
        "max_participation": 0.5,
        "scales_with_volume": True,
        "impact_exponent": 0.6,
        "temporary_impact": 6.0,
    },
    pytest.param({"impact_exponent": 1.5}, marks=pytest.mark.slow),
]


def one_at_a_time(num_lots, costs, risk):
    """Add lots where each costs least: the greedy algorithm as it is told."""
    lots = np.zeros(len(costs), int)

    def objective(lots):
        left = lots.sum() - np.cumsum(lots)
        return (costs * lots**2).sum() + risk * (left**2).sum()

    for _ in range(num_lots):
        lots = min(lots + np.eye(len(costs), dtype=int), key=objective)
    return objective(lots)


@pytest.mark.parametrize(
    ("lots", "num", "risk", "wanted"),
    [
        (10, 4, 0.3, 43.8),
        pytest.param(100, 10, 0.05, 2053.75, marks=pytest.mark.slow),
        (200, 12, 0.5, 20001.5),
        pytest.param(23, 5, 0.0, 107.0, marks=pytest.mark.slow),
    ],
)
def test_known_optima(in_float64, lots, num, risk, wanted):
    # Even volumes change nothing but the key; four periods have them below, too.
    even = {"volumes": np.ones(4)} if num == 4 else {}
    problem = gtrade.AlmgrenChriss(
        shares=float(lots),
        horizon=float(num),
        num_periods=num,
        risk_aversion=risk,
        **UNIT,
        **even,
    )
    assert one_at_a_time(lots, np.ones(num), risk) == pytest.approx(wanted)
    for solver in (CLOSED_FORM, PROGRAM):
        solution = gtrade.solve(problem, solver)
        assert str(status_names(solution.status)) == "converged"
        trades = np.asarray(solution.value.trades)
        np.testing.assert_array_equal(trades, np.round(trades))
        assert trades.sum() == lots
        left = lots - np.cumsum(trades)
        objective = np.square(trades).sum() + risk * np.square(left).sum()
        np.testing.assert_allclose(objective, wanted, rtol=1e-13)
        if risk == 0:
            assert np.ptp(trades) <= 1


@pytest.mark.parametrize("extra", VARIANTS)
def test_moves_and_program_agree(in_float64, extra):
    lams = np.array([0.0, 0.01, 0.1, 1.0, 30.0, 0.1])
    side = np.array([1.0] * 5 + [-1.0])
    numbers = {**BASE, **extra, "risk_aversion": lams, "shares": 120 * side}
    problems = gtrade.make_batch(gtrade.AlmgrenChriss, **numbers)
    caps = np.asarray(problems.volumes) * 0.5 if "max_participation" in extra else 120
    both = []
    for solver in (CLOSED_FORM, PROGRAM):
        solution = gtrade.solve_batch(problems, solver)
        assert (status_names(solution.status) == "converged").all()
        columns = gtrade.verify(problems, solution)
        both.append(columns["objective"])
        assert (columns["optimality_gap"] <= 1e-9 * columns["objective"]).all()
        sizes = columns["trades"] * side[:, None]
        np.testing.assert_array_equal(sizes.sum(axis=1), 120)
        np.testing.assert_array_equal(sizes % 2, 0)
        assert (sizes >= 0).all()
        assert (sizes <= caps).all()
    np.testing.assert_allclose(*both, rtol=1e-12)


@pytest.mark.parametrize("risk", [0.0, 0.07, 0.9])
def test_every_plan_is_no_better(in_float64, risk):
    costs = np.array([1.0, 0.4, 2.0, 0.7])
    volumes = 1 / costs
    problem = gtrade.AlmgrenChriss(
        shares=9.0,
        horizon=4.0,
        num_periods=4,
        risk_aversion=risk,
        volumes=volumes,
        **{**UNIT, "temporary_impact": 1 / volumes.mean()},
    )
    np.testing.assert_allclose(problem.impact_coefficients, costs)
    best = min(
        (costs * np.square(plan)).sum() + risk * np.square(9 - np.cumsum(plan)).sum()
        for plan in itertools.product(range(10), repeat=4)
        if sum(plan) == 9
    )
    assert one_at_a_time(9, costs, risk) == pytest.approx(best)
    for solver in (CLOSED_FORM, PROGRAM):
        solution = gtrade.solve(problem, solver)
        plan = np.asarray(solution.value.trades)
        found = costs @ plan**2 + risk * np.square(9 - np.cumsum(plan)).sum()
        np.testing.assert_allclose(found, best)


def test_many_lots_need_few_moves(in_float64):
    problem = gtrade.AlmgrenChriss(
        shares=1e6,
        horizon=5.0,
        num_periods=12,
        volatility=0.95,
        permanent_impact=2.5e-7,
        temporary_impact=2.5e-6,
        risk_aversion=1e-6,
        lot_size=1.0,
    )
    solution = gtrade.solve(problem, CLOSED_FORM)
    assert str(status_names(solution.status)) == "converged"
    assert solution.num_steps < 40
    columns = gtrade.verify(problem, solution)
    assert columns["optimality_gap"] < 1e-6 * columns["objective"]
    assert columns["trades"].sum() == 1e6


def test_the_program_needs_no_convexity(in_float64):
    """Above p = 1 permanent impact makes small trades earn: lumps may be better."""
    numbers = {
        **BASE,
        "shares": 40.0,
        "impact_exponent": 2.0,
        "permanent_impact": 1.2,
        "temporary_impact": 0.01,
        "risk_aversion": np.linspace(0.3, 0.8, 6),
        # Without effect: the keys of the variants above.
        "volumes": np.full(6, 100.0),
        "max_participation": 1.0,
        "scales_with_volume": True,
    }
    problems = gtrade.make_batch(gtrade.AlmgrenChriss, **numbers)
    solution = gtrade.solve_batch(problems, PROGRAM)
    # Five bars among 20 lots split them over six periods.
    bars = np.array(list(itertools.combinations(range(25), 5)))
    ends = [np.full((len(bars), 1), end) for end in (-1, 25)]
    plans = 2.0 * (np.diff(np.hstack([ends[0], bars, ends[1]]), axis=1) - 1)
    assert (plans.sum(axis=1) == 40).all()

    @jax.jit
    def least(problems, plans):
        return jax.vmap(lambda p: jax.vmap(p.objective)(plans).min())(problems)

    columns = gtrade.verify(problems, solution)
    np.testing.assert_allclose(columns["objective"], least(problems, plans))
    assert (columns["optimality_gap"] == np.inf).all()
    refused = gtrade.solve_batch(problems, CLOSED_FORM)
    assert (status_names(refused.status) == "invalid_input").all()


def test_refusals_of_the_program(in_float64):
    with pytest.raises(InadmissibleError, match="lot_size must be given"):
        gtrade.ExecutionProgram.validate_for({"lot_size": None})
    problem = gtrade.AlmgrenChriss(**{**BASE, "lot_size": None})
    with pytest.raises(InadmissibleError, match="lot_size must be given"):
        PROGRAM.solve(problem)
    problem = gtrade.AlmgrenChriss(**BASE)
    small = gtrade.solve(problem, gtrade.ExecutionProgram(max_lots=59))
    assert str(status_names(small.status)) == "invalid_input"
    with pytest.raises(InadmissibleError, match="max_lots must be at least 0"):
        gtrade.ExecutionProgram(max_lots=-1)


def test_tables_too_small_are_refused_beforehand():
    numbers = {"shares": np.array([3.0, 100.0]), "lot_size": 1.0}
    message = "max_lots must be at least 100, the most lots of any problem; got 99"
    with pytest.raises(ValueError, match=message):
        gtrade.ExecutionProgram.validate_for(numbers, max_lots=99)
    gtrade.ExecutionProgram.validate_for(numbers, max_lots=100)
