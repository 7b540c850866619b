import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.bimatrix import BimatrixGame
from gtrade.solution import Status
from gtrade.solvers.correlated import CorrelatedLP
from gtrade.verification.correlated import (
    deviation_gains,
    is_enumeration,
    verify_correlated_bimatrix,
    verify_correlated_trading,
    welfare_bound,
)
from tests.references.cost_tables import correlated_extremes
from tests.references.equilibria import cost_tables

CONCEPTS = ("cce", "ce")
COLUMNS = {
    "welfare_best",
    "welfare_worst",
    "deviation_gain",
    "bound_best",
    "bound_worst",
    "feasibility",
}
TRADING = {"horizon": 3, "min_trade": -1, "max_trade": 2, "permanent_impact": 3.0}
TARGETS = (2, 1)


@eqx.filter_jit
def trading_evidence(game, solution, arrays=()):
    return verify_correlated_trading(game, None, solution, arrays)


@eqx.filter_jit
def bimatrix_evidence(game, solution, arrays=()):
    return verify_correlated_bimatrix(game, None, solution, arrays)


@pytest.fixture(params=CONCEPTS)
def solved(request, in_float64):
    """A trading game and a solution of it."""
    game = gtrade.TradingGame(targets=TARGETS, **TRADING)
    solution = gtrade.solve(game, CorrelatedLP(concept=request.param))
    assert solution.status == Status.converged
    return game, solution


is_listed = eqx.filter_jit(is_enumeration)
gains_of = eqx.filter_jit(deviation_gains)
bound_of = eqx.filter_jit(welfare_bound)


def change(solution, **values):
    """The solution with other values of some fields of its answer."""
    value = dataclasses.replace(solution.value, **values)
    return dataclasses.replace(solution, value=value)


def gains_by_definition(costs, joint, concept):
    """Every player's largest gain, from loops over told actions and deviations."""
    gains = []
    for player, own in enumerate(costs):
        own, play = (np.moveaxis(x, player, 0) for x in (own, joint))
        actions = range(len(own))
        # by_told[a, b]: what b instead of a saves, times the probability of a.
        by_told = np.array(
            [[(play[a] * (own[a] - own[b])).sum() for b in actions] for a in actions]
        )
        if concept == "cce":
            gains.append(by_told.sum(axis=0).max())
        else:
            gains.append(by_told.max(axis=1).sum())
    return np.array(gains)


def test_evidence_of_an_optimum(solved):
    game, solution = solved
    row = trading_evidence(game, solution)
    assert row.keys() == COLUMNS | {"num_actions"}
    _, costs = cost_tables(3.0, TARGETS, 3, -1, 2)
    best, worst = correlated_extremes(costs, solution.value.concept)
    for name, value in (("best", best), ("worst", worst)):
        np.testing.assert_allclose(row[f"welfare_{name}"], value, atol=1e-9)
        np.testing.assert_allclose(row[f"bound_{name}"], value, atol=1e-9)
    assert abs(row["deviation_gain"]) < 1e-9
    assert row["feasibility"] < 1e-12
    assert row["num_actions"].tolist() == list(costs[0].shape)


def test_gains_of_any_play(in_float64):
    generator = np.random.default_rng(3)
    shape = (3, 2, 4)
    costs = generator.normal(size=(3, *shape))
    joint = generator.dirichlet(np.ones(24)).reshape(shape)
    exists = [np.ones(n, bool) for n in shape]
    padded = [np.arange(n + 2) < n for n in shape]
    wide = np.full((3, 5, 4, 6), -100.0)
    wide[:, :3, :2, :4] = costs
    wide_joint = np.zeros((5, 4, 6))
    wide_joint[:3, :2, :4] = joint
    for concept in CONCEPTS:
        expected = gains_by_definition(costs, joint, concept)
        found = gains_of(costs, joint, exists, concept)
        np.testing.assert_allclose(found, expected, atol=1e-14)
        found = gains_of(wide, wide_joint, padded, concept)
        np.testing.assert_allclose(found, expected, atol=1e-14)


