"""The closed form of power-law position building against quadrature and limits."""

import jax
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.problems.base import replace_fields
from gtrade.solution import status_names
from tests.references import power_law as reference

TIMES = np.linspace(0, 1, 9)
SOLVER = gtrade.PowerLawClosedForm(num_points=9)


def make(targets, permanent_impact=4.0, exponent=0.5):
    return gtrade.PowerLawPosition(
        targets=targets, permanent_impact=permanent_impact, exponent=exponent
    )


def solve(*args, status="converged", **numbers):
    solution = gtrade.solve(make(*args, **numbers), SOLVER)
    assert str(status_names(solution.status)) == status
    return solution


def test_published_rates(in_float64):
    """Two firms, kappa = 4, targets of one: rates of the square root and p = 3/2."""
    rates = np.array(solve([1.0, 1.0]).value.rates)
    wanted = [6.976665, 0.438596, 0.143335]
    np.testing.assert_allclose(rates[:, [0, 4, 8]], [wanted] * 2, atol=5e-7)
    rates = np.array(solve([1.0, 1.0], exponent=1.5).value.rates)
    np.testing.assert_allclose(rates[:, [0, 8]], [[1.280652, 0.743535]] * 2, atol=5e-7)


def test_the_square_root_has_a_formula_in_time(in_float64):
    """v = (a + c t / 2)^-2 with a (a + c / 2) = 1 / V."""
    target, c = 0.7, reference.decline(2, 4.0, 0.5)
    a = -c / 4 + np.sqrt(c**2 / 16 + 1 / target)
    rates = solve([target] * 2).value.rates[0]
    np.testing.assert_allclose(rates, (a + c * TIMES / 2) ** -2, rtol=1e-12)


