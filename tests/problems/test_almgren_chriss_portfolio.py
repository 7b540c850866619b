"""Costs of selling several assets against their definition, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from tests.references.almgren_chriss import portfolio_moments, portfolio_shortfall
from tests.solvers.portfolios import THREE, make, market


@jax.jit
def measured(problem, trades):
    """Return expected cost, variance, objective and cost of impact alone."""
    mean, variance = problem.expected_cost(trades), problem.variance(trades)
    return mean, variance, problem.objective(trades), problem.impact_cost(trades)


ADMITTED = jax.jit(lambda problem: problem.admitted())


def test_costs_follow_from_fills(x64):
    rng = np.random.default_rng(0)
    trades = rng.normal(size=(6, 3)) * 100
    trades += (np.array(THREE["shares"]) - trades.sum(axis=0)) / 6
    problem = make()
    mean, variance = portfolio_moments(trades, market(THREE))
    bare, _ = portfolio_moments(trades, market(THREE | {"fixed_cost": None}))
    wanted = mean, variance, mean + THREE["risk_aversion"] * variance, bare
    found = measured(problem, jnp.asarray(trades, problem.shares.dtype))
    np.testing.assert_allclose(found, wanted, rtol=1e-12 if x64 else 1e-5)


def test_reference_schedules(in_float64):
    problem = make()
    for trades in (problem.even_trades, problem.immediate_trades):
        np.testing.assert_allclose(trades.sum(axis=0), THREE["shares"], atol=1e-12)
        np.testing.assert_allclose(
            problem.holdings(trades)[0], THREE["shares"], atol=1e-12
        )
        assert (problem.holdings(trades)[-1] == 0).all()
    assert (problem.holdings(problem.immediate_trades)[1:] == 0).all()
    assert np.ptp(problem.even_trades, axis=0).max() == 0


def test_no_fixed_cost_is_a_fixed_cost_of_zero(in_float64):
    trades = np.tile(np.array(THREE["shares"]) / 6, (6, 1))
    without, zeros = make(fixed_cost=None), make(fixed_cost=[0.0, 0.0, 0.0])
    assert measured(without, trades)[0] == measured(zeros, trades)[0]
    assert measured(without, trades)[0] < measured(make(), trades)[0]
    assert ADMITTED(without)[0].fixed_cost is None


ONE = np.eye(3)
TILTED = np.array([[1.0, 0.5, 0.0], [0.25, 1.0, 0.0], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"shares": []}, r"shares must name at least one asset; got \[\]"),
        ({"shares": [1.0, np.nan, 0.0]}, "shares must be finite"),
        ({"horizon": 0.0}, "horizon must be greater than 0; got 0.0"),
        ({"num_periods": 0}, "num_periods must be at least 1; got 0"),
        ({"num_periods": np.array([2, 3])}, "num_periods must be one value"),
        ({"risk_aversion": -1.0}, "risk_aversion must be at least 0; got -1.0"),
        ({"confidence": 1.0}, "confidence must be between 0 and 1; got 1.0"),
        ({"fixed_cost": [0.1]}, "fixed_cost must hold a number for each of 3 assets"),
        ({"fixed_cost": [0.1, -0.1, 0.0]}, "fixed_cost must be at least 0"),
        ({"covariance": np.eye(2)}, "covariance must have a row and a column for each"),
        (
            {"permanent_impact": TILTED},
            r"permanent_impact\[0\]\[1\] must equal permanent_impact\[1\]\[0\] = 0.25,"
            " or a round trip could earn money by moving prices; got 0.5",
        ),
        (
            {"temporary_impact": TILTED},
            r"temporary_impact\[0\]\[1\] must equal temporary_impact\[1\]\[0\] = 0.25;",
        ),
        (
            {"covariance": [[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]},
            "covariance must be positive semidefinite.*; got -1.0",
        ),
        (
            {"permanent_impact": 0.02 * ONE},
            "temporary_impact must exceed permanent_impact times half a period.* got -",
        ),
        ({"temporary_impact": 0 * ONE}, "temporary_impact must exceed"),
        (
            {"horizon": np.array([1.0, 2.0, -3.0])},
            r"horizon must be greater than 0; got -3.0 \(row 2\)",
        ),
        (
            {"covariance": np.stack([ONE, ONE, ONE - 2 * ONE[:1].T @ ONE[:1]])},
            r"covariance must be positive semidefinite.*\(row 2\)",
        ),
    ],
)
def test_refusals(numbers, message):
    numbers = {"num_periods": 6, **THREE, **numbers}
    with pytest.raises(InadmissibleError, match=message):
        gtrade.AlmgrenChrissPortfolio.validate(**numbers)


def test_antisymmetric_permanent_impact_would_be_a_money_machine(in_float64):
    """Why it is refused: a round trip earns 2 g a b, slowly at no other cost."""
    g, a, b = 1e-3, 100.0, 50.0
    twisted = np.array([[0.0, -g], [g, 0.0]])  # buying 1 lifts 2, buying 2 lowers 1
    buys = np.array([[0.0, b], [a, 0.0], [0.0, -b], [-a, 0.0]])
    slow = (1e9, np.eye(2), twisted, np.eye(2), np.zeros(2))
    cost = portfolio_shortfall(-buys, slow, np.zeros((4, 2)))
    np.testing.assert_allclose(cost, -2 * g * a * b, rtol=1e-4)
    symmetric = (1e9, np.eye(2), np.abs(twisted), np.eye(2), np.zeros(2))
    assert portfolio_shortfall(-buys, symmetric, np.zeros((4, 2))) >= 0


def test_rounding_is_no_reason_to_refuse():
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(40, 2)).astype(np.float32)
    covariance = factors @ factors.T  # rank 2, rounded
    covariance[0, 1] *= np.float32(1 + 1e-7)
    problem = gtrade.AlmgrenChrissPortfolio(
        shares=np.ones(40),
        horizon=1.0,
        num_periods=3,
        covariance=covariance,
        permanent_impact=np.zeros((40, 40)),
        temporary_impact=np.eye(40),
    )
    safe, is_valid = ADMITTED(problem)
    assert is_valid
    found = np.asarray(safe.covariance)
    np.testing.assert_array_equal(found, found.T)


def test_traced_numbers_are_judged_alike():
    """What `validate` refuses on the host ends as not valid when it is traced."""
    bad = {
        "shares": [np.nan, 0.0, 0.0],
        "horizon": -1.0,
        "risk_aversion": np.inf,
        "confidence": 0.0,
        "fixed_cost": [0.0, -1.0, 0.0],
        "covariance": np.diag([1.0, -1e-3, 1.0]),
        "permanent_impact": TILTED * 1e-4,
        "temporary_impact": -ONE,
    }

    @jax.jit
    def admit(numbers):
        problem, is_valid = make(**numbers).admitted()
        return problem, is_valid

    numbers = {name: jnp.asarray(THREE.get(name, 0.95), jnp.float32) for name in bad}
    assert admit(numbers)[1]
    for name, value in bad.items():
        safe, is_valid = admit(numbers | {name: jnp.asarray(value, jnp.float32)})
        assert not is_valid, name
        type(safe).validate(
            **{f: getattr(safe, f) for f in (*bad, "num_periods")}
        )  # safe to compute with