@pytest.mark.parametrize("concept", CONCEPTS)
def test_bounds_hold_whatever_the_prices(in_float64, concept):
    generator = np.random.default_rng(4)
    costs = generator.normal(size=(2, 3, 4))
    exists = [np.ones(n, bool) for n in (3, 4)]
    best, worst = correlated_extremes(costs, concept)
    shape = (2, 4) if concept == "cce" else (2, 4, 4)
    total = costs.sum(axis=0)
    for scale in (0.0, 0.03, 0.3, 3.0):
        prices = scale * generator.normal(size=shape)
        lower, upper = (
            bound_of(costs, prices, exists, concept, is_lower=x) for x in (True, False)
        )
        assert lower <= best + 1e-12
        assert upper >= worst - 1e-12
        if scale == 0:
            np.testing.assert_allclose([lower, upper], [total.min(), total.max()])
        # A negative price would be a reward for deviating.
        clipped = np.maximum(prices, 0)
        assert lower == bound_of(costs, clipped, exists, concept, is_lower=True)


def test_wrong_probabilities_show(solved):
    game, solution = solved
    best = solution.value.best
    other = jnp.zeros_like(best).at[0, 0].set(1.0)
    row = trading_evidence(game, change(solution, best=other))
    assert row["feasibility"] == 0
    assert row["deviation_gain"] > 1
    row = trading_evidence(game, change(solution, best=2 * best))
    np.testing.assert_allclose(row["feasibility"], 1)
    negative = best.at[0, 0].add(-0.5).at[1, 1].add(0.5)
    row = trading_evidence(game, change(solution, worst=negative))
    assert row["feasibility"] >= 0.4


def test_wrong_prices_show(solved):
    game, solution = solved
    honest = trading_evidence(game, solution)
    zeros = jnp.zeros_like(solution.value.best_multipliers)
    row = trading_evidence(game, change(solution, worst_multipliers=zeros))
    assert row["bound_best"] == honest["bound_best"]
    assert row["bound_worst"] > honest["bound_worst"] + 1


@pytest.mark.parametrize("wrong", ["fewer", "twice", "missed", "limits", "order"])
def test_incomplete_enumerations_are_refused(solved, wrong):
    game, solution = solved
    listed = np.array(solution.value.schedules)
    count = np.array(solution.value.num_actions)
    if wrong == "fewer":
        count[1] -= 1
    elif wrong == "twice":
        listed[0, 3] = listed[0, 4]
    elif wrong == "missed":
        listed[0, 3, 2] += 1
    elif wrong == "limits":
        listed[1, 0] = [-2, 1, 2]
    else:
        listed[0, [3, 4]] = listed[0, [4, 3]]
    parts = {"schedules": jnp.asarray(listed), "num_actions": jnp.asarray(count)}
    row = trading_evidence(game, change(solution, **parts))
    assert all(np.isnan(row[name]) for name in COLUMNS)


def test_enumerations_of_other_limits(in_float64):
    lows, highs = [-3, 2, 0, 0], [-1, 2, 0, 5]
    game = gtrade.TradingGame(
        horizon=4, targets=[3], min_trade=lows, max_trade=highs, permanent_impact=1.0
    )
    schedules = [[-3, 2, 0, 4], [-2, 2, 0, 3], [-1, 2, 0, 2]]
    padded = jnp.asarray([*schedules, [0] * 4], jnp.int32)
    checks = [is_listed(game, padded, jnp.int32(n), jnp.int32(3)) for n in (3, 4)]
    assert checks == [True, False]
    assert not is_listed(game, padded[:2], jnp.int32(3), jnp.int32(3))
    assert not is_listed(game, padded, jnp.int32(0), jnp.int32(3))
    assert is_listed(game, padded, jnp.int32(0), jnp.int32(30))  # there is none
    assert is_listed(game, padded, jnp.int32(0), jnp.int32(-30))
    # So many that a count in 64 bits would wrap.
    large = gtrade.TradingGame(
        horizon=40, targets=[0], min_trade=-8, max_trade=7, permanent_impact=1.0
    )
    nothing = jnp.zeros((1, 40), jnp.int32)
    for count in (0, 1):
        assert not is_listed(large, nothing, jnp.int32(count), jnp.int32(0))


def second_of_two(targets):
    """Solve a batch of two; return it, its solution, and both of the second game."""
    both = np.array([[2, 1], targets])
    games = gtrade.make_batch(gtrade.TradingGame, targets=both, **TRADING)
    solution = gtrade.solve_batch(games, CorrelatedLP())
    game = gtrade.TradingGame(targets=targets, **TRADING)
    return games, solution, game, jax.tree.map(lambda x: x[1], solution)


