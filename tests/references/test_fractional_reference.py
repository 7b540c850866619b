"""The references of fractional shares, checked against definitions and known games."""

import numpy as np
import pytest

from . import equilibria as eq
from . import fractional
from . import kearns_shi as ks


def test_closed_form_of_the_published_example():
    expected = [5.1613, 2.5806, 1.2903, 0.6452, 0.3226]
    trades = fractional.fractional_closed_form(1.0, [10, 10], 5)
    np.testing.assert_allclose(trades, [expected] * 2, atol=5e-5)
    trades = fractional.fractional_closed_form(1.5, [10, 10], 5)
    np.testing.assert_allclose(trades, [[10, 0, 0, 0, 0]] * 2, atol=1e-12)
    trades = fractional.fractional_closed_form(0.0, [10, 5], 5)
    np.testing.assert_allclose(trades, [[2] * 5, [1] * 5], atol=1e-12)


def test_closed_form_is_geometric():
    n, kappa = 4, 1.3
    trades = fractional.fractional_closed_form(kappa, [3, -1, 5, 2], 6)
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
    expected = fractional.fractional_closed_form(kappa, targets, 5)
    trades = fractional.fractional_equilibrium(kappa, targets, 5, -1e3, 1e3)
    np.testing.assert_allclose(trades, expected, atol=1e-8)
    for profile in (trades, expected):
        assert fractional.natural_residual(profile, kappa, targets, -1e3, 1e3) < 1e-10
        gaps = fractional.fractional_gap(profile, kappa, targets, -1e3, 1e3)
        np.testing.assert_allclose(gaps, 0, atol=1e-9)


@pytest.mark.parametrize("kappa", [0.5, 1.0, 1.5, 1.9])
def test_extragradient_with_active_limits(kappa):
    targets = np.array([10.0, 4.0])
    lows = np.array([[0.0], [-1.0]])
    highs = np.array([[5, 2.5, 5, 5, 5], [1, 2, 1, 2, 1]])
    trades = fractional.fractional_equilibrium(kappa, targets, 5, lows, highs)
    assert np.any((trades == lows) | (trades == highs))
    assert np.all((trades >= lows) & (trades <= highs))
    np.testing.assert_allclose(trades.sum(axis=1), targets, rtol=1e-14)
    assert fractional.natural_residual(trades, kappa, targets, lows, highs) < 1e-10
    gaps = fractional.fractional_gap(trades, kappa, targets, lows, highs)
    np.testing.assert_allclose(gaps, 0, atol=1e-10)
    # Anything else is not an equilibrium: it is unique.
    spread = targets[:, None] / 5 + np.array([[0.1, 0, 0, 0, -0.1]] * 2)
    assert fractional.natural_residual(spread, kappa, targets, lows, highs) > 1e-3
    assert fractional.fractional_gap(spread, kappa, targets, lows, highs).max() > 1e-3


def test_the_paper_game_in_fractional_shares():
    even = fractional.fractional_equilibrium(0.0, [10, 10], 5, -5, 5)
    np.testing.assert_allclose(even, 2, atol=1e-10)
    # At kappa = 1.5 the gradients are (22.5, 30, 30, 30, 30) at the equilibrium in
    # whole shares: it is the one in fractional shares too.
    trades = fractional.fractional_equilibrium(1.5, [10, 10], 5, -5, 5)
    np.testing.assert_allclose(trades, [[5, 5, 0, 0, 0]] * 2, atol=1e-9)
    gradient = fractional.own_gradient(np.array([[5.0, 5, 0, 0, 0]] * 2), 1.5)
    np.testing.assert_allclose(gradient, [[22.5, 30, 30, 30, 30]] * 2)


def test_the_game_is_strictly_monotone():
    rng = np.random.default_rng(8)
    for kappa in (0.0, 1.0, 1.9, 2.0):
        first, second = rng.normal(size=(2, 3, 6))
        second += (first - second).mean(axis=1, keepdims=True)
        change = first - second
        moved = fractional.own_gradient(first, kappa) - fractional.own_gradient(
            second, kappa
        )
        squares = np.sum(change**2) + np.sum(change.sum(axis=0) ** 2)
        expected = (1 - kappa / 2) * squares
        np.testing.assert_allclose(np.sum(moved * change), expected, atol=1e-12)


def test_own_gradient_is_the_derivative_of_the_cost():
    rng = np.random.default_rng(9)
    trades, others = rng.normal(size=(2, 5))
    gradient = fractional.own_gradient(np.array([trades, others]), 1.4)[0]
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
        nearest = fractional.project(point, target, low, high)
        assert nearest.sum() == pytest.approx(target, abs=1e-12)
        assert np.all((nearest >= low) & (nearest <= high))
        angles = (vertices - nearest) @ (point - nearest)  # none is acute
        assert angles.max() <= 1e-10
        # g a + w a^2 is w |a + g/2w|^2 up to a constant: the same problem
        weight = rng.uniform(0.1, 2)
        linear = -2 * weight * point
        trades, least = fractional.fractional_response_bound(
            linear, weight, target, low, high
        )
        np.testing.assert_allclose(trades, nearest, atol=1e-12)
        value = linear @ nearest + weight * nearest @ nearest
        assert least == pytest.approx(value, abs=1e-10)


def test_fractional_deviations_gain_at_least_as_much():
    rng = np.random.default_rng(11)
    schedules = eq.enumerate_schedules(4, 3, -2, 3)
    for kappa in (0.0, 0.7, 1.9):
        profile = schedules[rng.integers(len(schedules), size=3)]
        whole = eq.pure_gap(profile, kappa, [3, 3, 3], -2, 3)
        gap = fractional.fractional_gap(profile, kappa, [3, 3, 3], -2, 3)
        assert np.all(gap >= whole - 1e-12)


def test_fractional_games_that_are_rejected():
    with pytest.raises(ValueError, match="kappa < 2"):
        fractional.fractional_equilibrium(2.0, [1, 1], 3, -1, 1)
    with pytest.raises(ValueError, match="reach"):
        fractional.fractional_equilibrium(1.0, [1, 4], 3, -1, 1)
    with pytest.raises(ValueError, match="finite"):
        fractional.fractional_equilibrium(1.0, [1, 1], 3, -np.inf, 1)
    with pytest.raises(ValueError, match="exceeds"):
        fractional.fractional_equilibrium(1.0, [1, 1], 2, [0, 3], [3, 2])
    with pytest.raises(RuntimeError, match="within 3 iterations"):
        fractional.fractional_equilibrium(1.9, [3, 1], 5, -5, 5, max_iterations=3)
