import jax
import numpy as np
import pytest

import gtrade
from gtrade import BackwardInduction, FeedbackPositionGame, OpenLoop
from gtrade.solution import Status, status_names
from tests.references import feedback_positions as reference


def solve(solver, targets, impacts):
    """Return trades and costs of one game."""
    targets = np.asarray(targets, float)
    impacts = np.broadcast_to(np.asarray(impacts, float), targets.shape)
    game = FeedbackPositionGame(targets=targets, permanent_impacts=impacts)
    solution = gtrade.solve(game, solver)
    assert solution.status == Status.converged
    assert float(solution.residual) < 1e-11
    trades = np.asarray(solution.value.trades)
    np.testing.assert_allclose(trades.sum(axis=1), targets, rtol=1e-12, atol=1e-13)
    return trades, reference.costs(trades, impacts)


@pytest.mark.usefixtures("in_float64")
def test_three_steps_of_the_notes():
    trades, costs = solve(BackwardInduction(num_steps=3), [1, 3], 5)
    np.testing.assert_allclose(trades[:, 0], [1.112506, 1.127544], atol=5e-7)
    np.testing.assert_allclose(costs, [10.014016, 50.044091], atol=5e-7)
    trades, _ = solve(OpenLoop(num_steps=3), [1, 3], 5)
    np.testing.assert_allclose(trades[:, 0], [1.053665, 1.068702], atol=5e-7)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(
    ("steps", "impacts"), [(1, [5, 5]), (2, [5, 5]), (2, [1, 3]), (3, [0, 0])]
)
def test_feedback_changes_nothing(steps, impacts):
    # With one decision there is nothing to react to; without impact, no reason.
    feedback, _ = solve(BackwardInduction(num_steps=steps), [1, 3], impacts)
    fixed, _ = solve(OpenLoop(num_steps=steps), [1, 3], impacts)
    np.testing.assert_allclose(feedback, fixed, rtol=1e-14, atol=1e-15)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(
    ("targets", "kappa", "feedback", "open_loop"),
    [
        ([1, 1], 5, [7.82365, 7.82365], [7.44286, 7.44286]),
        ([1, 1], 1, [3.02265, 3.02265], [3.01848, 3.01848]),
        ([1, 5], 5, [10.00585, 130.81984], [6.57868, 127.39271]),
    ],
)
def test_four_hundred_steps_of_the_notes(targets, kappa, feedback, open_loop):
    _, costs = solve(BackwardInduction(num_steps=400), targets, kappa)
    np.testing.assert_allclose(costs, feedback, atol=6e-6)
    _, fixed = solve(OpenLoop(num_steps=400), targets, kappa)
    # The second number is the limit of many steps, of second order in 1/T.
    np.testing.assert_allclose(fixed, open_loop, atol=6e-5)
    assert (costs > fixed).all()


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(
    ("targets", "kappa", "limit"),
    [
        ([1, 1], 5, [7.826550, 7.826550]),
        ([1, 1], 1, [3.022669, 3.022669]),
        ([1, 5], 5, [10.031934, 130.845973]),
    ],
)
def test_costs_of_many_steps_converge_to_first_order(targets, kappa, limit):
    limit = np.array(limit)
    costs = [
        solve(BackwardInduction(num_steps=steps), targets, kappa)[1]
        for steps in (200, 400)
    ]
    errors = [np.abs(found - limit) for found in costs]
    np.testing.assert_allclose(errors[0] / errors[1], 2, atol=0.05)
    np.testing.assert_allclose(2 * costs[1] - costs[0], limit, atol=2e-4)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(
    ("targets", "impacts", "steps"),
    [
        ([1, 3], [5, 5], 3),
        ([1, 3], [5, 5], 4),
        ([2, -1], [1, 6], 4),
        ([1, 2, -4], [2, 0, 5], 3),
    ],
)
def test_nested_minimisation_agrees(targets, impacts, steps):
    targets, impacts = np.array(targets, float), np.array(impacts, float)
    trades, costs = solve(BackwardInduction(num_steps=steps), targets, impacts)
    first, to_come = reference.nested_equilibrium(targets, 0.0, 0, impacts, steps)
    np.testing.assert_allclose(trades[:, 0], first, rtol=1e-9)
    np.testing.assert_allclose(costs, to_come, rtol=1e-9)


@pytest.mark.usefixtures("in_float64")
def test_the_net_position_moves_nobody():
    # The state of the notes has the net position; rules do not depend on it, and costs
    # do through kappa_i r_i X alone.
    targets, impacts = np.array([1.0, 3.0]), np.array([5.0, 2.0])
    game = FeedbackPositionGame(targets=targets, permanent_impacts=impacts)
    values = gtrade.solve(game, BackwardInduction(num_steps=3)).value.values[0]
    own = np.einsum("j,ijk,k->i", targets, values, targets)
    for held in (0.0, -2.0, 10.0):
        first, to_come = reference.nested_equilibrium(targets, held, 0, impacts, 3)
        calm, _ = reference.nested_equilibrium(targets, 0.0, 0, impacts, 3)
        np.testing.assert_allclose(first, calm, rtol=1e-9)
        np.testing.assert_allclose(to_come, impacts * targets * held + own, rtol=1e-9)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("impacts", [[3, 3], [0, 4], [40, 1], [60, 60], [1, 5, 20]])
def test_open_loop_solves_the_dense_system(impacts):
    targets = [2.0, -1.0, 0.5][: len(impacts)]
    trades, _ = solve(OpenLoop(num_steps=7), targets, impacts)
    expected = reference.open_loop(targets, impacts, 7)
    np.testing.assert_allclose(trades, expected, atol=1e-11 * np.abs(trades).max())


