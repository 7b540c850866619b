"""Tests of the reference equilibria: two ways to one answer, theorems, responses."""

import numpy as np
import pytest
from scipy.integrate import solve_bvp
from scipy.optimize import brentq

from . import position_building as pb
from . import position_costs as pc

TIMES = np.linspace(0.0, 1.0, 21)
P = pb.conditionals(pc.PRIOR)
PAIR = pb.complete_information(2)


def test_conditionals_of_the_example():
    np.testing.assert_allclose(P[0], [0, 0, 2 / 3, 1 / 3])
    np.testing.assert_allclose(P[2], [0.4 / 0.55, 0.15 / 0.55, 0, 0])
    np.testing.assert_allclose(np.round(P[[0, 2], [2, 0]], 2), [0.67, 0.73])
    np.testing.assert_allclose(pb.marginals(pc.PRIOR), [0.6, 0.4, 0.55, 0.45])


def test_conditionals_of_three_firms_by_enumeration():
    prior, _, _ = pb.random_game(np.random.default_rng(0), (2, 3, 2))
    matrix = pb.conditionals(prior)
    assert matrix.shape == (7, 7)
    # p(firm 1 is 2 | firm 2 is 0), and the other way round.
    np.testing.assert_allclose(
        matrix[5, 4], sum(prior[k, 2, 0] for k in range(2)) / prior[:, :, 0].sum()
    )
    np.testing.assert_allclose(
        matrix[4, 5], sum(prior[k, 2, 0] for k in range(2)) / prior[:, 2].sum()
    )
    np.testing.assert_allclose(matrix.sum(axis=1), 2)
    weights = np.diag(pb.marginals(prior))
    np.testing.assert_allclose(weights @ matrix, (weights @ matrix).T)


@pytest.mark.parametrize("shape", [(2, 2), (1, 3), (2, 1, 2)])
def test_two_methods_agree(shape):
    rng = np.random.default_rng(1)
    prior, kappa, targets = pb.random_game(rng, shape)
    kappa = np.minimum(kappa, 8.0)
    arguments = pb.conditionals(prior), kappa, targets, TIMES
    options = {
        "flows": rng.normal(size=(sum(shape), 4)),
        "risk_aversion": rng.uniform(0.0, 3.0, sum(shape)),
    }
    first = pb.boundary_value_paths(*arguments, **options)
    second = pb.expm_paths(*arguments, **options)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_a_third_method_agrees():
    risk = np.array([0.5, 0.0, 2.0, 1.0])
    flows = np.zeros((4, 3))
    flows[2] = [1.0, 5.0, -2.0]
    A, B = 2 * np.eye(4) + P, pc.IMPACTS[:, None] * P

    def slope(t, state):
        z, v = np.split(state, 2)
        forcing = np.outer(pc.IMPACTS, np.ones_like(t))
        forcing *= flows[:, [1]] + 2 * flows[:, [2]] * t
        forcing += 2 * flows[:, [2]]
        return np.vstack(
            [v, np.linalg.solve(A, 2 * risk[:, None] * z - B @ v - forcing)]
        )

    def ends(left, right):
        return np.concatenate([left[:4], right[:4] - pc.TARGETS])

    start = np.vstack([np.outer(pc.TARGETS, TIMES), np.outer(pc.TARGETS, np.ones(21))])
    peer = solve_bvp(slope, ends, TIMES, start, tol=1e-8, max_nodes=20_000)
    assert peer.success
    z, v = pb.boundary_value_paths(
        P, pc.IMPACTS, pc.TARGETS, TIMES, flows=flows, risk_aversion=risk
    )
    np.testing.assert_allclose(peer.sol(TIMES)[:4], z, atol=1e-7)
    np.testing.assert_allclose(peer.sol(TIMES)[4:], v, atol=1e-5)


# ------------------------------------------------------------------ spectral theorem


def spectral_modes(prior, kappa):
    """Return the eigenvalues of M and T with its inverse, for a common prior."""
    matrix, d = pb.conditionals(prior), pb.marginals(prior)
    A = 2 * np.eye(len(d)) + matrix
    left, right = np.sqrt(d * kappa), np.sqrt(kappa / d)
    H = left[:, None] * matrix @ np.linalg.inv(A) * right
    np.testing.assert_allclose(H, H.T, atol=1e-11 * np.max(kappa))
    modes, U = np.linalg.eigh((H + H.T) / 2)
    return modes, np.linalg.solve(A, right[:, None] * U), U.T * np.sqrt(d / kappa) @ A


def spectral_positions(prior, kappa, targets, slopes, t):
    """Evaluate the mode formula for flows `slopes` t; shape (S, M)."""
    modes, T, inverse = spectral_modes(prior, kappa)
    U = np.linalg.solve(2 * np.eye(len(T)) + pb.conditionals(prior), kappa * slopes)
    positions = np.zeros((len(T), len(t)))
    for mode, column, target, flow in zip(
        modes, T.T, inverse @ targets, inverse @ U, strict=True
    ):
        f = pb.growth(-mode, t)[0] if abs(mode) > 1e-7 else t + mode * t * (1 - t) / 2
        q = (f - t) / mode if abs(mode) > 1e-7 else t * (1 - t) / 2
        positions += np.outer(column, f * target + q * flow)
    return positions


