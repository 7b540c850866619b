"""Equilibria under transient impact against dense systems and limits of fine grids."""

import jax
import numpy as np
import pytest

import gtrade
from gtrade.problems.base import replace_fields
from gtrade.solution import status_names
from tests.references import transient_impact as reference

TARGETS = [2.0, -0.5, 1.0]


def make(targets, decay=1.0, temporary_cost=0.5, kernel="exponential"):
    return gtrade.TransientImpact(
        targets=targets, decay=decay, temporary_cost=temporary_cost, kernel=kernel
    )


def solve(game, num_points):
    solution = gtrade.solve(game, gtrade.TransientLinearSystem(num_points=num_points))
    assert str(status_names(solution.status)) == "converged"
    return solution


def profiles(num_firms, num_points, **numbers):
    value = solve(make([1.0] * num_firms, **numbers), num_points).value
    return np.array(value.common), np.array(value.deviation)


@pytest.mark.parametrize("kernel", ["exponential", "power-law"])
@pytest.mark.parametrize("theta", [0.0, 0.1, 0.7])
def test_agrees_with_one_system_of_all_firms(in_float64, kernel, theta):
    game = make(TARGETS, 1.3, theta, kernel)
    solution = solve(game, 9)
    wanted = reference.equilibrium(TARGETS, 9, 1.3, theta, kernel)
    np.testing.assert_allclose(solution.value.trades, wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(solution.value.common.sum(), 1, rtol=1e-13)
    np.testing.assert_allclose(solution.value.deviation.sum(), 1, rtol=1e-13)
    assert solution.residual <= 1e-13


@pytest.mark.parametrize("rho", [0.5, 1.0, 4.0])
def test_one_firm_trades_blocks_at_both_ends(in_float64, rho):
    """Obizhaeva and Wang: blocks 1 / (2 + rho), an even rate between them."""
    trades, _ = profiles(1, 65, decay=rho, temporary_cost=0.0)
    fade = np.exp(-rho / 64)
    np.testing.assert_allclose(trades[0], 1 / (2 + 63 * (1 - fade)), rtol=1e-11)
    np.testing.assert_allclose(trades[-1], trades[0], rtol=1e-11)
    np.testing.assert_allclose(np.ptp(trades[1:-1]), 0, atol=1e-12)
    finer, _ = profiles(1, 257, decay=rho, temporary_cost=0.0)
    error = np.abs(np.array([trades[0], finer[0]]) - 1 / (2 + rho))
    assert error[1] < error[0] / 3.5
    assert error[1] < 0.02 * rho**2 / (2 + rho) ** 2


@pytest.mark.parametrize("theta", [0.2, 1.0])
@pytest.mark.parametrize(
    ("firms", "block"),
    [
        (2, 0.385535),
        pytest.param(3, 0.421851, marks=pytest.mark.slow),
        pytest.param(5, 0.453479, marks=pytest.mark.slow),
    ],
)
def test_common_trades_approach_their_limit(in_float64, firms, block, theta):
    wanted, position = reference.common_limit(firms, 1.0)
    np.testing.assert_allclose(wanted, block, atol=5e-7)
    np.testing.assert_allclose(position(1.0), 1, rtol=1e-12)  # no final block
    times = np.array([0.25, 0.5, 0.75])
    errors = []
    for num_cells in (128, 256):
        trades, _ = profiles(firms, num_cells + 1, temporary_cost=theta)
        held = np.cumsum(trades) - trades / 2
        errors.append(held[(times * num_cells).astype(int)] - position(times))
    errors = np.array(errors)
    # First order in the spacing: halving it halves the error, and what is left after
    # extrapolation is of the second order.
    assert (np.abs(errors[1]) <= 0.6 * np.abs(errors[0]) + 1e-6).all()
    assert np.abs(errors[1]).max() < 1e-2
    assert np.abs(2 * errors[1] - errors[0]).max() < 2.4e-4


@pytest.mark.parametrize("rho", [1.0, 3.0])
def test_differences_approach_their_limit(in_float64, rho):
    block, position = reference.difference_limit(rho)
    times = np.array([0.25, 0.5, 0.75])
    held = []
    for num_cells in (128, 256):
        _, trades = profiles(2, num_cells + 1, decay=rho)
        held.append(np.cumsum(trades)[(times * num_cells).astype(int)])
    np.testing.assert_allclose(2 * held[1] - held[0], position(times), atol=4e-4 * rho)
    # The last block, spread over a few trades.
    last = 1 - np.cumsum(trades)[-60] - rho / (1 + rho) * 59 / 256
    np.testing.assert_allclose(last, block, atol=8e-3 * rho)


@pytest.mark.slow
@pytest.mark.parametrize("firms", [2, 3, 5])
@pytest.mark.parametrize("theta", [0.3, 2.0])
def test_cost_burnt_at_the_blocks(in_float64, firms, theta):
    """(N - 1) / 4 of the first block squared, 1 / 4 of the last, whatever theta is."""
    common, deviation = profiles(firms, 1025, temporary_cost=theta)
    first, _ = reference.common_limit(firms, 1.0)
    last, _ = reference.difference_limit(1.0)
    burnt = theta * (common**2).sum() / first**2
    np.testing.assert_allclose(burnt, (firms - 1) / 4, rtol=0.05)
    burnt = theta * (deviation**2).sum() / last**2
    np.testing.assert_allclose(burnt, 1 / 4, rtol=0.05)


@pytest.mark.parametrize("firms", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_trades_alternate_below_the_critical_cost(in_float64, firms):
    critical = (firms - 1) / 4
    common, _ = profiles(firms, 65, temporary_cost=0.9 * critical)
    assert common[0] > 0 > common[1]
    common, _ = profiles(firms, 65, temporary_cost=critical)
    assert (common > 0).all()
    _, deviation = profiles(firms, 65, temporary_cost=0.9 / 4)
    assert deviation[-1] > 0 > deviation[-2]
    _, deviation = profiles(firms, 65, temporary_cost=1 / 4)
    assert (deviation > 0).all()


def test_without_temporary_cost_finer_grids_only_oscillate_faster(in_float64):
    trades = [profiles(2, n, temporary_cost=0.0)[0] for n in (65, 129, 257)]
    for x in trades:
        assert (x[:20:2] > 0).all()
        assert (x[1:20:2] < 0).all()
    # The first trade does not shrink and is no block: the second takes it back.
    assert all(x[0] > 0.7 for x in trades)
    assert all(x[0] + x[1] < 0.1 for x in trades)


def test_relabelling_and_scaling(in_float64):
    base = np.array(solve(make(TARGETS), 9).value.trades)
    turned = np.array(solve(make(TARGETS[::-1]), 9).value.trades)
    np.testing.assert_allclose(turned, base[::-1], atol=1e-14)
    scaled = np.array(solve(make([-3 * v for v in TARGETS]), 9).value.trades)
    np.testing.assert_allclose(scaled, -3 * base, rtol=1e-12)


def test_a_batch_is_its_games_whatever_the_neighbours(x64):
    decays = np.array([0.5, np.nan, 2.0, -1.0])
    games = gtrade.make_batch(
        gtrade.TransientImpact,
        targets=TARGETS,
        decay=np.array([0.5, 1.0, 2.0, 1.0]),
        temporary_cost=0.3,
    )
    games = replace_fields(games, decay=jax.numpy.asarray(decays, games.decay.dtype))
    solver = gtrade.TransientLinearSystem(num_points=65)
    many = gtrade.solve_batch(games, solver)
    names = status_names(many.status).tolist()
    assert names == ["converged", "invalid_input"] * 2
    assert np.isnan(many.value.trades[1::2]).all()
    for i in (0, 2):
        one = gtrade.solve(make(TARGETS, decays[i], 0.3), solver)
        np.testing.assert_allclose(
            many.value.trades[i], one.value.trades, atol=1e-12 if x64 else 1e-5
        )


def test_single_precision_is_close():
    with jax.enable_x64(True):
        wanted = np.array(solve(make(TARGETS), 65).value.trades)
    narrow = solve(make(TARGETS), 65)
    assert narrow.value.trades.dtype == np.float32
    np.testing.assert_allclose(narrow.value.trades, wanted, atol=1e-5)


def test_refusals():
    with pytest.raises(ValueError, match="num_points must be at least 2; got 1"):
        gtrade.TransientLinearSystem(num_points=1)
