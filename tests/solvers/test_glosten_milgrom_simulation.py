"""Simulated quotes, beliefs and averages against the closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade import GlostenMilgrom, GlostenMilgromClosedForm, GlostenMilgromMonteCarlo
from gtrade.problems.base import replace_fields
from gtrade.solution import status_names

TWO = {
    "low": 90.0,
    "high": 110.0,
    "prior_high": 0.4,
    "informed_fraction": 0.3,
    "buy_probability": 0.4,
    "orders": ["buy", "pass", "buy", "sell"],
}
MANY = {
    "values": [90.0, 97.0, 103.0, 110.0],
    "prior": [0.1, 0.4, 0.3, 0.2],
    "informed_fraction": 0.3,
    "buy_probability": 0.3,
    "orders": ["buy", "pass", "sell"],
}
AVERAGES = (
    "expected_spreads",
    "expected_beliefs_high",
    "expected_beliefs_low",
    "expected_uncertainties",
)


def simulated(numbers, num_paths, num_trades=0, seed=0):
    game = GlostenMilgrom(**numbers)
    solver = GlostenMilgromMonteCarlo(num_paths=num_paths, num_trades=num_trades)
    solution = gtrade.solve(game, solver, key=jax.random.key(seed))
    columns = gtrade.verify(game, solution, solver=solver, arrays=AVERAGES)
    return columns, solution


@pytest.mark.parametrize(("numbers", "num_trades"), [(TWO, 4), (MANY, 0)])
def test_means_are_within_five_errors(in_float64, numbers, num_trades):
    columns, solution = simulated(numbers, 200_000, num_trades)
    assert str(status_names(solution.status)) == "completed"
    assert solution.num_steps == 200_000
    names = ["bids", "asks", "beliefs", "final_bid", "final_ask"]
    if numbers is TWO:
        names += [*AVERAGES, "dealer_profit"]
    for name in names:
        mean, error = columns[f"{name}_mc"], columns[f"{name}_se"]
        assert mean.shape == error.shape == columns[name].shape
        assert (np.abs(mean - columns[name]) <= 5 * error).all(), name
        assert (error <= 0.02 * np.maximum(np.abs(mean), 0.5)).all(), name
    # The error of a mean of as many buyers as there should be.
    if numbers is TWO:
        mu, share = 0.4, 0.7 * 0.4 + 0.3 * 0.4
        above = mu * 0.58 / share
        spread = 20 * np.sqrt(above * (1 - above) / (200_000 * share))
        np.testing.assert_allclose(columns["asks_se"][0], spread, rtol=0.02)
    else:
        assert all(np.isnan(columns[f"{name}_mc"]).all() for name in AVERAGES)


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [TWO, MANY])
def test_a_million_paths(in_float64, numbers):
    columns, _ = simulated(numbers, 10**6, 20 if numbers is TWO else 0, seed=5)
    names = ["bids", "asks", "beliefs", "final_bid", "final_ask"]
    names += [*AVERAGES, "dealer_profit"] if numbers is TWO else []
    for name in names:
        gap = np.abs(columns[f"{name}_mc"] - columns[name])
        assert (gap <= 5 * columns[f"{name}_se"]).all(), name


def test_a_wrong_closed_form_would_be_noticed(in_float64):
    """Estimates do not depend on the quotes they are compared with."""
    game, key = GlostenMilgrom(**TWO), jax.random.key(0)
    solver = GlostenMilgromMonteCarlo(num_paths=20_000)
    right = gtrade.solve(game, GlostenMilgromClosedForm()).value
    wrong = replace_fields(right, asks=right.asks + 3, bids=right.bids - 2)
    simulate = eqx.filter_jit(solver.simulate)
    mean, _ = simulate(game, right, key)
    other, error = simulate(game, wrong, key)
    np.testing.assert_allclose(other["asks"], mean["asks"], rtol=1e-12)
    np.testing.assert_allclose(other["bids"], mean["bids"], rtol=1e-12)
    assert (np.abs(other["asks"] - wrong.asks[:-1]) > 5 * error["asks"]).all()
    wrong = replace_fields(right, beliefs=right.beliefs.at[1:].add(0.05))
    mean, error = simulate(game, wrong, key)
    assert abs(mean["beliefs"][1] - wrong.beliefs[1]) > 5 * error["beliefs"][1]


def test_everybody_informed(in_float64):
    numbers = TWO | {"informed_fraction": 1.0, "orders": ["buy"] * 4}
    columns, solution = simulated(numbers, 1000, 4)
    assert str(status_names(solution.status)) == "completed"
    assert np.isnan(columns["final_bid_mc"])
    assert columns["asks_mc"].tolist() == [110] * 4
    assert columns["bids_mc"][0] == 90
    # Nobody sells what is known to be worth it.
    assert np.isnan(columns["bids_mc"][1:]).all()
    assert columns["beliefs_mc"][1:].tolist() == [1] * 4
    assert columns["expected_spreads_mc"].tolist() == [20, 0, 0, 0, 0]


def test_where_the_closed_form_has_no_answer(in_float64):
    numbers = TWO | {"informed_fraction": 1.0, "orders": ["buy", "sell"] * 2}
    columns, solution = simulated(numbers, 100, 4)
    assert str(status_names(solution.status)) == "invalid_input"
    simulated_names = [n for n in columns if n.endswith(("_mc", "_se"))]
    assert len(simulated_names) == 20
    assert all(np.isnan(columns[n]).all() for n in simulated_names)
    failing = {"buy_probability": 0.0, "orders": ["pass", "sell", "pass"]}
    _, solution = simulated(MANY | failing, 100)
    assert str(status_names(solution.status)) == "degenerate"


def test_numbers_of_paths_are_swept_in_one_compilation(monkeypatch):
    from gtrade import solving

    games = gtrade.make_batch(GlostenMilgrom, size=3, **TWO)
    solvers = gtrade.make_batch(
        GlostenMilgromMonteCarlo, num_paths=np.array([100, 1000, 1000])
    )
    keys = jax.random.split(jax.random.key(0), 3)
    program = solving._make_program(GlostenMilgromMonteCarlo, (), 1)
    monkeypatch.setattr(solving, "_kept_program", lambda *kind: program)
    solution = gtrade.solve_batch(games, solvers, keys=keys)
    assert program.num_compilations == 1
    assert solution.num_steps.tolist() == [100, 1000, 1000]
    error = solution.value.standard_error["asks"][:, 0]
    assert error[0] > 2 * error[1]
    # Lanes have keys of their own, and each is what it is beside others.
    assert solution.value.mean["asks"][1, 0] != solution.value.mean["asks"][2, 0]
    others = replace_fields(solvers, num_paths=jnp.array([5000, 1000, 10]))
    again = gtrade.solve_batch(games, others, keys=keys[jnp.array([2, 1, 0])])
    np.testing.assert_allclose(
        solution.value.mean["asks"][1], again.value.mean["asks"][1], rtol=1e-5
    )
    assert program.num_compilations == 1


def test_refusals():
    game = GlostenMilgrom(**TWO)
    with pytest.raises(ValueError, match="key must be given to simulate"):
        gtrade.solve(game, GlostenMilgromMonteCarlo())
    with pytest.raises(ValueError, match="num_paths must be at least 2; got 1"):
        GlostenMilgromMonteCarlo(num_paths=1)
    with pytest.raises(ValueError, match="num_trades must be at least 0"):
        GlostenMilgromMonteCarlo(num_trades=-1)
    with pytest.raises(ValueError, match="num_trades must be 0 with values"):
        GlostenMilgromMonteCarlo.validate_for(
            {"values": [1.0, 2.0]}, num_trades=3, num_paths=jnp.asarray(3)
        )
