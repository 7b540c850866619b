"""Executed plans against a loop, and their moments against the closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.simulation.almgren_chriss import ExecutionSampler
from gtrade.solution import status_names
from tests.problems.test_almgren_chriss import ODD, PUBLISHED, VOLUMES, shortfall

OUTCOMES = jax.jit(lambda sampler, shocks: sampler.outcomes(shocks))
NAMES = ("expected_cost", "variance", "value_at_risk", "conditional_value_at_risk")


@pytest.mark.parametrize("extra", [{}, {"impact_exponent": 0.6}, {"volumes": VOLUMES}])
@pytest.mark.parametrize("side", [1, -1])
def test_paths_follow_the_definition(x64, extra, side):
    problem = gtrade.AlmgrenChriss(**{**ODD, "shares": 700.0 * side, **extra})
    trades = side * np.array([300.0, 0.0, 450.0, -50.0])
    shocks = np.random.default_rng(1).normal(size=(4, 7))
    dtype = problem.shares.dtype
    sampler = ExecutionSampler(problem, jnp.asarray(trades, dtype))
    found = OUTCOMES(sampler, jnp.asarray(shocks, dtype))["shortfall"]
    wanted = [shortfall({**ODD, **extra}, trades, x) for x in shocks.T]
    # Against the mean: paths lie on both sides of zero.
    atol = (1e-12 if x64 else 1e-5) * np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=atol)


def run(num_paths, seed=0, **extra):
    lams = np.array([0.0, 1e-6, 1e-5])
    problems = gtrade.make_batch(
        gtrade.AlmgrenChriss, **PUBLISHED, risk_aversion=lams, **extra
    )
    solver = gtrade.AlmgrenChrissMonteCarlo(num_paths=num_paths)
    keys = jax.random.split(jax.random.key(seed), 3)
    solution = gtrade.solve_batch(problems, solver, keys=keys)
    assert (status_names(solution.status) == "completed").all()
    return gtrade.verify(problems, solution, solver=solver)


def assert_within_five_errors(columns, names=NAMES):
    for name in names:
        error = columns[f"{name}_se"]
        assert (error > 0).all()
        distance = np.abs(columns[f"{name}_mc"] - columns[name])
        assert (distance <= 5 * error).all(), name


def test_estimates_agree_with_the_closed_form(in_float64):
    columns = run(200_000)
    assert_within_five_errors(columns)
    # The errors are those of normal outcomes.
    std = np.sqrt(columns["variance"])
    mean_error = std / np.sqrt(200_000)
    np.testing.assert_allclose(columns["expected_cost_se"], mean_error, rtol=0.05)
    spread = columns["variance"] * np.sqrt(2 / 200_000)
    np.testing.assert_allclose(columns["variance_se"], spread, rtol=0.1)
    density = np.exp(-(1.6448536**2) / 2) / np.sqrt(2 * np.pi)
    wanted = std * np.sqrt(0.95 * 0.05 / 200_000) / density
    np.testing.assert_allclose(columns["value_at_risk_se"], wanted, rtol=0.35)


@pytest.mark.slow
@pytest.mark.parametrize("extra", [{}, {"volumes": [1.0, 3.0, 2.0, 2.0, 1.0]}])
def test_a_million_paths(extra):
    assert_within_five_errors(run(10**6, seed=5, **extra))


def test_quantiles_can_be_left_out():
    problem = gtrade.AlmgrenChriss(**PUBLISHED, risk_aversion=1e-6)
    solver = gtrade.AlmgrenChrissMonteCarlo(num_paths=2000, has_quantiles=False)
    key = jax.random.key(2)
    columns = gtrade.verify(problem, gtrade.solve(problem, solver, key=key))
    assert_within_five_errors(columns, NAMES[:2])
    assert np.isnan(columns["value_at_risk_mc"])
    again = gtrade.verify(problem, gtrade.solve(problem, solver, key=key))
    assert columns["expected_cost_mc"] == again["expected_cost_mc"]


@pytest.mark.slow
def test_one_period_has_no_risk():
    problem = gtrade.AlmgrenChriss(**{**PUBLISHED, "num_periods": 1})
    solver = gtrade.AlmgrenChrissMonteCarlo(num_paths=1000)
    solution = gtrade.solve(problem, solver, key=jax.random.key(2))
    columns = gtrade.verify(problem, solution)
    np.testing.assert_allclose(columns["expected_cost_mc"], 562_500, rtol=1e-6)
    assert columns["variance_mc"] == 0


def test_refusals():
    with pytest.raises(InadmissibleError, match="num_paths must be at least 2"):
        gtrade.AlmgrenChrissMonteCarlo(num_paths=1)
    with pytest.raises(InadmissibleError, match="has_quantiles must be true or false"):
        gtrade.AlmgrenChrissMonteCarlo(has_quantiles=1)
    with pytest.raises(InadmissibleError, match="key must be given"):
        gtrade.solve(
            gtrade.AlmgrenChriss(**PUBLISHED), gtrade.AlmgrenChrissMonteCarlo()
        )
