"""The double oracle against best responses found by trying every schedule."""

import equinox as eqx
import jax
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.solution import status_names
from tests.references import cost_tables
from tests.references import equilibria as reference

PAPER = {"horizon": 5, "min_trade": -5, "max_trade": 5}
KAPPAS = np.arange(0, 10.25, 0.25)
CAPS = {"horizon": 4, "min_trade": [-2, 0, -1, -3], "max_trade": [3, 2, 4, 1]}
# Small sets and an even start compile quickly.
QUICK = {"start": "even", "max_support": 16}


def take(batch, i):
    return jax.tree.map(lambda x: np.asarray(x)[i, ...], batch)


def make(targets, kappas, box=PAPER, **numbers):
    return gtrade.make_batch(
        gtrade.TradingGame, **box, targets=targets, permanent_impact=kappas, **numbers
    )


def gaps_of(box, targets, kappa, value, **general):
    """Return the gains and the values of both players of one instance."""
    weights = np.array(value.weights)
    supports = [
        np.array(s)[w > 0] for s, w in zip(value.schedules, weights, strict=True)
    ]
    weights = [w[w > 0] for w in weights]
    limits = targets, box["min_trade"], box["max_trade"]
    return reference.nash_gap(supports, weights, kappa, *limits, **general).max()


def make_general():
    """Return games with limits of single steps, fees and other exponents."""
    general = {
        "temporary_exponent": np.array([0.6, 0.6, 1.0, 1.0, 0.6, 1.7]),
        "fixed_fee": np.array([1.5, 0.0, 1.5, 0.0, 1.5, 0.5]),
    }
    kappas = np.array([0.5, 1.0, 1.0, 2.5, 3.0, 0.0])
    return make([5, -4], kappas, CAPS, **general), kappas, general


def solve_paper(targets, kappas):
    """Solve up to 41 instances of one compiled shape."""
    size = len(KAPPAS)
    kappas = np.resize(np.asarray(kappas, float), size)
    targets = np.resize(targets, (size, 2))
    games, solver = make(targets, kappas), gtrade.DoubleOracle()
    solution = gtrade.solve_batch(games, solver)
    return games, solution, gtrade.verify(games, solution, solver=solver)


def test_the_papers_game_at_every_impact(in_float64):
    _, solution, columns = solve_paper([10, 10], KAPPAS)
    assert (status_names(solution.status) == "converged").all()
    for i, kappa in enumerate(KAPPAS):
        gap = gaps_of(PAPER, [10, 10], kappa, take(solution.value, i))
        assert gap <= 1e-9
    assert (np.abs(columns["exploitability"]) <= 1e-9).all()
    welfare = dict(zip(KAPPAS.tolist(), columns["welfare"], strict=True))
    for kappa, wanted in {0: 80, 1.5: 350, 2: 400, 5: 550, 10: 800}.items():
        np.testing.assert_allclose(welfare[kappa], wanted, rtol=1e-9)


def test_constant_sum_at_impact_two(in_float64):
    pairs = [[22, 20], [20, 22], [10, 10], [21, -21], [-22, 20]]
    _, solution, columns = solve_paper(pairs, [2.0])
    assert (status_names(solution.status) == "converged").all()
    for i, targets in enumerate(pairs):
        total = sum(targets) ** 2
        np.testing.assert_allclose(columns["values"][i].sum(), total, atol=1e-9)
        if max(map(abs, targets)) > 10:
            _, costs = reference.cost_tables(2.0, targets, 5, -5, 5)
            np.testing.assert_allclose(costs[0] + costs[1], total, atol=1e-9)
            value = cost_tables.zero_sum_value(costs[0])
            np.testing.assert_allclose(columns["values"][i, 0], value, atol=1e-8)
    np.testing.assert_allclose(columns["values"][2], 200, atol=1e-9)


def test_exchanging_targets_keeps_the_answer_an_equilibrium(in_float64):
    kappas = np.repeat([0.5, 1.0, 2.5, 4.0], 2)
    targets = np.tile([[12, -7], [-7, 12]], (4, 1))
    _, solution, _ = solve_paper(np.resize(targets, (41, 2)), kappas)
    assert (status_names(solution.status) == "converged").all()
    for i in range(8):
        value = take(solution.value, i)
        assert gaps_of(PAPER, targets[i], kappas[i], value) <= 1e-9
        swapped = jax.tree.map(lambda x: x[::-1], value)
        assert gaps_of(PAPER, targets[i][::-1], kappas[i], swapped) <= 1e-9


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf])
def test_an_inadmissible_impact_is_reported(in_float64, bad):
    games, good, _ = solve_paper([10, 10], KAPPAS)
    kappas = games.permanent_impact.at[3].set(bad)
    object.__setattr__(games, "permanent_impact", kappas)  # as traced ones arrive
    solution = gtrade.solve_batch(games, gtrade.DoubleOracle())
    names, others = status_names(solution.status), np.arange(41) != 3
    assert names[3] == "invalid_input"
    weights = np.asarray(solution.value.weights)
    assert np.isnan(weights[3]).all()
    assert np.isnan(np.asarray(solution.residual)[3])
    np.testing.assert_array_equal(
        weights[others], np.asarray(good.value.weights)[others]
    )
    columns = gtrade.verify(games, solution)
    assert np.isnan(columns["exploitability"]).tolist() == (~others).tolist()