@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (2, 2, 2)])
def test_spectral_theorem(shape):
    rng = np.random.default_rng(2)
    for _ in range(20):
        prior, kappa, targets = pb.random_game(rng, shape)
        matrix = pb.conditionals(prior)
        A = 2 * np.eye(len(kappa)) + matrix
        own = np.linalg.eigvals(A)
        assert np.max(np.abs(own.imag)) < 1e-10
        assert 1 - 1e-10 < own.real.min()
        assert own.real.max() < len(shape) + 1 + 1e-10
        modes, T, inverse = spectral_modes(prior, kappa)
        np.testing.assert_allclose(T @ inverse, np.eye(len(T)), atol=1e-9)
        M = np.linalg.solve(A, kappa[:, None] * matrix)
        np.testing.assert_allclose(T * modes @ inverse, M, atol=1e-9)
        slopes = rng.normal(size=len(kappa))
        flows = np.column_stack([np.zeros(len(kappa)), slopes])
        expected, _ = pb.boundary_value_paths(matrix, kappa, targets, TIMES, flows)
        actual = spectral_positions(prior, kappa, targets, slopes, TIMES)
        np.testing.assert_allclose(actual, expected, atol=1e-9)


def test_zero_modes_are_the_rule_where_type_counts_differ():
    prior, kappa, _ = pb.random_game(np.random.default_rng(3), (3, 2))
    modes, _, _ = spectral_modes(prior, kappa)
    assert np.min(np.abs(modes)) < 1e-12


def test_large_impacts_defeat_only_the_exponentials():
    kappa = pc.IMPACTS * 2000 / 15
    expected = spectral_positions(pc.PRIOR, kappa, pc.TARGETS, np.zeros(4), TIMES)
    actual, _ = pb.boundary_value_paths(P, kappa, pc.TARGETS, TIMES)
    np.testing.assert_allclose(actual, expected, atol=1e-9)
    # The digits are gone long before: two firms, kappa = 30.
    exact, _ = pb.complete_information_path(30.0, [1.0, 3.0], TIMES)
    exponential, _ = pb.expm_paths(PAIR, 30.0, [1.0, 3.0], TIMES)
    assert 1e-6 < np.max(np.abs(exponential - exact)) < 1e-1
    with np.errstate(all="ignore"):
        beyond, _ = pb.expm_paths(PAIR, 2000.0, [1.0, 3.0], TIMES)
        silent, _ = pb.expm_paths(P, kappa, pc.TARGETS, TIMES)
    assert not np.all(np.isfinite(beyond))
    # Wrong even at the end point, with or without an overflow to warn of it.
    assert not np.allclose(silent[:, -1], pc.TARGETS, atol=0.1)


def test_spectra_without_a_common_prior_are_often_complex():
    rng = np.random.default_rng(4)

    def share(shape, draws=300):
        size, ends = sum(shape), np.cumsum(shape)
        count = 0
        for _ in range(draws):
            rows = rng.uniform(size=(size, size))
            for end, num in zip(ends, shape, strict=True):
                block = slice(end - num, end)
                rows[:, block] /= rows[:, block].sum(axis=1, keepdims=True)
                rows[block, block] = 0
            kappa = np.exp(rng.uniform(np.log(0.5), np.log(20.0), size))
            M = np.linalg.solve(2 * np.eye(size) + rows, kappa[:, None] * rows)
            count += np.max(np.abs(np.linalg.eigvals(M).imag)) > 1e-9
        return count / draws

    assert 0.4 < share((3, 2)) < 0.6
    assert 0.7 < share((2, 2, 2)) < 0.87


def test_rosen_thresholds():
    def least(ratio, num_firms):
        kappa = np.array([ratio] + [1.0] * (num_firms - 1))
        A = np.eye(num_firms) + 1.0
        return np.linalg.eigvalsh(A / kappa[:, None] + A / kappa)[0]

    for num_firms, expected in [(2, 13.93), (3, 9.90), (5, 7.87), (10, 6.74)]:
        found = brentq(least, 1.0, 100.0, args=(num_firms,))
        assert round(found, 2) == expected
    assert np.isclose(brentq(least, 1.0, 100.0, args=(2,)), 7 + 4 * np.sqrt(3))
    weighted = np.diag(pb.marginals(pc.PRIOR) / pc.IMPACTS) @ (2 * np.eye(4) + P)
    assert np.linalg.eigvalsh(weighted + weighted.T)[0] > 0


def response_factor(kappa, mode=1):
    return -0.5 * (1 + kappa / (2j * np.pi * mode))


@pytest.mark.parametrize("kappa", [0.5, 4.0, 12.0])
def test_best_responses_act_on_rate_modes(kappa):
    for mode in (1, 3):

        def others(t, mode=mode):
            return np.sin(2 * np.pi * mode * t)

        response = pb.best_response(kappa, 0.0, others, TIMES)
        # Rates are 2 pi n Re e^{2 pi i n t}; positions integrate them.
        frequency = 2j * np.pi * mode
        factor = response_factor(kappa, mode)
        expected = factor * 2 * np.pi * mode * np.expm1(frequency * TIMES) / frequency
        np.testing.assert_allclose(response, expected.real, atol=1e-12)
        radius = np.sqrt(0.25 + (kappa / (4 * np.pi * mode)) ** 2)
        assert np.isclose(abs(factor), radius)


def test_convergence_of_undamped_best_responses():
    critical = 2 * np.pi * np.sqrt(3)
    assert round(critical, 4) == 10.8828
    assert np.isclose(abs(response_factor(critical)), 1)

    def sequential(num_firms, kappa):
        strict = np.tril(np.ones((num_firms, num_firms)), -1)
        factor = response_factor(kappa)
        step = np.linalg.solve(np.eye(num_firms) - factor * strict, factor * strict.T)
        return np.max(np.abs(np.linalg.eigvals(step)))

    assert sequential(2, critical - 0.01) < 1 < sequential(2, critical + 0.01)
    assert sequential(3, 4.0) < 1
    assert sequential(5, 1.0) < 1
    assert sequential(5, 4.0) > 1
    assert 2 * abs(response_factor(1e-9)) >= 1  # three firms at once: never
