"""Liquidation of several assets against dense programs, scalar facts and symmetries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.base import replace_fields
from gtrade.solution import status_names
from gtrade.solvers.almgren_chriss_portfolio import optimal_schedule
from tests.references.almgren_chriss import portfolio_schedule
from tests.solvers.portfolios import THREE, make, market, random

SOLVER = gtrade.PortfolioClosedForm()
MOMENTS = jax.jit(lambda problem, n: (problem.expected_cost(n), problem.variance(n)))


def solve(problem):
    solution = gtrade.solve(problem, SOLVER)
    assert str(status_names(solution.status)) == "converged"
    return solution


def trades_of(**changes):
    return np.array(solve(make(**changes)).value.trades)


@pytest.mark.parametrize("num_periods", [1, 6])
def test_agrees_with_a_dense_program(in_float64, num_periods):
    solution = solve(make(num_periods))
    shares, aversion = THREE["shares"], THREE["risk_aversion"]
    wanted = portfolio_schedule(shares, num_periods, market(THREE), aversion)
    np.testing.assert_allclose(solution.value.trades, wanted, rtol=1e-9, atol=1e-8)
    points = np.concatenate([np.cumsum(wanted[::-1], axis=0)[::-1], np.zeros((1, 3))])
    np.testing.assert_allclose(solution.value.holdings, points, atol=1e-8)
    np.testing.assert_array_equal(solution.value.holdings[0], THREE["shares"])
    np.testing.assert_allclose(
        solution.value.trades.sum(axis=0), THREE["shares"], rtol=1e-12, atol=1e-9
    )


def published(risk_aversion, num_assets=1):
    """The example of Almgren & Chriss, once or as unconnected copies."""
    one = np.eye(num_assets)
    return gtrade.AlmgrenChrissPortfolio(
        shares=np.full(num_assets, 1e6),
        horizon=5.0,
        num_periods=5,
        covariance=0.95**2 * one,
        permanent_impact=2.5e-7 * one,
        temporary_impact=2.5e-6 * one,
        fixed_cost=np.full(num_assets, 0.0625),
        risk_aversion=risk_aversion,
    )


@pytest.mark.parametrize(
    ("risk_aversion", "mean", "variance", "left"),
    [
        (0.0, 0.6625, 1.0830, [800, 600, 400, 200]),
        (1e-7, 0.6701, 0.9247, [757.9, 544.6, 351.9, 172.7]),
        (1e-6, 0.9112, 0.3641, [541.956, 289.854, 147.897, 62.142]),
        (2e-6, 1.1407, 0.2019, [428.6, 182.9, 76.3, 27.6]),
        (1e-5, 1.8452, 0.0295, [177.9, 31.6, 5.6, 1.0]),
    ],
)
def test_one_asset_is_the_published_example(
    in_float64, risk_aversion, mean, variance, left
):
    problem = published(risk_aversion)
    value = solve(problem).value
    atol = 6e-4 if risk_aversion == 1e-6 else 0.06
    np.testing.assert_allclose(value.holdings[1:-1, 0] / 1e3, left, atol=atol)
    found = MOMENTS(problem, value.trades)
    np.testing.assert_allclose(found[0] / 1e6, mean, 1e-4)
    np.testing.assert_allclose(found[1] / 1e12, variance, 2e-3)
    kappa = 2 * np.arcsinh(np.sqrt(risk_aversion * 0.95**2 / 2.375e-6) / 2)
    np.testing.assert_allclose(value.decay_rates, kappa, rtol=1e-12)


def test_unconnected_assets_are_sold_like_single_ones(in_float64):
    sizes = {"shares": np.array([1e6, -2e5, 3.0]), "fixed_cost": np.zeros(3)}
    diagonals = {
        "covariance": np.array([0.9, 0.0, 4e3]),
        "permanent_impact": np.array([2.5e-7, 0.0, -1e-3]),
        "temporary_impact": np.array([2.5e-6, 1e-5, 7.0]),
    }
    numbers = {"horizon": 5.0, "num_periods": 5, "risk_aversion": 1e-6}
    matrices = {name: np.diag(x) for name, x in diagonals.items()}
    together = solve(
        gtrade.AlmgrenChrissPortfolio(**sizes, **numbers, **matrices)
    ).value
    for i in range(3):
        alone = {name: x[i : i + 1, None] for name, x in diagonals.items()}
        one = gtrade.AlmgrenChrissPortfolio(
            **{name: x[i : i + 1] for name, x in sizes.items()}, **numbers, **alone
        )
        value = solve(one).value
        for name in ("trades", "holdings"):
            wanted = getattr(value, name)[:, 0]
            np.testing.assert_allclose(getattr(together, name)[:, i], wanted, 1e-11)


def test_without_risk_or_aversion_all_is_sold_evenly(in_float64):
    even = np.tile(np.array(THREE["shares"]) / 6, (6, 1))
    for changes in ({"risk_aversion": 0.0}, {"covariance": np.zeros((3, 3))}):
        found = trades_of(**changes)
        np.testing.assert_allclose(found, even, rtol=1e-11, atol=1e-11 * 200)


def test_a_portfolio_without_variance_is_sold_evenly(in_float64):
    """Prices with one common factor: what it does not move is sold in a straight line.

    With equal impacts the independent portfolios are the factor and what is
    perpendicular to it.
    """
    factor = np.array([2.0, 1.0, -1.0])
    shares = np.array([100.0, 50.0, 30.0])
    value = solve(
        make(
            shares=shares,
            covariance=np.outer(factor, factor),
            permanent_impact=np.zeros((3, 3)),
            temporary_impact=0.01 * np.eye(3),
        )
    ).value
    assert (value.decay_rates[:2] < 1e-6).all()
    assert value.decay_rates[2] > 0.5
    left = np.linspace(1, 0, 7)
    along = factor * (shares @ factor) / (factor @ factor)
    plain = value.holdings - np.outer(value.holdings @ factor, factor) / 6
    np.testing.assert_allclose(plain, np.outer(left, shares - along), atol=1e-9)
    kappa, times = value.decay_rates[2], np.linspace(0, 2, 7)
    curve = np.sinh(kappa * (2 - times)) / np.sinh(kappa * 2)
    np.testing.assert_allclose(value.holdings @ factor, curve * (shares @ factor))


def test_an_asset_that_hedges_is_bought_and_sold(in_float64):
    """Nothing of asset 2 is to be sold; it goes short while asset 1 is long."""

    def hedge(correlation):
        return solve(
            make(
                20,
                shares=[1000.0, 0.0],
                covariance=[[1.0, correlation], [correlation, 1.0]],
                permanent_impact=np.zeros((2, 2)),
                temporary_impact=np.diag([1e-2, 1e-4]),
                fixed_cost=None,
                risk_aversion=0.01,
            )
        ).value.holdings[:, 1]

    inner = slice(1, -1)
    assert (hedge(0.8)[inner] < 0).all()
    assert (hedge(-0.8)[inner] > 0).all()
    np.testing.assert_allclose(hedge(0.0), 0, atol=1e-9)
    np.testing.assert_allclose(hedge(0.8), -hedge(-0.8), atol=1e-8)
    # Trading it is cheap: it follows the minimum-variance hedge of what is left.
    first = solve(
        make(
            20,
            shares=[1000.0, 0.0],
            covariance=[[1.0, 0.8], [0.8, 1.0]],
            permanent_impact=np.zeros((2, 2)),
            temporary_impact=np.diag([1e-2, 1e-9]),
            fixed_cost=None,
            risk_aversion=0.01,
        )
    ).value.holdings[inner]
    np.testing.assert_allclose(first[:, 1], -0.8 * first[:, 0], rtol=1e-3)


def test_relabelling_mixing_and_scaling(in_float64):
    base = trades_of()
    order = [2, 0, 1]

    def turned(matrix):
        lists = {n: np.array(THREE[n]) for n in ("shares", "fixed_cost")}
        square = {n: matrix @ np.array(v) @ matrix.T for n, v in THREE.items()
                  if np.ndim(v) == 2}  # fmt: skip
        return lists, square

    lists, square = turned(np.eye(3)[order])
    changes = {n: v[order] for n, v in lists.items()} | square
    np.testing.assert_allclose(trades_of(**changes), base[:, order], atol=1e-10)

    # Any invertible mix of the assets: x -> M x, matrices -> M^-T . M^-1.
    mix = np.array([[1.0, 0.5, 0.0], [-0.2, 2.0, 0.3], [0.0, 0.1, 0.7]])
    _, square = turned(np.linalg.inv(mix).T)
    mixed = trades_of(shares=mix @ THREE["shares"], fixed_cost=np.zeros(3), **square)
    np.testing.assert_allclose(mixed, base @ mix.T, atol=1e-9)

    shares = np.array(THREE["shares"])
    np.testing.assert_allclose(trades_of(shares=-3 * shares), -3 * base, rtol=1e-11)
    # Another unit of time leaves holdings as they are.
    hours = {
        "horizon": 2.0 * 8,
        "covariance": np.array(THREE["covariance"]) / 8,
        "temporary_impact": np.array(THREE["temporary_impact"]) * 8,
    }
    np.testing.assert_allclose(trades_of(**hours), base, rtol=1e-10, atol=1e-9)
    # Another currency: impacts scale with it, variance with its square.
    cents = {
        "covariance": np.array(THREE["covariance"]) * 100**2,
        "permanent_impact": np.array(THREE["permanent_impact"]) * 100,
        "temporary_impact": np.array(THREE["temporary_impact"]) * 100,
        "risk_aversion": THREE["risk_aversion"] / 100,
    }
    np.testing.assert_allclose(trades_of(**cents), base, rtol=1e-10, atol=1e-9)


def test_nothing_to_sell_is_nothing_to_trade(in_float64):
    value = solve(make(shares=np.zeros(3))).value
    assert (value.trades == 0).all()
    assert (value.holdings == 0).all()


def test_immense_risk_aversion_sells_all_at_once(x64):
    # Over six periods, hyperbolic functions of up to 870 (in float32, 150).
    value = solve(make(risk_aversion=1e60 if x64 else 1e12)).value
    np.testing.assert_allclose(value.trades[0], THREE["shares"], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(value.holdings[1:], 0, atol=1e-3)
    assert np.isfinite(value.trades).all()


@pytest.mark.slow
def test_a_hundred_assets(in_float64):
    problem = gtrade.AlmgrenChrissPortfolio(num_periods=24, **random(100))
    solution = solve(problem)
    evidence = gtrade.verify(problem, solution)
    assert evidence["first_order_residual"] < 1e-12
    objective = evidence["objective"]
    assert 0 <= evidence["optimality_gap"] < 1e-18 * objective
    for name in ("even", "immediate"):
        risk = problem.risk_aversion * evidence[f"{name}_variance"]
        assert objective < evidence[f"{name}_cost"] + risk
    np.testing.assert_allclose(
        solution.value.trades.sum(axis=0), problem.shares, rtol=1e-12
    )
    # The assets in another order and other units: the same schedule.
    units = np.exp(np.random.default_rng(5).normal(size=100) * 3)
    order = np.random.default_rng(6).permutation(100)
    numbers = random(100)
    per_share = np.outer(1 / units, 1 / units)
    for name, value in numbers.items():
        if np.ndim(value) == 2:
            numbers[name] = (value * per_share)[order][:, order]
    numbers["shares"] = (numbers["shares"] * units)[order]
    other = solve(gtrade.AlmgrenChrissPortfolio(num_periods=24, **numbers)).value
    wanted = (np.array(solution.value.trades) * units)[:, order]
    size = np.abs(wanted).max(axis=0)
    np.testing.assert_allclose(np.array(other.trades) / size, wanted / size, atol=1e-11)


def test_a_batch_is_its_portfolios_whatever_the_neighbours(in_float64):
    columns = {
        "risk_aversion": np.array([0.0, 2e-3, 1.0, 2e-3]),
        "covariance": np.stack([THREE["covariance"]] * 4),
        "shares": np.array([THREE["shares"]] * 4) * np.array([[1.0], [2], [3], [4]]),
    }
    numbers = {"num_periods": 6, **THREE, **columns}
    many = gtrade.make_batch(gtrade.AlmgrenChrissPortfolio, **numbers)
    bad = many.shares.at[1, 0].set(np.nan)
    many = replace_fields(
        many, shares=bad, covariance=many.covariance.at[3, 0, 0].set(-1.0)
    )
    solution = gtrade.solve_batch(many, SOLVER)
    names = status_names(solution.status).tolist()
    assert names == ["converged", "invalid_input"] * 2
    for leaf in jax.tree.leaves(solution.value):
        assert np.isnan(leaf[1::2]).all()
    for i in (0, 2):
        alone = solve(make(**{n: x[i] for n, x in columns.items()})).value
        np.testing.assert_allclose(
            solution.value.trades[i], alone.trades, rtol=1e-4, atol=1e-9
        )


def test_single_precision_is_close():
    with jax.enable_x64(True):
        wanted = np.array(solve(make()).value.holdings)
    narrow = solve(make())
    assert narrow.value.holdings.dtype == np.float32
    np.testing.assert_allclose(narrow.value.holdings, wanted, atol=1e-4 * 1000)


def loss(shares, impact, risk):
    holdings, trades = optimal_schedule(shares, impact, risk, 4)
    return (holdings**3).sum() + (jnp.sin(trades)).sum()


LOSS = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))


@pytest.mark.parametrize("aversion", [0.0, 0.5])
@pytest.mark.parametrize("are_alike", [True, False])
def test_derivatives(in_float64, aversion, are_alike):
    """Against central differences, also where eigenvalues coincide."""
    rng = np.random.default_rng(3)
    impact = np.eye(3) if are_alike else np.array([[2, 0.3, 0], [0.3, 1, 0], [0, 0, 3]])
    risk = aversion * (np.eye(3) if are_alike else np.diag([1.0, 2, 0]) + 0.1)
    given = [jnp.asarray(x, float) for x in (rng.normal(size=3), impact, risk)]
    base, found = LOSS(*given)
    for place, slope in enumerate(found):
        assert np.isfinite(slope).all()
        change = rng.normal(size=slope.shape)
        if change.ndim == 2:
            change = change @ change.T  # symmetric; no variance below zero
        step = 1e-6
        up, down = list(given), list(given)
        up[place] = given[place] + step * change
        if aversion == 0 and place == 2:
            up[place] = given[place] + 2e-4 * step * change
            quotient = (LOSS(*up)[0] - base) / (2e-4 * step)
            np.testing.assert_allclose((slope * change).sum(), quotient, rtol=1e-4)
            continue
        down[place] = given[place] - step * change
        quotient = (LOSS(*up)[0] - LOSS(*down)[0]) / (2 * step)
        np.testing.assert_allclose(
            (slope * change).sum(), quotient, rtol=1e-6, atol=1e-8
        )


def test_derivatives_through_the_solver(in_float64):
    """Cost rises as impact does, by what the impact term says (envelope theorem)."""
    problem = make()

    @jax.jit
    @jax.grad
    def slope(risk_aversion):
        changed = replace_fields(problem, risk_aversion=risk_aversion)
        trades = SOLVER.solve(changed).value.trades
        mean = problem.impact_cost(trades)
        return mean + problem.risk_aversion * problem.variance(trades)

    # At the aversion of the objective its slope in the aversion that is acted on is 0.
    scale = MOMENTS(problem, solve(problem).value.trades)[1]
    assert abs(slope(problem.risk_aversion)) < 1e-9 * scale
    assert slope(2 * problem.risk_aversion) > 1e-4 * scale
