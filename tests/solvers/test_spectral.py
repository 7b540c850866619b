"""The spectral solution against closed forms, collocation and published numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import gtrade
from gtrade.solution import status_names
from gtrade.solving import make_program
from tests.references import position_building as reference
from tests.references import position_costs as published
from tests.solvers import position_games as costs
from tests.solvers.position_games import beliefs, random_numbers, two_by_two

TIMES = np.linspace(0.0, 1.0, 65)


def solve(game, **options):
    solution = gtrade.solve(game, gtrade.Spectral(**options))
    assert status_names(solution.status) == "converged"
    return solution.value


@pytest.mark.slow
@pytest.mark.parametrize("kappa", [1e-6, 0.3, 4.0, 50.0, 2000.0])
@pytest.mark.parametrize("num_firms", [2, 5])
def test_complete_information_closed_form(in_float64, kappa, num_firms):
    targets = np.linspace(-1.0, 3.0, num_firms) ** 3 + 0.5
    game = gtrade.PositionBuilding([kappa] * num_firms, targets)
    paths = solve(game)
    path, rates = reference.complete_information_path(kappa, targets, TIMES)
    scale = np.abs(targets).max()
    np.testing.assert_allclose(paths.schedules, path, atol=1e-12 * scale)
    np.testing.assert_allclose(
        paths.initial_rates, rates[:, 0], atol=1e-12 * scale * (1 + kappa)
    )
    found = costs.expected_costs(game, paths)
    expected = reference.complete_information_costs(kappa, targets)
    # The closed form of the costs itself loses digits like 1 / kappa.
    rounding = (1e-12 + 1e-14 / kappa) * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=rounding)
    total = costs.total_costs(game, paths)
    np.testing.assert_allclose(
        total / costs.planner_costs(game),
        reference.price_of_anarchy(kappa, num_firms),
        rtol=1e-11,
    )


def test_two_trader_form(in_float64):
    for kappa, ratio in ((0.5, 5.0), (10.0, 0.3), (40.0, 20.0)):
        paths = solve(gtrade.PositionBuilding([kappa] * 2, [1.0, ratio]))
        both = reference.two_trader_form(kappa, ratio, TIMES)
        np.testing.assert_allclose(paths.schedules, both, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_two_hundred_firms(in_float64):
    targets = np.random.default_rng(0).normal(size=200) + 0.3
    game = gtrade.PositionBuilding([7.0] * 200, targets)
    path, _ = reference.complete_information_path(7.0, targets, TIMES)
    np.testing.assert_allclose(solve(game).schedules, path, atol=1e-11)
    row = gtrade.verify(game, gtrade.solve(game, gtrade.Spectral()))
    assert row["realised_costs"].shape == (200, 1, 200)
    assert row["exploitability"] <= 1e-20
    np.testing.assert_allclose(row["realised_costs"][0, 0], row["expected_costs"])


@pytest.mark.slow
def test_wide_spread_of_impacts_stays_exact(in_float64):
    # The spectral form divides by no kappa, and none overflows.
    numbers = random_numbers(5, (2, 3))
    numbers["permanent_impacts"] = np.array([0.0, 1e-6, 2000.0, 3.0, 0.7])
    game = gtrade.PositionBuilding(**numbers)
    solution = gtrade.solve(game, gtrade.Spectral())
    row = gtrade.verify(game, solution)
    scale = np.abs(row["expected_costs"]).max()
    assert row["exploitability"] <= 1e-20 * scale
    assert row["violation"] <= 1e-7


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 1, 2), (4,), (2, 2, 2, 2)])
def test_random_games_match_collocation(in_float64, shape):
    numbers = random_numbers(len(shape), shape, flow_degree=3)
    paths = solve(gtrade.PositionBuilding(**numbers))
    path, rates = reference.boundary_value_paths(
        beliefs(numbers),
        numbers["permanent_impacts"],
        numbers["targets"],
        TIMES,
        flows=numbers["non_strategic"],
    )
    np.testing.assert_allclose(paths.schedules, path, atol=1e-11)
    np.testing.assert_allclose(paths.initial_rates, rates[:, 0], atol=1e-9)


def test_initial_rates_of_the_paper(in_float64):
    paths = solve(two_by_two())
    np.testing.assert_allclose(paths.initial_rates, published.INITIAL_RATES, atol=5e-9)


def trapezoid_costs(game, paths):
    """Realised costs per own target as the paper integrated them."""
    at, weights = published.trapezoid(100)
    positions, rates = (
        np.asarray(paths.positions_at(at)),
        np.asarray(paths.rates_at(at)),
    )
    return published.realised_costs(
        (2, 2), lambda _: (positions, rates), published.EVALUATION_IMPACTS,
        rule="trapezoid",
    )  # fmt: skip


def test_published_table_of_realised_costs(in_float64):
    game = two_by_two()
    paths = solve(game)
    targets = np.stack(
        np.meshgrid(*np.split(published.TARGETS, 2), indexing="ij"), axis=-1
    )
    printed = trapezoid_costs(game, paths) / targets[..., None]
    np.testing.assert_allclose(printed, published.COST_TABLE, atol=0.005 + 1e-9)
    exact = np.asarray(costs.realised_costs(game, paths)).reshape(4, 2, 2, 2)
    exact = np.moveaxis(exact, 0, -1) / targets[..., None]
    assert np.abs(exact - published.COST_TABLE).max() < 0.032


def test_expected_costs_and_the_misprint_of_the_paper(in_float64):
    game = two_by_two()
    found = costs.expected_costs(game, solve(game)) / published.TARGETS
    exact = [14.704983, 31.336113, 20.451519, 61.684236]
    np.testing.assert_allclose(found, exact, atol=5e-7)
    # The paper's column for firm 2 has weights that do not sum to one.
    assert np.abs(found[2:] - published.MISPRINTED).min() > 1.4


def test_flows_of_the_paper(in_float64):
    ones = {"permanent_impacts": np.ones(4), "targets": np.ones(4)}
    flow = np.zeros((4, 2))
    without = solve(two_by_two(**ones)).schedules[:, 32]
    np.testing.assert_allclose(without, published.NO_FLOW_HALFWAY, atol=5e-7)
    flow[2, 1] = 5.0
    found = solve(two_by_two(**ones, non_strategic=flow)).schedules[:, 32]
    np.testing.assert_allclose(found, published.FLOW_HALFWAY, atol=5e-7)


def test_one_firm_against_a_flow(in_float64):
    game = gtrade.PositionBuilding([4.0], [2.0], non_strategic=[[0.0, 3.0]])
    expected = 2 * TIMES + 4.0 * 3.0 / 4 * TIMES * (1 - TIMES)
    np.testing.assert_allclose(solve(game).schedules[0], expected, atol=1e-13)


@pytest.mark.slow
def test_three_by_three_example(in_float64):
    game = gtrade.PositionBuilding(
        published.THREE_IMPACTS,
        published.THREE_TARGETS,
        num_types=(3, 3),
        prior=np.full((3, 3), 1 / 9),
    )
    solution = gtrade.solve(game, gtrade.Spectral(num_points=201))
    row = gtrade.verify(game, solution)
    assert row["realised_costs"].shape == (6, 3, 3, 2)
    largest = np.abs(row["expected_costs"]).max()
    assert row["discretised_gap"] <= 1e-7 * largest


def test_realised_costs_average_to_expected_ones(in_float64):
    numbers = random_numbers(3, (2, 3, 2))
    game = gtrade.PositionBuilding(**numbers)
    paths = solve(game)
    realised = np.asarray(costs.realised_costs(game, paths))  # at the types' own
    expected = np.asarray(costs.expected_costs(game, paths))
    prior = numbers["prior"].ravel()
    members = np.stack(np.unravel_index(np.arange(12), (2, 3, 2)), 1) + [0, 2, 5]
    marginals = reference.marginals(numbers["prior"])
    for kind in range(7):
        firm = np.searchsorted([2, 5, 7], kind, side="right")
        is_own = members[:, firm] == kind
        found = (prior * realised[kind, :, firm])[is_own].sum()
        np.testing.assert_allclose(found, marginals[kind] * expected[kind], rtol=1e-12)


def test_cumulative_costs_end_at_the_expected_ones(in_float64):
    game = two_by_two()
    paths = solve(game)
    grown = np.asarray(costs.cumulative_costs(game, paths))
    assert np.abs(grown[:, 0]).max() <= 1e-9
    np.testing.assert_allclose(grown[:, -1], costs.expected_costs(game, paths))

    def at(times):
        where = np.asarray(times)
        return np.asarray(paths.positions_at(where)), np.asarray(paths.rates_at(where))

    halfway = published.expected_costs(
        beliefs({"prior": published.PRIOR}), published.IMPACTS, at, until=0.5
    )
    np.testing.assert_allclose(grown[:, 32], halfway, rtol=1e-8)


def test_batch_equals_single_whatever_the_neighbours(in_float64):
    first, second = random_numbers(1, (2, 2)), random_numbers(2, (2, 2))
    bad = second["permanent_impacts"].copy()
    names = ("permanent_impacts", "targets", "prior")
    columns = {n: np.stack([first[n], second[n], first[n]]) for n in names}
    games = gtrade.make_batch(gtrade.PositionBuilding, num_types=(2, 2), **columns)
    bad[1] = np.nan
    impacts = games.permanent_impacts.at[1].set(bad)
    games = jax.tree.map(lambda x: x, games)
    object.__setattr__(games, "permanent_impacts", impacts)
    solution = gtrade.solve_batch(games, gtrade.Spectral())
    assert list(status_names(solution.status)) == [
        "converged", "invalid_input", "converged",
    ]  # fmt: skip
    single = solve(gtrade.PositionBuilding(**first))
    for lane in (0, 2):
        np.testing.assert_allclose(
            solution.value.schedules[lane], single.schedules, rtol=1e-13, atol=1e-13
        )
    assert np.isnan(solution.value.schedules[1]).all()
    row = gtrade.verify(games, solution)
    assert np.isnan(row["exploitability"][1])


@pytest.mark.slow
def test_relabelling_firms_and_types_permutes_the_answer(in_float64):
    numbers = random_numbers(4, (2, 3), flow_degree=2)
    whole = solve(gtrade.PositionBuilding(**numbers)).schedules
    order = np.array([3, 2, 4, 0, 1])  # firm 2 first, its types turned about
    turned = {n: numbers[n][order] for n in numbers if n not in ("num_types", "prior")}
    prior = numbers["prior"].T[[1, 0, 2]]
    game = gtrade.PositionBuilding(**turned, num_types=(3, 2), prior=prior)
    np.testing.assert_allclose(solve(game).schedules, whole[order], atol=1e-12)


def test_scaling_targets_scales_the_answer(in_float64):
    numbers = random_numbers(6, (2, 2), flow_degree=1)
    base = solve(gtrade.PositionBuilding(**numbers))
    for name in ("targets", "non_strategic"):
        numbers[name] = -1e4 * numbers[name]
    scaled = solve(gtrade.PositionBuilding(**numbers))
    np.testing.assert_allclose(scaled.schedules, -1e4 * base.schedules, rtol=1e-10)


@pytest.mark.slow
def test_a_type_of_no_weight_changes_nobody_else(in_float64):
    prior = np.array([[1 - 1e-9, 1e-9]])
    game = gtrade.PositionBuilding(
        [3.0, 3.0, 9.0], [1.0, 2.0, -5.0], num_types=(1, 2), prior=prior
    )
    without = gtrade.PositionBuilding([3.0, 3.0], [1.0, 2.0])
    np.testing.assert_allclose(
        solve(game).schedules[:2], solve(without).schedules, atol=1e-7
    )


def test_float32_is_close():
    game = two_by_two()
    assert game.targets.dtype == jnp.float32
    paths = solve(game)
    np.testing.assert_allclose(paths.initial_rates, published.INITIAL_RATES, rtol=1e-4)


def test_one_compilation_for_all_numbers_of_a_shape(in_float64):
    program = None
    for seed in range(3):
        numbers = random_numbers(seed, (2, 1))
        columns = {
            n: numbers[n][None] for n in ("permanent_impacts", "targets", "prior")
        }
        games = gtrade.make_batch(gtrade.PositionBuilding, num_types=(2, 1), **columns)
        program = program or make_program(gtrade.Spectral(), games, 1)
        program(games, gtrade.Spectral(), None)
    assert program.num_compilations == 1


DIFFERENTIATED = ("permanent_impacts", "targets", "non_strategic", "prior")


@functools.partial(jax.jit, static_argnums=2)
def weighted_outcome(arguments, weights, shape):
    given = dict(zip(DIFFERENTIATED, arguments, strict=True))
    given["prior"] = given["prior"] / given["prior"].sum()
    game = gtrade.PositionBuilding(**given, num_types=shape)
    paths = gtrade.Spectral().solve(game).value
    own = costs.expected_costs(game, paths).sum() + costs.total_costs(game, paths).sum()
    return own + (weights * paths.schedules).sum()


outcome_slopes = jax.jit(jax.grad(weighted_outcome), static_argnums=2)


@pytest.mark.parametrize(
    ("shape", "is_degenerate"),
    [
        ((2, 2), False),
        ((2, 2), True),
        pytest.param((1, 1, 1), True, marks=pytest.mark.slow),
    ],
)
def test_gradients_match_central_differences(in_float64, shape, is_degenerate):
    numbers = random_numbers(8, shape, flow_degree=2)
    if is_degenerate:  # eigenvalues coincide: one kappa, and types that say nothing
        numbers["permanent_impacts"] = np.full(sum(shape), 2.5)
        numbers["prior"] = np.full(shape, 1 / np.prod(shape))
    start = [jnp.asarray(numbers[name]) for name in DIFFERENTIATED]
    weights = np.random.default_rng(0).normal(size=(sum(shape), 65))
    vector, unravel = ravel_pytree(start)
    slopes = outcome_slopes(start, weights, shape)
    steps = 1e-5 * np.eye(len(vector))
    up, down = (
        np.array([weighted_outcome(unravel(vector + h), weights, shape) for h in side])
        for side in (steps, -steps)
    )
    differences = unravel(jnp.asarray((up - down) / 2e-5))
    for name, found, wanted in zip(DIFFERENTIATED, slopes, differences, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_gradients_where_kappa_is_zero(in_float64):
    numbers = random_numbers(9, (2, 1))

    def outcome(impacts, solver):
        game = gtrade.PositionBuilding(**(numbers | {"permanent_impacts": impacts}))
        return costs.expected_costs(game, solver.solve(game).value).sum()

    slopes = jax.jit(jax.grad(outcome), static_argnums=1)
    for impacts in ([0.0, 1.0, 2.0], [0.0, 0.0, 0.0]):
        found, expected = (
            slopes(jnp.asarray(impacts), solver)
            for solver in (gtrade.Spectral(), gtrade.MatrixExponential())
        )
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("kappa", [3e5, 1e8])
def test_layers_too_thin_for_the_quadrature_are_said(in_float64, kappa):
    game = gtrade.PositionBuilding([kappa, kappa], [1.0, 3.0])
    solution = gtrade.solve(game, gtrade.Spectral())
    assert status_names(solution.status) == "stalled"
    assert gtrade.verify(game, solution)["exploitability"] == np.inf
