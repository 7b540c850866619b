import dataclasses

import jax
import numpy as np
import pytest

import gtrade
from gtrade import BackwardInduction, FeedbackPositionGame, OpenLoop
from gtrade.solution import Solution
from gtrade.verification.feedback_position import feedback_responses
from tests.references import feedback_positions as reference

STEPS = 5
ARRAYS = ("schedules", "times", "gains")
TARGETS, IMPACTS = np.array([1.0, 3.0]), np.array([5.0, 2.0])


@pytest.fixture
def solved():
    with jax.enable_x64(True):
        game = FeedbackPositionGame(targets=TARGETS, permanent_impacts=IMPACTS)
        yield game, gtrade.solve(game, BackwardInduction(num_steps=STEPS))


def check(game, solution):
    return gtrade.verify(game, solution, arrays=ARRAYS)  # compiled once


def replaced(solution, **changes):
    value = dataclasses.replace(solution.value, **changes)
    return Solution(value, solution.status, solution.residual, solution.num_steps)


def played(gains):
    left, trades = TARGETS.copy(), []
    for gain in np.asarray(gains):
        trades.append(gain @ left)
        left = left - trades[-1]
    return np.array(trades).T


@pytest.mark.slow
def test_columns_of_an_equilibrium(solved):
    row = check(*solved)
    trades = np.asarray(solved[1].value.trades)
    assert row["exploitability"] < 1e-20
    assert row["off_path_gain"] < 1e-20
    assert abs(row["open_loop_gain"]) < 1e-12
    costs = reference.costs(trades, IMPACTS)
    np.testing.assert_allclose(row["expected_costs"], costs, rtol=1e-12)
    fixed = reference.open_loop(TARGETS, IMPACTS, STEPS)
    expected = reference.costs(fixed, IMPACTS)
    np.testing.assert_allclose(row["open_loop_costs"], expected, rtol=1e-11)
    np.testing.assert_allclose(row["initial_rates"], trades[:, 0] * STEPS, rtol=1e-12)
    np.testing.assert_allclose(row["welfare"], costs.sum(), rtol=1e-12)
    np.testing.assert_allclose(row["schedules"][:, -1], TARGETS, rtol=1e-12)
    np.testing.assert_allclose(row["times"], np.linspace(0, 1, STEPS + 1))
    assert row["gains"].shape == (STEPS, 2, 2)


def test_gains_from_deviations_are_those_of_a_dense_program(solved):
    game, solution = solved
    rng = np.random.default_rng(0)
    gains = np.array(solution.value.gains)
    gains[:-1] += 0.05 * rng.normal(size=gains[:-1].shape)
    trades = played(gains)
    row = check(game, replaced(solution, gains=gains, trades=trades))
    costs = reference.costs(trades, IMPACTS)
    least = [reference.best_reply_cost(gains, TARGETS, IMPACTS, i) for i in range(2)]
    np.testing.assert_allclose(row["exploitability"], (costs - least).max(), rtol=1e-9)
    assert row["off_path_gain"] >= row["exploitability"]


def test_off_the_path_too(solved):
    game, solution = solved
    rng = np.random.default_rng(1)
    gains = np.array(solution.value.gains)
    gains[2:-1] += 0.1 * rng.normal(size=gains[2:-1].shape)
    left, held, start = np.array([0.3, -2.0]), 1.7, 2
    found = jax.jit(lambda k, g: feedback_responses(k, g, (start,)))(
        game.permanent_impacts, gains
    )
    state = np.append(left, held)
    for firm in range(2):
        saved = state @ np.asarray(found.gains)[firm, 0] @ state
        cost = state @ np.asarray(found.costs)[firm, 0] @ state
        least = reference.best_reply_cost(gains, left, IMPACTS, firm, start, held)
        np.testing.assert_allclose(cost - saved, least, rtol=1e-9)
        assert saved > 1e-4


def test_schedules_fixed_in_advance(solved):
    game, feedback = solved
    solution = gtrade.solve(game, OpenLoop(num_steps=STEPS))
    row = check(game, solution)
    assert abs(row["exploitability"]) < 1e-12
    # As schedules, the trades of the feedback equilibrium are none.
    trades = np.asarray(feedback.value.trades)
    row = check(game, replaced(solution, trades=trades))
    gaps = []
    for firm in range(2):
        # Rules that look at nothing: others trade what they do anyway.
        def cost(own, firm=firm):
            moved = trades.copy()
            moved[firm] = np.append(own, TARGETS[firm] - own.sum())
            return reference.costs(moved, IMPACTS)[firm]

        least = reference.least_quadratic(cost, STEPS - 1)
        gaps.append(reference.costs(trades, IMPACTS)[firm] - least)
    np.testing.assert_allclose(row["exploitability"], max(gaps), rtol=1e-8)
    assert row["exploitability"] > 1e-3


def test_damaged_answers_are_none(solved):
    game, solution = solved
    value = solution.value
    damaged = [
        {"trades": np.asarray(value.trades) * 1.01},
        {"gains": np.asarray(value.gains) * 1.01},
        {"trades": np.asarray(value.trades)[::-1]},
        {"gains": np.asarray(value.gains) * np.nan},
    ]
    for changes in damaged:
        row = check(game, replaced(solution, **changes))
        assert np.isnan(row["exploitability"])
        assert np.isnan(row["expected_costs"]).all()


def test_an_unbounded_deviation_is_worth_infinitely_much():
    with jax.enable_x64(True):
        game = FeedbackPositionGame(targets=[1.0, 2.0], permanent_impacts=[1.0, 100.0])
        row = check(game, gtrade.solve(game, BackwardInduction(num_steps=STEPS)))
    assert row["exploitability"] == np.inf
    assert row["off_path_gain"] == np.inf
    assert np.isfinite(row["expected_costs"]).all()


@pytest.mark.slow
def test_narrow_answers_are_measured_in_float64():
    game = FeedbackPositionGame(targets=TARGETS, permanent_impacts=IMPACTS)
    row = check(game, gtrade.solve(game, BackwardInduction(num_steps=STEPS)))
    assert 0 < row["exploitability"] < 1e-9
    assert row["exploitability"].dtype == np.float64
