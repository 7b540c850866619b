"""Lemke-Howson pivoting against enumeration, linear programs and known games."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.solution import status_names
from gtrade.solvers.complementary_pivoting import pivot_to_equilibrium
from gtrade.solving import make_program, share_among
from tests.references import cost_tables

KINDS = {
    "normal": lambda rng, size: rng.normal(size=size),
    "0..3": lambda rng, size: rng.integers(0, 4, size).astype(float),
    "0..1": lambda rng, size: rng.integers(0, 2, size).astype(float),
}


def labelled(labels):
    """Return solvers of a batch; labels as wide as a single one compile no more."""
    labels = np.asarray(labels, np.int32)
    return gtrade.make_batch(gtrade.LemkeHowson, initial_label=labels)


def batch(payoffs_row, payoffs_col):
    return gtrade.make_batch(
        gtrade.BimatrixGame, payoffs_row=payoffs_row, payoffs_col=payoffs_col
    )


def solve(payoffs_row, payoffs_col, **options):
    """Solve a batch of games given by payoffs, shape (games, rows, cols)."""
    games = batch(payoffs_row, payoffs_col)
    return gtrade.solve_batch(games, gtrade.LemkeHowson(**options))


def largest_relative_gap(payoffs_row, payoffs_col, pairs):
    """Return the largest gain from a deviation, relative to the player's payoffs."""
    gaps = []
    games = zip(
        payoffs_row, payoffs_col, np.array(pairs.row), np.array(pairs.col), strict=True
    )
    for a, b, x, y in games:
        spans = np.array([np.ptp(a), np.ptp(b)])
        gaps.append(
            cost_tables.bimatrix_gap(-a, -b, x, y) / np.where(spans > 0, spans, 1)
        )
        for weights in (x, y):
            assert (weights >= 0).all()
            assert abs(weights.sum() - 1) <= 1e-12
    return np.max(gaps)


def check_random(kind, num_games):
    rng = np.random.default_rng(len(kind))
    a, b = KINDS[kind](rng, (2, num_games, 10, 10))
    solution = solve(a, b)
    assert (status_names(solution.status) == "converged").all()
    assert largest_relative_gap(a, b, solution.value) <= 1e-9
    assert (np.asarray(solution.residual) <= 1e-10).all()


@pytest.mark.parametrize("kind", KINDS)
def test_random_games(in_float64, kind):
    check_random(kind, 2000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_random_games(in_float64, kind):
    check_random(kind, 10_000)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 5), pytest.param((7, 3), marks=pytest.mark.slow)]
)
def test_rectangular_games(in_float64, shape):
    rng = np.random.default_rng(sum(shape))
    draws = [draw(rng, (2, 40, *shape)) for draw in KINDS.values()]
    a, b = np.concatenate(draws, axis=1)
    solution = solve(a, b)
    assert (status_names(solution.status) == "converged").all()
    assert largest_relative_gap(a, b, solution.value) <= 1e-9


@pytest.mark.parametrize(
    ("a", "b", "equilibria"),
    [
        ([[3, 0], [5, 1]], [[3, 5], [0, 1]], [([0, 1], [0, 1])]),
        ([[1, -1], [-1, 1]], [[-1, 1], [1, -1]], [([0.5, 0.5], [0.5, 0.5])]),
        (
            [[3, 0], [0, 2]],
            [[2, 0], [0, 3]],
            [([1, 0], [1, 0]), ([0, 1], [0, 1]), ([0.6, 0.4], [0.4, 0.6])],
        ),
        (
            [[0, -1, 1], [1, 0, -1], [-1, 1, 0]],
            [[0, 1, -1], [-1, 0, 1], [1, -1, 0]],
            [([1 / 3] * 3, [1 / 3] * 3)],
        ),
    ],
    ids=["prisoners", "pennies", "sexes", "rock-paper-scissors"],
)
def test_known_games(in_float64, a, b, equilibria):
    labels = np.arange(2 * len(a))
    solvers = labelled(labels)
    a, b = (np.tile(np.array(x, float), (len(labels), 1, 1)) for x in (a, b))
    solution = gtrade.solve_batch(batch(a, b), solvers)
    assert (status_names(solution.status) == "converged").all()
    value = solution.value
    for row, col in zip(np.array(value.row), np.array(value.col), strict=True):
        misses = [
            max(np.abs(row - x).max(), np.abs(col - y).max()) for x, y in equilibria
        ]
        assert min(misses) <= 1e-12


