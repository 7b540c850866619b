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


def solve(z_scores, **extra):
    """Solve and measure three problems, all with the same programs."""
    numbers = {**PUBLISHED, **extra}
    problems = gtrade.make_batch(gtrade.AlmgrenChriss, size=3, **numbers)
    z_scores = np.broadcast_to(np.asarray(z_scores, float), 3)
    solvers = gtrade.make_batch(gtrade.ValueAtRisk, z_score=z_scores)
    solution = gtrade.solve_batch(problems, solvers)
    return solution, gtrade.verify(problems, solution)


def test_published_value(in_float64):
    solution, columns = solve(1.645)
    assert (status_names(solution.status) == "converged").all()
    assert np.round(columns["value_at_risk"]).tolist() == [1_877_207] * 3
    np.testing.assert_allclose(columns["implied_risk_aversion"], 1.694e-6, rtol=3e-4)
    np.testing.assert_allclose(
        solution.value.risk_aversion, columns["implied_risk_aversion"], rtol=1e-12
    )
    assert (columns["optimality_gap"] < 1e-9 * columns["value_at_risk"]).all()
    np.testing.assert_array_equal(columns["objective"], columns["value_at_risk"])


@pytest.mark.slow
def test_agrees_with_the_reference(in_float64):
    trades, least, lam = reference.least_value_at_risk(1e6, 5, reference.PUBLISHED, 2.0)
    columns = solve(2.0)[1]
    np.testing.assert_allclose(columns["value_at_risk"], least, rtol=1e-10)
    np.testing.assert_allclose(columns["trades"] - trades, 0, atol=50)
    np.testing.assert_allclose(columns["implied_risk_aversion"], lam, rtol=1e-4)


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"volumes": VOLUMES},
        {"volumes": VOLUMES, "max_participation": 0.15},
        pytest.param(
            {"impact_exponent": 0.6, "temporary_impact": 1e-3}, marks=pytest.mark.slow
        ),
    ],
)
def test_no_point_of_the_frontier_is_better(in_float64, extra):
    numbers = {**PUBLISHED, **extra}
    z = scipy.stats.norm.ppf(0.99)
    sizes = np.array([1e6, -1e6, 1.2e6])
    solution, columns = solve(z, **{**extra, "shares": sizes})
    assert (status_names(solution.status) == "converged").all()
    for i, size in enumerate(sizes):
        lams = columns["implied_risk_aversion"][i] * np.logspace(-3, 3, 61)
        problems, plans = batch(**{**numbers, "shares": size, "risk_aversion": lams})
        means, variances = map(np.asarray, costs_of(problems, plans.value.trades))
        others = means + z * np.sqrt(variances)
        best = int(np.argmin(others))
        assert abs(best - 30) <= 1, size
        np.testing.assert_allclose(columns["value_at_risk"][i], others[30], rtol=1e-12)
    assert (columns["kkt_residual"] < 1e-12).all()
    tail = scipy.stats.norm.pdf(z) / 0.01 * np.sqrt(columns["variance"])
    np.testing.assert_allclose(
        columns["conditional_value_at_risk"], columns["expected_cost"] + tail
    )


def test_from_the_threshold_on_all_trades_at_once(in_float64):
    solution, columns = solve([4.999, 5.0, 9.0])
    names = status_names(solution.status).tolist()
    assert names == ["converged", "degenerate", "degenerate"]
    assert 0 < columns["holdings"][0, 1] < 400
    np.testing.assert_array_equal(columns["trades"][1:], [[1e6, 0, 0, 0, 0]] * 2)
    assert columns["implied_risk_aversion"][1:].tolist() == [np.inf] * 2
    for name in ("variance", "half_life", "optimality_gap"):
        assert columns[name][1:].tolist() == [0, 0], name
    # With a cap in the first period some must wait, whatever z.
    capped, columns = solve(9.0, volumes=VOLUMES, max_participation=0.3)
    assert (status_names(capped.status) == "converged").all()
    np.testing.assert_allclose(columns["trades"][:, 0], 6e5)


def test_limits_and_edges():
    """In single precision: no care, no risk, nothing to trade."""
    numbers = {"volatility": [0.95, 0.0, 0.95], "shares": [1e6, 1e6, 0.0]}
    columns = {name: np.array(column) for name, column in numbers.items()}
    solution, found = solve([0.0, 2.0, 2.0], **columns)
    assert (status_names(solution.status) == "converged").all()
    np.testing.assert_allclose(found["trades"][:2], np.full((2, 5), 2e5), rtol=1e-6)
    assert found["implied_risk_aversion"][:2].tolist() == [0, 0]
    np.testing.assert_array_equal(found["trades"][2], np.zeros(5))


def test_the_confidence_of_the_problem_is_the_default(in_float64):
    """Told by z; with one period, for which all trades at once."""
    problem = gtrade.AlmgrenChriss(**{**PUBLISHED, "num_periods": 1, "confidence": 0.9})
    own = gtrade.solve(problem, gtrade.ValueAtRisk())
    assert str(status_names(own.status)) == "degenerate"
    np.testing.assert_allclose(own.value.z_score, scipy.stats.norm.ppf(0.9))
    other = gtrade.solve(problem, gtrade.ValueAtRisk(confidence=0.8)).value
    np.testing.assert_allclose(other.z_score, scipy.stats.norm.ppf(0.8))


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
    @jax.value_and_grad  # of the rule, transposed
    def answer(given, of):
        problem = gtrade.AlmgrenChriss(**{**numbers, "volatility": given[1]})
        value = gtrade.ValueAtRisk(z_score=given[0]).solve(problem).value
        return of @ jnp.stack([value.holdings[1] / 1e6, value.risk_aversion * 1e6])

    at = np.array([1.645, 0.95])
    for of in np.eye(2):
        slopes = answer(at, of)[1]
        for slope, step in zip(slopes, 1e-5 * np.eye(2), strict=True):
            change = answer(at + step, of)[0] - answer(at - step, of)[0]
            np.testing.assert_allclose(slope, change / 2e-5, rtol=1e-6)
    for corner in ([0.0, 0.95], [1.645, 0.0], [20.0, 0.95]):
        # The risk aversion itself may be infinite there.
        assert np.isfinite(answer(np.array(corner), np.array([1.0, 0.0]))[1]).all()
