import dataclasses

import jax
import numpy as np
import pytest

import gtrade
from gtrade import BayesFilter, HiddenTargetGame
from gtrade.solution import Solution
from tests.references import feedback_positions
from tests.references import hidden_targets as reference

STEPS = 4
ARRAYS = ("schedules", "times", "filter_gains")
NUMBERS = {
    "target_mean": 1.0,
    "target_std": 0.8,
    "noise_std": 0.9,
    "permanent_impact": 5.0,
    "target": 1.5,
    "arbitrageur_target": 0.5,
}


@pytest.fixture
def solved():
    with jax.enable_x64(True):
        game = HiddenTargetGame(**NUMBERS)
        yield game, gtrade.solve(game, BayesFilter(num_steps=STEPS))


def rules(solution):
    value = solution.value
    names = ("trader_rules", "arbitrageur_rules", "filter_gains")
    return [np.array(getattr(value, name)) for name in names]


def check(game, solution):
    return gtrade.verify(game, solution, arrays=ARRAYS)  # compiled once


def replaced(solution, **changes):
    value = dataclasses.replace(solution.value, **changes)
    return Solution(value, solution.status, solution.residual, solution.num_steps)


def test_an_equilibrium(solved):
    row = check(*solved)
    for name in ("exploitability", "off_path_gain", "known_exploitability"):
        assert 0 <= row[name] < 1e-20
    assert row["belief_error"] < 1e-13
    np.testing.assert_allclose(
        row["belief_stds"], solved[1].value.belief_stds, rtol=1e-10
    )
    np.testing.assert_allclose(row["schedules"][:, -1], [1.5, 0.5], rtol=1e-12)
    np.testing.assert_allclose(row["times"], np.linspace(0, 1, STEPS + 1))
    # Both sides' costs are the least there are, by dynamic programming.
    trader, other, gains = rules(solved[1])
    least = [
        reference.least_trader_cost(NUMBERS, trader, other, gains, 1.5),
        reference.least_arbitrageur_cost(NUMBERS, trader, gains, 0.8),
    ]
    np.testing.assert_allclose(row["expected_costs"], least, rtol=1e-10)


def test_costs_by_simulation(solved):
    row = check(*solved)
    rng = np.random.default_rng(3)
    paths = 200_000
    noise = rng.normal(size=(paths, STEPS))
    targets = np.full(paths, NUMBERS["target"])
    own = reference.simulate(NUMBERS, *rules(solved[1]), targets, noise)[:, 0]
    assert abs(own.mean() - row["expected_costs"][0]) < 4 * own.std() / paths**0.5
    drawn = NUMBERS["target_mean"] + NUMBERS["target_std"] * rng.normal(size=paths)
    both = reference.simulate(NUMBERS, *rules(solved[1]), drawn, noise)
    errors = 4 * both.std(axis=0) / paths**0.5
    assert abs(both[:, 1].mean() - row["expected_costs"][1]) < errors[1]
    assert abs(both.sum(axis=1).mean() - row["welfare"]) < errors.sum()
    saved = row["mean_hiding_value"] + both[:, 0].mean()
    known = feedback_costs(solved[1], drawn)
    assert abs(saved - known.mean()) < errors[0] + 4 * known.std() / paths**0.5


def feedback_costs(solution, targets):
    """Return the trader's costs in the game with known targets."""
    left = np.array([targets, np.full_like(targets, NUMBERS["arbitrageur_target"])])
    impact, held, total = NUMBERS["permanent_impact"], 0.0, 0.0
    for gain in np.asarray(solution.value.known_gains):
        trade = gain @ left
        flow = trade.sum(axis=0)
        total = total + trade[0] * ((STEPS + impact / 2) * flow + impact * held)
        left, held = left - trade, held + flow
    return total


@pytest.mark.slow
def test_costs_with_a_known_target(solved):
    row = check(*solved)
    targets, impacts = np.array([1.5, 0.5]), np.full(2, 5.0)
    _, costs = feedback_positions.nested_equilibrium(targets, 0.0, 0, impacts, STEPS)
    np.testing.assert_allclose(row["known_costs"], costs, rtol=1e-9)
    hiding = costs[0] - row["expected_costs"][0]
    np.testing.assert_allclose(row["hiding_value"], hiding, rtol=1e-8)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_trader_that_could_do_better(solved, step):
    # Its rule is changed where the arbitrageur's reading stays right: trades and
    # expected trades of a known part move together.
    game, solution = solved
    trader, other, gains = rules(solution)
    trader[step, 1] += 0.1
    row = check(game, replaced(solution, trader_rules=trader))
    assert row["belief_error"] < 1e-13
    least = reference.least_trader_cost(NUMBERS, trader, other, gains, 1.5)
    gain = row["expected_costs"][0] - least
    assert gain > 1e-4
    assert row["exploitability"] >= gain - 1e-12
    least_other = reference.least_arbitrageur_cost(NUMBERS, trader, gains, 0.8)
    mean = NUMBERS | {"target": 1.0}
    at_mean = check(HiddenTargetGame(**mean), replaced(solution, trader_rules=trader))
    lower = reference.least_trader_cost(mean, trader, other, gains, 1.0)
    candidates = [
        gain,
        at_mean["expected_costs"][0] - lower,
        row["expected_costs"][1] - least_other,
    ]
    # The average over the prior lies above the value at its mean.
    assert row["exploitability"] >= max(candidates) - 1e-12


def test_an_arbitrageur_that_could_do_better(solved):
    game, solution = solved
    trader, other, gains = rules(solution)
    other[1] += [0.2, -0.1]
    other[2] += [0.1, 0.2]
    row = check(game, replaced(solution, arbitrageur_rules=other))
    least = reference.least_arbitrageur_cost(NUMBERS, trader, gains, 0.8)
    own = row["expected_costs"][1] - least
    replies = [
        row["expected_costs"][0]
        - reference.least_trader_cost(NUMBERS, trader, other, gains, 1.5)
    ]
    assert own > 1e-3
    assert row["exploitability"] >= max(own, *replies) - 1e-12
    assert row["off_path_gain"] > 1e-3


def test_wrong_beliefs_are_seen(solved):
    game, solution = solved
    _, _, gains = rules(solution)
    row = check(game, replaced(solution, filter_gains=0.8 * gains))
    assert row["belief_error"] > 0.01
    assert np.isnan(row["exploitability"])
    gains[1] += 1e-5
    row = check(game, replaced(solution, filter_gains=gains))
    assert 1e-7 < row["belief_error"] < 1e-5


def test_rules_that_miss_the_target_are_no_answer(solved):
    game, solution = solved
    trader, _, _ = rules(solution)
    trader[-1, 0] = 0.9
    row = check(game, replaced(solution, trader_rules=trader))
    assert all(np.isnan(value).all() for value in row.values())


@pytest.mark.slow
def test_one_step():
    with jax.enable_x64(True):
        game = HiddenTargetGame(**NUMBERS)
        row = gtrade.verify(game, gtrade.solve(game, BayesFilter(num_steps=1)))
    # (T + kappa / 2) a A for both.
    np.testing.assert_allclose(row["known_costs"], [3.5 * 3.0, 3.5 * 1.0])
    np.testing.assert_allclose(row["expected_costs"], [3.5 * 3.0, 3.5 * 0.75])
    assert row["exploitability"] == 0
