"""Certificates of position building against references and deliberate damage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.position_paths import PositionPaths, piecewise_linear
from gtrade.solution import Solution, Status
from tests.references import position_grid as grid
from tests.solvers import position_games as costs
from tests.solvers.position_games import (
    beliefs,
    best_lines,
    descent_gains,
    line_costs,
    random_numbers,
    two_by_two,
)


def random_paths(rng, targets, num_points=33):
    inner = rng.normal(size=(len(targets), num_points - 2)) / 8
    line = np.asarray(targets)[:, None] * np.linspace(0, 1, num_points)
    return jnp.asarray(line + np.pad(inner, [(0, 0), (1, 1)]))


def as_solution(paths):
    return Solution(paths, Status.converged, jnp.zeros(()), jnp.zeros((), jnp.int32))


def test_costs_along_lines_match_the_reference(in_float64):
    numbers = random_numbers(31, (2, 3))
    game = gtrade.PositionBuilding(**numbers)
    rng = np.random.default_rng(0)
    schedules = random_paths(rng, numbers["targets"])
    found = costs.costs_along_lines(game, schedules, schedules)
    others = beliefs(numbers) @ np.asarray(schedules)
    expected = [
        grid.piecewise_linear_cost([own, other], kappa, 0)
        for own, other, kappa in zip(
            np.asarray(schedules), others, numbers["permanent_impacts"], strict=True
        )
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    # The same integrals at the quadrature nodes of the paths.
    paths = piecewise_linear(schedules)
    np.testing.assert_allclose(costs.expected_costs(game, paths), found, rtol=1e-12)


def test_line_quadratic_is_the_cost(in_float64):
    numbers = random_numbers(32, (2, 2), flow_degree=2)
    game = gtrade.PositionBuilding(**numbers, risk_aversions=[2.0, 0.3])
    schedules = random_paths(np.random.default_rng(1), numbers["targets"])

    def total(own):
        return costs.costs_along_lines(game, own, schedules).sum()

    quadratic = line_costs(game, schedules)
    np.testing.assert_allclose(
        quadratic.gradient, jax.jit(jax.grad(total))(schedules)[:, 1:-1], atol=1e-10
    )
    hessian = jax.jit(jax.hessian(total))(schedules)[0, 1:-1, 0, 1:-1] / 2
    np.testing.assert_allclose(np.diag(hessian), quadratic.diagonal[0], rtol=1e-10)
    np.testing.assert_allclose(
        np.diag(hessian, 1), quadratic.off_diagonal[0], rtol=1e-10
    )


def test_gaps_are_what_best_responses_save(in_float64):
    numbers = random_numbers(33, (2, 2), flow_degree=2)
    game = gtrade.PositionBuilding(**numbers, risk_aversions=[2.0, 0.3])
    schedules = random_paths(np.random.default_rng(2), numbers["targets"])
    better = best_lines(game, schedules)
    saved = costs.costs_along_lines(game, schedules, schedules)
    saved = saved - costs.costs_along_lines(game, better, schedules)
    np.testing.assert_allclose(costs.line_gaps(game, schedules), saved, rtol=1e-9)
    for step in (1e-3, -1e-3):  # nothing next to a best response is better
        moved = better + step * jnp.sin(jnp.linspace(0, jnp.pi, 33))[None]
        change = costs.costs_along_lines(game, moved, schedules)
        change = change - costs.costs_along_lines(game, better, schedules)
        assert (change > 0).all()


def test_gradient_descent_finds_the_same_gaps(in_float64):
    numbers = random_numbers(33, (2, 2), flow_degree=2)
    game = gtrade.PositionBuilding(**numbers, risk_aversions=[2.0, 0.3])
    schedules = random_paths(np.random.default_rng(2), numbers["targets"])
    np.testing.assert_allclose(
        descent_gains(game, schedules), costs.line_gaps(game, schedules), rtol=1e-6
    )
    found = gtrade.solve(game, gtrade.Constrained(num_points=33))
    assert abs(gtrade.verify(game, found)["descent_gain"]) <= 1e-9
    game = gtrade.PositionBuilding(**numbers, risk_aversions=[300.0, 40.0])
    np.testing.assert_allclose(
        descent_gains(game, schedules), costs.line_gaps(game, schedules), rtol=1e-6
    )


@pytest.mark.slow
def test_continuous_gap_is_the_limit_of_discretised_ones(in_float64):
    # Paths of the wrong kappa, known exactly: gaps on ever finer lines.
    numbers = random_numbers(34, (2, 2))
    wrong = numbers | {"permanent_impacts": numbers["permanent_impacts"] * 1.7}
    game = gtrade.PositionBuilding(**numbers)
    found = []
    for num_points in (65, 129, 257):
        solver = gtrade.Spectral(num_points=num_points)
        paths = gtrade.solve(gtrade.PositionBuilding(**wrong), solver).value
        found.append(np.asarray(costs.line_gaps(game, paths.schedules)))
    exact = np.asarray(costs.continuous_gaps(game, paths))
    extrapolated = found[2] + (found[2] - found[1]) / 3
    np.testing.assert_allclose(extrapolated, exact, rtol=5e-6)
    assert exact.max() > 1e-3


def test_euler_lagrange_residual_sees_the_wrong_game(in_float64):
    game = two_by_two()
    paths = gtrade.solve(game, gtrade.Spectral()).value
    assert costs.euler_lagrange_residual(game, paths).max() <= 1e-11
    other = two_by_two(permanent_impacts=[1.0, 3.0, 2.0, 14.9])
    residual = costs.euler_lagrange_residual(other, paths)
    assert residual[3] > 0.1
    assert residual[:3].max() <= 1e-11  # the others' paths are what they were


def test_damaged_paths_are_noticed(in_float64):
    game = two_by_two()
    good = gtrade.solve(game, gtrade.Spectral()).value

    def damaged(**values):
        fields = {
            name: getattr(good, name)
            for name in ("schedules", "positions", "rates", "initial_rates", "rule")
        }
        return gtrade.verify(game, as_solution(PositionPaths(**(fields | values))))

    assert damaged()["violation"] <= 1e-9
    wrong = damaged(rates=good.rates * 1.001)
    assert wrong["violation"] > 1e-3
    assert wrong["exploitability"] == np.inf
    assert damaged(initial_rates=2 * good.initial_rates)["violation"] > 0.5
    late = damaged(schedules=good.schedules.at[0, 30].add(0.01))
    assert late["violation"] > 9e-3
    assert late["discretised_gap"] > 1e-3
    short = damaged(positions=good.positions * 0.999, rates=good.rates * 0.999,
                    schedules=good.schedules * 0.999)  # fmt: skip
    assert short["violation"] > 4e-3


@pytest.mark.slow
def test_sampled_paths_are_nearly_an_equilibrium_of_the_discrete_game(in_float64):
    # Fourth order in the number of steps (section 6 of the mathematics).
    game = two_by_two()
    solution = gtrade.solve(game, gtrade.Spectral(num_points=161))
    gaps = []
    for every in (8, 4, 2, 1):
        sampled = solution.value.schedules[:, ::every]
        gaps.append(costs.line_gaps(game, sampled).max())
    np.testing.assert_allclose(gaps, [2.0e-4, 1.3e-5, 7.9e-7, 5.0e-8], rtol=0.05)
    row = gtrade.verify(game, solution)
    np.testing.assert_allclose(row["discretised_gap"], gaps[-1], rtol=1e-6)


@pytest.mark.slow
def test_single_precision_answers_are_verified_in_double(in_float64):
    with jax.enable_x64(False):
        game = two_by_two()
        solution = gtrade.solve(game, gtrade.Spectral())
        row = gtrade.verify(game, solution)
    assert row["exploitability"].dtype == np.float64
    assert row["exploitability"] <= 1e-6 * np.abs(row["expected_costs"]).max()


@pytest.mark.slow
def test_firms_are_compared_with_a_planner_like_them(in_float64):
    alone = gtrade.PositionBuilding([2.0], [3.0])
    row = gtrade.verify(alone, gtrade.solve(alone, gtrade.Spectral()))
    np.testing.assert_allclose(row["price_of_anarchy"], 1, rtol=1e-12)
    for changes in ({"risk_aversions": [20.0]}, {"non_strategic": [[0.0, 5.0]]}):
        game = gtrade.PositionBuilding([2.0], [3.0], **changes)
        row = gtrade.verify(game, gtrade.solve(game, gtrade.MatrixExponential()))
        assert np.isnan(row["price_of_anarchy"]).all()
        np.testing.assert_allclose(row["planner_costs"], 18.0)


@pytest.mark.slow
def test_more_realised_costs_than_a_row_holds_are_left_out(in_float64):
    numbers = {"num_types": (2,) * 13, "prior": np.full((2,) * 13, 2.0**-13)}
    game = gtrade.PositionBuilding(
        np.ones(26), np.ones(26), evaluation_impacts=[1.0, 2.0], **numbers
    )
    row = gtrade.verify(game, gtrade.solve(game, gtrade.Spectral()))
    assert row["realised_costs"].shape == (2, 0, 13)
    np.testing.assert_allclose(row["welfare"][0], row["expected_costs"].sum() / 2)
