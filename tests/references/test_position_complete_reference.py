"""Tests of the reference closed forms under complete information."""

import numpy as np
import pytest

from . import position_building as pb
from . import position_costs as pc

TIMES = np.linspace(0.0, 1.0, 21)
P = pb.conditionals(pc.PRIOR)


def example_paths(times):
    return pb.boundary_value_paths(P, pc.IMPACTS, pc.TARGETS, times)


@pytest.mark.parametrize("kappa", [0.3, 4.0, 50.0])
@pytest.mark.parametrize("targets", [[1.0, 1.0], [1.0, 3.0], [2.0, -1.0, 0.5, 4.0]])
def test_complete_information_closed_form(kappa, targets):
    num_firms = len(targets)
    matrix = pb.complete_information(num_firms)
    for closed, solved in zip(
        pb.complete_information_path(kappa, targets, TIMES),
        pb.boundary_value_paths(matrix, kappa, targets, TIMES),
        strict=True,
    ):
        np.testing.assert_allclose(closed, solved, atol=2e-12 * max(kappa, 1.0))

    def paths(times):
        return pb.complete_information_path(kappa, targets, times)

    costs = pb.complete_information_costs(kappa, targets)
    np.testing.assert_allclose(pc.expected_costs(matrix, kappa, paths), costs)
    total = pb.complete_information_total(kappa, np.sum(targets), num_firms)
    np.testing.assert_allclose(np.sum(costs), total)
    np.testing.assert_allclose(
        pc.welfare(np.ones((1,) * num_firms), np.full(num_firms, kappa), paths), total
    )
    assert np.max(pc.deviation_gains(matrix, kappa, targets, paths)) < 1e-20 * kappa**2


def test_costs_depend_on_the_total_and_vanish_with_it():
    np.testing.assert_allclose(pb.complete_information_costs(3.0, [2.0, -2.0]), 0)
    splits = [[1.0, 5.0], [3.0, 3.0], [-2.0, 8.0]]
    totals = [np.sum(pb.complete_information_costs(7.0, split)) for split in splits]
    np.testing.assert_allclose(totals, totals[0])


def test_prices_of_anarchy():
    for num_firms, kappa, expected in [
        (2, 1.0, 1.006161),
        (2, 10.0, 1.131663),
        (2, 100.0, 1.307190),
        (5, 10.0, 1.390305),
    ]:
        assert round(pb.price_of_anarchy(kappa, num_firms), 6) == expected
    kappas = np.geomspace(0.01, 1e7, 40)
    for num_firms in (2, 3, 7):
        ratios = [pb.price_of_anarchy(kappa, num_firms) for kappa in kappas]
        assert np.all(np.diff(ratios) > 0)
        np.testing.assert_allclose(
            ratios[-1], 2 * num_firms / (num_firms + 1), rtol=1e-6
        )


def test_planner_is_a_lower_bound():
    prior, _, targets = pb.random_game(np.random.default_rng(5), (2, 2))
    matrix = pb.conditionals(prior)

    def straight(times):
        return np.outer(targets, times), np.outer(targets, np.ones_like(times))

    def paths(times):
        return pb.boundary_value_paths(matrix, 6.0, targets, times)

    best = pb.planner(prior, 6.0, targets)
    assert np.isclose(pc.welfare(prior, 6.0, straight), best)
    assert pc.welfare(prior, 6.0, paths) > best
    assert np.isclose(pb.planner(np.ones((1, 1)), 6.0, [1.0, 2.0]), 9 * 4)


def test_total_cost_is_unbounded_below_for_two_kappas():
    # Exchanging sin(pi t) between the firms leaves X alone and moves the total by
    # (kappa_1 - kappa_2) int X d sin(pi t), linear in the volume.
    def paths(volume):
        def at(t):
            swap, rate = np.sin(np.pi * t), np.pi * np.cos(np.pi * t)
            return np.stack([t + volume * swap, t - volume * swap]), np.stack(
                [1 + volume * rate, 1 - volume * rate]
            )

        return at

    totals = [pc.welfare(np.ones((1, 1)), [1.0, 2.0], paths(c)) for c in (0, -10, -20)]
    np.testing.assert_allclose(np.diff(totals), -10 * 4 / np.pi)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 5.0, 20.0])
def test_two_trader_form(ratio):
    for kappa in (0.1, 1.0, 10.0):
        closed, _ = pb.complete_information_path(kappa, [1.0, ratio], TIMES)
        np.testing.assert_allclose(
            pb.two_trader_form(kappa, ratio, TIMES), closed, atol=1e-13 * ratio
        )


def test_two_kappas_have_the_stated_modes():
    k1, k2 = 2.0, 7.0
    M = np.linalg.solve(
        np.eye(2) + 1, np.diag([k1, k2]) @ (np.ones((2, 2)) - np.eye(2))
    )
    # Modes of z'' + M z' = 0 are e^{-l t}, l an eigenvalue.
    roots = np.roots([1.0, (k1 + k2) / 3, -k1 * k2 / 3])
    np.testing.assert_allclose(np.sort(np.linalg.eigvals(M)), np.sort(roots))


def test_best_response_to_a_risk_neutral_trader():
    kappa, ratio, target = 3.0, 4.0, 2.0
    response = pb.best_response(kappa, target, lambda t: ratio * t, TIMES)
    expected = target * TIMES + kappa * ratio / 4 * TIMES * (1 - TIMES)
    np.testing.assert_allclose(response, expected, atol=1e-13)
    alone, _ = pb.boundary_value_paths(
        np.zeros((1, 1)), kappa, [target], TIMES, flows=[[0.0, ratio]]
    )
    np.testing.assert_allclose(alone[0], expected, atol=1e-13)


def test_equilibrium_is_a_fixed_point_of_best_responses():
    for row in range(4):
        response = pb.best_response(
            pc.IMPACTS[row],
            pc.TARGETS[row],
            lambda t, row=row: P[row] @ example_paths(t)[0],
            TIMES,
        )
        np.testing.assert_allclose(response, example_paths(TIMES)[0][row], atol=1e-12)
    assert np.max(pc.deviation_gains(P, pc.IMPACTS, pc.TARGETS, example_paths)) < 1e-24


def test_deviation_gains_are_differences_of_costs():
    def paths(t):
        x, dx = example_paths(t)
        x[1] += 0.3 * np.sin(np.pi * t)
        dx[1] += 0.3 * np.pi * np.cos(np.pi * t)
        return x, dx

    def answered(t):
        # Only the second type moved: its best response is the equilibrium path.
        x, dx = paths(t)
        x[1], dx[1] = (a[1] for a in example_paths(t))
        return x, dx

    gains = pc.deviation_gains(P, pc.IMPACTS, pc.TARGETS, paths)
    saved = pc.expected_costs(P, pc.IMPACTS, paths) - pc.expected_costs(
        P, pc.IMPACTS, answered
    )
    assert np.isclose(gains[1], saved[1])
    assert np.isclose(gains[1], 0.09 * np.pi**2 / 2)


def test_risk_averse_single_firm():
    risk = 0.7 * 1.3**2
    m = np.sqrt(risk)
    x, dx = pb.boundary_value_paths(
        np.zeros((1, 1)), 5.0, [2.0], TIMES, risk_aversion=risk
    )
    np.testing.assert_allclose(x[0], 2 * np.sinh(m * TIMES) / np.sinh(m), atol=1e-13)
    np.testing.assert_allclose(dx[0], 2 * m * np.cosh(m * TIMES) / np.sinh(m), 1e-12)