def test_every_label_reaches_an_equilibrium(in_float64):
    rng = np.random.default_rng(5)
    num_labels, several = 7, 0
    games = [rng.normal(size=(2, 3, 4)) for _ in range(12)]
    a, b = (np.repeat([g[i] for g in games], num_labels, axis=0) for i in (0, 1))
    labels = np.tile(np.arange(num_labels), len(games))
    solvers = labelled(labels)
    solution = gtrade.solve_batch(batch(a, b), solvers)
    assert (status_names(solution.status) == "converged").all()
    rows, cols = np.array(solution.value.row), np.array(solution.value.col)
    for i, (one, other) in enumerate(games):
        known = cost_tables.all_equilibria(-one, -other)
        found = set()
        for k in range(i * num_labels, (i + 1) * num_labels):
            misses = [
                max(np.abs(rows[k] - x).max(), np.abs(cols[k] - y).max())
                for x, y in known
            ]
            assert min(misses) <= 1e-9
            found.add(int(np.argmin(misses)))
        several += len(found) > 1
    assert several > 0  # labels do matter


def test_labels_wrap_around(in_float64):
    a, b = np.random.default_rng(6).normal(size=(2, 84, 3, 4))
    labels = np.arange(84)
    one, other = (
        gtrade.solve_batch(batch(a, b), labelled(x)) for x in (labels, labels + 7)
    )
    np.testing.assert_array_equal(one.value.row, other.value.row)
    np.testing.assert_array_equal(one.num_steps, other.num_steps)


@pytest.mark.parametrize("max_pivots", [pytest.param(1, marks=pytest.mark.slow), 2000])
def test_strategies_out_of_use_change_nothing(in_float64, max_pivots):
    a, b = np.random.default_rng(7).normal(size=(2, 40, 3, 2))
    wide_a, wide_b = 5 + np.random.default_rng(8).normal(size=(2, 40, 5, 4))
    rows, cols = [0, 2, 3], [1, 2]
    place = np.ix_(np.arange(40), rows, cols)
    wide_a[place], wide_b[place] = a, b
    options = {"tol": 1e-10, "max_pivots": max_pivots, "num_starts": 9}
    has_row, has_col = np.isin(np.arange(5), rows), np.isin(np.arange(4), cols)

    def narrow(a, b, label):
        return pivot_to_equilibrium(a, b, initial_label=label, **options)

    def wide(a, b, label):
        found = pivot_to_equilibrium(
            a, b, initial_label=label, has_row=has_row, has_col=has_col, **options
        )
        return found._replace(row=found.row[jnp.array(rows)], col=found.col[1:3])

    labels = np.arange(40)  # beyond the five in use: they wrap around
    one = jax.tree.map(np.asarray, jax.jit(jax.vmap(narrow))(a, b, labels))
    other = jax.tree.map(np.asarray, jax.jit(jax.vmap(wide))(wide_a, wide_b, labels))
    if max_pivots == 1:
        assert (other.num_pivots <= 5).all()  # every label once at most
        assert (other.num_pivots == one.num_pivots).all()
        return
    assert (other.gap <= 1e-12).all()
    np.testing.assert_allclose(one.row, other.row, atol=1e-12)
    np.testing.assert_allclose(one.col, other.col, atol=1e-12)


def test_zero_sum_games_have_the_value_of_the_linear_program(in_float64):
    rng = np.random.default_rng(7)
    draws = [draw(rng, (10, 10, 10)) for draw in KINDS.values()]
    costs = np.concatenate(draws)
    solution = solve(-costs, costs)
    for cost, x, y in zip(
        costs, np.array(solution.value.row), np.array(solution.value.col), strict=True
    ):
        value = cost_tables.zero_sum_value(cost)
        np.testing.assert_allclose(x @ cost @ y, value, rtol=0, atol=1e-9)
        # Each strategy secures the value on its own.
        assert (x @ cost).max() <= value + 1e-9
        assert (cost @ y).min() >= value - 1e-9


def test_scaling_and_shifting_payoffs_changes_nothing(in_float64):
    a, b = np.random.default_rng(8).normal(size=(2, 30, 10, 10))
    one, other = solve(a, b), solve(250 * a - 17, 0.01 * b + 3)
    np.testing.assert_allclose(other.value.row, one.value.row, rtol=0, atol=1e-9)
    np.testing.assert_allclose(other.value.col, one.value.col, rtol=0, atol=1e-9)


