"""Bimatrix games: costs and payoffs, batches, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError

ROW = [[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]
COL = [[2.0, 0.0, 1.0], [-3.0, 5.0, 0.25]]


def test_costs_are_expectations(x64):
    game = gtrade.BimatrixGame(costs_row=ROW, costs_col=COL)
    assert game.shape == (2, 3)
    row, col = np.array([0.25, 0.75]), np.array([0.5, 0.125, 0.375])
    dtype = game.costs_row.dtype
    found = game.costs(jnp.asarray(row, dtype), jnp.asarray(col, dtype))
    wanted = [row @ np.array(matrix) @ col for matrix in (ROW, COL)]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert found.dtype == dtype


def test_payoffs_are_negative_costs(x64):
    game = gtrade.BimatrixGame(payoffs_row=ROW, payoffs_col=COL)
    np.testing.assert_array_equal(game.costs_row, -np.array(ROW))
    np.testing.assert_array_equal(game.costs_col, -np.array(COL))
    whole = gtrade.BimatrixGame(payoffs_row=[[1, 2]], payoffs_col=[[3, 4]])
    assert whole.costs_row.dtype == game.costs_row.dtype


def test_a_batch_may_share_a_matrix(in_float64):
    rows = np.random.default_rng(0).normal(size=(4, 2, 3))
    games = gtrade.make_batch(gtrade.BimatrixGame, payoffs_row=rows, payoffs_col=COL)
    assert games.shape == (2, 3)
    np.testing.assert_array_equal(games.costs_row, -rows)
    np.testing.assert_array_equal(games.costs_col, np.tile(-np.array(COL), (4, 1, 1)))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({}, "must be given as costs_row and costs_col, or as payoffs_row"),
        ({"costs_row": ROW}, "costs_col must be given as"),
        ({"costs_col": COL}, "costs_row must be given as"),
        ({"payoffs_row": ROW}, "payoffs_col must be given as"),
        ({"payoffs_col": COL}, "payoffs_row must be given as"),
        ({"costs_row": ROW, "payoffs_col": COL}, "must be given as"),
        ({"costs_row": [1, 2], "costs_col": COL}, "costs_row must be a matrix"),
        ({"costs_row": [[]], "costs_col": [[]]}, "costs_row must be a matrix"),
        ({"costs_row": [[1], [1, 2]], "costs_col": COL}, "costs_row must be a matrix"),
        ({"costs_row": ROW, "costs_col": [["a"] * 3] * 2}, "costs_col must be a num"),
        ({"payoffs_row": ROW, "payoffs_col": [[1, 2]]}, r"have the shape of payoffs_r"),
        ({"costs_row": [[np.nan]], "costs_col": [[1]]}, "costs_row must be finite"),
        ({"payoffs_row": [[1]], "payoffs_col": [[np.inf]]}, "payoffs_col must be fin"),
    ],
)
def test_inadmissible_games_are_named(numbers, message):
    with pytest.raises(InadmissibleError, match=message):
        gtrade.BimatrixGame(**numbers)


def test_bad_rows_of_a_batch_are_named():
    rows = np.zeros((3, 2, 3))
    rows[1, 0, 2] = np.nan
    with pytest.raises(InadmissibleError, match=r"costs_row must be finite.*row 1"):
        gtrade.make_batch(gtrade.BimatrixGame, costs_row=rows, costs_col=COL)


def test_shapes_are_checked_under_tracing_too():
    def build(row):
        return gtrade.BimatrixGame(costs_row=row, costs_col=COL).costs_row

    np.testing.assert_array_equal(jax.jit(build)(jnp.asarray(ROW)), ROW)
    with pytest.raises(ValueError, match=r"costs_col must have shape \(3, 3\)"):
        jax.jit(build)(jnp.zeros((3, 3)))
    with pytest.raises(InadmissibleError, match="must be given as"):
        jax.jit(lambda row: gtrade.BimatrixGame(costs_row=row))(jnp.asarray(ROW))
    empty = jnp.zeros((0, 3))
    with pytest.raises(InadmissibleError, match="costs_row must be a matrix of at"):
        jax.jit(lambda x: gtrade.BimatrixGame(costs_row=x, costs_col=x))(empty)
