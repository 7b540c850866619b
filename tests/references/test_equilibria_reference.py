"""Tests of the reference equilibria: published numbers, and two ways to one answer."""

import itertools

import numpy as np
import pytest

from . import equilibria as eq
from . import kearns_shi as ks

PAPER = {"targets": [10, 10], "lows": -5, "highs": 5}  # with T = 5
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


# --- Whole shares ---------------------------------------------------------------------


def test_enumeration_is_complete_and_lexicographic():
    np.testing.assert_array_equal(
        eq.enumerate_schedules(5, 10, -5, 5), ks.enumerate_schedules(5, 10, -5, 5)
    )
    lows, highs = [0, -2, 1, -1], [2, 1, 1, 3]
    ranges = [range(low, high + 1) for low, high in zip(lows, highs, strict=True)]
    expected = [a for a in itertools.product(*ranges) if sum(a) == 3]
    np.testing.assert_array_equal(eq.enumerate_schedules(4, 3, lows, highs), expected)
    with pytest.raises(ValueError, match="target=8"):
        eq.enumerate_schedules(4, 8, lows, highs)


@pytest.mark.parametrize("kappa", [0.0, 0.7, 5.0])
def test_cost_agrees_with_the_definition(kappa):
    rng = np.random.default_rng(1)
    profile = rng.integers(-6, 7, (3, 4))
    others = profile.sum(axis=0) - profile
    expected = [ks.cost(profile, i, kappa) for i in range(3)]
    np.testing.assert_allclose(eq.cost(profile, others, kappa), expected)


def test_general_cost_by_hand():
    # flows 4, -1, 0, holdings before 0, 4, 3: impact 2, -1, 0, and two fees
    value = eq.cost([3, 1, 0], [1, -2, 0], 10, temporary_exponent=0.5, fixed_fee=7)
    assert value == pytest.approx(6 - 1 + 10 * 4 + 14)
    value = eq.cost([3, -1, 2], [1, 0, -2], 2, temporary_exponent=2, fixed_fee=0.5)
    assert value == pytest.approx(48 + 1 + 0 + 2 * (0 - 4 + 2 * 3) + 1.5)


def test_cost_broadcasts():
    rng = np.random.default_rng(2)
    own, others = rng.normal(size=(4, 1, 5)), rng.normal(size=(3, 5))
    table = eq.cost(own, others, 1.3, temporary_exponent=0.6, fixed_fee=1)
    assert table.shape == (4, 3)
    single = eq.cost(own[2, 0], others[1], 1.3, temporary_exponent=0.6, fixed_fee=1)
    assert table[2, 1] == pytest.approx(single)
    swept = eq.cost(own[:, 0], others[0], np.array([0.0, 1.0, 2.0, 3.0]))
    assert swept[3] == pytest.approx(eq.cost(own[3, 0], others[0], 3.0))


def test_even_trading_is_the_equilibrium_without_permanent_impact():
    profile = np.full((2, 5), 2)
    np.testing.assert_array_equal(eq.pure_gap(profile, 0.0, **PAPER), [0, 0])
    assert ks.welfare(profile, 0.0) == 80
    assert eq.pure_gap(profile, 1.0, **PAPER).min() > 0


@pytest.mark.parametrize(("kappa", "welfare"), [(1.5, 350), (2.0, 400)])
def test_pure_equilibrium_of_the_paper_game(kappa, welfare):
    profile = np.array([[5, 5, 0, 0, 0]] * 2)
    np.testing.assert_array_equal(eq.pure_gap(profile, kappa, **PAPER), [0, 0])
    assert ks.welfare(profile, kappa) == welfare


