"""Evidence about equilibria: bounds on best responses, and answers that are none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.strategies import FractionalSchedules, MixedPair, MixedSchedules
from gtrade.solution import Solution, Status
from gtrade.verification.response_bounds import least_cost_bound
from tests.references import cost_tables, fractional
from tests.references import equilibria as reference

BOX = {"horizon": 4, "min_trade": -2, "max_trade": 3}
TARGETS = [5, -3]


def claimed(value):
    """Return a solution that claims to be an equilibrium, batched as its value."""
    size = len(jax.tree.leaves(value)[0])
    status = jax.tree.map(lambda x: jnp.broadcast_to(x, (size,)), Status.converged)
    return Solution(value, status, jnp.zeros(size), jnp.ones(size, jnp.int32))


@pytest.mark.parametrize("box", [(-2, 3), (-5, -1), (0, 4)])
def test_bounds_are_the_least_costs_in_whole_lots(in_float64, box):
    low, high = box
    rng = np.random.default_rng(high - low)
    num, horizon = 150, 4
    linear = rng.integers(-8, 9, (num, horizon)).astype(float)
    linear[::2] += rng.normal(size=linear[::2].shape)
    weights = rng.choice([-3.0, -0.5, 0.0, 0.25, 1.0, 2.0], num)
    targets = rng.integers(horizon * low, horizon * high + 1, num)

    def bound(linear, weight, target):
        return least_cost_bound(linear, weight, target, min_trade=low, max_trade=high)

    found = jax.jit(jax.vmap(bound))(linear, weights, targets)
    for i, target in enumerate(targets):
        trades = reference.enumerate_schedules(horizon, target, low, high)
        least = (trades @ linear[i] + weights[i] * (trades**2).sum(axis=1)).min()
        np.testing.assert_allclose(found[i], least, rtol=0, atol=1e-10)


def test_bounds_are_the_least_costs_in_fractional_shares(in_float64):
    rng = np.random.default_rng(1)
    num, horizon = 150, 4
    linear = 6 * rng.normal(size=(num, horizon))
    weights = rng.choice([0.05, 0.5, 1.0, 2.0], num)
    targets = rng.integers(-8, 13, num)

    def bound(linear, weight, target):
        return least_cost_bound(
            linear, weight, target, min_trade=-2, max_trade=3, in_whole_lots=False
        )

    found = np.array(jax.jit(jax.vmap(bound))(linear, weights, targets))
    limits = np.full(horizon, -2.0), np.full(horizon, 3.0)
    for i, target in enumerate(targets):
        trades, least = fractional.fractional_response_bound(
            linear[i], weights[i], target, *limits
        )
        np.testing.assert_allclose(found[i], least, rtol=0, atol=1e-9)
        # A bound of what feasible schedules cost, whole ones among them.
        whole = reference.enumerate_schedules(horizon, target, -2, 3)
        costs = whole @ linear[i] + weights[i] * (whole**2).sum(axis=1)
        assert found[i] <= costs.min() + 1e-9
        assert found[i] <= linear[i] @ trades + weights[i] * trades @ trades + 1e-9


def random_profiles(rng, num, support=3):
    """Return random mixtures, (num, 2, support, 4) and (num, 2, support)."""
    schedules = np.stack(
        [
            rng.choice(reference.enumerate_schedules(4, v, -2, 3), (num, support))
            for v in TARGETS
        ],
        axis=1,
    )
    weights = rng.dirichlet(np.ones(support), (num, 2))
    return schedules.astype(np.int8), weights / weights.sum(axis=2, keepdims=True)


@pytest.mark.parametrize("general", [{}, {"temporary_exponent": 0.6, "fixed_fee": 1.5}])
def test_bad_mixtures_have_the_gap_of_enumeration(in_float64, general):
    rng = np.random.default_rng(2)
    kappas = np.array([0.0, 0.7, 1.0, 2.0, 3.5, 8.0])
    games = gtrade.make_batch(
        gtrade.TradingGame, **BOX, targets=TARGETS, permanent_impact=kappas, **general
    )
    schedules, weights = random_profiles(rng, 6)
    weights[0] = [[1, 0, 0], [0, 1, 0]]  # a pure one, its padding being ignored
    schedules[0, 0, 1:] = 100
    value = MixedSchedules(jnp.asarray(schedules), jnp.asarray(weights))
    columns = gtrade.verify(games, claimed(value), arrays=("supports", "weights"))
    for i, kappa in enumerate(kappas):
        used = weights[i] > 0
        supports = [schedules[i, j][used[j]].astype(int) for j in (0, 1)]
        chances = [weights[i, j][used[j]] for j in (0, 1)]
        gaps = reference.nash_gap(supports, chances, kappa, TARGETS, -2, 3, **general)
        found = columns["exploitability"][i]
        np.testing.assert_allclose(found, gaps.max(), rtol=1e-10, atol=1e-10)
        assert found > 0.1
        values = [
            sum(
                p * q * reference.cost(own, other, kappa, **general)
                for own, p in zip(supports[j], chances[j], strict=True)
                for other, q in zip(supports[1 - j], chances[1 - j], strict=True)
            )
            for j in (0, 1)
        ]
        np.testing.assert_allclose(columns["values"][i], values, rtol=1e-10)
        np.testing.assert_allclose(columns["welfare"][i], sum(values), rtol=1e-10)
        means = [p @ s for p, s in zip(chances, supports, strict=True)]
        np.testing.assert_allclose(columns["mean_trades"][i], means, atol=1e-12)
    assert columns["is_pure"].tolist() == [True] + [False] * 5
    np.testing.assert_array_equal(columns["support_size"], (weights > 0).sum(axis=2))
    np.testing.assert_array_equal(columns["supports"], schedules)


def test_mixtures_that_are_none_have_no_numbers(in_float64):
    games = gtrade.make_batch(
        gtrade.TradingGame, **BOX, targets=TARGETS, permanent_impact=np.ones(6)
    )
    schedules, weights = random_profiles(np.random.default_rng(3), 6)
    weights[0, 1, 0] += 1e-6  # not a distribution
    weights[1, 0] = [1.5, -0.5, 0]
    weights[2, 0, 0] = np.nan
    schedules[3, 0, 1] = [3, 3, 0, 0]  # misses its target
    schedules[4, 0, 2] = [4, 1, 0, 0]  # leaves the limits
    value = MixedSchedules(jnp.asarray(schedules), jnp.asarray(weights))
    columns = gtrade.verify(games, claimed(value))
    for name in ("exploitability", "welfare", "values", "mean_trades"):
        is_blank = np.isnan(columns[name]).reshape(6, -1)
        assert is_blank.all(axis=1).tolist() == [True] * 5 + [False]
    assert not columns["is_pure"].any()


def test_fractional_schedules_that_are_none_have_no_numbers(in_float64):
    games = gtrade.make_batch(
        gtrade.TradingGame, **BOX, targets=TARGETS, permanent_impact=np.ones(6)
    )
    trades = np.tile([[2.5, 1.5, 1, 0], [-0.5, -0.5, -1, -1]], (6, 1, 1))
    whole = np.tile(np.array([[3, 1, 1, 0], [-1, 0, -1, -1]]), (6, 1, 1))
    trades[0, 0, 0] += 1e-4  # misses the target
    trades[1, 0, :2] = [3.5, 0.5]  # leaves the limits
    trades[2, 0, 0] = np.nan
    whole[3, 0] = [3, 1, 0, 0]
    whole[4, 0] = [4, 1, 0, 0]
    value = FractionalSchedules(jnp.asarray(trades), jnp.asarray(whole, jnp.int32))
    columns = gtrade.verify(games, claimed(value), arrays=("lots",))
    for name in ("exploitability", "lots_exploitability", "welfare", "lots_welfare"):
        assert np.isnan(columns[name]).tolist() == [True] * 5 + [False]
    gaps = fractional.fractional_gap(trades[5], 1.0, TARGETS, -2, 3)
    np.testing.assert_allclose(columns["exploitability"][5], gaps.max(), atol=1e-10)
    gaps = reference.pure_gap(whole[5], 1.0, TARGETS, -2, 3)
    np.testing.assert_allclose(columns["lots_exploitability"][5], gaps.max())
    np.testing.assert_array_equal(columns["lots"], whole)


def test_pairs_have_the_gap_of_the_definition_or_no_numbers(in_float64):
    rng = np.random.default_rng(4)
    costs = rng.normal(size=(2, 6, 3, 4))
    games = gtrade.make_batch(
        gtrade.BimatrixGame, costs_row=costs[0], costs_col=costs[1]
    )
    row, col = rng.dirichlet(np.ones(3), 6), rng.dirichlet(np.ones(4), 6)
    row[0, 0] += 1e-6
    col[1, :2] = [-0.1, col[1, :2].sum() + 0.1]
    row[2, 1] = np.nan
    value = MixedPair(jnp.asarray(row), jnp.asarray(col))
    columns = gtrade.verify(games, claimed(value))
    assert np.isnan(columns["exploitability"]).tolist() == [True] * 3 + [False] * 3
    for i in (3, 4, 5):
        gaps = cost_tables.bimatrix_gap(costs[0, i], costs[1, i], row[i], col[i])
        np.testing.assert_allclose(columns["exploitability"][i], gaps.max(), rtol=1e-12)
        values = [row[i] @ matrix[i] @ col[i] for matrix in costs]
        np.testing.assert_allclose(columns["values"][i], values, rtol=1e-12)
        assert columns["support_size"][i].tolist() == [3, 4]
