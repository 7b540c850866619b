"""Paths on mean flows against definitions, enumeration and other algorithms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.problems.enumeration import enumerate_schedules
from gtrade.responses import best_response
from gtrade.solution import status_names
from gtrade.solvers import oracle_search
from gtrade.solvers.mean_flow import NUM_ATTEMPTS, MeanFlows, follow_path
from gtrade.solvers.mixtures import mixtures
from tests.references import equilibria as reference

SMALL = {"horizon": 5, "min_trade": -2, "max_trade": 3}
KAPPAS = [0.0, 0.4, 1.0, 1.7, 1.99, 2.0, 2.01, 3.0, 6.0, 25.0]
TARGETS = [(7, 7), (7, -3), (5, 0), (1, 2), (15, 4), (-10, 15)]


follow = jax.jit(follow_path, static_argnames="max_pivots")
mix = jax.jit(mixtures)


def make(targets, kappas, **box):
    return gtrade.make_batch(
        gtrade.TradingGame,
        targets=np.array(targets),
        permanent_impact=np.array(kappas),
        **box,
    )


def test_paths_alone_solve_small_games(in_float64):
    cases = list(itertools.product(TARGETS, KAPPAS))
    games = make(*zip(*cases, strict=True), **SMALL)
    solver = gtrade.DoubleOracle(start="mean-flow")
    solution = gtrade.solve_batch(games, solver)
    assert (status_names(solution.status) == "converged").all()
    for i, (targets, kappa) in enumerate(cases):
        weights = np.asarray(solution.value.weights[i])
        sets = [
            np.asarray(s)[w > 0]
            for s, w in zip(solution.value.schedules[i], weights, strict=True)
        ]
        gap = reference.nash_gap(
            sets, [w[w > 0] for w in weights], kappa, targets, -2, 3
        )
        assert gap.max() <= 1e-9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("horizon", "targets", "theta", "kappas"),
    [
        pytest.param(40, [(10, 3), (10, 9)], 5, [1.99, 4.0, 6.0], id="few shares"),
        pytest.param(
            78, [(200, 66), (200, -200), (100, 200)], 10, [1.8, 2.0, 3.0, 6.0], id="day"
        ),
        pytest.param(
            78, [(10_000, 9_999), (5_000, 0)], 1000, [1.8, 2.0, 3.0], id="many shares"
        ),
    ],
)
def test_games_that_the_double_oracle_leaves_open(
    in_float64, horizon, targets, theta, kappas
):
    cases = list(itertools.product(targets, kappas))
    box = {"horizon": horizon, "min_trade": -theta, "max_trade": theta}
    games = make(*zip(*cases, strict=True), **box)
    solver = gtrade.DoubleOracle()
    solution = gtrade.solve_batch(games, solver)
    assert (status_names(solution.status) == "converged").all()
    columns = gtrade.verify(games, solution, solver=solver)
    scale = np.abs(columns["values"]).max(axis=1)
    assert (np.abs(columns["exploitability"]) <= 1e-9 * scale).all()


@pytest.mark.parametrize("kappa", [0.7, 1.9, 2.0, 4.0])
def test_a_path_ends_in_a_solution_of_the_conditions(in_float64, kappa):
    """Every player's mean flow minimises its cost; nobody can list the schedules."""
    horizon, theta, targets = 12, 20, [57, -31]
    game = gtrade.TradingGame(
        horizon=horizon,
        min_trade=-theta,
        max_trade=theta,
        targets=targets,
        permanent_impact=kappa,
    )
    start = jnp.asarray([[5] * 9 + [4] * 3, [-3] * 7 + [-2] * 5], jnp.int32)
    impact = np.eye(horizon) + kappa * np.tril(np.ones((horizon, horizon)), -1)
    num_found = 0
    for attempt in range(NUM_ATTEMPTS):
        found = follow(game, start, attempt, max_pivots=3000)
        if not found.is_found:
            continue
        num_found += 1
        trades = np.asarray(found.trades)
        np.testing.assert_allclose(trades.sum(axis=1), targets, atol=1e-10)
        assert np.abs(trades).max() <= theta + 1e-10
        for own, other in (trades, trades[::-1]):
            price = impact @ other
            if kappa < 2:  # marginal cost of one more and of one less
                weight = 1 - kappa / 2
                floor, ceiling = np.floor(own + 1e-9), np.ceil(own - 1e-9)
                more = price + weight * (2 * floor + 1)
                less = price + weight * (2 * ceiling - 1)
            else:
                more = less = price
            can_buy, can_sell = own < theta - 1e-9, own > -theta + 1e-9
            assert less[can_sell].max() <= more[can_buy].min() + 1e-8
    assert num_found >= 4


def test_beyond_two_all_best_responses_trade_the_same_amounts(in_float64):
    """The fact that makes own costs constant for kappa >= 2, by enumeration."""
    schedules = enumerate_schedules(4, [-2] * 5, [3] * 5)
    rng = np.random.default_rng(0)
    amounts = set()
    for _ in range(50):
        price = rng.normal(size=5)
        costs = schedules @ price - 0.3 * (schedules**2).sum(axis=1)
        amounts.add(tuple(sorted(schedules[np.argmin(costs)].tolist())))
    assert len(amounts) == 1
    game = gtrade.TradingGame(**SMALL, targets=[4, 4], permanent_impact=2.6)
    reply = best_response(game, jnp.asarray(rng.normal(size=5)))
    assert tuple(sorted(np.asarray(reply).tolist())) in amounts