def test_relabelled_games_have_relabelled_equilibria(in_float64):
    rng = np.random.default_rng(9)
    a, b = rng.normal(size=(2, 84, 3, 4))
    rows, cols = rng.permutation(3), rng.permutation(4)
    moved = [x[:, rows][:, :, cols] for x in (a, b)]
    # The same strategy is dropped first in both: number 0 and where it went.
    one = solve(a, b)
    other = solve(*moved, initial_label=int(np.flatnonzero(rows == 0)[0]))
    wanted = np.array(one.value.row)[:, rows], np.array(one.value.col)[:, cols]
    np.testing.assert_allclose(other.value.row, wanted[0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(other.value.col, wanted[1], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(other.num_steps, one.num_steps)


def test_a_batch_is_its_games(in_float64):
    rng = np.random.default_rng(10)
    draws = [draw(rng, (2, 10, 10, 10)) for draw in KINDS.values()]
    a, b = np.concatenate(draws, axis=1)
    many = [np.asarray(x) for x in jax.tree.leaves(solve(a, b))]
    for i in range(0, len(a), 3):
        game = gtrade.BimatrixGame(payoffs_row=a[i], payoffs_col=b[i])
        one = gtrade.solve(game, gtrade.LemkeHowson())
        for x, y in zip(jax.tree.leaves(one), many, strict=True):
            np.testing.assert_array_equal(x, y[i])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_lane_is_reported_and_leaves_the_others_alone(in_float64, bad):
    a, b = np.random.default_rng(11).normal(size=(2, 30, 10, 10))
    games, solver = batch(a, b), gtrade.LemkeHowson()
    # Numbers are checked when a game is built; traced ones are not.
    broken = jax.tree.map(lambda x: x, games)
    object.__setattr__(broken, "costs_col", games.costs_col.at[5, 2, 3].set(bad))
    good, solution = (gtrade.solve_batch(x, solver) for x in (games, broken))
    names = status_names(solution.status)
    assert names[5] == "invalid_input"
    assert (np.delete(names, 5) == "converged").all()
    others = np.arange(30) != 5
    for x, y in zip(
        jax.tree.leaves(solution.value), jax.tree.leaves(good.value), strict=True
    ):
        assert np.isnan(np.asarray(x)[5]).all()
        np.testing.assert_array_equal(np.asarray(x)[others], np.asarray(y)[others])
    assert np.isnan(np.asarray(solution.residual)[5])
    columns = gtrade.verify(broken, solution, solver=solver)
    assert np.isnan(columns["exploitability"]).tolist() == (~others).tolist()


def test_running_out_of_pivots_is_reported(in_float64):
    a, b = np.random.default_rng(12).normal(size=(2, 40, 10, 10))
    solution = solve(a, b, max_pivots=1, num_starts=1)
    names, residual = status_names(solution.status), np.array(solution.residual)
    assert (names == "stalled").any()
    assert set(names) <= {"stalled", "converged"}
    assert (residual[names == "stalled"] > 1e-10).all()
    assert (np.asarray(solution.num_steps) == 1).all()
    # Further starts help, and pivots of all of them are counted.
    further = solve(a, b, max_pivots=1, num_starts=20)
    assert (np.array(further.residual) <= residual).all()
    assert np.asarray(further.num_steps).max() == 20


def test_the_residual_is_the_gap(in_float64):
    a, b = np.random.default_rng(13).normal(size=(2, 40, 10, 10))
    solution = solve(a, b, max_pivots=1, num_starts=1)
    rows, cols = np.array(solution.value.row), np.array(solution.value.col)
    for i, residual in enumerate(np.array(solution.residual)):
        if np.isfinite(residual):
            gaps = cost_tables.bimatrix_gap(-a[i], -b[i], rows[i], cols[i])
            wanted = (gaps / [np.ptp(a[i]), np.ptp(b[i])]).max()
            np.testing.assert_allclose(residual, wanted, rtol=1e-9, atol=1e-12)


def test_needs_float64():
    game = gtrade.BimatrixGame(costs_row=[[1.0]], costs_col=[[1.0]])
    with pytest.raises(ValueError, match="lemke-howson"):
        gtrade.solve(game, gtrade.LemkeHowson())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tol": 0.0}, "tol must be greater than 0"),
        ({"tol": np.nan}, "tol must be finite"),
        ({"initial_label": -1}, "initial_label must be at least 0"),
        ({"initial_label": 0.5}, "initial_label must be a whole number"),
        ({"max_pivots": 0}, "max_pivots must be at least 1; got 0"),
        ({"num_starts": 0}, "num_starts must be at least 1; got 0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        gtrade.LemkeHowson(**options)


def test_a_shape_is_compiled_once(in_float64):
    rng = np.random.default_rng(14)
    program = None
    for label in (0, 3):
        games = batch(*rng.normal(size=(2, 9, 4, 4)))
        program = program or make_program(gtrade.LemkeHowson(), games, 1)
        solver = gtrade.LemkeHowson(initial_label=label, tol=1e-9 / (label + 1))
        program(games, share_among(solver, 9), None)
    assert program.num_compilations == 1


def test_agrees_with_nashpy(in_float64):
    nashpy = pytest.importorskip("nashpy")
    a, b = np.random.default_rng(15).normal(size=(2, 20, 4, 4))
    solution = solve(a, b)
    for i in range(len(a)):
        x, y = nashpy.Game(a[i], b[i]).lemke_howson(initial_dropped_label=0)
        np.testing.assert_allclose(solution.value.row[i], x, rtol=0, atol=1e-9)
        np.testing.assert_allclose(solution.value.col[i], y, rtol=0, atol=1e-9)
