"""Evidence about power-law position building against definitions."""

import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.power_law_position import SampledPaths
from gtrade.solution import Solution, Status
from tests.references import power_law as reference


def make(targets=(1.0, 1.0), permanent_impact=4.0, exponent=0.5, smoothing=0.0):
    return gtrade.PowerLawPosition(
        targets=list(targets),
        permanent_impact=permanent_impact,
        exponent=exponent,
        smoothing=smoothing,
    )


def answer(schedules, status=Status.converged):
    schedules = jnp.asarray(schedules)
    rates = jnp.ones_like(schedules)
    value = SampledPaths(schedules, rates)
    return Solution(value, status, jnp.zeros(()), jnp.zeros((), jnp.int32))


@pytest.mark.slow
def test_columns_follow_from_the_definition(in_float64):
    rates = np.array([[2.0, 0.1, 1.5, 0.4], [1.0, 0.6, 0.8, 1.6]])
    schedules = reference.profile(rates)
    game = make(exponent=0.8, permanent_impact=3.0)
    columns = gtrade.verify(game, answer(schedules))
    costs = [reference.cost(schedules, i, 3.0, 0.8) for i in range(2)]
    least = [
        reference.least_cost(schedules, i, 3.0, 0.8, num_starts=4) for i in range(2)
    ]
    np.testing.assert_allclose(columns["expected_costs"], costs, rtol=1e-12)
    np.testing.assert_allclose(columns["welfare"], sum(costs), rtol=1e-12)
    planned = 2**1.8 + 3 / 2 * 4
    np.testing.assert_allclose(columns["price_of_anarchy"], sum(costs) / planned)
    gain = np.subtract(costs, least).max()
    np.testing.assert_allclose(columns["gain_found"], gain, atol=1e-6)
    np.testing.assert_allclose(columns["exploitability"], gain, atol=1e-6)
    assert columns["path_exploitability"] > columns["exploitability"]
    assert columns["is_convex"]


@pytest.mark.slow
def test_equilibria_leave_nothing_to_gain(in_float64):
    """Proved on the grid; against all paths the gap falls with its square."""
    games = gtrade.make_batch(
        gtrade.PowerLawPosition,
        targets=[1.0, 1.0],
        permanent_impact=2.0,
        exponent=np.array([0.5, 0.8, 1.0, 1.5]),
    )
    arrays, gaps, sampled = ("schedules", "rates", "times"), [], []
    for num_points in (33, 65):
        solution = gtrade.solve_batch(
            games, gtrade.PowerLawNewton(num_points=num_points)
        )
        columns = gtrade.verify(games, solution, arrays=arrays)
        assert (np.abs(columns["exploitability"]) < 1e-12).all()
        assert (columns["gain_found"] < 1e-12).all()
        gaps.append(columns["path_exploitability"])
        exact = gtrade.solve_batch(games, gtrade.PowerLawClosedForm(num_points))
        columns = gtrade.verify(games, exact, arrays=arrays)
        sampled.append(columns["exploitability"])
        assert (columns["euler_lagrange_residual"] < 1e-13).all()
    assert (np.abs(gaps[0] / gaps[1] - 4) < 0.3).all()
    # Positions of the continuous equilibrium lose the fourth power of the spacing.
    assert (np.abs(sampled[0] / sampled[1] - 16) < 2).all()
    assert sampled[1].max() < 3e-8
    np.testing.assert_array_equal(columns["schedules"], exact.value.schedules)
    np.testing.assert_array_equal(columns["rates"], exact.value.rates)
    np.testing.assert_array_equal(columns["initial_rates"], exact.value.rates[..., 0])
    np.testing.assert_allclose(columns["times"], [np.linspace(0, 1, 65)] * 4)
    altered = SampledPaths(exact.value.schedules, exact.value.rates * 1.01)
    altered = Solution(altered, exact.status, exact.residual, exact.num_steps)
    columns = gtrade.verify(games, altered, arrays=arrays)
    assert (columns["euler_lagrange_residual"] > 1e-3).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("targets", "kappa", "p"),
    [([1.0, 2.0], 4.0, 0.5), ([1.0, -0.5], 4.0, 0.8), ([1.0, -0.5], 10.0, 1.5)],
)
def test_stationary_profiles_that_are_no_equilibria(in_float64, targets, kappa, p):
    """The only candidate loses to a deviation that can be named."""
    game = make(targets, kappa, p)
    for solver in (gtrade.PowerLawNewton(), gtrade.PowerLawClosedForm()):
        columns = gtrade.verify(game, gtrade.solve(game, solver))
        assert columns["gain_found"] > 0.01
        assert columns["gain_found"] <= columns["exploitability"] + 1e-12
        assert not columns["is_convex"]


def test_convex_around_a_path_is_not_enough(in_float64):
    """Without permanent impact: even trades, yet one firm gains by trading unevenly."""
    game = make([1.0, -0.5], 0.0, 0.5)
    solution = gtrade.solve(game, gtrade.PowerLawNewton())
    columns = gtrade.verify(game, solution)
    assert columns["is_convex"]
    assert columns["gain_found"] > 3e-3
    # With two rates in place of one, so that at times it is the other who pays.
    schedules = np.array(solution.value.schedules)
    now = reference.cost(schedules, 0, 0.0, 0.5)
    best = min(
        _cost_of_two_rates(schedules, num_slow, slow)
        for num_slow in range(2, 20, 2)
        for slow in np.linspace(0.3, 0.49, 20)
    )
    assert 2e-3 < now - best <= columns["exploitability"]
    assert now - best <= columns["gain_found"] + 5e-5


def _cost_of_two_rates(schedules, num_slow, slow):
    """Cost of firm 0 when it trades slowly in some cells and evenly in the others."""
    num_cells = schedules.shape[1] - 1
    rates = np.full(num_cells, slow)
    rest = num_cells * schedules[0, -1] - num_slow * slow
    rates[num_slow:] = rest / (num_cells - num_slow)
    moved = schedules.copy()
    moved[0] = np.append(0, rates.cumsum() / num_cells)
    return reference.cost(moved, 0, 0.0, 0.5)


@pytest.mark.slow
def test_answers_that_are_none(in_float64):
    good = np.linspace(0, 1, 5) * np.ones((2, 1))
    bad, late = good.copy(), good.copy()
    bad[0, -1], late[1, 0] = 1.1, 0.2
    for solution in (answer(bad), answer(late), answer(good, Status.nonfinite)):
        columns = gtrade.verify(make(), solution)
        assert np.isnan(columns["exploitability"])
        assert np.isnan(columns["expected_costs"]).all()
        assert not columns["is_convex"]
    stalled = gtrade.verify(make(), answer(good, Status.stalled))
    assert stalled["exploitability"] > 0.1


@pytest.mark.slow
def test_single_precision_answers_are_measured():
    game = make([1.0, 1.5], 1.0, 0.8)
    solution = gtrade.solve(game, gtrade.PowerLawNewton(num_points=9))
    assert solution.value.schedules.dtype == np.float32
    columns = gtrade.verify(game, solution)
    assert 0 <= columns["exploitability"] < 1e-8
    schedules = np.array(solution.value.schedules)
    costs = [reference.cost(schedules, i, 1.0, 0.8) for i in range(2)]
    np.testing.assert_allclose(columns["expected_costs"], costs, rtol=1e-6)
