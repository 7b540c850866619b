"""The references of tables of costs, checked against definitions and known games."""

import itertools

import numpy as np
import pytest

from . import cost_tables
from . import equilibria as eq

CHICKEN = -np.array([[6.0, 2.0], [7.0, 0.0]])  # dare or chicken out, as costs
BATTLE = -np.array([[2.0, 0.0], [0.0, 1.0]])
PRISONERS = np.array([[1.0, 3.0], [0.0, 2.0]])  # years: silent, then betray
PENNIES = np.array([[1.0, -1.0], [-1.0, 1.0]])
ROCK = np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])


def assert_same_equilibria(found, expected):
    """Compare lists of (x, y) in any order."""
    flat = sorted(tuple(np.round(np.concatenate(pair), 9)) for pair in found)
    wanted = sorted(tuple(np.concatenate(pair)) for pair in expected)
    assert len(flat) == len(wanted)
    np.testing.assert_allclose(flat, wanted, atol=1e-8)


def tiny_game(kappa, targets=(1, 2), horizon=3, lows=-1, highs=1, **general):
    return eq.cost_tables(kappa, targets, horizon, lows, highs, **general)


def test_matching_pennies():
    assert_same_equilibria(
        cost_tables.all_equilibria(PENNIES, -PENNIES), [([0.5, 0.5], [0.5, 0.5])]
    )
    assert cost_tables.zero_sum_value(PENNIES) == pytest.approx(0, abs=1e-9)
    gaps = cost_tables.bimatrix_gap(
        PENNIES, -PENNIES, np.array([1, 0]), np.array([0.5, 0.5])
    )
    np.testing.assert_allclose(gaps, [0, 1])


def test_battle_of_the_sexes():
    found = cost_tables.all_equilibria(BATTLE, BATTLE[::-1, ::-1])
    mixed = ([2 / 3, 1 / 3], [1 / 3, 2 / 3])
    assert_same_equilibria(found, [([1, 0], [1, 0]), ([0, 1], [0, 1]), mixed])


def test_prisoners_dilemma():
    found = cost_tables.all_equilibria(PRISONERS, PRISONERS.T)
    assert_same_equilibria(found, [([0, 1], [0, 1])])
    for concept in ("ce", "cce"):
        extremes = cost_tables.correlated_extremes([PRISONERS, PRISONERS.T], concept)
        np.testing.assert_allclose(extremes, [4, 4], atol=1e-8)


def test_degenerate_games():
    # Against row 1 the columns cost the same, and row 1 is best for y_1 <= 1/2: an
    # edge. Against row 2 column 1 is best, and row 2 against it: a point.
    row = np.array([[1.0, 0.0], [0.0, 1.0]])
    col = np.array([[0.0, 0.0], [0.0, 1.0]])
    expected = [([1, 0], [0, 1]), ([1, 0], [0.5, 0.5]), ([0, 1], [1, 0])]
    assert_same_equilibria(cost_tables.all_equilibria(row, col), expected)
    # Everything is an equilibrium: the extreme ones are all pairs of actions.
    found = cost_tables.all_equilibria(np.ones((2, 3)), np.zeros((2, 3)))
    corners = list(itertools.product(np.eye(2), np.eye(3)))
    assert_same_equilibria(found, corners)


def test_supports_of_unequal_size():
    # One row against three columns of equal cost: the row mixes nothing.
    found = cost_tables.all_equilibria(np.array([[0.0, 0, 0]]), np.array([[1.0, 1, 2]]))
    assert_same_equilibria(found, [([1], [1, 0, 0]), ([1], [0, 1, 0])])
    # The 3 x 2 example of von Stengel, *Algorithmic Game Theory*, chapter 3 (payoffs),
    # and a degenerate variant, where row 1 with (1, 0) to (2/3, 1/3) is an edge.
    row = -np.array([[3.0, 3.0], [2.0, 5.0], [0.0, 6.0]])
    for payoff, x in [(2.0, [0.8, 0.2, 0]), (3.0, [1, 0, 0])]:
        col = -np.array([[3.0, payoff], [2.0, 6.0], [3.0, 1.0]])
        expected = [
            ([1, 0, 0], [1, 0]),
            (x, [2 / 3, 1 / 3]),
            ([0, 1 / 3, 2 / 3], [1 / 3, 2 / 3]),
        ]
        assert_same_equilibria(cost_tables.all_equilibria(row, col), expected)


def test_all_equilibria_of_random_games():
    rng = np.random.default_rng(5)
    for shape in [(2, 4), (3, 3), (4, 3), (4, 4)]:
        row, col = 100 * rng.normal(size=(2, *shape)) + 7
        found = cost_tables.all_equilibria(row, col)
        assert len(found) % 2 == 1  # Wilson 1971: almost all games
        for x, y in found:
            assert x.sum() == pytest.approx(1)
            assert y.sum() == pytest.approx(1)
            assert np.max(cost_tables.bimatrix_gap(row, col, x, y)) < 1e-9
        swapped = cost_tables.all_equilibria(col.T, row.T)
        assert_same_equilibria([(x, y) for y, x in swapped], found)