@pytest.mark.usefixtures("in_float64")
def test_open_loop_converges_to_the_closed_form():
    targets, kappa = np.array([1.0, 3.0]), 4.0
    times = np.linspace(0, 1, 41)
    g, mean = kappa / 3, targets.mean()
    common = mean * np.expm1(-g * times) / np.expm1(-g)
    apart = np.expm1(kappa * times) / np.expm1(kappa)
    exact = common + (targets - mean)[:, None] * apart
    trades, _ = solve(OpenLoop(num_steps=40), targets, kappa)
    error = np.abs(np.cumsum(trades, axis=1) - exact[:, 1:]).max()
    np.testing.assert_allclose(error, 2.89e-4, rtol=5e-3)


@pytest.mark.usefixtures("in_float64")
def test_five_firms_and_a_new_order():
    targets, impacts = np.array([1.0, 2, 3, -4, 5]), np.array([1.0, 5, 20, 2, 3])
    order = np.array([3, 0, 4, 1, 2])
    for solver in (BackwardInduction(num_steps=16), OpenLoop(num_steps=16)):
        trades, costs = solve(solver, targets, impacts)
        moved, moved_costs = solve(solver, targets[order], impacts[order])
        np.testing.assert_allclose(moved, trades[order], rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(moved_costs, costs[order], rtol=1e-9)
        scaled, scaled_costs = solve(solver, -3 * targets, impacts)
        np.testing.assert_allclose(scaled, -3 * trades, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(scaled_costs, 9 * costs, rtol=1e-10)


@pytest.mark.usefixtures("in_float64")
def test_one_firm_trades_evenly():
    trades, costs = solve(BackwardInduction(num_steps=8), [2.0], [6.0])
    np.testing.assert_allclose(trades, np.full((1, 8), 0.25), rtol=1e-13)
    np.testing.assert_allclose(costs, [4 + 6 * 2], rtol=1e-13)


@pytest.mark.usefixtures("in_float64")
def test_what_is_left_is_bought_ever_faster_towards_the_end():
    # Shares bought per share left and unit of time grow like 1 / (1 - t); the rates of
    # the path that is played stay bounded.
    num_steps = 400
    game = FeedbackPositionGame(targets=[1.0, -1.0], permanent_impact=20.0)
    value = gtrade.solve(game, BackwardInduction(num_steps=num_steps)).value
    left = np.arange(num_steps, 0, -1)
    pace = np.asarray(value.gains)[:, 0, 0] * left
    np.testing.assert_allclose(pace[-3:], 1, atol=0.02)
    rates = num_steps * np.abs(np.asarray(value.trades))
    assert rates.max() < 20


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("kappa", [50, 200, 500])
def test_large_impacts(kappa):
    for steps in (3, 400):
        feedback, _ = solve(BackwardInduction(num_steps=steps), [1, 3], kappa)
        fixed, _ = solve(OpenLoop(num_steps=steps), [1, 3], kappa)
        # Where growth like e^kappa would ruin the answer, rates are of order kappa.
        most = 3 * max(steps, kappa) / steps
        assert max(np.abs(feedback).max(), np.abs(fixed).max()) < most


def test_no_best_response_in_a_coarse_game():
    with jax.enable_x64(True):
        game = FeedbackPositionGame(targets=[1.0, 2.0], permanent_impacts=[1.0, 100.0])
        coarse = gtrade.solve(game, BackwardInduction(num_steps=3))
        fine = gtrade.solve(game, BackwardInduction(num_steps=400))
    assert coarse.status == Status.stalled
    assert fine.status == Status.converged


@pytest.mark.usefixtures("in_float64")
def test_thousands_at_once_and_a_bad_lane():
    rng = np.random.default_rng(1)
    targets, kappa = rng.normal(size=(3000, 2)), rng.uniform(0, 8, 3000)
    games = gtrade.make_batch(
        FeedbackPositionGame, targets=targets, permanent_impact=kappa
    )
    bad = games.permanent_impacts.at[1, 0].set(-1.0)
    games = jax.tree.map(lambda x: bad if x is games.permanent_impacts else x, games)
    for solver in (BackwardInduction(num_steps=3), OpenLoop(num_steps=3)):
        batch = gtrade.solve_batch(games, solver)
        names = status_names(batch.status)
        assert names[1] == "invalid_input"
        assert (np.delete(names, 1) == "converged").all()
        found = np.asarray(batch.value.trades)
        assert np.isnan(found[1]).all()
        for index in (0, 2, 1234, 2999):
            trades, _ = solve(solver, targets[index], kappa[index])
            np.testing.assert_allclose(found[index], trades, rtol=1e-12, atol=1e-14)


def test_widths(x64):
    game = FeedbackPositionGame(targets=[1.0, 3.0], permanent_impact=5.0)
    for solver, first in (
        (BackwardInduction(num_steps=3), [1.112506, 1.127544]),
        (OpenLoop(num_steps=3), [1.053665, 1.068702]),
    ):
        solution = gtrade.solve(game, solver)
        assert solution.status == Status.converged
        trades = np.asarray(solution.value.trades)
        assert trades.dtype == (np.float64 if x64 else np.float32)
        np.testing.assert_allclose(trades[:, 0], first, rtol=1e-5)
        positions = np.asarray(solution.value.positions)
        np.testing.assert_allclose(positions[:, [0, -1]], [[0, 1], [0, 3]], atol=1e-5)


@pytest.mark.parametrize("solver", [BackwardInduction, OpenLoop])
def test_inadmissible_numbers_of_steps(solver):
    with pytest.raises(ValueError, match="num_steps must be at least 1; got 0"):
        solver(num_steps=0)
    with pytest.raises(ValueError, match="num_steps must be one value for the whole"):
        solver.validate(num_steps=[1, 2])
