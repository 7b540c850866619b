"""Plans made again mid-way: consistency, new numbers, and a loop that learns."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.calibration.impact_filter import init_impact
from gtrade.calibration.replanning import replan, trade_and_learn
from gtrade.problems.almgren_chriss import AlmgrenChriss
from gtrade.solution import status_names
from gtrade.solvers.almgren_chriss import AlmgrenChrissClosedForm
from tests.solvers.portfolios import make, random

PORTFOLIO, SCALAR = gtrade.PortfolioClosedForm(), AlmgrenChrissClosedForm()


def scalar(**changes):
    numbers = {
        "shares": 1e6,
        "horizon": 5.0,
        "num_periods": 10,
        "volatility": 0.95,
        "permanent_impact": 2.5e-7,
        "temporary_impact": 2.5e-6,
        "fixed_cost": 0.0625,
        "risk_aversion": 1e-6,
    }
    return AlmgrenChriss(**(numbers | changes))


def solve(problem, solver):
    solution = gtrade.solve(problem, solver)
    assert str(status_names(solution.status)) == "converged"
    return jax.tree.map(np.asarray, solution.value)


@eqx.filter_jit
def costs(problem, trades):
    """Return what a plan is expected to cost, its variance and the objective."""
    parts = problem.expected_cost(trades), problem.variance(trades)
    return *parts, problem.objective(trades)


VOLUMES = np.array([3.0, 1, 2, 5, 4, 1, 1, 2, 6, 3]) * 1e5


@pytest.mark.parametrize(
    "left", [4, *(pytest.param(n, marks=pytest.mark.slow) for n in (9, 1))]
)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"risk_aversion": 0.0},
        {"volumes": VOLUMES},
        pytest.param(
            {"volumes": VOLUMES, "max_participation": 0.5}, marks=pytest.mark.slow
        ),
        {"volumes": VOLUMES, "max_participation": 0.5, "scales_with_volume": True},
    ],
    ids=lambda changes: ",".join(changes) or "plain",
)
def test_the_rest_of_a_plan_is_the_plan_for_the_rest(in_float64, left, changes):
    problem = scalar(**changes)
    whole = solve(problem, SCALAR)
    rest = replan(problem, whole.holdings[-left - 1], left)
    assert rest.num_periods == left
    again = solve(rest, SCALAR)
    np.testing.assert_allclose(again.trades, whole.trades[-left:], rtol=1e-11)
    np.testing.assert_allclose(again.holdings[:-1], whole.holdings[-left - 1 : -1])
    np.testing.assert_allclose(
        costs(rest, again.trades)[1],
        0.5 * 0.95**2 * (whole.holdings[-left:] ** 2).sum(),
    )


@pytest.mark.parametrize("left", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_so_it_is_for_portfolios(in_float64, left):
    problem = make()
    whole = solve(problem, PORTFOLIO)
    rest = replan(problem, whole.holdings[-left - 1], left)
    again = solve(rest, PORTFOLIO)
    np.testing.assert_allclose(again.trades, whole.trades[-left:], atol=1e-10)


@pytest.mark.slow
def test_a_large_portfolio_is_consistent_too(in_float64):
    problem = gtrade.AlmgrenChrissPortfolio(num_periods=12, **random(100, seed=4))
    whole = solve(problem, PORTFOLIO)
    again = solve(replan(problem, whole.holdings[5], 7), PORTFOLIO)
    size = np.abs(whole.holdings).max(axis=0)
    error = np.abs(again.trades - whole.trades[5:]) / size
    assert error.max() < 1e-12


def test_what_is_known_better_changes_the_plan(in_float64):
    problem = scalar()
    held = solve(problem, SCALAR).holdings[6]
    rest = replan(problem, held, 4, temporary_impact=1e-5, volatility=1.2)
    assert (rest.temporary_impact, rest.volatility) == (1e-5, 1.2)
    fresh = scalar(
        shares=float(held),
        horizon=2.0,
        num_periods=4,
        temporary_impact=1e-5,
        volatility=1.2,
    )
    new, old = solve(rest, SCALAR), solve(replan(problem, held, 4), SCALAR)
    np.testing.assert_allclose(new.trades, solve(fresh, SCALAR).trades, rtol=1e-12)
    *_, best = costs(rest, new.trades)
    *_, kept = costs(rest, old.trades)
    assert best < kept * (1 - 1e-3)
    assert new.trades[0] < old.trades[0]  # dearer to trade: slower

    portfolio = make()
    left = solve(portfolio, PORTFOLIO).holdings[2]
    dearer = 3 * portfolio.temporary_impact
    rest = replan(portfolio, left, 4, temporary_impact=dearer)
    found = gtrade.verify(rest, gtrade.solve(rest, PORTFOLIO))
    assert 0 <= found["optimality_gap"] < 1e-18 * found["objective"]
    kept = gtrade.verify(
        rest, gtrade.solve(replan(portfolio, left, 4), PORTFOLIO)
    )  # the old plan, judged by the new numbers
    assert kept["optimality_gap"] > 1e-3 * kept["objective"]


def test_impact_with_volumes_stays_that_of_a_mean_volume(in_float64):
    problem = scalar(volumes=VOLUMES)
    rest = replan(problem, 5e5, 4, temporary_impact=5e-6)
    wanted = 2 * np.array(problem.impact_coefficients)[-4:]
    np.testing.assert_allclose(rest.impact_coefficients, wanted, rtol=1e-12)


@pytest.mark.parametrize(
    "more",
    [pytest.param({}, marks=pytest.mark.slow), {"volumes": VOLUMES}],
    ids=["plain", "volumes"],
)
def test_batches_are_replanned_together(in_float64, more):
    columns = {"risk_aversion": np.array([0.0, 1e-6, 1e-5])}
    numbers = {"shares": 1e6, "horizon": 5.0, "num_periods": 10, "volatility": 0.95}
    numbers |= {"permanent_impact": 2.5e-7, "temporary_impact": 2.5e-6}
    games = gtrade.make_batch(AlmgrenChriss, **numbers, **columns, **more)
    whole = jax.tree.map(np.asarray, gtrade.solve_batch(games, SCALAR).value)
    rest = replan(games, whole.holdings[:, 6], 4)
    again = gtrade.solve_batch(rest, SCALAR).value
    np.testing.assert_allclose(again.trades, whole.trades[:, 6:], rtol=1e-10)


def test_refusals():
    with pytest.raises(
        ValueError, match="periods_left must be between 1 and 10; got 0"
    ):
        replan(scalar(), 1.0, 0)
    with pytest.raises(InadmissibleError, match="temporary_impact"):
        replan(scalar(), 1.0, 3, temporary_impact=-1.0)
    with pytest.raises(TypeError):
        replan(scalar(), 1.0, 3, colour=1.0)
    belief = init_impact(*map(jnp.asarray, (1e-6, 1e-6, 1e-7, 1e-7)))
    with pytest.raises(ValueError, match="linear"):
        trade_and_learn(
            scalar(impact_exponent=0.5, permanent_impact=0.0),
            belief,
            np.zeros((10, 2)),
            fill_noise_std=jnp.asarray(0.1),
        )


FILL_NOISE = 0.1
NUM_PATHS = 4000


def shocks_of(seed):
    return np.random.default_rng(seed).normal(size=(NUM_PATHS, 10, 2))


def certain(problem):
    impacts = (problem.temporary_impact, problem.permanent_impact)
    return init_impact(*(x for mean in impacts for x in (mean, mean * 1e-6)))


@jax.jit
def trade_paths(problem, belief, shocks, learns):
    noise = jnp.asarray(FILL_NOISE, shocks.dtype)
    return jax.vmap(
        lambda shock: trade_and_learn(
            problem, belief, shock, fill_noise_std=noise, learns=learns
        )
    )(shocks)


def run(problem, belief, shocks, *, learns):
    path = trade_paths(problem, belief, jnp.asarray(shocks), jnp.asarray(learns))
    return jax.tree.map(np.asarray, path)


def test_knowing_all_the_loop_is_the_plan(in_float64):
    problem = scalar()
    shocks = shocks_of(1)
    shocks[0] = 0
    path = run(problem, certain(problem), shocks, learns=False)
    trades = solve(problem, SCALAR).trades
    expected_cost, _, objective = costs(problem, trades)
    np.testing.assert_allclose(path.trades, np.tile(trades, (NUM_PATHS, 1)), rtol=1e-9)
    np.testing.assert_allclose(path.objective, objective)
    # Without noise the shortfall is the expected cost.
    np.testing.assert_allclose(path.shortfall[0], expected_cost)
    assert np.std(path.shortfall) > 1e4


@pytest.mark.parametrize("factor", [0.2, 5.0])
def test_learning_costs_between_never_learning_and_knowing(in_float64, factor):
    """Paired over the same noise: impact is thought a fifth, or five times, of true."""
    problem = scalar(risk_aversion=2e-6)
    wrong = factor * problem.temporary_impact
    belief = init_impact(
        wrong, wrong, problem.permanent_impact, problem.permanent_impact
    )
    shocks = shocks_of(2)
    never = run(problem, belief, shocks, learns=False)
    learner = run(problem, belief, shocks, learns=True)
    knowing = run(problem, certain(problem), shocks, learns=False)

    # With the true numbers the plan is the best on every path, whatever the noise.
    best = knowing.objective * (1 + 1e-12)
    assert (learner.objective >= knowing.objective * (1 - 1e-12)).all()
    assert (never.objective >= best).all()

    def paired(one, other):
        gap = one.objective - other.objective
        return gap.mean(), gap.std(ddof=1) / np.sqrt(len(gap))

    saved, error = paired(never, learner)
    missed, miss_error = paired(learner, knowing)
    assert saved > 5 * error
    assert missed > 5 * miss_error
    # Too slow a start can be made up for, too fast a one cannot be taken back.
    assert (missed < saved) == (factor > 1)

    # What a belief says of itself is true: standard normal errors after the last fill.
    impact = float(problem.temporary_impact)
    last = learner.temporary_means[:, -1] - impact
    shifts = last / learner.temporary_stds[:, -1]
    assert (np.abs(shifts) < 3.5).mean() > 0.99
    assert (learner.temporary_stds[:, -1] < 0.05 * impact).all()
    # Beliefs before the first period are the prior; shares are all sold.
    np.testing.assert_allclose(learner.temporary_means[:, 0], wrong)
    np.testing.assert_allclose(learner.holdings[:, -1], 0, atol=1e-6)
    np.testing.assert_allclose(learner.trades.sum(axis=1), 1e6, rtol=1e-12)
    # Costs by path and by the noise-free accounting have the same mean, but for risk.
    left = learner.holdings[:, 1:]
    risk = 2e-6 * 0.95**2 * 0.5
    gap = learner.shortfall - learner.objective + risk * (left**2).sum(axis=1)
    assert abs(gap.mean()) < 5 * gap.std() / np.sqrt(NUM_PATHS)


def test_single_precision_learns_too():
    problem = scalar()
    wrong = 4 * problem.temporary_impact
    belief = init_impact(wrong, wrong, problem.permanent_impact, wrong)
    path = run(problem, belief, shocks_of(3), learns=True)
    assert path.trades.dtype == np.float32
    assert np.isfinite(path.trades).all()
    error = path.temporary_means[:, -1] / float(problem.temporary_impact) - 1
    assert np.abs(error).max() < 0.3