@pytest.mark.parametrize("kappa", [1.0, 3.0])
@pytest.mark.parametrize("target", [-6, 5, 11, 18])
def test_mixtures_have_the_mean_flow_and_the_least_own_cost(in_float64, kappa, target):
    low, high, horizon = -2, 4, 6
    rng = np.random.default_rng(target + 100)
    all_of_them = np.asarray(enumerate_schedules(target, [low] * 6, [high] * 6))
    if kappa >= 2:
        most = (all_of_them**2).sum(axis=1)
        all_of_them = all_of_them[most == most.max()]
    means = np.stack(
        [rng.dirichlet(np.ones(3)) @ rng.permutation(all_of_them)[:3] for _ in (0, 1)]
        if len(all_of_them) >= 3
        else [all_of_them[0]] * 2
    ).astype(float)
    game = gtrade.TradingGame(
        horizon=horizon,
        min_trade=low,
        max_trade=high,
        targets=[target, target],
        permanent_impact=kappa,
    )
    width = 1 if kappa < 2 else high - low
    cell = np.floor(means + 1e-12) if kappa < 2 else np.full_like(means, low)
    found = MeanFlows(
        trades=jnp.asarray(means),
        cell=jnp.asarray(cell, jnp.int32),
        width=jnp.asarray(width, jnp.int32),
        is_found=jnp.asarray(True),
        num_pivots=jnp.asarray(0, jnp.int32),
    )
    schedules, weights = (np.asarray(x) for x in mix(game, found))
    assert schedules.shape == (2, horizon + 1, horizon)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-13)
    assert (schedules[weights > 0].sum(axis=-1) == target).all()
    assert (low <= schedules).all()
    assert (schedules <= high).all()
    np.testing.assert_allclose(
        np.einsum("ic,ict->it", weights, schedules), means, atol=1e-12
    )
    squares = np.einsum("ic,ict->i", weights, schedules**2)
    if kappa >= 2:
        assert squares == pytest.approx([(all_of_them[0] ** 2).sum()] * 2)
    else:  # the square, interpolated between whole trades
        parts = means - cell
        least = (cell**2 + parts * (2 * cell + 1)).sum(axis=1)
        np.testing.assert_allclose(squares, least, atol=1e-10)


def test_general_games_have_no_paths(in_float64):
    numbers = {**SMALL, "targets": [4, 4], "permanent_impact": 1.0, "fixed_fee": 0.5}
    solver = gtrade.DoubleOracle(start="mean-flow")
    with pytest.raises(InadmissibleError, match="fixed_fee must be left out"):
        solver.validate_for(numbers, start="mean-flow")
    with pytest.raises(ValueError, match="mean-flow"):
        gtrade.solve(gtrade.TradingGame(**numbers), solver)


@pytest.mark.slow
def test_targets_at_the_limits_of_what_can_be_reached(in_float64):
    box = {"horizon": 6, "min_trade": -2, "max_trade": -1}
    limits = [(-6, -12), (-12, -12), (-9, -12), (-6, -7), (-6, -6)]
    targets, kappas = zip(*itertools.product(limits, [0.5, 2.0, 1e6]), strict=True)
    games = make(targets, kappas, **box)
    solver = gtrade.DoubleOracle(start="mean-flow")
    solution = gtrade.solve_batch(games, solver)
    assert (status_names(solution.status) == "converged").all()
    used = np.asarray(solution.value.weights) > 0
    sums = np.asarray(solution.value.schedules).sum(axis=-1)
    wanted = np.broadcast_to(np.array(targets)[..., None], sums.shape)
    assert (sums == wanted)[used].all()
    columns = gtrade.verify(games, solution, solver=solver)
    scale = np.abs(columns["values"]).max(axis=1)
    assert (np.abs(columns["exploitability"]) <= 1e-9 * scale).all()


def test_without_an_answer_there_is_still_a_profile(in_float64):
    game = gtrade.TradingGame(
        horizon=5,
        min_trade=-(10**6),
        max_trade=10**6,
        targets=[3_752_119, -1_000_000],
        permanent_impact=1.999999999,
    )
    solver = gtrade.DoubleOracle(start="mean-flow")
    solution = gtrade.solve(game, solver)
    assert str(status_names(solution.status)) == "stalled"
    columns = gtrade.verify(game, solution, solver=solver)
    scale = np.abs(columns["values"]).max()
    assert 0 < float(solution.residual) < 1e-3
    assert columns["exploitability"] / scale == pytest.approx(
        float(solution.residual), rel=0.5
    )


def test_a_gain_far_below_zero_is_a_fault():
    """It must not hide behind the other player's gain of zero."""
    scale = jnp.asarray(2.0)
    gains = [jnp.asarray(0.0), jnp.asarray(1e-3)]
    assert float(oracle_search._relative(gains, scale)) == pytest.approx(5e-4)
    for bad in (-1e-3, np.nan):
        for pair in ((0.0, bad), (bad, 0.0)):
            gains = [jnp.asarray(x) for x in pair]
            assert np.isinf(oracle_search._relative(gains, scale))