def test_zero_sum_value():
    assert cost_tables.zero_sum_value([[3, -1], [-2, 1]]) == pytest.approx(1 / 7)
    assert cost_tables.zero_sum_value(ROCK) == pytest.approx(0, abs=1e-9)
    rng = np.random.default_rng(6)
    costs = 50 * rng.normal(size=(4, 5)) + 1000
    value = cost_tables.zero_sum_value(costs)
    for x, y in cost_tables.all_equilibria(costs, -costs):
        assert x @ costs @ y == pytest.approx(value, abs=1e-7)
    assert cost_tables.zero_sum_value(-costs.T) == pytest.approx(-value, abs=1e-7)


@pytest.mark.parametrize("concept", ["ce", "cce"])
def test_correlated_extremes_against_a_grid(concept):
    tables = [CHICKEN, CHICKEN.T]
    best, worst = cost_tables.correlated_extremes(tables, concept)
    steps, totals = 20, []
    for counts in itertools.product(range(steps + 1), repeat=3):
        if sum(counts) > steps:
            continue
        joint = np.reshape([*counts, steps - sum(counts)], (2, 2)) / steps
        gains = []
        for costs, weights in [(tables[0], joint), (tables[1].T, joint.T)]:
            # cost of each action times the weight with which each other one is told
            told = costs @ weights.T
            paid = np.diag(told)
            if concept == "ce":
                gains.extend(paid - told.min(axis=0))
            else:
                gains.append(paid.sum() - told.sum(axis=1).min())
        if max(gains) < 1e-12:
            totals.append(np.sum(joint * (tables[0] + tables[1])))
    assert best - 1e-8 <= min(totals)
    assert max(totals) <= worst + 1e-8
    if concept == "ce":  # Aumann's 10.5, and 7.2: both are on the grid
        np.testing.assert_allclose([best, min(totals)], -10.5, atol=1e-8)
        np.testing.assert_allclose([worst, max(totals)], -7.2, atol=1e-8)


@pytest.mark.parametrize("concept", ["ce", "cce"])
def test_a_player_without_influence_changes_nothing(concept):
    rng = np.random.default_rng(7)
    tables = list(10 * rng.normal(size=(2, 3, 2)))
    expected = cost_tables.correlated_extremes(tables, concept)
    for place in range(3):
        wide = [
            np.repeat(np.expand_dims(table, place), 2, axis=place) for table in tables
        ]
        wide.insert(place, np.zeros(wide[0].shape))
        found = cost_tables.correlated_extremes(wide, concept)
        np.testing.assert_allclose(found, expected, atol=1e-7)


def test_correlated_extremes_without_choice_or_concept():
    single = np.array([[3.0]])
    np.testing.assert_allclose(
        cost_tables.correlated_extremes([single, single], "ce"), [6, 6]
    )
    with pytest.raises(ValueError, match="concept"):
        cost_tables.correlated_extremes([single, single], "nash")


@pytest.mark.parametrize("kappa", [0.0, 1.0, 1.5, 2.0, 3.0, 6.0])
def test_nash_within_correlated_within_coarse(kappa):
    schedules, tables = tiny_game(kappa, targets=(1, 1), lows=-1, highs=1)
    found = cost_tables.all_equilibria(*tables)
    assert found
    totals = []
    for x, y in found:
        assert np.max(cost_tables.bimatrix_gap(*tables, x, y)) < 1e-8
        gaps = eq.nash_gap(schedules, [x, y], kappa, [1, 1], -1, 1)
        np.testing.assert_allclose(gaps, 0, atol=1e-8)
        totals.append(x @ (tables[0] + tables[1]) @ y)
    ce, cce = (
        cost_tables.correlated_extremes(tables, concept) for concept in ("ce", "cce")
    )
    planner = eq.planner_optimum(kappa, [1, 1], 3, -1, 1)
    chain = [planner, cce[0], ce[0], min(totals), max(totals), ce[1], cce[1]]
    assert np.all(np.diff(chain) >= -1e-7)
    if kappa == 2:  # constant sum (V_1 + V_2)^2
        np.testing.assert_allclose(chain, 4, atol=1e-7)
        assert cost_tables.zero_sum_value(tables[0]) == pytest.approx(2)


def test_pure_equilibria_of_three_players_are_correlated():
    targets = [1, 1, 2]
    schedules, tables = eq.cost_tables(1.5, targets, 3, 0, 2)
    totals = []
    for pick in np.ndindex(tables[0].shape):
        profile = [rows[k] for rows, k in zip(schedules, pick, strict=True)]
        if np.max(eq.pure_gap(profile, 1.5, targets, 0, 2)) <= 1e-12:
            totals.append(sum(table[pick] for table in tables))
    assert totals
    ce, cce = (
        cost_tables.correlated_extremes(tables, concept) for concept in ("ce", "cce")
    )
    chain = [cce[0], ce[0], min(totals), max(totals), ce[1], cce[1]]
    assert np.all(np.diff(chain) >= -1e-7)
