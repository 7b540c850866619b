"""kappa and targets from observed schedules of firms that know each other's numbers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.calibration.combinations import combination
from gtrade.calibration.fitting import LeastSquares
from gtrade.calibration.inverse_equilibrium import InverseEquilibrium
from gtrade.solution import status_names
from tests.references import position_building as reference

TIMES = np.linspace(0.0, 1.0, 16)
FITTER = LeastSquares(errors="hessian")
SOLVE = eqx.filter_jit(lambda problems: jax.vmap(FITTER.solve)(problems))
NAMES = ("kappa", "target_0", "target_1", "target_2")


@eqx.filter_jit
def paths_and_slopes(problem, values):
    return problem.predict(values), jax.jacfwd(problem.predict)(values)


@eqx.filter_jit
def compiled_combination(problem, fit, coefficients):
    named = dict(zip(NAMES, coefficients, strict=True))
    return combination(problem, fit, **named)


def combine(problem, fit, **coefficients):
    wanted = np.array([coefficients.get(name, 0.0) for name in NAMES])
    return compiled_combination(problem, fit, wanted)


TARGETS = np.array([1.0, 3.0, -2.5])
NOISE = 0.01


def schedules(kappa, targets, times=TIMES):
    return reference.complete_information_path(kappa, targets, times)[0]


def noisy(kappa, targets, seed=0):
    clean = schedules(kappa, targets)
    return clean + NOISE * np.random.default_rng(seed).normal(size=clean.shape)


def seen(observed, view=None):
    """Put what is seen of three firms, in up to three rows, into one shape."""
    rows, views = np.full((3, 16), np.nan), np.zeros((3, 3))
    rows[: len(observed)] = observed
    views[: len(observed)] = np.eye(3) if view is None else view
    return InverseEquilibrium(rows, TIMES, view=views)


def some_missing():
    observed = schedules(4.0, TARGETS)
    observed[np.random.default_rng(1).uniform(size=observed.shape) < 0.6] = np.nan
    return observed


def lanes():
    x = schedules(4.0, TARGETS)
    bad = seen(x)
    weights = bad.weights
    nan = eqx.tree_at(lambda p: p.observed, bad, bad.observed.at[1, 4].set(jnp.nan))
    return {
        "plain": bad,
        "missing": seen(some_missing()),
        "small": seen(schedules(1e-3, TARGETS)),
        "large": seen(schedules(40.0, TARGETS)),
        "equal": seen(schedules(4.0, [2.0, 2.0, 2.0])),
        "others": seen(x[1:].sum(0)[None], np.array([[0.0, 1, 1]])),
        "all": seen(x.sum(0)[None], np.ones((1, 3))),
        "own": seen(x[:1], np.array([[1.0, 0, 0]])),
        "noisy": seen(noisy(4.0, TARGETS)),
        "nan": nan,
        "scaled": seen(1e3 * noisy(4.0, TARGETS)),
        "relabelled": seen(noisy(4.0, TARGETS)[[2, 0, 1]]),
        "flat": seen(noisy(0.05, TARGETS)),
        "zeros": seen(0 * x),
        "few": eqx.tree_at(lambda p: p.weights, bad, weights.at[4:].set(0)),
    }


def stack(problems):
    return jax.tree.map(lambda *x: jnp.stack(x), *problems)


@pytest.fixture(scope="module")
def solved():
    with jax.enable_x64(True):
        named = lanes()
        solution = SOLVE(stack(list(named.values())))
        statuses = status_names(solution.status)
        found = {}
        for lane, (name, problem) in enumerate(named.items()):
            fit = jax.tree.map(lambda x, lane=lane: x[lane], solution.value)
            found[name] = (problem, str(statuses[lane]), fit)
        return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kappa", "targets"),
    [
        ("plain", 4.0, TARGETS),
        ("missing", 4.0, TARGETS),
        ("small", 1e-3, TARGETS),
        ("large", 40.0, TARGETS),
        ("equal", 4.0, [2.0, 2.0, 2.0]),
    ],
)
def test_without_noise_numbers_come_back(in_float64, solved, name, kappa, targets):
    _, status, fit = solved[name]
    assert status == "converged"
    np.testing.assert_allclose(fit.values, [kappa, *targets], rtol=1e-8, atol=1e-8)
    assert fit.names == NAMES
    assert fit.rank == 4
    assert np.asarray(fit.is_identified).all()


def test_with_noise_they_come_back_within_errors(in_float64, solved):
    problem, status, fit = solved["noisy"]
    assert status == "converged"
    errors = np.asarray(fit.values) - [4.0, *TARGETS]
    scores = errors / np.asarray(fit.standard_error)
    assert (np.abs(scores) < 3.5).all()
    # Errors by hand: least squares about the truth, with slopes from differences.
    slopes = differences(lambda v: schedules(v[0], v[1:]), np.array([4.0, *TARGETS]))
    slopes = slopes.reshape(-1, 4)
    by_hand = NOISE * np.sqrt(np.diagonal(np.linalg.inv(slopes.T @ slopes)))
    np.testing.assert_allclose(fit.standard_error, by_hand, rtol=0.35)
    assert fit.num_agreeing == fit.num_starts == 4
    left = problem.observed - paths_and_slopes(problem, fit.values)[0]
    np.testing.assert_allclose(np.std(left), NOISE, rtol=0.3)


def differences(function, values, step=1e-5):
    columns = []
    for place in range(len(values)):
        change = np.zeros_like(values)
        change[place] = step
        higher, lower = function(values + change), function(values - change)
        columns.append((higher - lower) / (2 * step))
    return np.stack(columns, axis=-1)


def test_what_the_others_sum_tells(in_float64, solved):
    # (N - 1) Vbar f + (Vbar - V_0) h: firm 0's target too, which nobody saw.
    problem, status, fit = solved["others"]
    assert status == "degenerate"
    assert list(fit.is_identified) == [True, True, False, False]
    assert fit.rank == 3
    np.testing.assert_allclose(fit.values[:2], [4.0, TARGETS[0]], rtol=1e-6)
    assert np.isnan(fit.standard_error[2:]).all()
    total = combine(problem, fit, target_1=1.0, target_2=1.0)
    assert total.is_identified
    np.testing.assert_allclose(total.value, TARGETS[1:].sum(), rtol=1e-6)
    assert np.isfinite(total.standard_error)
    apart = combine(problem, fit, target_1=1.0, target_2=-1.0)
    assert not apart.is_identified
    assert np.isnan(apart.value)
    with pytest.raises(ValueError, match="coefficients must be one of kappa, target_0"):
        combination(problem, fit, target_9=1.0)


def test_what_the_sum_of_all_tells(in_float64, solved):
    problem, status, fit = solved["all"]
    assert status == "degenerate"
    assert list(fit.is_identified) == [True, False, False, False]
    assert fit.rank == 2
    np.testing.assert_allclose(fit["kappa"], 4.0, rtol=1e-6)
    total = combine(problem, fit, target_0=1.0, target_1=1.0, target_2=1.0)
    np.testing.assert_allclose(total.value, TARGETS.sum(), rtol=1e-6)


def test_what_a_single_schedule_tells(in_float64, solved):
    problem, status, fit = solved["own"]
    assert status == "degenerate"
    assert list(fit.is_identified) == [True, True, False, False]
    np.testing.assert_allclose(fit.values[:2], [4.0, TARGETS[0]], rtol=1e-6)
    rivals = combine(problem, fit, target_1=1.0, target_2=1.0)
    np.testing.assert_allclose(rivals.value, TARGETS[1:].sum(), rtol=1e-6)


def test_errors_of_a_combination_are_those_of_its_parts(in_float64, solved):
    problem, _, fit = solved["noisy"]
    total = combine(problem, fit, target_1=1.0, target_2=2.0)
    along = np.array([0.0, 0.0, 1.0, 2.0])
    variance = along @ np.asarray(fit.covariance) @ along
    np.testing.assert_allclose(total.standard_error, np.sqrt(variance), rtol=1e-6)
    np.testing.assert_allclose(total.value, along @ np.asarray(fit.values))


def test_near_zero_kappa_is_known_but_not_its_size(in_float64, solved):
    # Schedules bend by kappa t (1 - t) / 2: its error stays, relative to it grows.
    _, status, fit = solved["flat"]
    assert status == "converged"
    other = solved["noisy"][2]
    error, usual = float(fit.standard_error[0]), float(other.standard_error[0])
    assert 0.2 < error / usual < 2
    assert error / float(fit["kappa"]) > 20 * usual / float(other["kappa"])


@pytest.mark.parametrize("name", ["zeros", "few", "nan"])
def test_too_little_to_go_by(in_float64, solved, name):
    _, status, fit = solved[name]
    assert status == "invalid_input"
    assert np.isnan(fit.values).all()
    assert np.isnan(fit.covariance).all()


def test_units_of_shares(in_float64, solved):
    _, status, fit = solved["noisy"]
    _, scaled_status, scaled = solved["scaled"]
    assert status == scaled_status == "converged"
    factor = np.array([1.0, 1e3, 1e3, 1e3])
    np.testing.assert_allclose(scaled.values, fit.values * factor, rtol=1e-9)
    np.testing.assert_allclose(
        scaled.standard_error, fit.standard_error * factor, rtol=1e-7
    )


def test_relabelled_firms(in_float64, solved):
    one, other = solved["noisy"][2], solved["relabelled"][2]
    np.testing.assert_allclose(other.values, one.values[jnp.array([0, 3, 1, 2])])


def test_lanes_do_not_touch_their_neighbours(in_float64, solved):
    named = lanes()
    order = list(named)[::-1]
    named["nan"] = named["plain"]
    solution = SOLVE(stack([named[name] for name in order]))
    for name in ("plain", "others", "noisy", "flat"):
        values = solution.value.values[order.index(name)]
        np.testing.assert_array_equal(values, solved[name][2].values)


@pytest.mark.parametrize("kappa", [0.3, 4.0, 60.0])
def test_slopes_match_solving_again(in_float64, kappa):
    # Three firms with one kappa: two eigenvalues of the game are the same.
    problem = seen(schedules(kappa, TARGETS))
    values = np.array([kappa, *TARGETS])
    paths, slopes = paths_and_slopes(problem, values)
    np.testing.assert_allclose(paths, schedules(kappa, TARGETS), atol=1e-12)
    again = differences(lambda v: schedules(v[0], v[1:]), values, 1e-4 * kappa)
    np.testing.assert_allclose(slopes, again, atol=1e-6)


def test_single_width_runs():
    problem = seen(noisy(4.0, TARGETS))
    assert problem.observed.dtype == np.float32
    starts = eqx.filter_jit(lambda p: p.starts())(problem)
    assert np.isfinite(starts).all()
    assert np.abs(np.asarray(starts)[:, 1:] - TARGETS).min() < 0.1


def test_known_targets_and_trades(in_float64):
    positions = schedules(4.0, TARGETS)
    problem = InverseEquilibrium(
        np.diff(positions, axis=1, prepend=0),
        TIMES,
        targets=[1.0, np.nan, np.nan],
        known=(0,),
        sees_trades=True,
    )
    assert problem.names == ("kappa", "target_1", "target_2")
    assert problem.units == ("1", "shares", "shares")
    values = jnp.array([4.0, *TARGETS[1:]])
    left = eqx.filter_jit(lambda p, v: p.residuals(v))(problem, values)
    np.testing.assert_allclose(left, 0, atol=1e-12)


def test_a_lone_firm_shows_no_kappa(in_float64):
    problem = InverseEquilibrium(2.0 * TIMES[None], TIMES)
    _, slopes = paths_and_slopes(problem, np.array([4.0, 2.0]))
    np.testing.assert_allclose(slopes[..., 0], 0, atol=1e-15)
    np.testing.assert_allclose(slopes[0, :, 1], TIMES, atol=1e-15)


def test_what_is_refused(in_float64):
    x = schedules(4.0, TARGETS)
    with pytest.raises(ValueError, match="times must ascend within"):
        InverseEquilibrium(x, TIMES[::-1])
    with pytest.raises(ValueError, match=r"times must have shape \(16\); got \(15,\)"):
        InverseEquilibrium(x, TIMES[1:])
    with pytest.raises(ValueError, match="known must name firms 0 to 2"):
        InverseEquilibrium(x, TIMES, targets=TARGETS, known=(3,))


@pytest.mark.slow
def test_kappas_of_each_firm(in_float64):
    impacts, targets = [2.0, 9.0], [3.0, 5.0]
    beliefs = reference.complete_information(2)
    clean = reference.boundary_value_paths(beliefs, impacts, targets, TIMES)[0]
    rng = np.random.default_rng(8)
    observed = [clean, clean + NOISE * rng.normal(size=clean.shape)]
    problems = [InverseEquilibrium(x, TIMES, has_own_impacts=True) for x in observed]
    solution = SOLVE(stack(problems))
    assert (status_names(solution.status) == "converged").all()
    truth = np.array([*impacts, *targets])
    np.testing.assert_allclose(solution.value.values[0], truth, rtol=1e-8)
    scores = (solution.value.values[1] - truth) / solution.value.standard_error[1]
    assert (np.abs(scores) < 3.5).all()


@pytest.mark.slow
def test_intervals_cover_the_truth(in_float64):
    count, truth = 1000, np.array([3.0, 1.0, 2.0])
    times = np.linspace(0.0, 1.0, 41)
    clean = schedules(3.0, truth[1:], times)
    noise = np.random.default_rng(11).normal(size=(count, *clean.shape))

    @eqx.filter_jit
    def fit(observed):
        found = FITTER.solve(InverseEquilibrium(observed, times))
        return found.status, found.value.values, found.value.interval()

    status, values, interval = jax.vmap(fit)(clean + 0.02 * noise)
    assert (status_names(status) == "converged").all()
    interval, values = np.asarray(interval), np.asarray(values)
    inside = (interval[:, 0] <= truth) & (truth <= interval[:, 1])
    covered = inside.mean(axis=0)
    assert ((covered >= 0.93) & (covered <= 0.97)).all(), covered
    spread = values.std(axis=0)
    assert (np.abs(values.mean(axis=0) - truth) < 0.1 * spread).all()
