"""Position building with bounds, against an independent solver of the same program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.numerics.block_tridiagonal import BlockTridiagonal
from gtrade.problems.base import replace_fields
from gtrade.problems.position_paths import piecewise_linear
from gtrade.solution import Solution, status_names
from gtrade.solvers.block_pivoting import solve_box_lcp
from tests.references import position_grid as grid
from tests.solvers.position_games import beliefs, random_numbers

RATIOS, KAPPAS = (1.0, 5.0, 10.0, 20.0), (0.1, 0.5, 10.0, 50.0)


def two_firms(ratios, kappas, low, high):
    """Return games of a firm with bounds and a target of 1, and one without."""
    num = len(ratios)
    sides = {}
    for name, bound, absent in (("lower", low, -np.inf), ("upper", high, np.inf)):
        sides[name] = np.zeros((num, 2, 2))
        sides[name][:, :, 0] = absent
        sides[name][:, 0, 0] = bound
    return gtrade.make_batch(
        gtrade.PositionBuilding,
        permanent_impacts=np.repeat(kappas, 2).reshape(num, 2),
        targets=np.stack([np.ones(num), ratios], axis=1),
        **sides,
    )


@pytest.mark.parametrize(
    ("low", "high"), [(-0.6, np.inf), (-0.2, np.inf), (0.0, np.inf), (-np.inf, 1.0)]
)
def test_short_sale_and_overbuying_limits(in_float64, low, high):
    ratios, kappas = (x.ravel() for x in np.meshgrid(RATIOS, KAPPAS))
    games = two_firms(ratios, kappas, low, high)
    solution = gtrade.solve_batch(games, gtrade.Constrained())
    assert (status_names(solution.status) == "converged").all()
    rows = gtrade.verify(games, solution)
    scale = np.abs(rows["expected_costs"]).max(axis=1)
    assert (rows["exploitability"] <= 1e-10 * scale).all()
    assert (rows["violation"] <= 1e-11).all()
    schedules = np.asarray(solution.value.schedules)
    assert schedules[:, 0].min() >= low
    assert schedules[:, 0].max() <= high
    bound = np.array([[low], [-np.inf]]), np.array([[high], [np.inf]])
    for case in (0, 5, 10, 15):
        expected = grid.constrained_equilibrium(
            [[0, 1], [1, 0]], kappas[case], [1.0, ratios[case]], *bound, 64
        )
        np.testing.assert_allclose(schedules[case], expected, atol=1e-7)


@pytest.mark.slow
def test_bounds_that_do_not_bind_change_nothing(in_float64):
    games = two_firms(np.ones(1), np.ones(1), -50.0, 50.0)
    free = gtrade.PositionBuilding([1.0, 1.0], [1.0, 1.0])
    found = gtrade.solve_batch(games, gtrade.Constrained()).value.schedules[0]
    expected = gtrade.solve(free, gtrade.Constrained()).value.schedules
    np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("width", [0.02, 0.3])
def test_channels_and_types(in_float64, width):
    numbers = random_numbers(21, (2, 2))
    numbers["permanent_impacts"] = np.full(4, 9.0)
    numbers["targets"] = np.repeat(numbers["targets"][::2], 2)
    ends = numbers["targets"][::2]
    game = gtrade.PositionBuilding(
        **numbers,
        lower=np.stack([np.full(2, -width), ends], axis=1),
        upper=np.stack([np.full(2, width), ends], axis=1),
    )
    solution = gtrade.solve(game, gtrade.Constrained())
    assert status_names(solution.status) == "converged"
    line = np.repeat(ends, 2)[:, None] * np.linspace(0, 1, 65)
    schedules = np.asarray(solution.value.schedules)
    assert np.abs(schedules - line).max() <= width + 1e-12
    row = gtrade.verify(game, solution)
    assert row["exploitability"] <= 1e-11
    expected = grid.constrained_equilibrium(
        beliefs(numbers), 9.0, numbers["targets"],
        line[:, 1:-1] - width, line[:, 1:-1] + width, 64,
    )  # fmt: skip
    np.testing.assert_allclose(schedules, expected, atol=1e-7)


@pytest.mark.slow
def test_verification_does_not_believe_in_what_bounds_forbid(in_float64):
    games = two_firms(np.array([20.0]), np.array([10.0]), -np.inf, 1.0)
    free = gtrade.PositionBuilding([10.0, 10.0], [1.0, 20.0])
    solution = gtrade.solve_batch(games, gtrade.Constrained())
    unbounded = gtrade.solve(free, gtrade.Constrained())
    # The unbounded equilibrium buys more than its target first.
    row = gtrade.verify(free, unbounded)
    assert row["exploitability"] <= 1e-10
    assert np.asarray(unbounded.value.schedules)[0].max() > 5
    # The same paths in the bounded game: the breach is what is said.
    row = gtrade.verify(games, jax.tree.map(lambda x: jnp.asarray(x)[None], unbounded))
    assert row["violation"][0] > 1
    # And a path that leans on the bound where it should not can save.
    schedules = solution.value.schedules.at[:, 0, 20:40].set(0.0)
    paths = piecewise_linear(schedules[0])
    paths = jax.tree.map(lambda x: x[None], paths)
    moved = Solution(paths, solution.status, solution.residual, solution.num_steps)
    assert gtrade.verify(games, moved)["exploitability"][0] > 1e-3


def test_step_limit_is_reported(in_float64):
    games = two_firms(np.array([20.0]), np.array([10.0]), -np.inf, 1.0)
    solution = gtrade.solve_batch(games, gtrade.Constrained(max_steps=1))
    assert status_names(solution.status)[0] == "max_steps_reached"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_block_pivoting_solves_random_monotone_problems(in_float64, seed):
    rng = np.random.default_rng(seed)
    size = 30
    half = rng.normal(size=(size, size)) / np.sqrt(size)
    matrix = half @ half.T + 3 * (half - half.T) + 0.05 * np.eye(size)
    constant = 3 * rng.normal(size=size)
    lower, upper = -rng.exponential(size=size), rng.exponential(size=size)
    lower[::4], upper[1::4] = -np.inf, np.inf
    one_block = BlockTridiagonal(0 * matrix, matrix, 0 * matrix)
    row = (x[None] for x in (constant, lower, upper))
    found = solve_box_lcp(one_block, *row, max_steps=2000)
    point = np.asarray(found.point)[0]
    assert found.residual <= 1e-11
    force = matrix @ point + constant
    assert (point >= lower).all()
    assert (point <= upper).all()
    assert np.abs(force[(point > lower) & (point < upper)]).max(initial=0) <= 1e-10
    assert (force[point == lower] >= -1e-10).all()
    assert (force[point == upper] <= 1e-10).all()


def test_lanes_of_a_batch_are_their_games_whatever_waits(in_float64):
    """More games than a CPU solves at once, some of them quick and some slow."""
    ratios, kappas = (x.ravel() for x in np.meshgrid(RATIOS, KAPPAS + (2.0, 5.0)))
    games = two_firms(ratios, kappas, -np.inf, 1.0)
    solver = gtrade.Constrained(num_points=17)
    many = gtrade.solve_batch(games, solver)
    assert many.num_steps.min() == 1
    assert many.num_steps.max() > 4
    for case in (0, 7, 14, 23):
        one = gtrade.solve(jax.tree.map(lambda x, i=case: x[i], games), solver)
        assert many.num_steps[case] == one.num_steps
        np.testing.assert_allclose(
            many.value.schedules[case], one.value.schedules, atol=1e-12
        )


def test_derivatives_of_bounded_equilibria(in_float64):
    """Forwards and backwards, against differences, while places stay on their sides."""
    game = gtrade.PositionBuilding(
        [10.0, 10.0], [1.0, 20.0], upper=np.array([[1.0], [np.inf]])
    )
    solver = gtrade.Constrained(num_points=17)

    def position(numbers):
        changed = replace_fields(
            game,
            targets=game.targets.at[1].set(numbers[0]),
            permanent_impacts=game.permanent_impacts.at[0].set(numbers[1]),
            upper=game.upper.at[0, 0].add(numbers[2]),
        )
        return solver.solve(changed).value.schedules[:, 5].sum()

    numbers = jnp.asarray([20.0, 10.0, 0.0])
    steps = 1e-5 * jnp.eye(3)
    value = jax.jit(position)
    rises = [(value(numbers + h) - value(numbers - h)) / 2e-5 for h in steps]
    for derivative in (jax.grad, jax.jacfwd):
        found = jax.jit(derivative(position))(numbers)
        np.testing.assert_allclose(found, rises, rtol=1e-6, atol=1e-8)
