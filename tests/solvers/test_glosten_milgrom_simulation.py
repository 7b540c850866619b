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
QUOTES = ("bids", "asks", "beliefs", "final_bid", "final_ask")
AVERAGES = (
    "expected_spreads",
    "expected_beliefs_high",
    "expected_beliefs_low",
    "expected_uncertainties",
)


def simulated(numbers, num_paths, num_trades=4, seed=0):
    """Simulate one market with several keys, of a number of paths each, and measure."""
    size = len(num_paths)
    games = gtrade.make_batch(GlostenMilgrom, size=size, **numbers)
    solvers = gtrade.make_batch(
        GlostenMilgromMonteCarlo, num_paths=np.array(num_paths), num_trades=num_trades
    )
    keys = jax.random.split(jax.random.key(seed), size)
    solution = gtrade.solve_batch(games, solvers, keys=keys)
    columns = gtrade.verify(games, solution, solver=solvers, arrays=AVERAGES)
    return columns, solution


@eqx.filter_jit
def estimates(game, path, key, num_paths=200_000):
    return GlostenMilgromMonteCarlo(num_paths=num_paths).simulate(game, path, key)


def test_means_are_within_five_errors():
    """Of two values, in single precision."""
    columns, solution = simulated(TWO, [200_000] * 3)
    assert (status_names(solution.status) == "completed").all()
    assert solution.num_steps.tolist() == [200_000] * 3
    for name in (*QUOTES, *AVERAGES, "dealer_profit"):
        mean, error = columns[f"{name}_mc"], columns[f"{name}_se"]
        assert mean.shape == error.shape == columns[name].shape
        assert (np.abs(mean - columns[name]) <= 5 * error).all(), name
        assert (error <= 0.02 * np.maximum(np.abs(mean), 0.5)).all(), name
    # The error of a mean of as many buyers as there should be.
    mu, share = 0.4, 0.7 * 0.4 + 0.3 * 0.4
    above = mu * 0.58 / share
    spread = 20 * np.sqrt(above * (1 - above) / (200_000 * share))
    np.testing.assert_allclose(columns["asks_se"][:, 0], spread, rtol=0.02)


def test_means_of_many_values_are_within_five_errors(in_float64):
    game = GlostenMilgrom(**MANY)
    path = gtrade.solve(game, GlostenMilgromClosedForm()).value
    mean, error = estimates(game, path, jax.random.key(0))
    exact = {
        "bids": path.bids[:-1],
        "asks": path.asks[:-1],
        "beliefs": path.beliefs,
        "final_bid": path.bids[-1],
        "final_ask": path.asks[-1],
    }
    for name in QUOTES:
        found, spread = np.asarray(mean[name]), np.asarray(error[name])
        assert found.shape == spread.shape == exact[name].shape
        assert (np.abs(found - exact[name]) <= 5 * spread).all(), name
        assert (spread <= 0.02 * np.maximum(np.abs(found), 0.5)).all(), name
    assert all(np.isnan(mean[name]).all() for name in AVERAGES)


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [TWO, MANY])
def test_a_million_paths(in_float64, numbers):
    num_trades = 20 if numbers is TWO else 0
    columns, _ = simulated(numbers, [10**6], num_trades, seed=5)
    names = [*QUOTES, *AVERAGES, "dealer_profit"] if numbers is TWO else QUOTES
    for name in names:
        gap = np.abs(columns[f"{name}_mc"] - columns[name])
        assert (gap <= 5 * columns[f"{name}_se"]).all(), name


def test_a_wrong_closed_form_would_be_noticed(in_float64):
    """Estimates do not depend on the quotes they are compared with."""
    game, key = GlostenMilgrom(**MANY), jax.random.key(0)
    right = gtrade.solve(game, GlostenMilgromClosedForm()).value
    # Wrong by less than what would change who trades.
    wrong = replace_fields(right, asks=right.asks - 0.5, bids=right.bids + 0.5)
    mean, _ = estimates(game, right, key)
    other, error = estimates(game, wrong, key)
    np.testing.assert_allclose(other["asks"], mean["asks"], rtol=1e-12)
    np.testing.assert_allclose(other["bids"], mean["bids"], rtol=1e-12)
    assert (np.abs(other["asks"] - wrong.asks[:-1]) > 5 * error["asks"]).all()
    assert (np.abs(other["bids"] - wrong.bids[:-1]) > 5 * error["bids"]).all()
    beliefs = np.array(right.beliefs)
    beliefs[1:] += [0.05, -0.05, 0.0, 0.0]
    mean, error = estimates(game, replace_fields(right, beliefs=beliefs), key)
    gap = np.abs(np.asarray(mean["beliefs"]) - beliefs)[1, :2]
    assert (gap > 5 * np.asarray(error["beliefs"])[1, :2]).all()


def test_everybody_informed():
    numbers = TWO | {"informed_fraction": 1.0, "orders": ["buy"] * 4}
    columns, solution = simulated(numbers, [1000] * 3)
    assert (status_names(solution.status) == "completed").all()
    assert np.isnan(columns["final_bid_mc"]).all()
    assert (columns["asks_mc"] == 110).all()
    assert (columns["bids_mc"][:, 0] == 90).all()
    # Nobody sells what is known to be worth it.
    assert np.isnan(columns["bids_mc"][:, 1:]).all()
    assert (columns["beliefs_mc"][:, 1:] == 1).all()
    assert columns["expected_spreads_mc"].tolist() == [[20, 0, 0, 0, 0]] * 3


def test_where_the_closed_form_has_no_answer():
    numbers = TWO | {"informed_fraction": 1.0, "orders": ["buy", "sell"] * 2}
    columns, solution = simulated(numbers, [100] * 3)
    assert (status_names(solution.status) == "invalid_input").all()
    simulated_names = [n for n in columns if n.endswith(("_mc", "_se"))]
    assert len(simulated_names) == 20
    assert all(np.isnan(columns[n]).all() for n in simulated_names)
    # Nobody passes where noise only buys and sells.
    _, solution = simulated(TWO | {"buy_probability": 0.5}, [100] * 3)
    assert (status_names(solution.status) == "degenerate").all()


def test_numbers_of_paths_are_swept_in_one_compilation():
    from gtrade import solving

    games = gtrade.make_batch(GlostenMilgrom, size=3, **TWO)
    solvers = gtrade.make_batch(
        GlostenMilgromMonteCarlo, num_paths=np.array([100, 1000, 1000]), num_trades=4
    )
    keys = jax.random.split(jax.random.key(0), 3)
    solution = gtrade.solve_batch(games, solvers, keys=keys)
    program = solving._program_of(solvers, games)
    compiled = program.num_compilations
    assert compiled >= 1
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
    assert program.num_compilations == compiled


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
