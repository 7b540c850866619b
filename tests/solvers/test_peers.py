"""Lemke-Howson pivoting against nashpy and quantecon, where they are installed.

Dropping the same label in a nondegenerate game leads every implementation to the same
equilibrium, so answers are compared, not only checked.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade

pytestmark = pytest.mark.usefixtures("in_float64")

NUM_GAMES = 25


def random_payoffs(rows, cols):
    """Return normal payoffs of both players, two arrays (games, rows, cols)."""
    rng = np.random.default_rng(100 * rows + cols)
    return rng.normal(size=(2, NUM_GAMES, rows, cols))


def solve_all(payoffs, label):
    games = gtrade.make_batch(
        gtrade.BimatrixGame, payoffs_row=payoffs[0], payoffs_col=payoffs[1]
    )
    solver = gtrade.LemkeHowson(initial_label=jnp.asarray(label))
    solution = gtrade.solve_batch(games, solver)
    gtrade.raise_unless_converged(solution)
    return jax.tree.map(np.asarray, (solution.value.row, solution.value.col))


@pytest.fixture(scope="module")
def quantecon_games():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("quantecon.game_theory")


@pytest.fixture(scope="module")
def nashpy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("nashpy")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("rows", "cols"), [(2, 2), (3, 5), (7, 4), (10, 10)])
def test_quantecon_reaches_the_same_equilibria(quantecon_games, rows, cols):
    payoffs = random_payoffs(rows, cols)
    for label in (0, rows + cols - 1):
        row, col = solve_all(payoffs, label)
        for i, (a, b) in enumerate(zip(*payoffs, strict=True)):
            players = [quantecon_games.Player(np.array(x, order="C")) for x in (a, b.T)]
            game = quantecon_games.NormalFormGame(players)
            theirs = quantecon_games.lemke_howson(game, init_pivot=label)
            np.testing.assert_allclose(row[i], theirs[0], atol=1e-9)
            np.testing.assert_allclose(col[i], theirs[1], atol=1e-9)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("rows", "cols"), [(2, 2), (3, 3), (3, 4), (4, 3)])
def test_equilibria_are_among_all_that_nashpy_lists(nashpy, rows, cols):
    payoffs = random_payoffs(rows, cols)
    row, col = solve_all(payoffs, 0)
    for i, (a, b) in enumerate(zip(*payoffs, strict=True)):
        # Its support enumeration loses equilibria to rounding.
        pairs = nashpy.Game(a, b).vertex_enumeration()
        listed = [np.concatenate(pair) for pair in pairs]
        misses = np.abs(np.stack(listed) - np.concatenate([row[i], col[i]]))
        assert misses.max(axis=1).min() < 1e-9


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("rows", "cols"), [(3, 3), (5, 5)])
def test_nashpy_pivots_to_the_same_equilibria(nashpy, rows, cols):
    payoffs = random_payoffs(rows, cols)
    row, col = solve_all(payoffs, 0)
    for i, (a, b) in enumerate(zip(*payoffs, strict=True)):
        theirs = nashpy.Game(a, b).lemke_howson(initial_dropped_label=0)
        np.testing.assert_allclose(row[i], theirs[0], atol=1e-9)
        np.testing.assert_allclose(col[i], theirs[1], atol=1e-9)
