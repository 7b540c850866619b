"""Equilibria in fractional shares against dense algebra and projection methods."""

import jax
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.solution import status_names
from tests.references import equilibria as reference
from tests.references import fractional

KAPPAS = np.array([0.0, 0.3, 1.0, 1.7])
TWO, FIVE = [20, -7], [20, -7, 12, 0, 3]


def make(targets, kappas, theta, horizon=6):
    return gtrade.make_batch(
        gtrade.TradingGame,
        horizon=horizon,
        targets=targets,
        permanent_impact=kappas,
        min_trade=-theta,
        max_trade=theta,
    )


def solve(targets, kappas, theta, **options):
    games = make(targets, kappas, theta)
    return games, gtrade.solve_batch(games, gtrade.FractionalNash(**options))


@pytest.mark.parametrize(
    ("targets", "theta", "is_limited"),
    [
        (FIVE, 4, True),
        ([3, -1, 2, 0, 1], 4, False),
        pytest.param(TWO, 4, True, marks=pytest.mark.slow),
        pytest.param(TWO, 1000, False, marks=pytest.mark.slow),
        pytest.param(FIVE, 1000, False, marks=pytest.mark.slow),
    ],
)
def test_agrees_with_the_references(in_float64, targets, theta, is_limited):
    games, solution = solve(targets, KAPPAS, theta)
    assert (status_names(solution.status) == "converged").all()
    trades = np.array(solution.value.trades)
    for i, kappa in enumerate(KAPPAS):
        if is_limited:
            wanted = fractional.fractional_equilibrium(kappa, targets, 6, -4, 4)
            # Limits are active wherever the equilibrium is not even.
            assert kappa == 0 or np.isclose(np.abs(wanted).max(), 4)
        else:
            wanted = fractional.fractional_closed_form(kappa, targets, 6)
        np.testing.assert_allclose(trades[i], wanted, rtol=0, atol=1e-7)
        rest = fractional.natural_residual(trades[i], kappa, targets, -theta, theta)
        assert rest <= 1e-7
    columns = gtrade.verify(games, solution)
    gaps = [
        fractional.fractional_gap(trades[i], kappa, targets, -theta, theta).max()
        for i, kappa in enumerate(KAPPAS)
    ]
    np.testing.assert_allclose(columns["exploitability"], gaps, rtol=0, atol=1e-8)
    assert (np.abs(columns["exploitability"]) <= 1e-6).all()


def test_whole_lots_are_feasible_and_their_gap_is_reported(in_float64):
    targets = FIVE
    games, solution = solve(targets, KAPPAS, 4)
    columns = gtrade.verify(games, solution)
    whole = np.array(solution.value.schedules)
    assert (whole.sum(axis=2) == targets).all()
    assert (np.abs(whole) <= 4).all()
    for i, kappa in enumerate(KAPPAS):
        gap = reference.pure_gap(whole[i], kappa, targets, -4, 4).max()
        found = columns["lots_exploitability"][i]
        np.testing.assert_allclose(found, gap, rtol=1e-9, atol=1e-9)
        flow = whole[i].sum(axis=0)
        welfare = reference.cost(flow, np.zeros(6), kappa)
        np.testing.assert_allclose(columns["lots_welfare"][i], welfare, rtol=1e-12)


@pytest.mark.slow
def test_a_thousand_players(in_float64):
    rng = np.random.default_rng(0)
    targets = rng.integers(-200, 400, 1000)
    games = make(targets.tolist(), np.array([1.0]), 50, horizon=50)
    solver = gtrade.FractionalNash(max_rounds=1)
    solution = gtrade.solve_batch(games, solver)
    assert status_names(solution.status).tolist() == ["converged"]
    assert solution.residual[0] <= 1e-10
    whole = np.array(solution.value.schedules[0])
    np.testing.assert_array_equal(whole.sum(axis=1), targets)
    assert np.abs(whole).max() <= 50
    trades = np.array(solution.value.trades[0])
    scale = np.abs(trades.sum(axis=0)).max()
    rest = fractional.natural_residual(trades, 1.0, targets, -50, 50)
    assert rest <= 1e-7 * scale


def test_impacts_of_two_and_more_are_refused(in_float64):
    numbers = {"horizon": 6, "targets": FIVE, "min_trade": -4, "max_trade": 4}
    check = gtrade.FractionalNash.validate_for
    check({**numbers, "permanent_impact": KAPPAS})
    with pytest.raises(InadmissibleError, match="be less than 2 .*got 2.0"):
        check({**numbers, "permanent_impact": 2.0})
    with pytest.raises(InadmissibleError, match="less than 2.*row 1"):
        check({**numbers, "permanent_impact": np.array([1.0, 2.5])})
    kappas = np.array([0.0, 2.0, 1.0, 3.0])
    games, solution = solve(FIVE, kappas, 4)
    names = status_names(solution.status)
    assert names.tolist() == ["converged", "invalid_input"] * 2
    is_bad = kappas >= 2
    assert np.isnan(solution.value.trades[is_bad]).all()
    assert np.isfinite(solution.value.trades[~is_bad]).all()
    assert np.isnan(solution.residual).tolist() == is_bad.tolist()
    columns = gtrade.verify(games, solution)
    assert np.isnan(columns["exploitability"]).tolist() == is_bad.tolist()


def test_a_batch_is_its_games(in_float64):
    games, many = solve(FIVE, KAPPAS, 4)
    for i in range(len(KAPPAS)):
        game = jax.tree.map(lambda x, i=i: x[i], games)
        one = gtrade.solve(game, gtrade.FractionalNash())
        for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
            np.testing.assert_allclose(x, y[i], rtol=0, atol=1e-12)


def test_running_out_of_steps_is_reported(in_float64):
    _, solution = solve(FIVE, KAPPAS, 4, max_steps=2, max_rounds=0)
    names = status_names(solution.status).tolist()
    # Without permanent impact the first guess, even trades, is the answer.
    assert names == ["converged"] + ["max_steps_reached"] * 3
    assert (np.array(solution.residual[1:]) > 1e-10).all()


def test_refusals():
    numbers = {"horizon": 2, "targets": [1, 2], "min_trade": 0, "max_trade": 4}
    game = gtrade.TradingGame(**numbers, permanent_impact=1.0)
    with pytest.raises(ValueError, match="fractional-nash"):
        gtrade.solve(game, gtrade.FractionalNash())
    with jax.enable_x64(True):
        game = gtrade.TradingGame(**numbers, permanent_impact=1.0, fixed_fee=1.0)
        with pytest.raises(ValueError, match="this one has fixed_fee"):
            gtrade.solve(game, gtrade.FractionalNash())
    with pytest.raises(ValueError, match="tol must be greater than 0"):
        gtrade.FractionalNash(tol=0.0)
    with pytest.raises(ValueError, match="max_rounds must be at least 0"):
        gtrade.FractionalNash(max_rounds=-1)
    with pytest.raises(ValueError, match="max_steps must be at least 1"):
        gtrade.FractionalNash(max_steps=0)
