"""Plans of least value at risk."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.problems.base import replace_fields
from gtrade.solution import status_names
from tests.problems.test_almgren_chriss import PUBLISHED
from tests.references import almgren_chriss as reference
from tests.solvers.test_almgren_chriss import batch, costs_of

VOLUMES = [2e6, 1e6, 3e6, 1e6, 2e6]


def solve(solver, **extra):
    problem = gtrade.AlmgrenChriss(**{**PUBLISHED, **extra})
    solution = gtrade.solve(problem, solver)
    return problem, solution, gtrade.verify(problem, solution, solver=solver)


def test_published_value(in_float64):
    _, solution, columns = solve(gtrade.ValueAtRisk(z_score=1.645))
    assert str(status_names(solution.status)) == "converged"
    assert round(float(columns["value_at_risk"])) == 1_877_207
    np.testing.assert_allclose(columns["implied_risk_aversion"], 1.694e-6, rtol=3e-4)
    np.testing.assert_allclose(
        solution.value.risk_aversion, columns["implied_risk_aversion"], rtol=1e-12
    )
    assert columns["optimality_gap"] < 1e-9 * columns["value_at_risk"]
    assert columns["objective"] == columns["value_at_risk"]


def test_agrees_with_the_reference(in_float64):
    trades, least, lam = reference.least_value_at_risk(1e6, 5, reference.PUBLISHED, 2.0)
    columns = solve(gtrade.ValueAtRisk(z_score=2.0))[2]
    np.testing.assert_allclose(columns["value_at_risk"], least, rtol=1e-10)
    np.testing.assert_allclose(columns["trades"], trades, atol=50)
    np.testing.assert_allclose(columns["implied_risk_aversion"], lam, rtol=1e-4)


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"shares": -1e6},
        {"volumes": VOLUMES},
        {"volumes": VOLUMES, "max_participation": 0.15},
        {"impact_exponent": 0.6, "temporary_impact": 1e-3},
    ],
)
def test_no_point_of_the_frontier_is_better(in_float64, extra):
    numbers = {**PUBLISHED, **extra}
    z = scipy.stats.norm.ppf(0.99)
    _, solution, columns = solve(gtrade.ValueAtRisk(z_score=z), **extra)
    assert str(status_names(solution.status)) == "converged"
    lams = float(columns["implied_risk_aversion"]) * np.logspace(-3, 3, 61)
    problems, plans = batch(**numbers, risk_aversion=lams)
    means, variances = map(np.asarray, costs_of(problems, plans.value.trades))
    others = means + z * np.sqrt(variances)
    best = int(np.argmin(others))
    assert abs(best - 30) <= 1
    np.testing.assert_allclose(columns["value_at_risk"], others[30], rtol=1e-12)
    assert columns["kkt_residual"] < 1e-12
    tail = scipy.stats.norm.pdf(z) / 0.01 * np.sqrt(columns["variance"])
    np.testing.assert_allclose(
        columns["conditional_value_at_risk"], columns["expected_cost"] + tail
    )


def test_from_the_threshold_on_all_trades_at_once(in_float64):
    for z, wanted in ((4.999, "converged"), (5.0, "degenerate"), (9.0, "degenerate")):
        _, solution, columns = solve(gtrade.ValueAtRisk(z_score=z))
        assert str(status_names(solution.status)) == wanted
        if wanted == "degenerate":
            np.testing.assert_array_equal(columns["trades"], [1e6, 0, 0, 0, 0])
            assert columns["variance"] == 0
            assert columns["implied_risk_aversion"] == np.inf
            assert columns["half_life"] == 0
            assert columns["optimality_gap"] == 0
        else:
            assert 0 < columns["holdings"][1] < 400
    one = solve(gtrade.ValueAtRisk(z_score=1.0), num_periods=1)[1]
    assert str(status_names(one.status)) == "degenerate"
    # With a cap in the first period some must wait, whatever z.
    _, capped, columns = solve(
        gtrade.ValueAtRisk(z_score=9.0), volumes=VOLUMES, max_participation=0.3
    )
    assert str(status_names(capped.status)) == "converged"
    np.testing.assert_allclose(columns["trades"][0], 6e5)


def test_limits_and_edges():
    """In single precision."""
    for extra, z in (({}, 0.0), ({"volatility": 0.0}, 2.0)):
        _, solution, columns = solve(gtrade.ValueAtRisk(z_score=z), **extra)
        assert str(status_names(solution.status)) == "converged"
        np.testing.assert_allclose(columns["trades"], np.full(5, 2e5), rtol=1e-6)
        assert columns["implied_risk_aversion"] == 0
    _, solution, columns = solve(gtrade.ValueAtRisk(z_score=2.0), shares=0.0)
    assert str(status_names(solution.status)) == "converged"
    np.testing.assert_array_equal(columns["trades"], np.zeros(5))


def test_the_confidence_of_the_problem_is_the_default(in_float64):
    one = solve(gtrade.ValueAtRisk(), confidence=0.9)[2]
    other = solve(gtrade.ValueAtRisk(confidence=0.9))[2]
    assert one["value_at_risk"] == other["value_at_risk"]


def test_bad_lanes_are_marked(in_float64):
    problems = gtrade.make_batch(gtrade.AlmgrenChriss, size=3, **PUBLISHED)
    solvers = gtrade.make_batch(gtrade.ValueAtRisk, z_score=np.ones(3))
    bad = jnp.asarray([1.0, -1.0, jnp.nan])
    found = gtrade.solve_batch(problems, replace_fields(solvers, z_score=bad))
    names = status_names(found.status).tolist()
    assert names == ["converged", "invalid_input", "invalid_input"]
    assert np.isnan(found.value.trades[1:]).all()


def test_refusals():
    with pytest.raises(InadmissibleError, match="z_score must be left out where"):
        gtrade.ValueAtRisk(confidence=0.9, z_score=1.0)
    with pytest.raises(InadmissibleError, match=r"confidence must be at least 0\.5"):
        gtrade.ValueAtRisk(confidence=0.4)
    with pytest.raises(InadmissibleError, match="z_score must be at least 0"):
        gtrade.ValueAtRisk(z_score=-1.0)
    with pytest.raises(InadmissibleError, match="lot_size must be left out"):
        gtrade.ValueAtRisk().solve(gtrade.AlmgrenChriss(**PUBLISHED, lot_size=1.0))
    with pytest.raises(InadmissibleError, match=r"confidence must be at least 0\.5"):
        gtrade.ValueAtRisk.validate_for({"confidence": 0.3})


@pytest.mark.parametrize(
    "extra", [{}, {"impact_exponent": 0.6, "temporary_impact": 1e-3}]
)
def test_derivatives_are_those_of_the_root(in_float64, extra):
    numbers = {**PUBLISHED, "permanent_impact": 0.0, **extra}

    @jax.jit
    def answer(z_score, volatility):
        problem = gtrade.AlmgrenChriss(**{**numbers, "volatility": volatility})
        value = gtrade.ValueAtRisk(z_score=z_score).solve(problem).value
        return jnp.stack([value.holdings[1] / 1e6, value.risk_aversion * 1e6])

    at = 1.645, 0.95
    slopes = jax.jit(jax.jacrev(answer, argnums=(0, 1)))  # of the rule, transposed
    for place, slope in enumerate(slopes(*at)):
        step = 1e-5 * np.eye(2)[place]
        change = answer(*(at + step)) - answer(*(at - step))
        np.testing.assert_allclose(slope, change / 2e-5, rtol=1e-6)
    for corner in ((0.0, 0.95), (1.645, 0.0), (20.0, 0.95)):
        assert np.isfinite(slopes(*corner)[0][0]).all()