@pytest.mark.parametrize(
    ("kappa", "number", "welfares"),
    [
        (0.0, 51, {80}),
        (0.5, 8, {167.5}),
        (1.0, 15, {267, 268, 269, 271, 272, 273}),
        (1.5, 1, {350}),
        (2.0, 1, {400}),
        (2.5, 0, set()),
        (10.0, 0, set()),
    ],
)
def test_all_pure_equilibria_of_the_paper_game(kappa, number, welfares):
    schedules = eq.enumerate_schedules(5, 10, -5, 5)
    matrix = ks.impact_matrix(5, kappa)
    own = np.sum((schedules @ matrix) * schedules, axis=1)
    costs = own[:, None] + schedules @ matrix @ schedules.T  # multiples of 1/2: exact
    is_best = costs == costs.min(axis=0)
    pairs = np.argwhere(is_best & is_best.T)
    assert len(pairs) == number
    assert {float(costs[i, j] + costs[j, i]) for i, j in pairs} == welfares
    for i, j in pairs[:3]:
        gaps = eq.pure_gap(schedules[[i, j]], kappa, **PAPER)
        np.testing.assert_array_equal(gaps, [0, 0])


@pytest.mark.parametrize("kappa", [2.5, 3.0, 5.0, 10.0])
def test_mixed_equilibrium_of_the_paper_game(kappa):
    supports = [
        np.array([[5, 5, 5, 0, -5], [5, 5, -5, 0, 5]]),
        np.array([[5, 5, 0, 5, -5], [5, 5, 0, -5, 5]]),
    ]
    weights = [[0.5, 0.5], [0.5, 0.5]]
    gaps = eq.nash_gap(supports, weights, kappa, **PAPER)
    np.testing.assert_allclose(gaps, 0, atol=1e-10)
    total = 0.0
    for a, b in itertools.product(*supports):
        total += 0.25 * ks.welfare([a, b], kappa)
    assert total == pytest.approx(300 + 50 * kappa)  # 450, 550, 800 at 3, 5, 10
    gaps = eq.nash_gap(supports, [[0.6, 0.4], [0.5, 0.5]], kappa, **PAPER)
    assert gaps.max() > 1


def test_nash_gap_agrees_with_the_cost_tables():
    rng = np.random.default_rng(3)
    general = {"temporary_exponent": 0.6, "fixed_fee": 0.3}
    lows, highs = [[-1], [0]], [[2], [3]]
    schedules, tables = eq.cost_tables(1.2, [2, 4], 3, lows, highs, **general)
    x, y = (rng.dirichlet(np.ones(len(rows))) for rows in schedules)
    gaps = eq.nash_gap(schedules, [x, y], 1.2, [2, 4], lows, highs, **general)
    np.testing.assert_allclose(gaps, eq.bimatrix_gap(*tables, x, y), atol=1e-12)


def test_gap_of_three_players_agrees_with_the_cost_tables():
    rng = np.random.default_rng(4)
    targets, lows, highs = [1, 2, 0], [-1, 0, -1], [2, 1, 1]  # a limit for each step
    schedules, tables = eq.cost_tables(0.8, targets, 3, lows, highs)
    mixtures = [rng.dirichlet(np.ones(len(rows))) for rows in schedules]
    gaps = eq.nash_gap(schedules, mixtures, 0.8, targets, lows, highs)
    for i, letter in enumerate("abc"):
        each = np.einsum(f"abc,a,b,c->{letter}", tables[i], *mixtures) / mixtures[i]
        assert gaps[i] == pytest.approx(mixtures[i] @ each - each.min())
    pick = (1, 0, 2)
    profile = [rows[k] for rows, k in zip(schedules, pick, strict=True)]
    gaps = eq.pure_gap(profile, 0.8, targets, lows, highs)
    for i in range(3):
        line = tables[i][tuple(slice(None) if j == i else pick[j] for j in range(3))]
        assert gaps[i] == pytest.approx(line[pick[i]] - line.min())


@pytest.mark.parametrize(
    ("support", "weights", "message"),
    [
        ([[2, 2, 2, 2, 2]], [0.9], "sum to one"),
        ([[2, 2, 2, 2, 2], [0, 1, 2, 3, 4]], [1.5, -0.5], "nonnegative"),
        ([[2, 2, 2, 2, 2]], [0.5, 0.5], "one weight"),
        ([[2, 2, 2, 2, 1]], [1.0], "target"),
        ([[6, 1, 1, 1, 1]], [1.0], "limits"),
        ([[2.5, 1.5, 2, 2, 2]], [1.0], "whole"),
    ],
)
def test_what_is_no_strategy_is_rejected(support, weights, message):
    even = np.full((1, 5), 2)
    with pytest.raises(ValueError, match=message):
        eq.nash_gap([even, support], [[1.0], weights], 0.0, **PAPER)


