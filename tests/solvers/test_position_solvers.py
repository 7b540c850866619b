"""The other solvers of position building against the spectral one and references."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.solution import status_names
from tests.references import position_building as reference
from tests.references import position_grid as grid
from tests.solvers import position_games as costs
from tests.solvers.position_games import beliefs, random_numbers, two_by_two

TIMES = np.linspace(0.0, 1.0, 65)
SHAPES = [(2, 2), (4, 4, 4, 4, 4)]
UNEVEN = (1, 3, 2)


def solve(game, solver, expected="converged"):
    solution = gtrade.solve(game, solver)
    assert status_names(solution.status) == expected
    return solution


@pytest.mark.parametrize(
    "shape", [UNEVEN, *(pytest.param(x, marks=pytest.mark.slow) for x in SHAPES)]
)
def test_matrix_exponential_agrees_with_spectral(in_float64, shape):
    game = gtrade.PositionBuilding(**random_numbers(11, shape, flow_degree=2))
    spectral = solve(game, gtrade.Spectral()).value
    found = solve(game, gtrade.MatrixExponential()).value
    np.testing.assert_allclose(found.schedules, spectral.schedules, atol=1e-10)
    np.testing.assert_allclose(found.initial_rates, spectral.initial_rates, atol=1e-9)
    for cost in (costs.expected_costs, costs.total_costs):
        np.testing.assert_allclose(
            cost(game, found), cost(game, spectral), rtol=1e-10, atol=1e-10
        )


@pytest.mark.slow
def test_matrix_exponential_has_gradients_in_a_batch(in_float64):
    solver = gtrade.MatrixExponential(num_points=5)

    def held(impacts):
        game = two_by_two(permanent_impacts=impacts, evaluation_impacts=[1.0])
        return solver.solve(game).value.schedules[0, 2]

    # Of so different sizes that panels are squared in one lane only.
    impacts = jnp.array([[0.1, 0.2, 0.3, 0.1], [40.0, 10.0, 2.0, 90.0]])
    slopes = jax.jit(jax.vmap(jax.grad(held)))(impacts)
    single = jax.jit(held)
    for place, slope in zip(impacts, slopes, strict=True):
        for k in range(4):
            step = 1e-5 * jnp.eye(4)[k]
            change = (single(place + step) - single(place - step)) / 2e-5
            np.testing.assert_allclose(slope[k], change, atol=1e-8)


@pytest.mark.parametrize(
    "shape", [SHAPES[0], pytest.param(SHAPES[1], marks=pytest.mark.slow)]
)
def test_gradient_play_agrees_with_spectral(in_float64, shape):
    numbers = random_numbers(12, shape)
    numbers["permanent_impacts"] = np.minimum(numbers["permanent_impacts"], 6.0)
    game = gtrade.PositionBuilding(**numbers)
    exact = solve(game, gtrade.Spectral(num_points=513)).value.schedules
    solution = solve(game, gtrade.GradientPlay(num_points=513))
    np.testing.assert_allclose(solution.value.schedules, exact, atol=1e-5)
    assert gtrade.verify(game, solution)["exploitability"] <= 1e-15


@pytest.mark.parametrize("num_points", [17, 193])
def test_gradient_play_feels_risk_and_flows(in_float64, num_points):
    numbers = random_numbers(14, (2, 1), flow_degree=2)
    numbers["permanent_impacts"] = np.array([0.5, 4.0, 2.0])
    game = gtrade.PositionBuilding(**numbers, risk_aversions=[0.0, 5.0])
    exact = solve(game, gtrade.Constrained(num_points=num_points)).value.schedules
    solution = solve(game, gtrade.GradientPlay(num_points=num_points))
    assert solution.residual <= 1e-10  # by automatic differentiation
    np.testing.assert_allclose(solution.value.schedules, exact, atol=1e-9)


@pytest.mark.slow
def test_exploitability_at_two_hundred_points(in_float64):
    for shape in SHAPES:
        game = gtrade.PositionBuilding(**random_numbers(13, shape))
        solution = solve(game, gtrade.Spectral(num_points=201))
        row = gtrade.verify(game, solution)
        scale = np.abs(row["expected_costs"]).max()
        assert row["discretised_gap"] <= 1e-7 * scale
        assert row["exploitability"] <= 1e-20 * scale


@pytest.mark.slow
@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_line_solvers_find_the_discrete_equilibrium(in_float64, order):
    numbers = random_numbers(14, (2, 2))
    game = gtrade.PositionBuilding(**numbers)
    kd = grid.discrete_impact(numbers["permanent_impacts"], 64)
    trades = grid.discrete_equilibrium(beliefs(numbers), kd, numbers["targets"], 64)
    expected = np.pad(np.cumsum(trades, axis=1), [(0, 0), (1, 0)])
    for solver in (
        gtrade.LineResponses(order=order),
        gtrade.GradientPlay(),
        gtrade.Constrained(),
    ):
        found = solve(game, solver).value.schedules
        np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize(("kappa", "expected"), [(10.5, True), (11.2, False)])
def test_undamped_responses_converge_below_two_pi_root_three(
    in_float64, kappa, expected
):
    game = gtrade.PositionBuilding([kappa, kappa], [1.0, 2.0])
    plain = gtrade.LineResponses(damping=1.0, num_points=401, max_steps=1500)
    solution = gtrade.solve(game, plain)
    assert (status_names(solution.status) == "converged") == expected
    damped = gtrade.LineResponses(num_points=401, max_steps=1500)
    solve(game, damped)


@pytest.mark.slow
def test_alternating_responses_of_several_firms(in_float64):
    # At once they never converge undamped for three firms; in turn they may.
    for num_firms, kappa, expected in ((3, 4.0, True), (5, 1.0, True), (5, 4.0, False)):
        game = gtrade.PositionBuilding(
            [kappa] * num_firms, np.arange(1.0, num_firms + 1)
        )
        for order, converges in (("alternating", expected), ("simultaneous", False)):
            solver = gtrade.LineResponses(damping=1.0, order=order, max_steps=400)
            status = status_names(gtrade.solve(game, solver).status)
            assert (status == "converged") == converges


@pytest.mark.slow
def test_second_order_convergence_to_continuous_time(in_float64):
    # The discrete game with kd = 2 kappa / (2 T + kappa), section 6 of the mathematics.
    game = gtrade.PositionBuilding([4.0, 4.0], [1.0, 3.0])
    exact = np.asarray(solve(game, gtrade.Spectral(num_points=81)).value.schedules)
    errors = []
    for num_cells in (10, 20, 40, 80):
        lines = solve(game, gtrade.Constrained(num_points=num_cells + 1)).value
        errors.append(np.abs(lines.schedules - exact[:, :: 80 // num_cells]).max())
    expected = [4.63e-3, 1.16e-3, 2.89e-4, 7.23e-5]
    np.testing.assert_allclose(errors, expected, rtol=5e-3)


@pytest.mark.slow
def test_trading_game_in_small_lots_approaches_the_paths(in_float64):
    num_cells, shares = 10, 2000
    kd = float(grid.discrete_impact(4.0, num_cells))
    lots = gtrade.TradingGame(
        horizon=num_cells,
        targets=[shares, 3 * shares],
        min_trade=-3 * shares,
        max_trade=3 * shares,
        permanent_impact=kd,
    )
    found = gtrade.solve(lots, gtrade.FractionalNash())
    positions = np.cumsum(np.asarray(found.value.trades), axis=1) / shares
    game = gtrade.PositionBuilding([4.0, 4.0], [1.0, 3.0])
    lines = solve(game, gtrade.Constrained(num_points=num_cells + 1)).value
    np.testing.assert_allclose(positions, lines.schedules[:, 1:], atol=1e-8)
    # Costs differ by the factor (T + kappa / 2) that the conversion says.
    trades = np.asarray(found.value.trades) / shares
    flow = trades.sum(axis=0)
    held = np.concatenate([[0.0], np.cumsum(flow)[:-1]])
    discrete = trades @ (flow + kd * held)
    np.testing.assert_allclose(
        (num_cells + 2) * discrete, costs.expected_costs(game, lines), rtol=1e-7
    )


@pytest.mark.slow
@pytest.mark.parametrize("risk", [0.5, 40.0])
def test_one_risk_averse_firm(in_float64, risk):
    game = gtrade.PositionBuilding([3.0], [2.0], risk_aversions=[risk])
    rate = np.sqrt(risk)
    expected = 2 * np.sinh(rate * TIMES) / np.sinh(rate)
    solution = solve(game, gtrade.MatrixExponential())
    np.testing.assert_allclose(solution.value.schedules[0], expected, atol=1e-12)
    row = gtrade.verify(game, solution)
    assert row["continuous_gap"] <= 1e-20
    gap = abs(solve(game, gtrade.Constrained()).value.schedules[0] - expected).max()
    assert gap <= 2e-3


@pytest.mark.slow
def test_risk_averse_games_match_collocation(in_float64):
    numbers = random_numbers(15, (2, 2), flow_degree=2)
    risk = np.array([3.0, 0.4])
    game = gtrade.PositionBuilding(**numbers, risk_aversions=risk)
    path, _ = reference.boundary_value_paths(
        beliefs(numbers),
        numbers["permanent_impacts"],
        numbers["targets"],
        TIMES,
        flows=numbers["non_strategic"],
        risk_aversion=np.repeat(risk, 2),
    )
    found = solve(game, gtrade.MatrixExponential()).value.schedules
    np.testing.assert_allclose(found, path, atol=1e-11)
    lines = solve(game, gtrade.GradientPlay(num_points=257)).value.schedules
    np.testing.assert_allclose(lines[:, ::4], path, atol=2e-4)


def random_conditionals(rng, shape):
    """Return beliefs that no common prior explains."""
    size, firms = sum(shape), np.repeat(np.arange(len(shape)), shape)
    matrix = rng.uniform(size=(size, size)) * (firms[:, None] != firms)
    for firm in range(len(shape)):
        block = matrix[:, firms == firm]
        total = block.sum(axis=1, keepdims=True)
        matrix[:, firms == firm] = block / np.where(total > 0, total, 1)
    return matrix


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(3, 2), (2, 2, 2)])
def test_conditionals_without_a_common_prior(in_float64, shape):
    rng = np.random.default_rng(2)
    matrix, size = random_conditionals(rng, shape), sum(shape)
    impacts, targets = rng.uniform(0.5, 12.0, size), rng.normal(size=size)
    path, _ = reference.boundary_value_paths(matrix, impacts, targets, TIMES)
    game = gtrade.PositionBuilding(
        impacts, targets, num_types=shape, conditionals=matrix
    )
    solution = solve(game, gtrade.MatrixExponential())
    np.testing.assert_allclose(solution.value.schedules, path, atol=1e-10)
    row = gtrade.verify(game, solution)
    assert row["exploitability"] <= 1e-20
    assert np.isnan(row["welfare"]).all()  # no prior to expect over
    assert np.isfinite(row["realised_costs"]).all()


def singular_conditionals():
    """Return a game whose boundary problem has a resonance, l = 2 pi i.

    Three firms in a ring, two types each, believing in types of the next firm only so
    far as beliefs can differ: M has a complex pair, and kappa scales it.
    """
    rng = np.random.default_rng(7)
    shape = (2, 2, 2)
    for _ in range(1000):
        matrix = random_conditionals(rng, shape)
        weights = np.exp(rng.uniform(-2, 2, 6))
        drift = np.linalg.inv(2 * np.eye(6) + matrix) @ (weights[:, None] * matrix)
        values = np.linalg.eigvals(drift)
        turned = values[np.abs(values.imag) > 0.05]
        for value in turned[np.abs(turned.real) < 2e-2]:
            return shape, matrix, weights, value
    raise AssertionError("no such beliefs among 1000")


def test_singular_beliefs_get_a_status(in_float64):
    shape, matrix, weights, value = singular_conditionals()

    def distance(vector):
        drift = np.linalg.inv(2 * np.eye(6) + matrix) @ (vector[:, None] * matrix)
        values = np.linalg.eigvals(drift)
        return values[np.argmin(np.abs(values - 2j * np.pi))] - 2j * np.pi

    # Newton's method in two of the impacts puts the eigenvalue on 2 pi i.
    vector = weights * 2 * np.pi / abs(value.imag)
    for _ in range(50):
        gap = distance(vector)
        columns = []
        for place in range(6):
            moved = vector.copy()
            moved[place] *= 1 + 1e-7
            change = (distance(moved) - gap) / (1e-7 * vector[place])
            columns.append([change.real, change.imag])
        step = np.linalg.lstsq(np.array(columns).T, [-gap.real, -gap.imag], rcond=None)[
            0
        ]
        vector = np.maximum(vector + np.clip(step, -0.3 * vector, 0.3 * vector), 1e-3)
        if abs(distance(vector)) < 1e-13:
            break
    assert abs(distance(vector)) < 1e-12
    targets = np.arange(1.0, 7.0)
    game = gtrade.PositionBuilding(
        vector, targets, num_types=shape, conditionals=matrix
    )
    solve(game, gtrade.MatrixExponential(), expected="stalled")
    nearby = gtrade.PositionBuilding(
        vector * 1.1, targets, num_types=shape, conditionals=matrix
    )
    solve(nearby, gtrade.MatrixExponential())


@pytest.mark.slow
def test_matrix_exponential_says_when_kappa_is_too_large(in_float64):
    game = gtrade.PositionBuilding([2000.0, 2000.0], [1.0, 2.0])
    solution = gtrade.solve(game, gtrade.MatrixExponential())
    assert status_names(solution.status) in ("stalled", "nonfinite")
    more = solve(game, gtrade.MatrixExponential(num_panels=128)).value.schedules
    exact, _ = reference.complete_information_path(2000.0, [1.0, 2.0], TIMES)
    np.testing.assert_allclose(more, exact, atol=1e-9)


def test_gradient_play_with_too_long_steps_is_nonfinite(in_float64):
    solver = gtrade.GradientPlay(learning_rate=5.0, max_steps=5000)
    solution = solve(two_by_two(), solver, expected="nonfinite")
    assert np.isnan(solution.value.schedules).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "solver", [gtrade.GradientPlay, gtrade.LineResponses, gtrade.Constrained]
)
def test_default_tolerances_can_be_met_in_both_widths(x64, solver):
    found = solve(two_by_two(), solver()).value
    assert found.schedules.dtype == jnp.result_type(float)
    with jax.enable_x64(True):
        exact = solve(two_by_two(), gtrade.Constrained()).value.schedules
    np.testing.assert_allclose(found.schedules, exact, atol=1e-8 if x64 else 5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e-12, 1e7])
def test_flows_of_any_size_without_targets(in_float64, size):
    flow = np.array([[0.0, size, 0.0], [0.0, 0.0, -size]])
    game = gtrade.PositionBuilding([4.0, 3.0], [0.0, 0.0], non_strategic=flow)
    exact = solve(game, gtrade.Spectral()).value.schedules
    scale = float(np.abs(exact).max())
    for solver in (
        gtrade.MatrixExponential(),
        gtrade.GradientPlay(),
        gtrade.LineResponses(),
        gtrade.Constrained(),
    ):
        found = solve(game, solver).value.schedules
        np.testing.assert_allclose(found / scale, exact / scale, atol=1e-3)


def test_best_responses_of_very_risk_averse_firms(in_float64):
    game = two_by_two(risk_aversions=[1e4, 1e3])
    solution = solve(game, gtrade.LineResponses(max_steps=300))
    exact = solve(game, gtrade.Constrained()).value.schedules
    np.testing.assert_allclose(solution.value.schedules, exact, atol=1e-8)


@pytest.mark.parametrize(
    ("solver", "changes", "message"),
    [
        (gtrade.Spectral(), {"upper": [[9.0], [9.0]]}, "bounds must be left out"),
        (gtrade.MatrixExponential(), {"lower": [[0.0], [0.0]]}, "bounds must be"),
    ],
)
def test_what_a_solver_cannot_do_is_said(in_float64, solver, changes, message):
    with pytest.raises(ValueError, match=message):
        gtrade.solve(two_by_two(**changes), solver)


def test_risk_aversion_is_not_for_spectral(in_float64):
    numbers = random_numbers(11, UNEVEN, flow_degree=2)
    game = gtrade.PositionBuilding(**numbers, risk_aversions=[1.0, 0.0, 0.0])
    solve(game, gtrade.Spectral(), expected="invalid_input")


@pytest.mark.parametrize(
    ("solver", "numbers", "message"),
    [
        (gtrade.Spectral, {"num_points": 1}, "num_points must be at least 2"),
        (gtrade.MatrixExponential, {"num_panels": 1}, "num_panels must be at least 2"),
        (gtrade.GradientPlay, {"learning_rate": 0.0}, "learning_rate must be greater"),
        (gtrade.GradientPlay, {"num_points": 2}, "num_points must be at least 3"),
        (gtrade.LineResponses, {"damping": 1.5}, "damping must lie in"),
        (gtrade.LineResponses, {"order": "random"}, "order must be one of"),
        (gtrade.Constrained, {"tol": -1.0}, "tol must be greater than 0"),
    ],
)
def test_inadmissible_numbers_of_solvers(solver, numbers, message):
    with pytest.raises(ValueError, match=message):
        solver(**numbers)
