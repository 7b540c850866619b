"""Support enumeration finds all equilibria of small nondegenerate games."""

import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.solution import status_names
from gtrade.solvers.support_enumeration import num_support_pairs
from tests.references import cost_tables

SOLVER = gtrade.SupportEnumeration


def solve(payoffs_row, payoffs_col):
    games = gtrade.make_batch(
        gtrade.BimatrixGame, payoffs_row=payoffs_row, payoffs_col=payoffs_col
    )
    return games, gtrade.solve_batch(games, SOLVER())


def check_set(known, pairs, i):
    """Require that lane i holds exactly the known equilibria."""
    is_found = np.array(pairs.is_found[i])
    rows, cols = np.array(pairs.row[i]), np.array(pairs.col[i])
    assert is_found.sum() == len(known)
    assert (rows[~is_found] == 0).all()
    assert (cols[~is_found] == 0).all()
    for x, y in known:
        misses = np.maximum(np.abs(rows - x).max(axis=1), np.abs(cols - y).max(axis=1))
        assert misses[is_found].min() <= 1e-9


@pytest.mark.parametrize(("shape", "num"), [((3, 3), 40), ((4, 4), 15), ((2, 4), 20)])
def test_finds_what_enumeration_of_vertices_finds(in_float64, shape, num):
    a, b = np.random.default_rng(sum(shape)).normal(size=(2, num, *shape))
    games, solution = solve(a, b)
    assert (status_names(solution.status) == "converged").all()
    assert (np.array(solution.num_steps) == num_support_pairs(*shape)).all()
    known = [cost_tables.all_equilibria(-x, -y) for x, y in zip(a, b, strict=True)]
    for i in range(num):
        check_set(known[i], solution.value, i)
    counts = [len(pairs) for pairs in known]
    assert max(counts) > 1
    columns = gtrade.verify(games, solution, solver=SOLVER())
    np.testing.assert_array_equal(columns["num_equilibria"], counts)
    assert (columns["exploitability"] <= 1e-9).all()
    for i in range(num):
        totals = [-(x @ (a[i] + b[i]) @ y) for x, y in known[i]]
        np.testing.assert_allclose(columns["welfare"][i], min(totals), rtol=1e-9)
        np.testing.assert_allclose(columns["welfare_worst"][i], max(totals), rtol=1e-9)


def test_pivoting_ends_in_one_of_them(in_float64):
    a, b = np.random.default_rng(7).normal(size=(2, 40, 3, 3))
    games, solution = solve(a, b)
    pivoted = gtrade.solve_batch(games, gtrade.LemkeHowson()).value
    misses = np.abs(np.array(solution.value.row - pivoted.row[:, None])).max(axis=2)
    misses += np.abs(np.array(solution.value.col - pivoted.col[:, None])).max(axis=2)
    misses = np.where(solution.value.is_found, misses, np.inf)
    assert misses.min(axis=1).max() <= 1e-9


def test_a_bad_lane_is_reported(in_float64):
    a, b = np.random.default_rng(8).normal(size=(2, 40, 3, 3))
    games, good = solve(a, b)
    object.__setattr__(games, "costs_row", games.costs_row.at[3, 0, 0].set(np.nan))
    solution = gtrade.solve_batch(games, SOLVER())
    assert status_names(solution.status)[3] == "invalid_input"
    assert not solution.value.is_found[3].any()
    others = np.arange(40) != 3
    np.testing.assert_array_equal(solution.value.row[others], good.value.row[others])


def test_large_games_are_refused_with_one_message(in_float64):
    assert num_support_pairs(8, 8) == 12_869
    assert num_support_pairs(9, 9) > 20_000
    costs = np.zeros((9, 9))
    game = gtrade.BimatrixGame(costs_row=costs, costs_col=costs)
    with pytest.raises(ValueError, match="at most 20000 pairs of supports.* 9 x 9"):
        gtrade.solve(game, SOLVER())
    rule = "must have at most 20000 pairs of supports; lemke-howson has no limit"
    for names in (("costs_row", "costs_col"), ("payoffs_row", "payoffs_col")):
        with pytest.raises(InadmissibleError, match=f"{names[0]} {rule}"):
            SOLVER.validate_for(dict.fromkeys(names, costs))
    SOLVER.validate_for(dict.fromkeys(("costs_row", "costs_col"), costs[:8, :8]))


def test_needs_float64_and_a_positive_tolerance():
    game = gtrade.BimatrixGame(costs_row=[[1.0]], costs_col=[[1.0]])
    with pytest.raises(ValueError, match="support-enumeration"):
        gtrade.solve(game, SOLVER())
    with pytest.raises(ValueError, match="tol must be greater than 0"):
        SOLVER(tol=-1.0)
