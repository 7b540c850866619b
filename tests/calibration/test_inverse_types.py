"""Priors, targets and kappas from the schedules of two firms' types."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.calibration.fitting import LeastSquares
from gtrade.calibration.inverse_types import InverseTypes
from gtrade.solution import status_names
from tests.references import position_building as reference

TIMES = np.linspace(0.0, 1.0, 16)
PRIOR = np.array([[0.40, 0.20], [0.15, 0.25]])
INDEPENDENT = np.array([[0.30, 0.30], [0.20, 0.20]])
TARGETS = np.array([3.0, 5.0, 7.0, 5.0])
FITTER = LeastSquares(errors="hessian")
SOLVE = eqx.filter_jit(lambda problems: jax.vmap(FITTER.solve)(problems))


@eqx.filter_jit
def paths_and_slopes(problem, values):
    return problem.predict(values), jax.jacfwd(problem.predict)(values)


def schedules(prior, impacts, targets):
    beliefs = reference.conditionals(prior)
    return reference.boundary_value_paths(beliefs, impacts, targets, TIMES)[0]


def shares(prior):
    """Return the probability of firm 0's first type, and of firm 1's given it."""
    of_first = prior.sum(axis=1)
    return np.array([of_first[0], *(prior[:, 0] / of_first)])


def prior_of(shares):
    first, *second = shares
    of_first, second = np.array([first, 1 - first]), np.array(second)
    return of_first[:, None] * np.stack([second, 1 - second], axis=1)


def by_values(values):
    impacts, targets = values[:-7], values[-7:-3]
    beliefs = reference.conditionals(prior_of(values[-3:]))
    return reference.expm_paths(beliefs, np.broadcast_to(impacts, 4), targets, TIMES)[0]


@pytest.mark.parametrize("impacts", [[3.0], [1.0, 3.0, 2.0, 15.0]])
def test_slopes_match_solving_again(in_float64, impacts):
    values = np.array([*impacts, *TARGETS, *shares(PRIOR)])
    problem = InverseTypes(by_values(values), TIMES, has_own_impacts=len(impacts) > 1)
    assert len(problem.names) == len(values)
    np.testing.assert_allclose(problem.prior(jnp.asarray(values)), PRIOR, rtol=1e-14)
    paths, slopes = paths_and_slopes(problem, values)
    np.testing.assert_allclose(paths, by_values(values), atol=1e-11)
    for place in range(len(values)):
        change = np.zeros_like(values)
        change[place] = 1e-4
        again = (by_values(values + change) - by_values(values - change)) / 2e-4
        np.testing.assert_allclose(slopes[..., place], again, atol=1e-6)


def test_types_that_trade_alike_hide_their_probabilities(in_float64):
    # Drawn independently, with one target: neither firm trades otherwise for knowing
    # which of firm 1's types it is, or meets.
    def rank(prior, targets):
        values = np.array([3.0, *targets, *shares(prior)])
        problem = InverseTypes(by_values(values), TIMES)
        slopes = np.asarray(paths_and_slopes(problem, values)[1]).reshape(-1, 8)
        sizes = np.linalg.svd(slopes, compute_uv=False)
        return (sizes > 1e-8 * sizes[0]).sum()

    assert rank(PRIOR, TARGETS) == rank(INDEPENDENT, TARGETS) == 8
    assert rank(INDEPENDENT, [3.0, 5.0, 5.0, 5.0]) == 7
    assert rank(PRIOR, [3.0, 5.0, 5.0, 5.0]) == 8  # beliefs differ, and so do paths
    assert rank(PRIOR, [3.0, 3.0, 5.0, 5.0]) == 5


def test_names_and_domains(in_float64):
    problem = InverseTypes(np.zeros((4, 16)), TIMES)
    assert problem.names == (
        "kappa",
        *(f"target_{x}" for x in ("0_0", "0_1", "1_0", "1_1")),
        "probability",
        "probability_if_0",
        "probability_if_1",
    )
    assert problem.domains == ("positive", *["real"] * 4, *["share"] * 3)
    assert problem.units == ("1", *["shares"] * 4, *["1"] * 3)
    with pytest.raises(ValueError, match=r"view must have shape \(4, 4\)"):
        InverseTypes(np.zeros((4, 16)), TIMES, view=np.eye(3))


@pytest.mark.slow
def test_priors_come_back(in_float64):
    rng = np.random.default_rng(4)
    clean = schedules(PRIOR, 3.0, TARGETS)
    known = [3.0, *TARGETS, *shares(PRIOR)]
    noisy = clean + 1e-3 * rng.normal(size=clean.shape)
    missing = clean.copy()
    missing[rng.uniform(size=clean.shape) < 0.5] = np.nan
    alike = schedules(INDEPENDENT, 3.0, [3.0, 5.0, 5.0, 5.0])
    same = schedules(PRIOR, 3.0, [3.0, 3.0, 5.0, 5.0])
    cases = [clean, missing, noisy, alike, same, 0 * clean, 1e4 * noisy]
    problems = [InverseTypes(x, TIMES) for x in cases]
    solution = SOLVE(jax.tree.map(lambda *x: jnp.stack(x), *problems))
    fit = solution.value
    assert list(status_names(solution.status)) == [
        "converged",
        "converged",
        "converged",
        "degenerate",
        "degenerate",
        "invalid_input",
        "converged",
    ]
    np.testing.assert_allclose(fit.values[0], known, rtol=1e-8)
    np.testing.assert_allclose(fit.values[1], known, rtol=1e-8)
    values, errors = np.asarray(fit.values), np.asarray(fit.standard_error)
    assert (np.abs(values[2] - known) < 3.5 * errors[2]).all()
    assert list(fit.rank[:5]) == [8, 8, 8, 7, 5]
    told = np.asarray(fit.is_identified)
    assert told[:3].all()
    assert list(told[3]) == [True] * 6 + [False] * 2
    assert list(told[4]) == [True] * 5 + [False] * 3
    assert np.isnan(values[5]).all()
    units = np.array([1, *[1e4] * 4, 1, 1, 1])
    np.testing.assert_allclose(values[6], values[2] * units, rtol=1e-7)
    np.testing.assert_allclose(errors[6], errors[2] * units, rtol=1e-5)


@pytest.mark.slow
def test_kappas_of_the_published_game_come_back(in_float64):
    impacts = [1.0, 3.0, 2.0, 15.0]
    clean = schedules(PRIOR, impacts, TARGETS)
    problem = InverseTypes(clean, TIMES, has_own_impacts=True)
    solution = SOLVE(jax.tree.map(lambda x: x[None], problem))
    assert status_names(solution.status)[0] == "converged"
    expected = [*impacts, *TARGETS, *shares(PRIOR)]
    np.testing.assert_allclose(solution.value.values[0], expected, rtol=1e-8)