@pytest.mark.parametrize("firms", [2, 5])
@pytest.mark.parametrize("exponent", [0.5, 0.8, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("kappa", [0.3, 10.0])
def test_agrees_with_quadrature(in_float64, firms, exponent, kappa):
    solution = solve([0.8] * firms, kappa, exponent)
    position, rate = reference.mean_path(firms, 0.8, kappa, exponent, TIMES)
    value = solution.value
    np.testing.assert_allclose(value.schedules, [position] * firms, atol=1e-9)
    np.testing.assert_allclose(value.rates, [rate] * firms, rtol=1e-7, atol=1e-9)
    assert solution.residual < 1e-13


def test_linear_impact_is_the_model_of_exponentials(in_float64):
    targets, kappa = np.array([2.0, -0.5, 1.0]), 3.0
    g, mean = kappa * 2 / 4, targets.mean()
    wanted = mean * np.expm1(-g * TIMES) / np.expm1(-g)
    beyond = np.expm1(kappa * TIMES) / np.expm1(kappa)
    wanted = wanted + (targets - mean)[:, None] * beyond
    for exponent in (1.0, 1 + 1e-9, 1 - 1e-9):
        found = solve(targets.tolist(), kappa, exponent).value.schedules
        np.testing.assert_allclose(found, wanted, atol=1e-8)
    # Targets may cancel here, and only here.
    opposed = solve([1.0, -1.0], kappa, 1.0).value.schedules
    wanted = np.expm1(kappa * TIMES) / np.expm1(kappa)
    np.testing.assert_allclose(opposed, [wanted, -wanted], atol=1e-13)


@pytest.mark.parametrize(
    ("targets", "kappa", "exponent"),
    [([3.0], 4.0, 0.5), ([-2.0], 10.0, 1.5), ([1.0, 2.0], 0.0, 0.6)],
)
def test_straight_lines(in_float64, targets, kappa, exponent):
    """One firm, or no permanent impact."""
    solution = solve(targets, kappa, exponent)
    wanted = np.array(targets)[:, None] * TIMES
    np.testing.assert_allclose(solution.value.schedules, wanted, atol=1e-14)


def test_trading_stops_early(in_float64):
    """Small targets and p > 1: v reaches zero where v0^(p - 1) = (p - 1) c t."""
    target, kappa, p = 0.01, 4.0, 1.5
    c = reference.decline(2, kappa, p)
    first = (p * c * target) ** (1 / p)
    stop = first ** (p - 1) / ((p - 1) * c)
    assert 0.2 < stop < 0.9
    value = solve([target] * 2, kappa, p).value
    np.testing.assert_allclose(value.rates[:, 0], first, rtol=1e-12)
    after = TIMES > stop
    assert (np.array(value.rates)[:, after] == 0).all()
    np.testing.assert_allclose(np.array(value.schedules)[:, after], target, rtol=1e-12)
    assert (np.array(value.rates)[:, ~after] > 0).all()


@pytest.mark.parametrize("exponent", [0.6, 1.5])
def test_different_targets_meet_every_condition(in_float64, exponent):
    solution = solve([1.0, 1.3, 0.9], 1.0, exponent)
    assert solution.residual < 1e-13
    np.testing.assert_allclose(solution.value.schedules[:, -1], [1.0, 1.3, 0.9])
    # Rates are the derivatives of positions.
    fine = gtrade.solve(
        make([1.0, 1.3, 0.9], 1.0, exponent), gtrade.PowerLawClosedForm(num_points=1025)
    ).value
    slopes = np.gradient(np.array(fine.schedules), 1 / 1024, axis=1, edge_order=2)
    np.testing.assert_allclose(fine.rates, slopes, atol=1e-4)


def test_costs_that_are_not_convex_are_reported(in_float64):
    solution = solve([1.0, 2.0], 4.0, 0.5, status="stalled")
    assert solution.residual > 0.1
    assert np.isfinite(solution.value.schedules).all()


def test_relabelling_and_scaling(in_float64):
    base = np.array(solve([1.0, 1.4, 0.8], 1.0, 0.6).value.schedules)
    turned = np.array(solve([0.8, 1.4, 1.0], 1.0, 0.6).value.schedules)
    np.testing.assert_allclose(turned, base[::-1], atol=1e-14)
    # Shares counted in lots of s: costs scale alike if kappa scales by s^(1 - p).
    scaled = solve([-3.0, -4.2, -2.4], 3**-0.4, 0.6).value.schedules
    np.testing.assert_allclose(scaled, -3 * base, rtol=1e-12)


@pytest.mark.slow
def test_a_batch_is_its_games_whatever_the_neighbours(x64):
    games = gtrade.make_batch(
        gtrade.PowerLawPosition,
        targets=np.array([[1.0, 1.0], [1.0, 2.0], [0.01, 0.01], [1.0, 1.0]]),
        permanent_impact=4.0,
        exponent=np.array([0.5, 0.8, 1.5, 1.0]),
        smoothing=np.array([0.0, 0.0, 0.0, 0.2]),
    )
    targets = games.targets.at[1, 1].set(np.nan)
    many = gtrade.solve_batch(replace_fields(games, targets=targets), SOLVER)
    names = status_names(many.status).tolist()
    assert names == ["converged", "invalid_input"] * 2
    assert np.isnan(many.value.schedules[1::2]).all()
    for i, (target, exponent) in {0: (1.0, 0.5), 2: (0.01, 1.5)}.items():
        one = solve([target] * 2, 4.0, exponent).value
        np.testing.assert_allclose(
            many.value.schedules[i], one.schedules, rtol=1e-12 if x64 else 1e-5
        )


def test_single_precision_is_close():
    with jax.enable_x64(True):
        wanted = np.array(solve([1.0, 1.3], 2.0, 0.6).value.rates)
    narrow = solve([1.0, 1.3], 2.0, 0.6).value
    assert narrow.rates.dtype == np.float32
    np.testing.assert_allclose(narrow.rates, wanted, rtol=2e-5)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (
            {"smoothing": 0.1},
            "smoothing must be 0 for closed-form, which knows no smoothed impact;"
            " use newton; got 0.1",
        ),
        (
            {"targets": [1.0, -1.0]},
            r"targets must not cancel in total for closed-form .*got \[1.0, -1.0\]",
        ),
        (
            {"targets": [0.01, 0.02], "exponent": 1.5},
            r"targets must be equal for closed-form where trading stops before the end"
            r".*got \[0.01, 0.02\]",
        ),
        (
            {"targets": np.array([[1.0, 2.0], [0.5, -0.5]])},
            r"not cancel .*got \[0.5, -0.5\] \(row 1\)",
        ),
        (
            {"targets": [0.01, 0.02], "exponent": np.array([0.5, 1.5, 1.5])},
            r"must be equal .*\(row 1, and 1 more of 3 rows\)",
        ),
        ({"smoothing": np.array([0.0, 0.3])}, r"smoothing must be 0 .*row 1"),
    ],
)
def test_games_without_a_closed_form_are_refused(numbers, message):
    numbers = {
        "targets": [1.0, 1.0], "permanent_impact": 4.0, "exponent": 0.5, **numbers
    }  # fmt: skip
    with pytest.raises(InadmissibleError, match=message):
        gtrade.PowerLawClosedForm.validate_for(numbers)


def test_what_has_a_closed_form_passes():
    fits = gtrade.PowerLawClosedForm.validate_for
    numbers = {"permanent_impact": 4.0, "exponent": 1.5}
    fits({"targets": [0.01, 0.01], **numbers})
    fits({"targets": [0.0, 0.0], **numbers})
    fits({"targets": [1.0, -1.0], "permanent_impact": 4.0, "exponent": 1.0})
    with pytest.raises(ValueError, match="num_points must be at least 3; got 2"):
        gtrade.PowerLawClosedForm(num_points=2)
