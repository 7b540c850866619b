import itertools

import jax
import numpy as np
import pytest

import gtrade
from gtrade.problems.enumeration import (
    count_schedules,
    enumerate_schedules,
    joint_costs,
)
from tests.references.equilibria import cost_tables

BOXES = (
    ([-2, -2, -2], [2, 2, 2]),
    ([0, 0, 0, 0], [3, 3, 3, 3]),
    ([1, -1, 0], [1, 4, 2]),
    ([-3, 2, 0, 0], [-1, 2, 0, 5]),
    ([2], [5]),
)


@pytest.mark.parametrize(("lows", "highs"), BOXES)
def test_all_schedules_are_listed_in_order(lows, highs):
    ranges = [range(low, high + 1) for low, high in zip(lows, highs, strict=True)]
    everything = list(itertools.product(*ranges))
    for target in range(sum(lows) - 1, sum(highs) + 2):
        expected = [x for x in everything if sum(x) == target]
        found = enumerate_schedules(target, lows, highs)
        assert found.dtype == np.int32
        assert found.tolist() == [list(x) for x in expected]
        assert count_schedules(target, lows, highs) == len(expected)


def test_counts_are_exact_where_no_list_fits():
    assert count_schedules(10, [-5] * 5, [5] * 5) == 3526
    # T = 10, theta = 20: 41 choices in each of nine steps, roughly.
    ways = np.array([1], object)
    for _ in range(10):
        ways = np.convolve(ways, np.ones(41, object))
    assert count_schedules(0, [-20] * 10, [20] * 10) == ways[200] > 10**14
    assert count_schedules(3, [-20] * 10, [20] * 10) == ways[203]
    assert count_schedules(10_000, [-200] * 390, [200] * 390) > 10**900


@pytest.mark.parametrize(
    "numbers",
    [
        {"permanent_impact": 3.0},
        {"permanent_impact": 0.7, "temporary_exponent": 0.5, "fixed_fee": 0.3},
    ],
)
def test_costs_of_joint_actions(in_float64, numbers):
    lows, highs, targets = (-1, 0, -1), (2, 1, 2), (2, -1, 1)
    game = gtrade.TradingGame(
        horizon=3, targets=targets, min_trade=lows, max_trade=highs, **numbers
    )
    bounds = game.trade_bounds
    schedules = [enumerate_schedules(target, *bounds) for target in targets]
    found = joint_costs(game, schedules)
    general = {k: v for k, v in numbers.items() if k != "permanent_impact"}
    kappa = numbers["permanent_impact"]
    listed, expected = cost_tables(kappa, targets, 3, lows, highs, **general)
    for mine, theirs in zip(schedules, listed, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-12)
    traced = jax.jit(lambda game: joint_costs(game, schedules))(game)
    np.testing.assert_allclose(traced, found, atol=1e-12)
