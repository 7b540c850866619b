"""Newton's method for power-law position building against definitions."""

import jax
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.problems.base import replace_fields
from gtrade.solution import status_names
from tests.references import power_law as reference

# Each with kappa and p at which a firm's cost is convex around its path.
CASES = [
    ([1.0, 1.0], 4.0, 0.5, 0.0),
    ([1.0, 1.5, 0.7], 1.0, 0.6, 0.0),
    ([1.0, 1.5, 0.7], 1.0, 0.6, 0.4),
    ([2.0, -0.3], 2.0, 1.5, 0.0),
    ([1.0, -1.0], 2.0, 1.5, 1.5),
    ([1.0, -0.4, 0.7], 5.0, 1.0, 0.0),
]


def make(targets, permanent_impact, exponent, smoothing=0.0):
    return gtrade.PowerLawPosition(
        targets=targets,
        permanent_impact=permanent_impact,
        exponent=exponent,
        smoothing=smoothing,
    )


def solve(*numbers, status="converged", num_points=9, **options):
    solver = gtrade.PowerLawNewton(num_points=num_points, **options)
    solution = gtrade.solve(make(*numbers), solver)
    assert str(status_names(solution.status)) == status
    return solution


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_a_general_root_finder(in_float64, case):
    solution = solve(*case)
    targets, kappa, p, smoothing = case
    rates = reference.stationary_profile(targets, kappa, p, 8, smoothing)
    wanted = reference.profile(rates)
    np.testing.assert_allclose(solution.value.schedules, wanted, atol=1e-6)
    assert solution.residual <= 1e-9
    assert 0 <= solution.num_steps <= 8


def test_converges_to_the_closed_form_with_order_two(in_float64):
    cases = [([1, 1], 0.5), ([1, 1.5], 0.8), ([1, 2], 1.0), ([1.5, 1], 1.5)]
    for targets, exponent in cases:
        numbers = targets, 2.0, exponent
        closed = gtrade.solve(make(*numbers), gtrade.PowerLawClosedForm(65))
        assert str(status_names(closed.status)) == "converged"
        errors = []
        for num_points in (33, 65):
            found = solve(*numbers, num_points=num_points).value
            every = 64 // (num_points - 1)
            exact = [
                np.asarray(x)[:, ::every]
                for x in (closed.value.schedules, closed.value.rates)
            ]
            errors.append(np.abs(found.schedules - exact[0]).max())
            # Rates at the ends are extrapolated, to the same order.
            assert np.abs(found.rates - exact[1]).max() < 40 * (10 / num_points) ** 2
        order = np.log2(errors[0] / errors[1])
        assert abs(order - 2) < 0.1, (targets, exponent, order)
        assert errors[1] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("firms", [2, 5])
def test_steep_layers_are_solved_too(in_float64, firms):
    """Up to kappa = 10, where p = 1/2 starts at 266 times the mean rate."""
    kappas, exponents = np.meshgrid([0.0, 0.1, 1, 4, 10], [0.5, 0.6, 0.8, 1, 1.5])
    games = gtrade.make_batch(
        gtrade.PowerLawPosition,
        targets=[1.0] * firms,
        permanent_impact=kappas.ravel(),
        exponent=exponents.ravel(),
    )
    solution = gtrade.solve_batch(games, gtrade.PowerLawNewton(num_points=33))
    assert set(status_names(solution.status)) == {"converged"}
    assert solution.residual.max() < 1e-9
    assert solution.num_steps.max() <= 15
    np.testing.assert_allclose(solution.value.schedules[..., -1], 1, rtol=1e-12)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5])
def test_straight_lines(in_float64, exponent):
    for targets, kappa in (([2.0], 7.0), ([1.0, -0.3], 0.0)):
        solution = solve(targets, kappa, exponent)
        wanted = np.array(targets)[:, None] * np.linspace(0, 1, 9)
        np.testing.assert_allclose(solution.value.schedules, wanted, atol=1e-14)
        assert solution.num_steps == 0


@pytest.mark.slow
def test_identical_targets_are_in_equilibrium(in_float64):
    """The theorem of the model's page, even where a grid is far too coarse."""
    kappas, exponents = np.meshgrid([0.1, 10.0, 200.0], [0.7, 1.0, 1.6, 4.0])
    games = gtrade.make_batch(
        gtrade.PowerLawPosition,
        targets=[0.6] * 3,
        permanent_impact=kappas.ravel(),
        exponent=exponents.ravel(),
    )
    solution = gtrade.solve_batch(games, gtrade.PowerLawNewton(num_points=9))
    assert set(status_names(solution.status)) == {"converged"}
    columns = gtrade.verify(games, solution)
    assert (columns["exploitability"] <= 1e-11 * columns["welfare"]).all()
    assert columns["is_convex"].all()


