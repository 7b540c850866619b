"""Plans made again mid-way: consistency, new numbers, and a loop that learns."""

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
    return solution.value


VOLUMES = np.array([3.0, 1, 2, 5, 4, 1, 1, 2, 6, 3]) * 1e5


@pytest.mark.parametrize("left", [pytest.param(9, marks=pytest.mark.slow), 4, 1])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"risk_aversion": 0.0},
        {"volumes": VOLUMES},
        {"volumes": VOLUMES, "max_participation": 0.5},
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
        rest.variance(again.trades),
        problem.period_length
        * problem.volatility**2
        * (np.array(whole.holdings)[-left:] ** 2).sum(),
    )


@pytest.mark.parametrize("left", [2, 1])
def test_so_it_is_for_portfolios(in_float64, left):
    problem = make()
    whole = solve(problem, PORTFOLIO)
    rest = replan(problem, whole.holdings[-left - 1], left)
    again = solve(rest, PORTFOLIO)
    np.testing.assert_allclose(again.trades, whole.trades[-left:], atol=1e-10)


def test_a_large_portfolio_is_consistent_too(in_float64):
    problem = gtrade.AlmgrenChrissPortfolio(num_periods=12, **random(100, seed=4))
    whole = solve(problem, PORTFOLIO)
    again = solve(replan(problem, whole.holdings[5], 7), PORTFOLIO)
    size = np.abs(whole.holdings).max(axis=0)
    error = np.abs(np.array(again.trades) - np.array(whole.trades)[5:]) / size
    assert error.max() < 1e-12


def test_what_is_known_better_changes_the_plan(in_float64):
    problem = scalar()
    held = solve(problem, SCALAR).holdings[4]
    rest = replan(problem, held, 6, temporary_impact=1e-5, volatility=1.2)
    assert (rest.temporary_impact, rest.volatility) == (1e-5, 1.2)
    fresh = scalar(
        shares=float(held),
        horizon=3.0,
        num_periods=6,
        temporary_impact=1e-5,
        volatility=1.2,
    )
    new, old = solve(rest, SCALAR), solve(replan(problem, held, 6), SCALAR)
    np.testing.assert_allclose(new.trades, solve(fresh, SCALAR).trades, rtol=1e-12)
    assert rest.objective(new.trades) < rest.objective(old.trades) * (1 - 1e-3)
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


def test_batches_are_replanned_together(in_float64):
    columns = {"risk_aversion": np.array([0.0, 1e-6, 1e-5])}
    numbers = {"shares": 1e6, "horizon": 5.0, "num_periods": 10, "volatility": 0.95}
    numbers |= {"permanent_impact": 2.5e-7, "temporary_impact": 2.5e-6}
    for more in ({}, {"volumes": VOLUMES}):
        games = gtrade.make_batch(AlmgrenChriss, **numbers, **columns, **more)
        whole = gtrade.solve_batch(games, SCALAR).value
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
            jnp.zeros((10, 2)),
            fill_noise_std=jnp.asarray(0.1),
        )


FILL_NOISE = 0.1
NUM_PATHS = 4000


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
    path = trade_paths(problem, belief, shocks, jnp.asarray(learns))
    return jax.tree.map(np.asarray, path)


def test_knowing_all_the_loop_is_the_plan(in_float64):
    problem = scalar()
    shocks = jax.random.normal(jax.random.key(1), (3, 10, 2))
    path = run(problem, certain(problem), shocks, learns=False)
    plan = solve(problem, SCALAR)
    for i in range(3):
        np.testing.assert_allclose(path.trades[i], plan.trades, rtol=1e-9)
        np.testing.assert_allclose(path.objective[i], problem.objective(plan.trades))
    # Without noise the shortfall is the expected cost.
    still = run(problem, certain(problem), jnp.zeros((1, 10, 2)), learns=False)
    np.testing.assert_allclose(still.shortfall[0], problem.expected_cost(plan.trades))
    assert np.std(path.shortfall) > 1e4


@pytest.mark.parametrize("factor", [0.2, 5.0])
def test_learning_costs_between_never_learning_and_knowing(in_float64, factor):
    """Paired over the same noise: impact is thought a fifth, or five times, of true."""
    problem = scalar(risk_aversion=2e-6)
    wrong = factor * problem.temporary_impact
    belief = init_impact(
        wrong, wrong, problem.permanent_impact, problem.permanent_impact
    )
    shocks = jax.random.normal(jax.random.key(2), (NUM_PATHS, 10, 2))
    never = run(problem, belief, shocks, learns=False)
    learner = run(problem, belief, shocks, learns=True)
    knowing = run(problem, certain(problem), shocks, learns=False)

    # With the true numbers the plan is the best on every path, whatever the noise.
    best = knowing.objective * (1 + 1e-12)
    assert (learner.objective >= knowing.objective * (1 - 1e-12)).all()
    assert (never.objective >= best).all()

    def paired(one, other):
        gap = np.array(one.objective - other.objective)
        return gap.mean(), gap.std(ddof=1) / np.sqrt(len(gap))

    saved, error = paired(never, learner)
    missed, miss_error = paired(learner, knowing)
    assert saved > 5 * error
    assert missed > 5 * miss_error
    # Too slow a start can be made up for, too fast a one cannot be taken back.
    assert (missed < saved) == (factor > 1)

    # What a belief says of itself is true: standard normal errors after the last fill.
    last = learner.temporary_means[:, -1] - problem.temporary_impact
    shifts = np.array(last / learner.temporary_stds[:, -1])
    assert (np.abs(shifts) < 3.5).mean() > 0.99
    assert (learner.temporary_stds[:, -1] < 0.05 * problem.temporary_impact).all()
    # Beliefs before the first period are the prior; shares are all sold.
    np.testing.assert_allclose(learner.temporary_means[:, 0], wrong)
    np.testing.assert_allclose(learner.holdings[:, -1], 0, atol=1e-6)
    np.testing.assert_allclose(learner.trades.sum(axis=1), 1e6, rtol=1e-12)
    # Costs by path and by the noise-free accounting have the same mean, but for risk.
    left = np.array(learner.holdings)[:, 1:]
    risk = problem.risk_aversion * problem.volatility**2 * problem.period_length
    gap = np.array(learner.shortfall - learner.objective) + risk * (left**2).sum(axis=1)
    assert abs(gap.mean()) < 5 * gap.std() / np.sqrt(NUM_PATHS)


def test_single_precision_learns_too():
    problem = scalar()
    wrong = 4 * problem.temporary_impact
    belief = init_impact(wrong, wrong, problem.permanent_impact, wrong)
    shocks = jax.random.normal(jax.random.key(3), (50, 10, 2))
    path = run(problem, belief, shocks, learns=True)
    assert path.trades.dtype == np.float32
    assert np.isfinite(path.trades).all()
    error = path.temporary_means[:, -1] / problem.temporary_impact - 1
    assert np.abs(error).max() < 0.3
