"""The references of whole shares, checked against definitions and known games."""

import itertools

import numpy as np
import pytest

from . import cost_tables
from . import equilibria as eq
from . import kearns_shi as ks

PAPER = {"targets": [10, 10], "lows": -5, "highs": 5}  # with T = 5


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
    expected = cost_tables.bimatrix_gap(*tables, x, y)
    np.testing.assert_allclose(gaps, expected, atol=1e-12)


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
