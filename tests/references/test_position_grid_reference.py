"""Tests of the reference games on a grid: lots, limits, the sine ansatz."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import lsq_linear

from . import position_building as pb
from . import position_costs as pc
from . import position_grid as pg

P = pb.conditionals(pc.PRIOR)
PAIR = pb.complete_information(2)


def example_paths(times):
    return pb.boundary_value_paths(P, pc.IMPACTS, pc.TARGETS, times)


def test_piecewise_linear_paths_are_the_discrete_game():
    rng = np.random.default_rng(8)
    for kappa, num_steps in [(0.5, 3), (4.0, 7), (30.0, 5)]:
        trades = rng.normal(size=(3, num_steps))
        nodes = np.hstack([np.zeros((3, 1)), np.cumsum(trades, axis=1)])
        kd = pg.discrete_impact(kappa, num_steps)
        assert np.isclose(pg.continuous_impact(kd, num_steps), kappa)
        assert np.isclose(kappa / num_steps, kd / (1 - kd / 2))
        matrix = np.eye(num_steps) + kd * np.tril(np.ones((num_steps,) * 2), -1)
        for i in range(3):
            discrete = trades[i] @ matrix @ trades.sum(axis=0)
            cost = pg.piecewise_linear_cost(nodes, kappa, i)
            assert np.isclose(cost, (num_steps + kappa / 2) * discrete)


def test_slopes_are_derivatives_of_the_costs():
    rng = np.random.default_rng(9)
    nodes = np.hstack([np.zeros((3, 1)), rng.normal(size=(3, 5))])
    slopes = pg.own_slopes(pb.complete_information(3), 4.0, nodes)
    for i in range(3):
        for node in range(1, 5):
            ends = []
            for move in (0.5, -0.5):  # a quadratic: central differences are exact
                moved = nodes.copy()
                moved[i, node] += move
                ends.append(pg.piecewise_linear_cost(moved, 4.0, i))
            assert np.isclose(ends[0] - ends[1], slopes[i, node - 1])


@pytest.mark.parametrize("num_firms", [2, 3])
@pytest.mark.parametrize("kd", [0.3, 1.0, 1.4, 1.7])
def test_discrete_equilibrium_recursions(num_firms, kd):
    targets = np.array([1.0, 4.0, 2.5])[:num_firms]
    trades = pg.discrete_equilibrium(pb.complete_information(num_firms), kd, targets, 5)
    np.testing.assert_allclose(trades.sum(axis=1), targets)
    total = trades.sum(axis=0)
    ratio = (num_firms + 1 - num_firms * kd) / (num_firms + 1 - kd)
    np.testing.assert_allclose(total[1:], ratio * total[:-1], atol=1e-12)
    deviations = trades - total / num_firms
    np.testing.assert_allclose(
        deviations[:, :-1], (1 - kd) * deviations[:, 1:], atol=1e-12
    )
    gains = pg.discrete_gains(pb.complete_information(num_firms), kd, trades)
    assert np.max(np.abs(gains)) < 1e-24


def test_discrete_equilibrium_special_cases():
    trades = pg.discrete_equilibrium(PAIR, 1.0, [10.0, 10.0], 5)
    expected = [5.1613, 2.5806, 1.2903, 0.6452, 0.3226]
    np.testing.assert_allclose(np.round(trades, 4), [expected, expected])
    trades = pg.discrete_equilibrium(PAIR, 1.5, [3.0, 3.0], 5)
    np.testing.assert_allclose(trades, np.tile([3.0, 0, 0, 0, 0], (2, 1)), atol=1e-12)
    trades = pg.discrete_equilibrium(PAIR, 1.7, [3.0, 3.0], 6)
    assert np.all(np.sign(trades) == np.tile([1, -1], 3))

    # At kd = 2 and even T the deviations alternate and cannot meet unequal targets.
    even, odd = (
        np.max(np.abs(pg.discrete_equilibrium(PAIR, 2 - 1e-6, [1.0, 3.0], num_steps)))
        for num_steps in (6, 5)
    )
    assert odd < 10
    assert even > 1e5


def test_monotonicity_identity():
    rng = np.random.default_rng(10)
    for kd in (0.0, 0.7, 2.0, 2.5):
        d = rng.normal(size=(3, 6))
        d -= d.mean(axis=1, keepdims=True)  # both profiles meet the targets
        matrix = np.eye(6) + kd * np.tril(np.ones((6, 6)), -1)
        product = sum(
            d[i] @ (matrix @ d.sum(axis=0) + matrix.T @ d[i]) for i in range(3)
        )
        norms = np.sum(d**2) + np.sum(d.sum(axis=0) ** 2)
        assert np.isclose(product, (1 - kd / 2) * norms, atol=1e-12)


def test_second_order_convergence_and_the_naive_first():
    def error(kd, num_steps):
        trades = pg.discrete_equilibrium(PAIR, kd, [1.0, 3.0], num_steps)
        times = np.linspace(0, 1, num_steps + 1)
        exact, _ = pb.complete_information_path(4.0, [1.0, 3.0], times)
        return np.max(np.abs(np.cumsum(trades, axis=1) - exact[:, 1:]))

    steps = (10, 20, 40, 80)
    exact = [error(pg.discrete_impact(4.0, n), n) for n in steps]
    np.testing.assert_allclose(exact, [4.63e-3, 1.16e-3, 2.89e-4, 7.23e-5], rtol=2e-3)
    naive = [error(4.0 / n, n) for n in steps]
    np.testing.assert_allclose(naive[::3], [1.27e-1, 1.36e-2], rtol=5e-3)


def test_sampled_paths_are_nearly_equilibria():
    gaps, spreads = [], []
    for num_steps in (20, 40, 80, 160):
        nodes, _ = example_paths(np.linspace(0, 1, num_steps + 1))
        kd = pg.discrete_impact(pc.IMPACTS, num_steps)
        gains = pg.discrete_gains(P, kd, np.diff(nodes))
        gaps.append(np.max((num_steps + pc.IMPACTS / 2) * gains))
        # Gradients in the trades: at an equilibrium constant in time.
        slopes = pg.own_slopes(P, pc.IMPACTS, nodes)
        spreads.append(np.max(np.abs(np.ptp(np.cumsum(slopes, axis=1), axis=1))))
    np.testing.assert_allclose(gaps, [2.0e-4, 1.3e-5, 7.9e-7, 5.0e-8], rtol=0.03)
    orders = np.log2(np.array(spreads[:-1]) / spreads[1:])
    np.testing.assert_allclose(orders, 2, atol=0.1)


def rounding_gains(kappa, targets, num_steps, lot):
    """Return the gains left by rounding positions to lots, over (T lot)^2."""
    matrix = pb.complete_information(len(targets))
    kd = pg.discrete_impact(kappa, num_steps)
    trades = pg.discrete_equilibrium(matrix, kd, targets, num_steps)
    nodes = np.hstack([np.zeros((len(targets), 1)), np.cumsum(trades, axis=1)])
    lots = np.round(nodes / lot)
    gains = pg.discrete_gains(matrix, kd, np.diff(lots))
    return gains * (num_steps + kappa / 2) / num_steps**2


def test_rounding_to_lots():
    for kappa, targets, num_steps, lot in [
        (4.0, [1.0, 3.0], 20, 1e-3),
        (4.0, [1.0, 3.0], 50, 1e-3),
        (1.0, [1.0, 1.5], 20, 1e-2),
        (10.0, [2.0, 5.0], 40, 1e-3),
        (2.0, [3.0, 7.0], 30, 1e-4),
        (20.0, [1.0, 3.0], 100, 1e-3),
    ]:
        assert np.max(rounding_gains(kappa, targets, num_steps, lot)) < 0.3
    # Of independent rounding errors 1/6 remains a trade, own and half of each other's:
    # (N + 3) / 24 on average. It grows with N, and 0.3 is no bound for three firms.
    rng = np.random.default_rng(11)
    for num_firms in (2, 3, 6):
        gains = [
            rounding_gains(4.0, rng.uniform(1, 3, num_firms), 40, 1e-4)
            for _ in range(30)
        ]
        np.testing.assert_allclose(np.mean(gains), (num_firms + 3) / 24, rtol=0.15)
    assert np.max(rounding_gains(0.5, [1.0, 2.0, 3.0], 30, 1e-3)) > 0.35


@pytest.mark.parametrize("kappa", [0.5, 10.0, 50.0])
def test_loose_limits_recover_the_free_game(kappa):
    prior, _, targets = pb.random_game(np.random.default_rng(12), (2, 2))
    matrix = pb.conditionals(prior)
    nodes = pg.constrained_equilibrium(matrix, kappa, targets, -np.inf, np.inf, 40)
    trades = pg.discrete_equilibrium(matrix, pg.discrete_impact(kappa, 40), targets, 40)
    np.testing.assert_allclose(nodes[:, 1:], np.cumsum(trades, axis=1), atol=1e-9)


@pytest.mark.parametrize("kappa", [1.0, 10.0, 50.0])
def test_constrained_equilibrium(kappa):
    targets, lower, upper = np.array([1.0, 5.0]), -0.2, np.array([[1.2], [5.0]])
    nodes = pg.constrained_equilibrium(PAIR, kappa, targets, lower, upper, 30)
    assert np.all(nodes[:, 1:-1] >= lower)
    assert np.all(nodes[:, 1:-1] <= upper)
    np.testing.assert_array_equal(nodes[:, [0, -1]], np.stack([[0, 0], targets]).T)
    assert pg.natural_residual(PAIR, kappa, nodes, lower, upper) < 1e-10
    if kappa >= 10:  # the limits bind
        assert np.any(nodes[0] == 1.2)


@pytest.mark.parametrize("kappa", [4.0, 50.0])
def test_constrained_responses_are_bounded_least_squares(kappa):
    """Each path minimises |D x + (y' + kappa y) / 2| within its limits."""
    cells, targets = 24, np.array([1.0, 5.0, 2.0])
    matrix = pb.conditionals(np.array([[0.3, 0.7]]))
    lower, upper = 0.0, np.array([[1.05], [4.0], [2.0]])
    nodes = pg.constrained_equilibrium(matrix, kappa, targets, lower, upper, cells)
    difference = np.diff(np.eye(cells + 1), axis=0) * cells
    for row in range(3):
        y = matrix[row] @ nodes
        pull = (difference @ y + kappa * (y[:-1] + y[1:]) / 2) / 2
        right = -pull - difference[:, -1] * targets[row]
        limits = np.full(cells - 1, lower), np.full(cells - 1, upper[row, 0])
        best = lsq_linear(difference[:, 1:-1], right, limits, method="bvls", tol=1e-14)
        np.testing.assert_allclose(best.x, nodes[row, 1:-1], atol=1e-8)


def test_constrained_paths_converge_with_the_grid():
    coarse, middle, fine = (
        pg.constrained_equilibrium(PAIR, 10.0, [1.0, 5.0], 0.0, [[1.5], [6.0]], cells)
        for cells in (20, 40, 80)
    )
    first = np.max(np.abs(coarse - fine[:, ::4]))
    second = np.max(np.abs(middle - fine[:, ::2]))
    assert second < first / 2
    assert second < 0.01


def test_sine_ansatz():
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(2, 5))
    n = np.arange(1, 6)

    def value(c, t):
        return t + c @ np.sin(np.pi * n * t)

    def rate(c, t):
        return 1 + c @ (np.pi * n * np.cos(np.pi * n * t))

    rates, mixed = pg.sine_overlaps(a, b)
    assert np.isclose(rates, quad(lambda t: rate(a, t) * rate(b, t), 0, 1)[0])
    assert np.isclose(mixed, quad(lambda t: value(b, t) * rate(a, t), 0, 1)[0])
