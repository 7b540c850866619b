"""The optimal plan against the published case, dense algebra and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.base import replace_fields
from gtrade.solution import status_names
from tests.problems.test_almgren_chriss import ODD, PUBLISHED

CLOSED_FORM = gtrade.AlmgrenChrissClosedForm()
HALF_LIVES = jax.jit(jax.vmap(lambda problem: problem.half_life))
COEFFICIENTS = jax.jit(lambda problem: problem.impact_coefficients)
# Almgren & Chriss's example: risk aversion, expected cost in 10^6, variance in 10^12,
# 1 / kappa in days, thousands of shares left after each day.
TABLE = [
    (0.0, 0.6625, 1.0830, np.inf, [800, 600, 400, 200]),
    (1e-9, 0.6625, 1.0812, 51.30, None),
    (5e-9, 0.6625, 1.0740, 22.94, None),
    (9e-9, 0.6626, 1.0669, 17.10, None),
    (1e-7, 0.6701, 0.9247, 5.138, [757.9, 544.6, 351.9, 172.7]),
    (1e-6, 0.9112, 0.3641, 1.647, [541.956, 289.854, 147.897, 62.142]),
    (2e-6, 1.1407, 0.2019, 1.182, [428.6, 182.9, 76.3, 27.6]),
    (1e-5, 1.8452, 0.0295, 0.579, [177.9, 31.6, 5.6, 1.0]),
]


def solve(**numbers):
    problem = gtrade.AlmgrenChriss(**numbers)
    solution = gtrade.solve(problem, CLOSED_FORM)
    assert str(status_names(solution.status)) == "converged"
    return problem, solution.value


def batch(**numbers):
    problems = gtrade.make_batch(gtrade.AlmgrenChriss, **numbers)
    return problems, gtrade.solve_batch(problems, CLOSED_FORM)


@jax.jit
@jax.vmap
def costs_of(problem, trades):
    return problem.expected_cost(trades), problem.variance(trades)


@jax.jit
def measured(problem, trades):
    """Return mean, variance and objective of one plan, and the problem's 1 / kappa."""
    mean, variance = problem.expected_cost(trades), problem.variance(trades)
    return mean, variance, problem.objective(trades), problem.half_life


def dense_optimum(problem):
    """Solve the first-order conditions of `E + lambda V` in the holdings."""
    num = problem.num_periods
    moves = np.eye(num + 1)[:-1] - np.eye(num + 1)[1:]  # trades from holdings
    costs = np.asarray(COEFFICIENTS(problem)) - float(problem.permanent_impact) / 2
    risk = float(problem.risk_aversion) * float(problem.volatility) ** 2
    risk *= float(problem.horizon) / num
    hessian = moves.T @ np.diag(costs) @ moves
    hessian[np.arange(1, num), np.arange(1, num)] += risk
    inner = slice(1, num)
    right = -hessian[inner, 0] * float(problem.shares)
    held = np.linalg.solve(hessian[inner, inner], right)
    return np.concatenate([[float(problem.shares)], held, [0.0]])


def test_published_table(x64):
    lams = np.array([row[0] for row in TABLE])
    problems, solution = batch(**PUBLISHED, risk_aversion=lams)
    assert (status_names(solution.status) == "converged").all()
    cost, variance = costs_of(problems, solution.value.trades)
    slowness = HALF_LIVES(problems)
    for i, (lam, mean, spread, half_life, left) in enumerate(TABLE):
        assert round(float(cost[i]) / 1e6, 4) == mean, lam
        assert round(float(variance[i]) / 1e12, 4) == spread, lam
        digits = 2 if half_life > 10 else 3
        assert round(float(slowness[i]), digits) == half_life, lam
        if left is not None:
            found = np.asarray(solution.value.holdings[i, 1:-1]) / 1e3
            tolerance = 6e-4 if lam == 1e-6 else 0.06
            np.testing.assert_allclose(found, left, rtol=0, atol=tolerance)
    # Without risk aversion exactly a straight line.
    line = np.arange(5, -1, -1) * 2e5
    np.testing.assert_array_equal(solution.value.holdings[0], line)
    np.testing.assert_array_equal(solution.value.trades[0], np.full(5, 2e5))