def test_mass_on_padding_shows(in_float64):
    games, solution, game, one = second_of_two([3, 6])
    assert one.value.num_actions.tolist() == [10, 1]
    row = trading_evidence(game, one)
    assert row["feasibility"] < 1e-12
    moved = change(one, best=0.5 * one.value.best.at[0, 5].add(1.0))
    np.testing.assert_allclose(trading_evidence(game, moved)["feasibility"], 0.5)
    mapped = eqx.filter_jit(jax.vmap(lambda g, s: trading_evidence(g, s)))
    rows = mapped(games, solution)
    assert (np.abs(rows["bound_best"] - rows["welfare_best"]) < 1e-9).all()
    for name in COLUMNS:
        np.testing.assert_allclose(rows[name][1], row[name], atol=1e-12)


def test_arrays_are_in_the_games_own_order(in_float64):
    _, _, game, one = second_of_two([3, 5])
    # Numbers that can be told apart, at the actions that exist.
    joint = np.zeros(one.value.best.shape)
    joint[:10, :3] = 1 + np.arange(30).reshape(10, 3)
    arrays = ("joint_best", "schedules")
    row = trading_evidence(game, change(one, best=jnp.asarray(joint)), arrays)
    assert row.keys() == COLUMNS | {"num_actions", *arrays}
    found = np.asarray(row["joint_best"])
    assert found.shape == (joint.size,)
    assert found[:30].tolist() == list(range(1, 31))
    assert (found[30:] == 0).all()
    np.testing.assert_array_equal(row["schedules"], one.value.schedules)


@pytest.mark.parametrize("concept", CONCEPTS)
def test_evidence_about_bimatrix_games(in_float64, concept):
    costs = np.random.default_rng(9).normal(size=(2, 3, 4))
    game = BimatrixGame(costs_row=costs[0], costs_col=costs[1])
    solution = gtrade.solve(game, CorrelatedLP(concept=concept))
    arrays = ("joint_best", "joint_worst")
    row = bimatrix_evidence(game, solution, arrays)
    assert row.keys() == COLUMNS | {"num_actions", *arrays}
    expected = correlated_extremes(costs, concept)
    for name, value in zip(("best", "worst"), expected, strict=True):
        np.testing.assert_allclose(row[f"welfare_{name}"], value, atol=1e-9)
        np.testing.assert_allclose(row[f"bound_{name}"], value, atol=1e-9)
        joint = np.asarray(row[f"joint_{name}"]).reshape(3, 4)
        np.testing.assert_allclose((joint * costs.sum(axis=0)).sum(), value, atol=1e-9)
        gains = gains_by_definition(costs, joint, concept).max()
        assert gains <= row["deviation_gain"] + 1e-12
    assert row["deviation_gain"] < 1e-9
    assert row["num_actions"].tolist() == [3, 4]
    fewer = change(solution, num_actions=jnp.asarray([3, 3], jnp.int32))
    assert np.isnan(bimatrix_evidence(game, fewer)["bound_best"])


def test_no_answer_no_numbers(in_float64):
    huge = np.array([[1e308, -1e308], [0, 1]])
    game = BimatrixGame(costs_row=huge, costs_col=huge)
    solution = gtrade.solve(game, CorrelatedLP())
    assert solution.status == Status.nonfinite
    row = bimatrix_evidence(game, solution)
    assert all(np.isnan(row[name]) for name in COLUMNS)


def test_float32_answers_are_measured_in_float64():
    game = gtrade.TradingGame(targets=TARGETS, **TRADING)
    solution = gtrade.solve(game, CorrelatedLP())
    assert solution.value.best.dtype == jnp.float32
    with pytest.raises(ValueError, match="verification needs float64"):
        verify_correlated_trading(game, None, solution)
    with jax.enable_x64(True):
        exact = gtrade.TradingGame(targets=TARGETS, **TRADING)
        row = trading_evidence(exact, solution)
        assert row["welfare_best"].dtype == jnp.float64
        assert row["bound_best"] <= row["welfare_best"] + 1e-5
        assert abs(row["bound_best"] - row["welfare_best"]) < 1e-4
        assert row["feasibility"] < 1e-6