@pytest.mark.parametrize(
    ("kappa", "total"), [(0.0, 80), (0.5, 160), (1.0, 240), (1.5, 320), (2, 400)]
)
def test_planner_of_the_paper_game(kappa, total):
    # even trading is what the identity gives; limits 0..4 keep the enumeration small
    assert eq.planner_optimum(kappa, [10, 10], 5, 0, 4) == pytest.approx(total)


def test_planner_with_large_impact():
    assert eq.planner_optimum(10.0, [10, 10], 5, 0, 5) == pytest.approx(1200)
    assert eq.planner_optimum(5.0, [10, 10], 5, -5, 5) == pytest.approx(400)


def test_planner_agrees_with_the_cost_tables():
    for kappa, lows in itertools.product([0.0, 1.0, 3.0], [0, [[-1], [0], [-2]]]):
        _, tables = eq.cost_tables(kappa, [1, 2, 2], 3, lows, 2)
        least = eq.planner_optimum(kappa, [1, 2, 2], 3, lows, 2)
        assert least == pytest.approx(np.min(sum(tables)))


# --- Cost tables ----------------------------------------------------------------------


def test_matching_pennies():
    assert_same_equilibria(
        eq.all_equilibria(PENNIES, -PENNIES), [([0.5, 0.5], [0.5, 0.5])]
    )
    assert eq.zero_sum_value(PENNIES) == pytest.approx(0, abs=1e-9)
    gaps = eq.bimatrix_gap(PENNIES, -PENNIES, np.array([1, 0]), np.array([0.5, 0.5]))
    np.testing.assert_allclose(gaps, [0, 1])


def test_battle_of_the_sexes():
    found = eq.all_equilibria(BATTLE, BATTLE[::-1, ::-1])
    mixed = ([2 / 3, 1 / 3], [1 / 3, 2 / 3])
    assert_same_equilibria(found, [([1, 0], [1, 0]), ([0, 1], [0, 1]), mixed])


def test_prisoners_dilemma():
    found = eq.all_equilibria(PRISONERS, PRISONERS.T)
    assert_same_equilibria(found, [([0, 1], [0, 1])])
    for concept in ("ce", "cce"):
        extremes = eq.correlated_extremes([PRISONERS, PRISONERS.T], concept)
        np.testing.assert_allclose(extremes, [4, 4], atol=1e-8)


def test_degenerate_games():
    # Against row 1 the columns cost the same, and row 1 is best for y_1 <= 1/2: an
    # edge. Against row 2 column 1 is best, and row 2 against it: a point.
    row = np.array([[1.0, 0.0], [0.0, 1.0]])
    col = np.array([[0.0, 0.0], [0.0, 1.0]])
    expected = [([1, 0], [0, 1]), ([1, 0], [0.5, 0.5]), ([0, 1], [1, 0])]
    assert_same_equilibria(eq.all_equilibria(row, col), expected)
    # Everything is an equilibrium: the extreme ones are all pairs of actions.
    found = eq.all_equilibria(np.ones((2, 3)), np.zeros((2, 3)))
    corners = list(itertools.product(np.eye(2), np.eye(3)))
    assert_same_equilibria(found, corners)


def test_supports_of_unequal_size():
    # One row against three columns of equal cost: the row mixes nothing.
    found = eq.all_equilibria(np.array([[0.0, 0, 0]]), np.array([[1.0, 1, 2]]))
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
        assert_same_equilibria(eq.all_equilibria(row, col), expected)


