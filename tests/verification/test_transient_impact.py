"""Evidence about transient impact against the definition of a gain."""

import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.transient_impact import TransientTrades
from gtrade.solution import Solution, Status
from tests.references import transient_impact as reference

TARGETS = [2.0, -0.5, 1.0]


def answer(trades, status=Status.converged):
    trades = jnp.asarray(trades)
    profile = trades.mean(axis=0) / trades.sum(axis=1).mean()
    value = TransientTrades(trades, profile, profile)
    return Solution(value, status, jnp.zeros(()), jnp.zeros((), jnp.int32))


def make(**numbers):
    numbers = {"targets": TARGETS, "decay": 1.3, "temporary_cost": 0.2, **numbers}
    return gtrade.TransientImpact(**numbers)


@pytest.mark.parametrize("kernel", ["exponential", "power-law"])
def test_gains_are_exact(in_float64, kernel):
    rng = np.random.default_rng(3)
    trades = rng.normal(size=(3, 17))
    trades += (np.array(TARGETS) - trades.sum(axis=1))[:, None] / 17
    game = make(kernel=kernel)
    columns = gtrade.verify(game, answer(trades))
    costs = [reference.cost(trades, i, 1.3, 0.2, kernel) for i in range(3)]
    best = [reference.best_cost(trades, i, 1.3, 0.2, kernel) for i in range(3)]
    gain = np.subtract(costs, best).max()
    np.testing.assert_allclose(columns["exploitability"], gain, rtol=1e-11)
    np.testing.assert_allclose(columns["expected_costs"], costs, rtol=1e-12)
    np.testing.assert_allclose(columns["welfare"], sum(costs), rtol=1e-12)
    own, _ = reference.matrices(17, 1.3, 0.2, kernel)
    least = np.linalg.eigvalsh(own)[0]
    np.testing.assert_allclose(columns["smallest_eigenvalue"], least, rtol=1e-12)
    np.testing.assert_allclose(
        columns["temporary_costs"], 0.2 * (trades**2).sum(axis=1), rtol=1e-12
    )
    np.testing.assert_allclose(columns["initial_rates"], 16 * trades[:, 0])


def test_an_equilibrium_leaves_nothing_to_gain(in_float64):
    game = make()
    solution = gtrade.solve(game, gtrade.TransientLinearSystem(num_points=17))
    arrays = ("schedules", "trades", "profiles", "times")
    columns = gtrade.verify(game, solution, arrays=arrays)
    assert 0 <= columns["exploitability"] < 1e-24
    trades = np.array(solution.value.trades)
    np.testing.assert_allclose(columns["schedules"], trades.cumsum(axis=1), atol=1e-14)
    np.testing.assert_allclose(columns["schedules"][:, -1], TARGETS, atol=1e-13)
    np.testing.assert_allclose(columns["times"], np.linspace(0, 1, 17))
    assert columns["profiles"].shape == (2, 17)
    np.testing.assert_allclose(columns["initial_trades"], trades[:, 0])
    np.testing.assert_allclose(columns["final_trades"], trades[:, -1])
    assert columns["critical_temporary_cost"].tolist() == [0.5, 0.25]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("theta", "wanted"),
    [(0.0, [True, True]), (0.3, [True, False]), (0.5, [False, False])],
)
def test_alternation(in_float64, theta, wanted):
    game = make(temporary_cost=theta)
    solution = gtrade.solve(game, gtrade.TransientLinearSystem(num_points=17))
    assert gtrade.verify(game, solution)["is_alternating"].tolist() == wanted
    alone = make(temporary_cost=theta, targets=[1.0])
    solution = gtrade.solve(alone, gtrade.TransientLinearSystem(num_points=17))
    columns = gtrade.verify(alone, solution)
    assert columns["is_alternating"].tolist() == [False, False]


def test_answers_that_are_none(in_float64):
    trades = np.full((3, 17), 1 / 17) * np.array(TARGETS)[:, None]
    bad = trades.copy()
    bad[1, 2] += 0.1
    for solution in (answer(bad), answer(trades, Status.invalid_input)):
        columns = gtrade.verify(make(), solution)
        assert np.isnan(columns["exploitability"])
        assert np.isnan(columns["expected_costs"]).all()
        assert not columns["is_alternating"].any()
    assert np.isfinite(gtrade.verify(make(), answer(trades))["exploitability"])


def test_single_precision_answers_are_measured():
    game = make()
    solution = gtrade.solve(game, gtrade.TransientLinearSystem(num_points=17))
    assert solution.value.trades.dtype == np.float32
    assert 0 <= gtrade.verify(game, solution)["exploitability"] < 1e-10
    costs = [
        reference.cost(np.array(solution.value.trades), i, 1.3, 0.2) for i in range(3)
    ]
    narrow = gtrade.verify(game, solution)
    np.testing.assert_allclose(narrow["expected_costs"], costs, rtol=1e-5)
