import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.mean_field import (
    many_firms_path,
    mean_field_correction,
    mean_field_costs,
    mean_field_gain,
    mean_field_path,
    mean_field_profile,
)
from tests.references.position_building import (
    complete_information_costs,
    complete_information_path,
    growth,
)
from tests.solvers.position_games import continuous_gaps, expected_costs

TIMES = np.linspace(0.0, 1.0, 17)
SPECTRAL = gtrade.Spectral(num_points=17)

# Compiled: operation by operation they take much longer.
path_of_many = jax.jit(many_firms_path, static_argnames="num_firms")
limit_path = jax.jit(mean_field_path)
limit_profile = jax.jit(mean_field_profile, static_argnames="num_points")
correction_of = jax.jit(mean_field_correction)
limit_costs = jax.jit(mean_field_costs)
gain_of = jax.jit(mean_field_gain, static_argnums=2)


def spread(num_firms, mean=1.5):
    """Return different targets of that mean."""
    return mean + np.linspace(-2.0, 2.0, num_firms)


def solved(kappa, targets):
    game = gtrade.PositionBuilding(np.full(len(targets), kappa), targets)
    solution = gtrade.solve(game, SPECTRAL)
    assert solution.status == gtrade.Status.converged
    return np.asarray(solution.value.schedules)


@pytest.mark.parametrize("kappa", [0.0, 1e-7, 0.3, 5.0, 300.0])
def test_closed_form_of_finitely_many(kappa, x64):
    targets = [1.0, 4.0, -2.0]
    found = path_of_many(kappa, targets, TIMES)
    expected, _ = complete_information_path(kappa, targets, TIMES)
    atol = 1e-12 if x64 else 3e-6
    np.testing.assert_allclose(found, expected, atol=atol)
    some = path_of_many(kappa, targets[:1], TIMES, num_firms=3, mean_target=1.0)
    np.testing.assert_allclose(some, found[:1], atol=atol)


@pytest.mark.parametrize("kappa", [0.0, 0.3, 5.0, 2000.0])
def test_limit_path(kappa, x64):
    targets = [1.0, 4.0, -2.0]
    found = limit_path(kappa, targets, TIMES)
    common, own = growth(-kappa, TIMES)[0], growth(kappa, TIMES)[0]
    expected = 1.0 * common + (np.array(targets) - 1.0)[:, None] * own
    np.testing.assert_allclose(found, expected, atol=1e-12 if x64 else 3e-6)
    np.testing.assert_allclose(found[:, -1], targets, rtol=1e-6)
    assert found.dtype == jnp.result_type(float)


def test_only_the_mean_of_the_targets_enters(in_float64):
    one = limit_path(5.0, [3.0], TIMES, mean_target=1.5)
    for others in ([0.0], [-7.0, 8.5], [1.4, 0.1, 1.5]):
        many = limit_path(5.0, [3.0, *others], TIMES)
        assert np.isclose(np.mean([3.0, *others]), 1.5)
        np.testing.assert_allclose(many[:1], one, atol=1e-14)


@pytest.mark.slow
def test_spectral_solutions_approach_the_limit_at_rate_one_over_n(in_float64):
    kappa, numbers = 5.0, np.array([2, 10, 50, 200])
    correction = np.asarray(correction_of(kappa, 1.5, TIMES))
    rests = []
    for number in numbers:
        targets = spread(number)
        away = solved(kappa, targets) - np.asarray(limit_path(kappa, targets, TIMES))
        # All firms are equally far from their limits, whatever their targets.
        np.testing.assert_allclose(away, away[:1].repeat(number, 0), atol=1e-11)
        rests.append(np.abs((number + 1) * away[0] - correction).max())
    # The constant is the closed form's; what is left of it falls as 1/N.
    assert rests[-1] < 0.02 * np.abs(correction).max()
    slope = np.polyfit(np.log(numbers[1:] + 1), np.log(rests[1:]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.05)


def test_correction_is_the_derivative(in_float64):
    step = 1e-5
    up, down = (growth(-3.0 - h, TIMES)[0] for h in (step, -step))
    expected = -2 * 3.0 * 1.5 * (up - down) / (2 * step)
    found = correction_of(3.0, 1.5, TIMES)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(correction_of(0.0, 1.5, TIMES), 0, atol=1e-15)
    assert (np.asarray(found) <= 1e-15).all()  # finite games trade later


@pytest.mark.slow
def test_scaling_permanent_impact_alone_ends_in_straight_lines(in_float64):
    errors = []
    for number in (40, 160):
        targets = spread(number)
        positions = solved(5.0 / number, targets)
        errors.append(np.abs(positions - targets[:, None] * TIMES).max())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)


