import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.repeated_positions import (
    LearningRecord,
    RepeatedPositionBuilding,
    line_positions,
)
from gtrade.responses.position_modes import line_equilibrium
from gtrade.solvers.position_learners import StochasticGradientPlay
from gtrade.verification.position_learning import rate_gaps, regret
from gtrade.verification.positions import line_gaps
from tests.references import position_learning as reference

pytestmark = pytest.mark.usefixtures("in_float64")
PRIOR = np.array([[0.40, 0.20], [0.15, 0.25]])
KAPPA = np.array([1.0, 3.0, 2.0, 15.0])
TARGETS = np.array([3.0, 5.0, 7.0, 5.0])


def game():
    return RepeatedPositionBuilding(KAPPA, TARGETS, num_types=(2, 2), prior=PRIOR)


@pytest.mark.slow
def test_gaps_are_those_of_the_tridiagonal_program():
    rates = TARGETS[:, None] + np.random.default_rng(0).normal(size=(4, 7))
    rates += (TARGETS - rates.mean(axis=1))[:, None]
    stage = game().stage_game()
    gaps = rate_gaps(stage, jnp.asarray(rates))
    exact = line_gaps(stage, line_positions(jnp.asarray(rates)))
    np.testing.assert_allclose(gaps, exact, rtol=1e-10)
    best = rate_gaps(stage, line_equilibrium(stage, 7))
    np.testing.assert_allclose(best, 0, atol=1e-24)


def test_regret_is_that_of_a_search_over_fixed_paths():
    from scipy.optimize import minimize

    rng, cells = np.random.default_rng(2), 4
    own = TARGETS[0] + rng.normal(size=(5, cells))
    others = rng.normal(size=(5, cells)) + 6
    own += (TARGETS[0] - own.mean(axis=1))[:, None]

    def total(path):
        return sum(reference.round_cost(path, o, KAPPA[0]) for o in others)

    def free(head):
        return total(np.append(head, cells * TARGETS[0] - head.sum()))

    best = minimize(free, np.full(cells - 1, TARGETS[0]), tol=1e-12).fun
    paid = sum(
        reference.round_cost(p, o, KAPPA[0]) for p, o in zip(own, others, strict=True)
    )
    prices = others + KAPPA[0] * reference.mean_positions(others)
    empty = jnp.zeros((4, cells))
    record = LearningRecord(
        rates=empty[None],
        averages=empty[None],
        rounds=jnp.array([5]),
        visits=jnp.array([5, 0, 5, 5]),
        paid=jnp.full(4, paid / 5),
        prices=empty.at[0].set(prices.mean(axis=0)),
    )
    found = np.asarray(regret(game(), record))
    np.testing.assert_allclose(found[0], (paid - best) / 5, rtol=1e-6)
    assert found[1] == 0  # never there


def test_verify_reports_gaps_regret_and_distances():
    solver = StochasticGradientPlay(num_rounds=400, num_points=9)
    solution = gtrade.solve(game(), solver, key=jax.random.key(0))
    names = ("schedules", "equilibrium_schedules", "times", "distance_curve", "rounds")
    row = gtrade.verify(game(), solution, arrays=names)
    assert row["equilibrium_gap"] < 1e-20
    assert 0 < row["exploitability"] < 0.5
    assert row["squared_distance"] == row["distance_curve"][-1] < 0.5
    assert row["distance_curve"][0] > 1
    assert (row["regret"] > -1e-9).all()
    assert row["violation"] < 1e-12
    assert row["schedules"].shape == row["equilibrium_schedules"].shape == (4, 9)
    np.testing.assert_allclose(row["schedules"][:, -1], TARGETS)
    np.testing.assert_allclose(row["rounds"][[0, -1]], [1, 400])
    marginals = np.array([0.6, 0.4, 0.55, 0.45])
    np.testing.assert_allclose(row["welfare"], marginals @ row["expected_costs"])
    assert "average_schedules" not in row


def test_float32_records_are_verified_in_float64():
    with jax.enable_x64(False):
        problem = game()
        solver = StochasticGradientPlay(num_rounds=400, num_points=9)
        solution = gtrade.solve(problem, solver, key=jax.random.key(0))
        row = gtrade.verify(problem, solution)
    assert row["exploitability"].dtype == np.float64
    assert row["exploitability"] < 0.5
    assert row["violation"] < 1e-4