def test_all_equilibria_of_random_games():
    rng = np.random.default_rng(5)
    for shape in [(2, 4), (3, 3), (4, 3), (4, 4)]:
        row, col = 100 * rng.normal(size=(2, *shape)) + 7
        found = eq.all_equilibria(row, col)
        assert len(found) % 2 == 1  # Wilson 1971: almost all games
        for x, y in found:
            assert x.sum() == pytest.approx(1)
            assert y.sum() == pytest.approx(1)
            assert np.max(eq.bimatrix_gap(row, col, x, y)) < 1e-9
        swapped = eq.all_equilibria(col.T, row.T)
        assert_same_equilibria([(x, y) for y, x in swapped], found)


def test_zero_sum_value():
    assert eq.zero_sum_value([[3, -1], [-2, 1]]) == pytest.approx(1 / 7)
    assert eq.zero_sum_value(ROCK) == pytest.approx(0, abs=1e-9)
    rng = np.random.default_rng(6)
    costs = 50 * rng.normal(size=(4, 5)) + 1000
    value = eq.zero_sum_value(costs)
    for x, y in eq.all_equilibria(costs, -costs):
        assert x @ costs @ y == pytest.approx(value, abs=1e-7)
    assert eq.zero_sum_value(-costs.T) == pytest.approx(-value, abs=1e-7)


@pytest.mark.parametrize("concept", ["ce", "cce"])
def test_correlated_extremes_against_a_grid(concept):
    tables = [CHICKEN, CHICKEN.T]
    best, worst = eq.correlated_extremes(tables, concept)
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
    expected = eq.correlated_extremes(tables, concept)
    for place in range(3):
        wide = [
            np.repeat(np.expand_dims(table, place), 2, axis=place) for table in tables
        ]
        wide.insert(place, np.zeros(wide[0].shape))
        found = eq.correlated_extremes(wide, concept)
        np.testing.assert_allclose(found, expected, atol=1e-7)


def test_correlated_extremes_without_choice_or_concept():
    single = np.array([[3.0]])
    np.testing.assert_allclose(eq.correlated_extremes([single, single], "ce"), [6, 6])
    with pytest.raises(ValueError, match="concept"):
        eq.correlated_extremes([single, single], "nash")


@pytest.mark.parametrize("kappa", [0.0, 1.0, 1.5, 2.0, 3.0, 6.0])
def test_nash_within_correlated_within_coarse(kappa):
    schedules, tables = tiny_game(kappa, targets=(1, 1), lows=-1, highs=1)
    found = eq.all_equilibria(*tables)
    assert found
    totals = []
    for x, y in found:
        assert np.max(eq.bimatrix_gap(*tables, x, y)) < 1e-8
        gaps = eq.nash_gap(schedules, [x, y], kappa, [1, 1], -1, 1)
        np.testing.assert_allclose(gaps, 0, atol=1e-8)
        totals.append(x @ (tables[0] + tables[1]) @ y)
    ce, cce = (eq.correlated_extremes(tables, concept) for concept in ("ce", "cce"))
    planner = eq.planner_optimum(kappa, [1, 1], 3, -1, 1)
    chain = [planner, cce[0], ce[0], min(totals), max(totals), ce[1], cce[1]]
    assert np.all(np.diff(chain) >= -1e-7)
    if kappa == 2:  # constant sum (V_1 + V_2)^2
        np.testing.assert_allclose(chain, 4, atol=1e-7)
        assert eq.zero_sum_value(tables[0]) == pytest.approx(2)


def test_pure_equilibria_of_three_players_are_correlated():
    targets = [1, 1, 2]
    schedules, tables = eq.cost_tables(1.5, targets, 3, 0, 2)
    totals = []
    for pick in np.ndindex(tables[0].shape):
        profile = [rows[k] for rows, k in zip(schedules, pick, strict=True)]
        if np.max(eq.pure_gap(profile, 1.5, targets, 0, 2)) <= 1e-12:
            totals.append(sum(table[pick] for table in tables))
    assert totals
    ce, cce = (eq.correlated_extremes(tables, concept) for concept in ("ce", "cce"))
    chain = [cce[0], ce[0], min(totals), max(totals), ce[1], cce[1]]
    assert np.all(np.diff(chain) >= -1e-7)


# --- Fractional shares ----------------------------------------------------------------