def test_targets_that_cancel_need_smoothing(in_float64):
    """The total rate is zero, and impact is linear there with slope e^(p - 1)."""
    kappa, p, e = 1.0, 0.7, 0.5
    found = np.array(solve([1.0, -1.0], kappa, p, e, num_points=65).value.schedules)
    speed = kappa / e ** (p - 1)
    wanted = np.expm1(speed * np.linspace(0, 1, 65)) / np.expm1(speed)
    np.testing.assert_allclose(found, [wanted, -wanted], atol=1e-4)
    solution = solve([1.0, -1.0], kappa, p, status="invalid_input")
    assert np.isnan(solution.value.schedules).all()
    assert solution.num_steps == 0
    with pytest.raises(InadmissibleError, match="not cancel in total for newton"):
        gtrade.PowerLawNewton.validate_for(
            {"targets": [1.0, -1.0], "permanent_impact": 1.0, "exponent": 0.7}
        )


def test_smoothing_fades_out(in_float64):
    sharp = np.array(solve([1.0, 1.5], 1.0, 0.6).value.schedules)
    errors = [
        np.abs(np.array(solve([1.0, 1.5], 1.0, 0.6, e).value.schedules) - sharp).max()
        for e in (0.2, 0.1)
    ]
    assert errors[0] < 5e-3
    assert errors[1] < errors[0] / 3


def test_early_stops_on_a_grid(in_float64):
    """Identical small targets, p > 1: next to nothing is traded after the stop."""
    exact = gtrade.solve(make([0.01] * 2, 4.0, 1.5), gtrade.PowerLawClosedForm(65))
    found = solve([0.01] * 2, 4.0, 1.5, num_points=65)
    np.testing.assert_allclose(found.value.schedules, exact.value.schedules, atol=3e-5)
    # With different targets somebody would have to trade against a rate of zero.
    solution = solve([0.01, 0.02], 4.0, 1.5, num_points=65, status="stalled")
    assert solution.residual > 1


def test_costs_that_are_not_convex_are_reported(in_float64):
    solution = solve([1.0, 2.0], 4.0, 0.5, status="stalled")
    assert solution.residual > 0.1
    assert np.isfinite(solution.value.schedules).all()


def test_running_out_of_steps(in_float64):
    solution = solve([1.0, 1.0], 10.0, 0.5, status="max_steps_reached", max_steps=2)
    assert solution.num_steps == 2
    assert solution.residual > 1e-9


@pytest.mark.slow
def test_relabelling_and_scaling(in_float64):
    base = np.array(solve([1.0, 1.4, 0.8], 1.0, 0.6, 0.1).value.schedules)
    turned = np.array(solve([0.8, 1.4, 1.0], 1.0, 0.6, 0.1).value.schedules)
    np.testing.assert_allclose(turned, base[::-1], atol=1e-12)
    scaled = solve([-3.0, -4.2, -2.4], 3**-0.4, 0.6, 0.3).value.schedules
    np.testing.assert_allclose(scaled, -3 * base, atol=1e-9)


@pytest.mark.slow
def test_a_batch_is_its_games_whatever_the_neighbours(x64):
    numbers = [(4.0, 0.5), (1.0, 1.5), (1.0, np.nan), (0.0, 1.0)]
    games = gtrade.make_batch(
        gtrade.PowerLawPosition,
        targets=[1.0, 1.0],
        permanent_impact=np.array([k for k, _ in numbers]),
        exponent=np.array([0.5, 1.5, 1.0, 1.0]),
    )
    exponent = games.exponent.at[2].set(np.nan)
    solver = gtrade.PowerLawNewton(num_points=9)
    many = gtrade.solve_batch(replace_fields(games, exponent=exponent), solver)
    names = status_names(many.status).tolist()
    assert names == ["converged", "converged", "invalid_input", "converged"]
    for i in (0, 1, 3):
        one = solve([1.0, 1.0], *numbers[i])
        np.testing.assert_allclose(
            many.value.schedules[i], one.value.schedules, atol=1e-12 if x64 else 1e-5
        )
        assert many.num_steps[i] == one.num_steps


def test_single_precision_is_close():
    with jax.enable_x64(True):
        wanted = np.array(solve([1.0, 1.3], 2.0, 0.6).value.schedules)
    narrow = solve([1.0, 1.3], 2.0, 0.6)
    assert narrow.value.schedules.dtype == np.float32
    np.testing.assert_allclose(narrow.value.schedules, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tol": 0.0}, "tol must be greater than 0; got 0.0"),
        ({"num_points": 2}, "num_points must be at least 3; got 2"),
        ({"max_steps": 0}, "max_steps must be at least 1; got 0"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        gtrade.PowerLawNewton(**options)