def test_dividing_both_impacts_keeps_the_paths(in_float64):
    targets = spread(6)
    game = gtrade.UncertainImpact(
        targets, np.full(6, 5.0 / 6), temporary_impacts=np.full(6, 1 / 6)
    )
    scaled = gtrade.solve(game, gtrade.LinearSystem(num_points=17))
    plain = gtrade.solve(
        gtrade.UncertainImpact(targets, np.full(6, 5.0)),
        gtrade.LinearSystem(num_points=17),
    )
    np.testing.assert_allclose(scaled.value.trades, plain.value.trades, atol=1e-12)


def test_costs_approach_one_price_for_all(in_float64):
    kappa, rests = 5.0, []
    for number in (20, 40, 80):
        targets = spread(number)
        costs = complete_information_costs(kappa, targets) / number
        limit = np.asarray(limit_costs(kappa, targets))
        rests.append(np.abs(costs - limit).max())
    np.testing.assert_allclose(np.divide(rests[:-1], rests[1:]), 2, rtol=0.05)
    price = np.asarray(limit_costs(kappa, [1.0, 2.0], mean_target=1.5))
    np.testing.assert_allclose(price, [1.5, 3.0] * np.array(kappa / -np.expm1(-kappa)))
    np.testing.assert_allclose(limit_costs(0.0, [2.0]), 4.0)


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 7])
@pytest.mark.parametrize("kappa", [0.4, 5.0, 40.0])
def test_gain_from_leaving_the_limit(kappa, number, in_float64):
    targets = spread(number)
    game = gtrade.PositionBuilding(np.full(number, kappa), targets)
    gaps = continuous_gaps(game, limit_profile(kappa, targets)) / number
    gain = gain_of(kappa, 1.5, number)
    np.testing.assert_allclose(gaps, np.full(number, gain), rtol=1e-9)
    half = kappa / 2
    expected = 1.5**2 * (half / np.tanh(half) - 1) / number
    np.testing.assert_allclose(gain, expected, rtol=1e-10)


@pytest.mark.parametrize("kappa", [0.0, 1e-6, 1e-3, 0.999, 1.001])
def test_small_gains_keep_their_digits(kappa, in_float64):
    series = kappa**2 / 12 - kappa**4 / 720 + kappa**6 / 30240 - kappa**8 / 1209600
    found = gain_of(kappa, 1.0, 1)
    np.testing.assert_allclose(found, series, rtol=1e-6 if kappa > 0.9 else 1e-9)


@pytest.mark.slow
def test_profile_is_a_path_of_the_game(in_float64):
    targets = spread(3)
    profile = limit_profile(5.0, targets, num_points=17)
    np.testing.assert_allclose(
        profile.schedules, limit_path(5.0, targets, TIMES), atol=1e-14
    )
    np.testing.assert_allclose(profile.integrals(profile.rates), targets, atol=1e-12)
    game = gtrade.PositionBuilding(np.full(3, 5.0), targets)
    # Any firm's limit cost is what it pays for its shares at the limit's one price,
    # plus what N identical mean flows miss of it: nothing, on these paths.
    paid = expected_costs(game, profile) / 3
    np.testing.assert_allclose(paid, limit_costs(5.0, targets), rtol=1e-9)


def test_paths_map_over_batches(in_float64):
    kappas = jnp.array([0.5, 5.0])
    targets = jnp.array(spread(3))
    both = jax.vmap(lambda k: limit_path(k, targets, TIMES))(kappas)
    for kappa, found in zip(kappas, both, strict=True):
        np.testing.assert_allclose(found, limit_path(kappa, targets, TIMES), atol=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: mean_field_path(-1.0, [1.0], TIMES),
            "permanent_impact must be at least 0; got -1.0",
        ),
        (
            lambda: mean_field_path(np.nan, [1.0], TIMES),
            "permanent_impact must be finite; got nan",
        ),
        (
            lambda: mean_field_costs(1.0, [1.0, np.inf]),
            r"targets must be finite; got \[1.0, inf\]",
        ),
        (
            lambda: mean_field_path(1.0, 3.0, TIMES),
            r"targets must have shape \(any\); got \(\)",
        ),
        (
            lambda: mean_field_path(1.0, [1.0], TIMES, mean_target=np.nan),
            "mean_target must be finite; got nan",
        ),
        (
            lambda: many_firms_path(1.0, [1.0], TIMES, num_firms=0),
            "num_firms must be at least 1; got 0",
        ),
        (
            lambda: mean_field_gain(1.0, 1.0, 2.5),
            "num_firms must be a whole number; got 2.5",
        ),
        (
            lambda: mean_field_profile(1.0, [1.0], num_points=1),
            "num_points must be at least 2; got 1",
        ),
    ],
)
def test_bad_numbers_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