def test_closed_form_of_the_published_example():
    expected = [5.1613, 2.5806, 1.2903, 0.6452, 0.3226]
    trades = eq.fractional_closed_form(1.0, [10, 10], 5)
    np.testing.assert_allclose(trades, [expected] * 2, atol=5e-5)
    trades = eq.fractional_closed_form(1.5, [10, 10], 5)
    np.testing.assert_allclose(trades, [[10, 0, 0, 0, 0]] * 2, atol=1e-12)
    trades = eq.fractional_closed_form(0.0, [10, 5], 5)
    np.testing.assert_allclose(trades, [[2] * 5, [1] * 5], atol=1e-12)


def test_closed_form_is_geometric():
    n, kappa = 4, 1.3
    trades = eq.fractional_closed_form(kappa, [3, -1, 5, 2], 6)
    total = trades.sum(axis=0)
    ratio = (n + 1 - n * kappa) / (n + 1 - kappa)
    np.testing.assert_allclose(total[1:], ratio * total[:-1], atol=1e-12)
    deviations = trades - total / n
    np.testing.assert_allclose(
        deviations[:, :-1], (1 - kappa) * deviations[:, 1:], atol=1e-12
    )


def test_closed_form_is_singular_where_the_game_is():
    horizon = 4
    matrix = ks.impact_matrix(horizon, 2.0)
    centre = np.eye(horizon) - 1 / horizon
    skew = centre @ matrix @ centre
    np.testing.assert_allclose(skew, -skew.T, atol=1e-12)
    # skew on the T - 1 directions that sum to zero, an odd number: a null direction
    values = np.sort(np.linalg.svd(skew, compute_uv=False))
    assert values[1] < 1e-12


@pytest.mark.parametrize("kappa", [0.0, 0.5, 1.0, 1.5, 1.9])
def test_extragradient_agrees_with_the_closed_form(kappa):
    targets = [3.0, 1.0, -2.0]
    expected = eq.fractional_closed_form(kappa, targets, 5)
    trades = eq.fractional_equilibrium(kappa, targets, 5, -1e3, 1e3)
    np.testing.assert_allclose(trades, expected, atol=1e-8)
    for profile in (trades, expected):
        assert eq.natural_residual(profile, kappa, targets, -1e3, 1e3) < 1e-10
        gaps = eq.fractional_gap(profile, kappa, targets, -1e3, 1e3)
        np.testing.assert_allclose(gaps, 0, atol=1e-9)


@pytest.mark.parametrize("kappa", [0.5, 1.0, 1.5, 1.9])
def test_extragradient_with_active_limits(kappa):
    targets = np.array([10.0, 4.0])
    lows = np.array([[0.0], [-1.0]])
    highs = np.array([[5, 2.5, 5, 5, 5], [1, 2, 1, 2, 1]])
    trades = eq.fractional_equilibrium(kappa, targets, 5, lows, highs)
    assert np.any((trades == lows) | (trades == highs))
    assert np.all((trades >= lows) & (trades <= highs))
    np.testing.assert_allclose(trades.sum(axis=1), targets, rtol=1e-14)
    assert eq.natural_residual(trades, kappa, targets, lows, highs) < 1e-10
    gaps = eq.fractional_gap(trades, kappa, targets, lows, highs)
    np.testing.assert_allclose(gaps, 0, atol=1e-10)
    # Anything else is not an equilibrium: it is unique.
    spread = targets[:, None] / 5 + np.array([[0.1, 0, 0, 0, -0.1]] * 2)
    assert eq.natural_residual(spread, kappa, targets, lows, highs) > 1e-3
    assert eq.fractional_gap(spread, kappa, targets, lows, highs).max() > 1e-3