def test_inadmissible_general_costs_are_reported(in_float64):
    games, _, _ = make_general()
    # Replaced in the built batch: as under tracing, no check sees the values.
    games = eqx.tree_at(
        lambda games: (games.fixed_fee, games.temporary_exponent),
        games,
        (games.fixed_fee.at[1].set(-0.5), games.temporary_exponent.at[2].set(0)),
    )
    solution = gtrade.solve_batch(games, gtrade.DoubleOracle(max_support=32))
    is_bad = np.isin(np.arange(6), [1, 2])
    names = np.where(is_bad, "invalid_input", "converged")
    assert status_names(solution.status).tolist() == names.tolist()
    assert np.isnan(solution.residual).tolist() == is_bad.tolist()


def check_scaled(box, targets, kappas):
    kappas = np.asarray(kappas)
    games, solver = make(targets, kappas, box), gtrade.DoubleOracle()
    solution = gtrade.solve_batch(games, solver)
    assert (status_names(solution.status) == "converged").all()
    columns = gtrade.verify(games, solution, solver=solver)
    scale = np.abs(columns["values"]).max(axis=1)
    assert (np.abs(columns["exploitability"]) <= 1e-9 * scale).all()


@pytest.mark.parametrize(
    ("horizon", "targets", "theta", "kappas"),
    [
        pytest.param(
            78, [10_000] * 2, 1000, [0.2, 1.0, 1.9, 2.5, 5.0], id="day",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            390, [10_000] * 2, 200, [0.2, 1.0, 1.9, 2.5, 5.0], id="minutes",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            20, [[100, -100], [100, 0]] * 2, 30, [0.5, 1.5, 2.5, 5.0], id="others",
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_larger_games(in_float64, horizon, targets, theta, kappas):
    box = {"horizon": horizon, "min_trade": -theta, "max_trade": theta}
    check_scaled(box, targets, kappas)


def test_general_costs_and_limits_of_single_steps(in_float64):
    games, kappas, general = make_general()
    solver = gtrade.DoubleOracle(max_support=32)
    solution = gtrade.solve_batch(games, solver)
    columns = gtrade.verify(games, solution, solver=solver)
    assert (status_names(solution.status) == "converged").all()
    for i, kappa in enumerate(kappas):
        kind = {name: column[i] for name, column in general.items()}
        gap = gaps_of(CAPS, [5, -4], kappa, take(solution.value, i), **kind)
        assert gap <= 1e-9
    assert (np.abs(columns["exploitability"]) <= 1e-9).all()


@pytest.mark.slow
def test_a_batch_is_its_games(in_float64):
    kappas = np.linspace(0, 4, 6)
    games, solver = make([4, 7], kappas), gtrade.DoubleOracle(**QUICK)
    many = gtrade.solve_batch(games, solver)
    for i in range(len(kappas)):
        game = gtrade.TradingGame(**PAPER, targets=[4, 7], permanent_impact=kappas[i])
        one = gtrade.solve(game, solver)
        for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
            np.testing.assert_array_equal(x, np.asarray(y)[i])


@pytest.mark.slow
def test_random_starts(in_float64):
    kappas = np.array([0.5, 1.5, 2.0, 3.0])
    games = make([10, 6], kappas)
    solver = gtrade.DoubleOracle(start="random", max_support=32)
    keys = jax.random.split(jax.random.key(1), 4)
    solution = gtrade.solve_batch(games, solver, keys=keys)
    assert (status_names(solution.status) == "converged").all()
    for i, kappa in enumerate(kappas):
        assert gaps_of(PAPER, [10, 6], kappa, take(solution.value, i)) <= 1e-9


def test_running_out_of_steps_from_random_starts_is_reported(in_float64):
    kappas = np.array([1.0, 3.0, 5.0])
    games = make([10, 10], kappas)
    solver = gtrade.DoubleOracle(start="random", max_support=16, max_steps=1)
    keys = jax.random.split(jax.random.key(1), 3)
    solution = gtrade.solve_batch(games, solver, keys=keys)
    assert "stalled" in status_names(solution.status)
    residual = np.array(solution.residual)
    columns = gtrade.verify(games, solution)
    for i, name in enumerate(status_names(solution.status)):
        gap = gaps_of(PAPER, [10, 10], kappas[i], take(solution.value, i))
        np.testing.assert_allclose(columns["exploitability"][i], gap, atol=1e-9)
        assert (name == "stalled") == (residual[i] > 1e-12) == (gap > 1e-9)


def test_refusals(in_float64):
    three = gtrade.TradingGame(**PAPER, targets=[1, 2, 3], permanent_impact=1.0)
    with pytest.raises(ValueError, match="double-oracle needs two players.*got 3"):
        gtrade.solve(three, gtrade.DoubleOracle())
    with pytest.raises(InadmissibleError, match="targets must name two players"):
        gtrade.DoubleOracle.validate_for({"targets": [1, 2, 3]})
    two = gtrade.TradingGame(**PAPER, targets=[1, 2], permanent_impact=1.0)
    with pytest.raises(ValueError, match='start = "random" needs a `key`'):
        gtrade.solve(two, gtrade.DoubleOracle(start="random"))
    gtrade.DoubleOracle.validate_for({"targets": [[1, 2], [3, 4], [5, 6]]})
    with pytest.raises(ValueError, match="start must be one of portfolio, mean-flow"):
        gtrade.DoubleOracle(start="middle")
    with pytest.raises(ValueError, match="max_support must be at least 2"):
        gtrade.DoubleOracle(max_support=1)
    with pytest.raises(ValueError, match="max_steps must be at least 1"):
        gtrade.DoubleOracle(max_steps=0)
    with pytest.raises(ValueError, match="tol must be greater than 0"):
        gtrade.DoubleOracle(tol=0.0)


def test_needs_float64():
    game = gtrade.TradingGame(**PAPER, targets=[1, 2], permanent_impact=1.0)
    with pytest.raises(ValueError, match="double-oracle"):
        gtrade.solve(game, gtrade.DoubleOracle())
