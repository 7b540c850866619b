"""Bands over draws, and what knowing a number is worth."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.calibration.decision import bands, value_of_information
from gtrade.calibration.decision_costs import (
    execution_costs,
    given_rivals,
    response_costs,
    rivals_in_equilibrium,
)
from gtrade.numerics.quadrature import SMOOTH
from gtrade.problems.almgren_chriss import AlmgrenChriss
from gtrade.problems.base import make_batch
from gtrade.problems.position_building import PositionBuilding
from gtrade.problems.position_paths import piecewise_linear
from tests.references import position_building as reference

VALUE = eqx.filter_jit(value_of_information)
RESPONSE = eqx.filter_jit(response_costs)
EXECUTION = eqx.filter_jit(execution_costs)
EQUILIBRIUM = eqx.filter_jit(lambda games: response_costs(rivals_in_equilibrium(games)))
KAPPAS = np.array([1.0, 2.5, 4.0, 9.0])


def test_value_of_a_small_matrix(x64):
    costs = np.array([[1.0, 5.0, 3.0], [4.0, 2.0, 3.0], [2.0, 3.0, 3.5]])
    found = VALUE(costs)
    np.testing.assert_allclose(found.expected_costs, [3, 3, 8.5 / 3], rtol=1e-6)
    assert found.best == 2
    np.testing.assert_allclose(found.perfect_cost, 2, rtol=1e-6)
    np.testing.assert_allclose(found.value, 8.5 / 3 - 2, rtol=1e-6)
    weighed = VALUE(costs, np.array([4.0, 1.0, 1.0]))
    assert weighed.best == 0
    np.testing.assert_allclose(weighed.value, 3 / 6, rtol=1e-6)


def test_value_is_never_below_zero(in_float64):
    rng = np.random.default_rng(5)
    for scale in (1e-12, 1.0, 1e12):
        costs = scale * rng.normal(size=(50, 6, 9)) + 1e3 * scale
        weights = rng.uniform(size=9)
        for matrix in costs:
            found = VALUE(matrix, weights)
            assert found.value >= 0
            assert (np.asarray(found.regrets) >= found.value).all()
    # A point mass, or a decision that is best under every draw.
    assert VALUE(costs[0][:, :1]).value == 0
    costs[0][3] = costs[0].min() - 1
    assert VALUE(costs[0]).value == 0


def test_draws_and_decisions_without_a_cost(x64):
    costs = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, 1.0], [2.0, np.nan, 2.5]])
    found = VALUE(costs)
    assert found.num_left_out == 1
    assert found.best == 0
    # The second decision has no cost for the first draw, but is best for the last.
    np.testing.assert_allclose(found.perfect_cost, 1)
    np.testing.assert_allclose(found.value, 1)
    assert np.isnan(found.expected_costs[1])
    nothing = VALUE(np.full((2, 3), np.nan))
    assert nothing.best == -1
    assert np.isnan(nothing.value)


def execution_batch(**numbers):
    standard = {
        "shares": 1e6,
        "horizon": 5.0,
        "num_periods": 2,
        "volatility": 0.95,
        "permanent_impact": 2.5e-7,
        "temporary_impact": np.array([1.5e-6, 2.5e-6, 4e-6]),
        "fixed_cost": 0.0625,
        "risk_aversion": 1e-6,
    }
    return make_batch(AlmgrenChriss, **{**standard, **numbers})


def test_execution_against_two_periods_by_hand(in_float64):
    eta = np.array([1.5e-6, 2.5e-6, 4e-6])
    sigma = np.array([0.5, 0.95, 1.4])
    weights = np.array([1.0, 2.0, 1.0])
    found = EXECUTION(execution_batch(volatility=sigma), weights)
    tau, total, gamma, risk = 2.5, 1e6, 2.5e-7, 1e-6 * sigma**2 * 2.5

    def cost(first, eta, risk):
        left = total - first
        impact = eta / tau * (first**2 + left**2) + gamma * first * left
        return 0.0625 * total + impact + risk * left**2

    def best(eta, risk):
        bend = 2 * eta / tau - gamma
        return total * (bend + 2 * risk) / (2 * bend + 2 * risk)

    share = weights / 4
    firsts = np.array([best(share @ eta, share @ risk), *best(eta, risk)])
    np.testing.assert_allclose(found.decisions[:, 0], firsts, rtol=1e-10)
    expected = cost(firsts[:, None], eta, risk)
    np.testing.assert_allclose(found.costs, expected, rtol=1e-12)
    value = VALUE(found.costs, found.weights)
    assert value.best == 0  # no other single plan is better on average
    by_hand = share @ (expected[0] - np.diagonal(expected[1:]))
    np.testing.assert_allclose(value.value, by_hand, rtol=1e-8)
    assert value.value > 0


def test_execution_with_draws_that_cannot_be(in_float64):
    batch = execution_batch()
    bad = eqx.tree_at(
        lambda x: x.temporary_impact,
        batch,
        batch.temporary_impact.at[1].set(-1.0),
    )
    whole, part = EXECUTION(batch), EXECUTION(bad)
    assert np.isnan(part.costs[:, 1]).all()
    assert np.isnan(part.costs[2]).all()
    np.testing.assert_allclose(
        part.costs[1::2, ::2], np.asarray(whole.costs)[1::2, ::2], rtol=1e-13
    )
    assert VALUE(part.costs, part.weights).num_left_out == 1
    same = EXECUTION(execution_batch(temporary_impact=np.full(3, 2.5e-6)))
    value = VALUE(same.costs, same.weights)
    assert 0 <= value.value <= 1e-12 * value.perfect_cost


def test_a_risk_neutral_rival_by_hand(in_float64):
    # Against a line lambda t the best path is V t + (kappa lambda / 4) t (1 - t), so
    # that not knowing kappa costs Var(kappa) lambda^2 / 48.
    rival, weights = 3.0, np.array([0.1, 0.4, 0.3, 0.2])
    line = piecewise_linear(jnp.linspace(0.0, rival, 33)[None])
    found = RESPONSE(given_rivals(KAPPAS, 2.0, line), weights)
    value = VALUE(found.costs, found.weights)
    variance = weights @ KAPPAS**2 - (weights @ KAPPAS) ** 2
    np.testing.assert_allclose(value.value, variance * rival**2 / 48, rtol=1e-12)
    assert value.best == 0
    midpoint = 2.0 + KAPPAS * rival / 4 * (1 - 2 * line.rule.times[0])
    np.testing.assert_allclose(found.decisions[1:, 0], midpoint, rtol=1e-12)
    twice = RESPONSE(given_rivals(KAPPAS, 4.0, line), weights)
    other = VALUE(twice.costs, twice.weights).value
    np.testing.assert_allclose(other, value.value, rtol=1e-10)  # whatever the target
    point = RESPONSE(given_rivals(np.full(4, 2.0), 2.0, line))
    assert 0 <= VALUE(point.costs).value < 1e-13


@pytest.mark.slow
def test_rivals_in_equilibrium(in_float64):
    targets = np.array([1.0, 2.0, 0.5])
    games = make_batch(
        PositionBuilding,
        permanent_impacts=np.repeat(KAPPAS[:, None], 3, axis=1),
        targets=targets,
    )
    found = EQUILIBRIUM(games)
    # The best response to equilibrium is the equilibrium, at its cost.
    own = [reference.complete_information_costs(k, targets)[0] for k in KAPPAS]
    np.testing.assert_allclose(np.diagonal(found.costs[1:]), own, rtol=1e-9)
    # Costs are quadratic with unit curvature in the rate about the best one.
    gaps = np.asarray(found.decisions)[0] - np.asarray(found.decisions)[1:]
    value = VALUE(found.costs).value
    np.testing.assert_allclose(value, (gaps**2 @ SMOOTH.weights).mean(), rtol=1e-8)
    bad = eqx.tree_at(
        lambda x: x.permanent_impacts, games, games.permanent_impacts.at[0, 1].set(-1)
    )
    part = EQUILIBRIUM(bad)
    assert np.isnan(part.costs[:, 0]).all()
    np.testing.assert_allclose(np.diagonal(part.costs[1:])[1:], own[1:], rtol=1e-9)


def table(count=40):
    rng = np.random.default_rng(2)
    status = np.array(["converged", "degenerate"] * (count // 2), dtype="<U16")
    status[[3, 8]] = "invalid_input"
    return {
        "status": status,
        "cost": rng.normal(size=count),
        "schedules": rng.normal(size=(count, 2, 5)),
        "problem.kind": np.repeat([1.0, 2.0], count // 2),
        "ragged": [np.ones(1 + row % 2) for row in range(count)],
    }


def test_bands_are_quantiles_of_the_answers():
    columns = table()
    (whole,) = bands(columns, "schedules")
    good = columns["status"] != "invalid_input"
    kept = columns["schedules"][good]
    np.testing.assert_allclose(
        whole.quantiles, np.quantile(kept, [0.025, 0.5, 0.975], axis=0)
    )
    np.testing.assert_allclose(whole.mean, kept.mean(axis=0))
    assert (whole.num_draws, whole.num_left_out) == (38, 2)
    one, two = bands(columns, "cost", (0.1,), by=("problem.kind",))
    assert (one.group, two.group) == ({"problem.kind": 1.0}, {"problem.kind": 2.0})
    assert (one.num_left_out, two.num_left_out) == (2, 0)
    np.testing.assert_allclose(two.quantiles, [np.quantile(columns["cost"][20:], 0.1)])


def test_bands_that_cannot_be():
    columns = table()
    with pytest.raises(ValueError, match="probabilities must lie between 0 and 1"):
        bands(columns, "cost", (1.5,))
    with pytest.raises(ValueError, match="ragged must have one shape in all rows"):
        bands(columns, "ragged")
    columns["status"][:20] = "stalled"
    with pytest.raises(ValueError, match="hold an answer for {'problem.kind'"):
        bands(columns, "cost", by=("problem.kind",))