def test_the_paper_game_in_fractional_shares():
    even = eq.fractional_equilibrium(0.0, [10, 10], 5, -5, 5)
    np.testing.assert_allclose(even, 2, atol=1e-10)
    # At kappa = 1.5 the gradients are (22.5, 30, 30, 30, 30) at the equilibrium in
    # whole shares: it is the one in fractional shares too.
    trades = eq.fractional_equilibrium(1.5, [10, 10], 5, -5, 5)
    np.testing.assert_allclose(trades, [[5, 5, 0, 0, 0]] * 2, atol=1e-9)
    gradient = eq.own_gradient(np.array([[5.0, 5, 0, 0, 0]] * 2), 1.5)
    np.testing.assert_allclose(gradient, [[22.5, 30, 30, 30, 30]] * 2)


def test_the_game_is_strictly_monotone():
    rng = np.random.default_rng(8)
    for kappa in (0.0, 1.0, 1.9, 2.0):
        first, second = rng.normal(size=(2, 3, 6))
        second += (first - second).mean(axis=1, keepdims=True)
        change = first - second
        moved = eq.own_gradient(first, kappa) - eq.own_gradient(second, kappa)
        squares = np.sum(change**2) + np.sum(change.sum(axis=0) ** 2)
        expected = (1 - kappa / 2) * squares
        np.testing.assert_allclose(np.sum(moved * change), expected, atol=1e-12)


def test_own_gradient_is_the_derivative_of_the_cost():
    rng = np.random.default_rng(9)
    trades, others = rng.normal(size=(2, 5))
    gradient = eq.own_gradient(np.array([trades, others]), 1.4)[0]
    for t, unit in enumerate(np.eye(5) / 2):  # exact for a quadratic cost
        slope = eq.cost(trades + unit, others, 1.4) - eq.cost(
            trades - unit, others, 1.4
        )
        assert gradient[t] == pytest.approx(slope)


def test_projection_and_response_against_the_vertices():
    # With whole limits and target every vertex of the polytope is a whole schedule.
    rng = np.random.default_rng(10)
    for _ in range(50):
        low = rng.integers(-3, 1, 4)
        high = low + rng.integers(0, 4, 4)
        target = int(rng.integers(low.sum(), high.sum() + 1))
        vertices = eq.enumerate_schedules(4, target, low, high)
        point = 3 * rng.normal(size=4)
        nearest = eq.project(point, target, low, high)
        assert nearest.sum() == pytest.approx(target, abs=1e-12)
        assert np.all((nearest >= low) & (nearest <= high))
        angles = (vertices - nearest) @ (point - nearest)  # none is acute
        assert angles.max() <= 1e-10
        # g a + w a^2 is w |a + g/2w|^2 up to a constant: the same problem
        weight = rng.uniform(0.1, 2)
        linear = -2 * weight * point
        trades, least = eq.fractional_response_bound(linear, weight, target, low, high)
        np.testing.assert_allclose(trades, nearest, atol=1e-12)
        value = linear @ nearest + weight * nearest @ nearest
        assert least == pytest.approx(value, abs=1e-10)


def test_fractional_deviations_gain_at_least_as_much():
    rng = np.random.default_rng(11)
    schedules = eq.enumerate_schedules(4, 3, -2, 3)
    for kappa in (0.0, 0.7, 1.9):
        profile = schedules[rng.integers(len(schedules), size=3)]
        whole = eq.pure_gap(profile, kappa, [3, 3, 3], -2, 3)
        fractional = eq.fractional_gap(profile, kappa, [3, 3, 3], -2, 3)
        assert np.all(fractional >= whole - 1e-12)


def test_fractional_games_that_are_rejected():
    with pytest.raises(ValueError, match="kappa < 2"):
        eq.fractional_equilibrium(2.0, [1, 1], 3, -1, 1)
    with pytest.raises(ValueError, match="reach"):
        eq.fractional_equilibrium(1.0, [1, 4], 3, -1, 1)
    with pytest.raises(ValueError, match="finite"):
        eq.fractional_equilibrium(1.0, [1, 1], 3, -np.inf, 1)
    with pytest.raises(ValueError, match="exceeds"):
        eq.fractional_equilibrium(1.0, [1, 1], 2, [0, 3], [3, 2])
    with pytest.raises(RuntimeError, match="within 3 iterations"):
        eq.fractional_equilibrium(1.9, [3, 1], 5, -5, 5, max_iterations=3)
