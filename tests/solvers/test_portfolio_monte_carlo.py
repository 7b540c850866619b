"""Simulated cost and risk of portfolios against what the closed form says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.base import replace_fields
from gtrade.solution import status_names
from gtrade.solvers.portfolio_monte_carlo import PortfolioMonteCarlo
from tests.solvers.portfolios import THREE, make, random

COLUMNS = ("expected_cost", "variance", "value_at_risk", "conditional_value_at_risk")


def assert_within_errors(row, most=5):
    for name in COLUMNS:
        error = row[f"{name}_se"]
        assert (error > 0).all()
        assert (np.abs(row[f"{name}_mc"] - row[name]) <= most * error).all(), name


def simulate(problem, num_paths, seed=0, **options):
    solver = PortfolioMonteCarlo(num_paths=num_paths, **options)
    solution = gtrade.solve(problem, solver, key=jax.random.key(seed))
    assert str(status_names(solution.status)) == "completed"
    assert solution.num_steps == num_paths
    return solution


def simulate_four(keys, num_paths, bad_lanes=()):
    """Simulate one portfolio with four keys, all but some lanes."""
    numbers = {**THREE, "num_periods": 6, "horizon": np.full(4, 2.0)}
    problems = gtrade.make_batch(gtrade.AlmgrenChrissPortfolio, **numbers)
    horizon = np.array(problems.horizon)
    horizon[list(bad_lanes)] = np.nan
    problems = replace_fields(problems, horizon=jnp.asarray(horizon))
    solver = PortfolioMonteCarlo(num_paths=num_paths)
    return problems, gtrade.solve_batch(problems, solver, keys=keys)


def test_estimates_are_within_their_errors():
    keys = jax.random.split(jax.random.key(0), 4)
    problems, solution = simulate_four(keys, 20_000)
    assert (status_names(solution.status) == "completed").all()
    assert solution.num_steps.tolist() == [20_000] * 4
    row = gtrade.verify(problems, solution)
    assert_within_errors(row)
    # Errors are of the size that normal shortfalls give them.
    spread = np.sqrt(row["variance"])
    size = spread / np.sqrt(20_000)
    np.testing.assert_allclose(row["expected_cost_se"], size, rtol=0.05)
    np.testing.assert_allclose(row["variance_se"], spread * size * 2**0.5, rtol=0.1)
    assert (row["optimality_gap"] >= 0).all()
    assert (row["optimality_gap"] < 1e-6 * row["objective"]).all()


@pytest.mark.slow
def test_a_million_paths():
    problem = make()
    row = gtrade.verify(problem, simulate(problem, 1_000_000))
    assert_within_errors(row)
    assert row["expected_cost_se"] < 2e-3 * row["expected_cost"]


@pytest.mark.slow
def test_a_hundred_assets(in_float64):
    problem = gtrade.AlmgrenChrissPortfolio(num_periods=12, **random(100))
    assert_within_errors(gtrade.verify(problem, simulate(problem, 20_000)))


def test_keys_and_a_bad_lane_of_a_batch():
    """The same key gives the same paths, and a bad lane stays alone."""
    keys = jax.random.split(jax.random.key(0), 3)[np.array([0, 0, 1, 2])]
    _, solution = simulate_four(keys, 3000, bad_lanes=[3])
    names = status_names(solution.status).tolist()
    assert names == ["completed"] * 3 + ["invalid_input"]
    mean = solution.value.mean
    for name in ("expected_cost", "variance"):
        assert np.isnan(mean[name]).tolist() == [False] * 3 + [True]
        one, again, other, _ = np.asarray(mean[name])
        assert one == again
        assert one != other


@pytest.mark.slow
def test_quantiles_can_be_left_out():
    mean = simulate(make(), 3000, has_quantiles=False).value.mean
    assert np.isnan(mean["value_at_risk"])
    assert np.isfinite(mean["expected_cost"])


def test_refusals():
    with pytest.raises(ValueError, match="num_paths must be at least 2; got 1"):
        PortfolioMonteCarlo(num_paths=1)
    with pytest.raises(ValueError, match="has_quantiles must be true or false; got 1"):
        PortfolioMonteCarlo(has_quantiles=1)
    with pytest.raises(ValueError, match="key must be given"):
        PortfolioMonteCarlo().solve(make())