@pytest.mark.parametrize("lam", [0.0, 1e-6, 0.4, 30.0])
def test_agrees_with_dense_algebra(in_float64, lam):
    problem, plan = solve(**{**ODD, "num_periods": 9, "risk_aversion": lam})
    wanted = dense_optimum(problem)
    np.testing.assert_allclose(plan.holdings, wanted, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(plan.trades, -np.diff(wanted), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("lam", [1e-8, 1e-6, 1e-5])
def test_costs_have_the_published_closed_form(in_float64, lam):
    problem, plan = solve(**PUBLISHED, risk_aversion=lam)
    size, horizon, tau = 1e6, 5.0, 1.0
    net, sigma = 2.5e-6 - 2.5e-7 / 2, 0.95
    kappa = 2 * np.arcsinh(tau * np.sqrt(lam * sigma**2 / net) / 2) / tau
    whole, step = np.sinh(kappa * horizon), np.sinh(kappa * tau)
    cost = 2.5e-7 * size**2 / 2 + 0.0625 * size
    cost += (
        net
        * size**2
        * np.tanh(kappa * tau / 2)
        * (tau * np.sinh(2 * kappa * horizon) + 2 * horizon * step)
        / (2 * tau**2 * whole**2)
    )
    spread = (
        sigma**2
        * size**2
        / 2
        * (tau * whole * np.cosh(kappa * (horizon - tau)) - horizon * step)
        / (whole**2 * step)
    )
    mean, variance, _, half_life = measured(problem, plan.trades)
    np.testing.assert_allclose(mean, cost, rtol=1e-10)
    np.testing.assert_allclose(variance, spread, rtol=1e-10)
    np.testing.assert_allclose(half_life, 1 / kappa, rtol=1e-13)


def test_small_and_large_kappa_are_exact(in_float64):
    """Series, and thousands of e-foldings, against extended precision."""
    numbers = {**ODD, "num_periods": 50}
    lams = 10.0 ** np.arange(-18, 14.1, 0.25)
    problems, solution = batch(**{**numbers, "risk_aversion": lams})
    assert (status_names(solution.status) == "converged").all()
    tau = np.longdouble(3.0) / 50
    net = np.longdouble(0.9) - np.longdouble(0.02) * tau / 2
    square = lams.astype(np.longdouble) * np.longdouble(1.7) ** 2 / net
    kappa = 2 * np.arcsinh(tau * np.sqrt(square) / 2) / tau
    past = tau * np.arange(51)[None]
    decay = np.exp(-kappa[:, None] * past)
    rest = np.expm1(-2 * kappa[:, None] * (3 - past)) / np.expm1(-6 * kappa)[:, None]
    wanted = (700 * decay * rest).astype(float)
    assert (kappa * 3 > 1300).any()
    assert (kappa * 3 < 1e-8).any()
    held = np.asarray(solution.value.holdings)
    np.testing.assert_allclose(held, wanted, rtol=1e-11, atol=1e-300)
    sums = np.asarray(solution.value.trades).sum(axis=1)
    np.testing.assert_allclose(sums, 700, rtol=1e-12)
    gaps = np.asarray(solution.value.trades) + np.diff(held, axis=1)
    assert np.abs(gaps).max() < 1e-11 * 700
    assert (np.asarray(solution.residual) < 1e-12).all()


def test_edge_cases(in_float64):
    one = solve(**{**ODD, "num_periods": 1})[1]
    np.testing.assert_array_equal(one.holdings, [700, 0])
    none = solve(**{**ODD, "shares": 0.0})[1]
    np.testing.assert_array_equal(none.trades, np.zeros(4))
    calm = solve(**{**ODD, "volatility": 0.0})[1]
    np.testing.assert_allclose(calm.trades, np.full(4, 175.0), rtol=1e-6)
    free = solve(**{**ODD, "permanent_impact": 0.0})[1]
    assert np.isfinite(np.asarray(free.trades)).all()


def test_a_purchase_mirrors_a_sale(in_float64):
    sale, sold = solve(**ODD)
    purchase, bought = solve(**{**ODD, "shares": -700.0})
    np.testing.assert_array_equal(bought.trades, -np.asarray(sold.trades))
    np.testing.assert_array_equal(bought.holdings, -np.asarray(sold.holdings))
    mirrored = measured(purchase, bought.trades)
    np.testing.assert_array_equal(mirrored, measured(sale, sold.trades))
    assert not np.signbit(np.asarray(bought.holdings)[-1])


@pytest.mark.parametrize("scale", [0.01, 3.0, 1e4])
def test_homogeneity_and_units_of_time(in_float64, scale):
    problem, plan = solve(**ODD)
    larger, scaled = solve(**{**ODD, "shares": 700.0 * scale})
    np.testing.assert_allclose(scaled.holdings, scale * plan.holdings, rtol=1e-12)
    _, variance, objective, _ = measured(problem, plan.trades)
    np.testing.assert_allclose(
        measured(larger, scaled.trades)[1], scale**2 * variance, rtol=1e-12
    )
    slower, same = solve(
        **{
            **ODD,
            "horizon": 3.0 * scale,
            "volatility": 1.7 / scale**0.5,
            "temporary_impact": 0.9 * scale,
        }
    )
    np.testing.assert_allclose(same.holdings, plan.holdings, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(measured(slower, same.trades)[2], objective, rtol=1e-12)


def test_frontier_of_ten_thousand_plans(in_float64):
    lams = np.logspace(-10, -4, 10_000)
    problems, solution = batch(**PUBLISHED, risk_aversion=lams)
    assert (status_names(solution.status) == "converged").all()
    cost, variance = map(np.asarray, costs_of(problems, solution.value.trades))
    assert (np.diff(cost) > 0).all()
    assert (np.diff(variance) < 0).all()
    # Central differences on a grid of logarithms: dE / dV = -lambda.
    slopes = (cost[2:] - cost[:-2]) / (variance[2:] - variance[:-2])
    np.testing.assert_allclose(slopes[1000:], -lams[1001:-1], rtol=1e-5)
    assert (np.diff(slopes) < 0).all()  # convex: steeper at less variance
    even = gtrade.AlmgrenChriss(**PUBLISHED)
    bounds = []
    for trades in (np.full(5, 2e5), np.array([1e6, 0, 0, 0, 0])):
        mean, spread = map(float, measured(even, jnp.asarray(trades))[:2])
        other = mean + lams * spread
        assert (cost + lams * variance <= other * (1 + 1e-13)).all()
        bounds.append((mean, spread))
    assert (cost >= bounds[0][0] * (1 - 1e-13)).all()
    assert (variance <= bounds[0][1]).all()


def test_bad_lanes_leave_their_neighbours_alone(in_float64):
    problems, fine = batch(**{**ODD, "risk_aversion": np.array([0.1, 0.2, 0.4])})
    lams = problems.risk_aversion.at[1].set(jnp.nan)
    spoilt = gtrade.solve_batch(
        replace_fields(problems, risk_aversion=lams), CLOSED_FORM
    )
    names = status_names(spoilt.status).tolist()
    assert names == ["converged", "invalid_input", "converged"]
    assert np.isnan(spoilt.value.trades[1]).all()
    assert np.isnan(spoilt.residual[1])
    kept = np.array([0, 2])
    np.testing.assert_array_equal(spoilt.value.trades[kept], fine.value.trades[kept])


def test_inadmissible_lanes_are_marked(in_float64):
    bad = {
        "risk_aversion": -0.1,
        "horizon": 0.0,
        "temporary_impact": 0.007,
        "volatility": -1.0,
        "shares": np.inf,
        "confidence": 1.0,
    }
    given = {name: np.full(7, ODD.get(name, 0.95)) for name in bad}
    for lane, (name, value) in enumerate(bad.items()):
        given[name][lane] = value
        with pytest.raises(ValueError, match=name):
            gtrade.AlmgrenChriss(**{**ODD, name: value})

    @jax.jit
    @jax.vmap
    def status(numbers):
        return CLOSED_FORM.solve(gtrade.AlmgrenChriss(**{**ODD, **numbers})).status

    names = status_names(status(given)).tolist()
    assert names == ["invalid_input"] * 6 + ["converged"]


def test_a_batch_is_its_instances_and_compiles_once(in_float64):
    lams = np.array([0.0, 0.03, 2.0])
    _, together = batch(**{**ODD, "risk_aversion": lams})
    traces = []

    @jax.jit
    def alone(problem):
        traces.append(1)
        return CLOSED_FORM.solve(problem)

    for i, lam in enumerate(lams):
        one = gtrade.AlmgrenChriss(**{**ODD, "risk_aversion": lam})
        found = alone(one)
        np.testing.assert_allclose(
            found.value.trades, together.value.trades[i], rtol=1e-13
        )
    assert len(traces) == 1


def weighted(numbers):
    trades = CLOSED_FORM.solve(gtrade.AlmgrenChriss(**{**ODD, **numbers})).value.trades
    return (jnp.arange(1.0, 5.0) * trades**2).sum()


WEIGHTED = jax.jit(jax.value_and_grad(weighted))


@pytest.mark.parametrize("lam", [0.0, 1e-9, 0.4])
def test_gradients_match_finite_differences(in_float64, lam):
    names = ("temporary_impact", "volatility", "shares")
    numbers = {"risk_aversion": lam, **{name: ODD[name] for name in names}}
    _, found = WEIGHTED(numbers)
    for name, x in numbers.items():
        step = 1e-6 * max(x, 1e-3)
        # One-sided at the boundary of what is admissible.
        low = x if lam == 0 and name == "risk_aversion" else x - step
        high = x + step
        ends = [WEIGHTED({**numbers, name: end})[0] for end in (low, high)]
        wanted = (ends[1] - ends[0]) / (high - low)
        np.testing.assert_allclose(
            found[name], wanted, rtol=2e-5, atol=1e-3, err_msg=name
        )
