"""The same answers on a GPU: `pytest -m gpu` on a machine that has one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from tests.references import kearns_shi as ks
from tests.references import kearns_shi_learners as learners
from tests.solvers import position_games

pytestmark = pytest.mark.gpu
PAPER = {"horizon": 5, "targets": [10, 10], "min_trade": -5, "max_trade": 5}


@pytest.fixture(autouse=True)
def _gpu():
    if jax.default_backend() != "gpu":
        pytest.skip("jax sees no GPU; install the extra cuda13 or cuda12")


@pytest.mark.parametrize("kappa", [0.5, 2.0, 10.0])
def test_replays_the_published_program(in_float64, kappa):
    noise = np.random.default_rng(1).uniform(0, 50.0, (200, 2, 10))
    game = gtrade.TradingGame(**PAPER, permanent_impact=kappa)
    solver = gtrade.FTPL(num_rounds=200).prepare(game)
    solution = jax.jit(lambda x: solver.solve(game, noise=x))(jnp.asarray(noise))
    expected = learners.published_ftpl(
        5, (10, 10), -5, 5, kappa, 50.0, 200, noise=noise
    )
    np.testing.assert_array_equal(solution.value.schedules, expected)


def test_best_responses_are_exact(x64):
    rng = np.random.default_rng(2)
    flows = rng.integers(-5, 6, (500, 5))
    kappas = rng.choice([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 10.0], 500)
    games = gtrade.make_batch(gtrade.TradingGame, **PAPER, permanent_impact=kappas)
    answers = jax.jit(jax.vmap(gtrade.best_response))(games, jnp.asarray(flows))
    for flow, kappa, answer in zip(flows, kappas, answers, strict=True):
        expected, _ = ks.brute_force_best_response(flow, kappa, 10, -5, 5)
        np.testing.assert_array_equal(answer, expected)


def test_a_hundred_thousand_learners_at_once():
    kappas = np.tile([0.0, 1.0, 2.0, 5.0], 12_500)  # two learners a game
    games = gtrade.make_batch(gtrade.TradingGame, **PAPER, permanent_impact=kappas)
    keys = jax.random.split(jax.random.key(0), len(kappas))
    play = gtrade.solve_batch(games, gtrade.FTPL(num_rounds=200), keys=keys)
    evidence = gtrade.verify(
        *jax.tree.map(lambda x: x[:400], (games, play)), solver=gtrade.FTPL()
    )
    assert np.isfinite(evidence["welfare"]).all()
    np.testing.assert_allclose(evidence["welfare"][kappas[:400] == 2.0], 400.0)


def test_position_building_at_scale(in_float64):
    numbers = [position_games.random_numbers(seed, (2, 2)) for seed in range(50)]
    names = ("permanent_impacts", "targets", "prior")
    columns = {name: np.stack([x[name] for x in numbers] * 400) for name in names}
    games = gtrade.make_batch(gtrade.PositionBuilding, num_types=(2, 2), **columns)
    solution = gtrade.solve_batch(games, gtrade.Spectral())
    rows = gtrade.verify(games, solution)
    scale = np.abs(rows["expected_costs"]).max(axis=1)
    assert (rows["exploitability"] <= 1e-18 * scale).all()
    exact = gtrade.solve_batch(
        jax.tree.map(lambda x: x[:50], games), gtrade.MatrixExponential()
    )
    np.testing.assert_allclose(
        solution.value.schedules[:50], exact.value.schedules, atol=1e-9
    )
