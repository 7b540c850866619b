"""Every metric against enumeration, and against the published program's numbers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.numerics.grouping import group_rows
from gtrade.solution import Solution, Status
from gtrade.solvers.self_play import Play
from gtrade.solving import LaneProgram
from gtrade.verification import regret as regrets
from gtrade.verification.exploitability import best_response_gaps
from gtrade.verification.play import verify_trading_solution
from tests.references import kearns_shi as ks
from tests.references import kearns_shi_metrics as reference

LIMITS = (-1, 3)


def random_history(rng, players, rounds=60):
    """Return play on few schedules, so that groups and joint profiles repeat."""
    schedules = ks.enumerate_schedules(3, 4, *LIMITS)[:6]
    return schedules[rng.integers(0, len(schedules), (rounds, players))]


def game_of(players, kappa):
    return gtrade.TradingGame(
        horizon=3,
        targets=[4] * players,
        min_trade=LIMITS[0],
        max_trade=LIMITS[1],
        permanent_impact=kappa,
    )


ARRAYS = ("regret_curve", "schedules")


@eqx.filter_jit
def everything(game, solver, solution):
    """Return all columns and arrays: with one choice of them, fewer programs."""
    return verify_trading_solution(game, solver, solution, ARRAYS)


def evidence(game, solver, solution):
    """Return the columns alone."""
    row = everything(game, solver, solution)
    return {name: value for name, value in row.items() if name not in ARRAYS}


def completed(history):
    play = Play(jnp.asarray(history, jnp.int8))
    return Solution(play, Status.completed, jnp.zeros(()), jnp.asarray(len(history)))


@pytest.mark.parametrize(
    ("players", "oracle"),
    [
        (2, "separable"),
        (2, "table"),
        (3, "separable"),
        pytest.param(3, "table", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("kappa", [0.0, 0.7, 2.0, 3.5])
def test_metrics_agree_with_enumeration(in_float64, kappa, players, oracle):
    history = random_history(np.random.default_rng(0), players)
    game = game_of(players, kappa)
    solver = gtrade.FTPL(perturbation="linear" if oracle == "table" else "full")
    row = everything(game, solver, completed(history))
    box = (kappa, *LIMITS)
    expected = {
        "distance_to_cce": reference.distance_to_cce(history, *box),
        "distance_to_nash": reference.distance_to_nash(history, *box),
        "distance_to_ce": reference.distance_to_ce(history, *box),
        "tv_distance": reference.tv_distance(history),
        "tv_distance_ks25": reference.tv_distance_ks25(history),
        "welfare": reference.mean_welfare(history, kappa),
        "regret": [reference.regret(history, i, *box) for i in range(players)],
        "mean_trades": history.mean(axis=0),
        "regret_curve": np.transpose(
            [reference.regret_curve(history, i, *box) for i in range(players)]
        ),
        "schedules": history,
        "costs": np.mean(
            [[ks.cost(p, i, kappa) for i in range(players)] for p in history], axis=0
        ),
    }
    assert set(row) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(
            row[name], value, rtol=1e-12, atol=1e-12, err_msg=name
        )


def test_a_pure_profile_has_one_distance(in_float64):
    history = random_history(np.random.default_rng(1), 2, rounds=1)
    row = evidence(game_of(2, 1.5), gtrade.BestResponseDynamics(), completed(history))
    assert row["distance_to_cce"] == row["distance_to_nash"] == row["distance_to_ce"]
    assert row["tv_distance"] == row["tv_distance_ks25"] == 0


def test_repeating_a_history_changes_nothing(in_float64):
    history = random_history(np.random.default_rng(2), 2)
    game, solver = game_of(2, 1.5), gtrade.FTPL()
    once = evidence(game, solver, completed(history))
    thrice = evidence(game, solver, completed(np.tile(history, (3, 1, 1))))
    for name, value in once.items():
        np.testing.assert_allclose(thrice[name], value, rtol=1e-12, atol=1e-12)


def test_relabelled_players_permute_the_evidence(in_float64):
    history = random_history(np.random.default_rng(3), 3)
    game, solver, order = game_of(3, 1.5), gtrade.FTPL(), np.array([2, 0, 1])
    row = evidence(game, solver, completed(history))
    other = evidence(game, solver, completed(history[:, order]))
    for name in ("regret", "costs", "mean_trades"):
        np.testing.assert_allclose(other[name], row[name][order], rtol=1e-12)
    for name in ("distance_to_nash", "tv_distance", "welfare"):
        np.testing.assert_allclose(other[name], row[name], rtol=1e-12)


def test_no_answer_gives_no_numbers(in_float64):
    solution = completed(random_history(np.random.default_rng(4), 2))
    bad = Solution(
        solution.value, Status.invalid_input, solution.residual, solution.num_steps
    )
    row = evidence(game_of(2, 1.0), gtrade.FTPL(), bad)
    assert all(np.isnan(value).all() for value in row.values())


def test_float64_is_required():
    game, history = game_of(2, 1.0), jnp.zeros((2, 2, 3), jnp.int8)
    for function in (
        regrets.external_regret,
        regrets.swap_regret,
        regrets.regret_curve,
        best_response_gaps,
    ):
        with pytest.raises(ValueError, match="needs float64.*enable_x64"):
            function(game, history)


@pytest.mark.parametrize(
    ("low", "high", "columns"), [(0, 1, 3), (-9, 9, 5), (-1000, 1000, 30)]
)
def test_groups_are_those_of_numpy(in_float64, low, high, columns):
    rng = np.random.default_rng(5)
    pool = rng.integers(low, high + 1, (7, columns))
    table = pool[rng.integers(0, 7, 200)]
    values = rng.integers(-50, 50, (200, 2))

    @jax.jit
    def group(table, values):
        groups = group_rows(table, low, high)
        return groups, groups.counts(), groups.last_totals(values)

    groups, found, totals = jax.tree.map(np.asarray, group(table, values))
    _, rank, counts = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(found, counts[rank])
    assert len(np.unique(np.stack([groups.rank, rank]), axis=1).T) == len(counts)
    order = groups.order[groups.is_last]
    expected = [values[(table == table[i]).all(axis=1)].sum(axis=0) for i in order]
    np.testing.assert_array_equal(totals[groups.is_last], expected)


# Means and standard deviations over 100 runs of the published program, spec section 3.
PUBLISHED = {
    1.0: {
        "distance_to_cce": (0.487, 0.030),
        "distance_to_nash": (0.449, 0.018),
        "distance_to_ce": (0.605, 0.033),
        "tv_distance_ks25": (0.214, 0.017),
        "welfare": (271.05, 0.17),
    },
    5.0: {
        "distance_to_cce": (3.29, 0.45),
        "distance_to_nash": (32.9, 3.0),
        "distance_to_ce": (23.6, 0.55),
        "tv_distance_ks25": (0.93, 0.10),
        "welfare": (416.9, 2.0),
    },
}


@pytest.mark.slow
def test_the_published_numbers_are_met():
    """Means over 100 runs agree within 4 standard errors of the difference."""
    runs = 100
    kappas = np.repeat(list(PUBLISHED), runs)
    numbers = {"horizon": 5, "targets": [10, 10], "min_trade": -5, "max_trade": 5}
    games = gtrade.make_batch(gtrade.TradingGame, **numbers, permanent_impact=kappas)
    keys = jax.random.split(jax.random.key(7), len(kappas))
    solver = gtrade.FTPL(noise=50.0, num_rounds=2500).prepare(games)
    solution = gtrade.solve_batch(games, solver, keys=keys)
    with jax.enable_x64(True):
        games = gtrade.make_batch(
            gtrade.TradingGame, **numbers, permanent_impact=kappas
        )
        program = LaneProgram(lambda g, s: verify_trading_solution(g, solver, s))
        rows = program(games, solution)
    for kappa, columns in PUBLISHED.items():
        for name, (mean, deviation) in columns.items():
            sample = np.asarray(rows[name])[kappas == kappa]
            error = np.hypot(sample.std(ddof=1), deviation) / np.sqrt(runs)
            z = (sample.mean() - mean) / error
            assert abs(z) < 4, (kappa, name, sample.mean(), z)


@pytest.mark.slow
def test_composite_play_has_a_tenth_of_the_regret():
    """At the same game and length; the median run, see the docs for rare lock-ins."""
    runs = 100
    kappas = np.repeat([1.0, 3.0, 5.0, 10.0], runs)
    numbers = {"horizon": 5, "targets": [10, 10], "min_trade": -5, "max_trade": 5}
    games = gtrade.make_batch(gtrade.TradingGame, **numbers, permanent_impact=kappas)
    keys = jax.random.split(jax.random.key(8), len(kappas))
    regret = {}
    for name, solver in {
        "full": gtrade.FTPL(),
        "5": gtrade.FTPL(noise=5.0, perturbation="linear"),
        "10": gtrade.FTPL(noise=10.0, perturbation="linear"),
    }.items():
        play = gtrade.solve_batch(games, solver, keys=keys).value
        with jax.enable_x64(True):
            exact = gtrade.make_batch(
                gtrade.TradingGame, **numbers, permanent_impact=kappas
            )
            program = LaneProgram(lambda g, p: regrets.external_regret(g, p.schedules))
            regret[name] = np.asarray(program(exact, play)).max(axis=1)
    for kappa in np.unique(kappas):
        lanes = kappas == kappa
        assert np.median(regret["full"][lanes]) > 10 * np.median(regret["5"][lanes])
        assert regret["full"][lanes].mean() > 10 * regret["10"][lanes].mean()


@pytest.mark.parametrize(
    "solver",
    [None, pytest.param(gtrade.FTPL(num_rounds=20), marks=pytest.mark.slow)],
)
def test_verify_from_python(solver):
    numbers = {"horizon": 3, "targets": [4, 4], "min_trade": -1, "max_trade": 3}
    kappas = np.array([0.5, 2.5], np.float32)
    games = gtrade.make_batch(gtrade.TradingGame, **numbers, permanent_impact=kappas)
    keys = jax.random.split(jax.random.key(0), 2)
    play = gtrade.solve_batch(games, gtrade.FTPL(num_rounds=20), keys=keys)
    batch = gtrade.verify(games, play, solver=solver, arrays=("regret_curve",))
    assert batch["distance_to_cce"].dtype == np.float64
    assert batch["regret_curve"].shape == (2, 20, 2)
    for i, kappa in enumerate(kappas):
        history = np.asarray(play.value.schedules)[i]
        expected = reference.distance_to_cce(history, float(kappa), *LIMITS)
        np.testing.assert_allclose(batch["distance_to_cce"][i], expected, rtol=1e-12)
    game, single = jax.tree.map(lambda x: x[1], (games, play))
    alone = gtrade.verify(game, single, solver=solver)
    assert alone["welfare"] == batch["welfare"][1]
    with pytest.raises(TypeError, match="problems of type FTPL"):
        gtrade.verify(gtrade.FTPL(), play)


def test_sums_beyond_64_bits_do_not_wrap(in_float64):
    game = gtrade.TradingGame(
        horizon=2,
        targets=[200_000] * 2,
        min_trade=0,
        max_trade=200_000,
        permanent_impact=1.0,
    )
    profile = np.array([[[100_000, 100_000], [200_000, 0]]])
    gaps = jax.jit(best_response_gaps)
    once, often = gaps(game, profile), gaps(game, np.tile(profile, (22_500, 1, 1)))
    np.testing.assert_allclose(often, once, rtol=1e-12)
    regret = jax.jit(regrets.external_regret)(game, profile)
    np.testing.assert_allclose(once, regret, rtol=1e-12)


@pytest.mark.parametrize(
    ("solver", "expected"),
    [
        (None, "separable"),
        (gtrade.FTPL(), "separable"),
        (gtrade.SwapFTPL(), "separable"),
        (gtrade.FTPL(perturbation="linear"), "table"),
        (gtrade.BestResponseDynamics(), "table"),
    ],
)
def test_evidence_takes_the_oracle_that_the_solver_did_not(
    monkeypatch, in_float64, solver, expected
):
    from gtrade.verification import play

    taken = []
    for name in ("separable", "table"):
        real = getattr(play, f"{name}_oracle")

        def spy(*args, real=real, name=name):
            taken.append(name)
            return real(*args)

        monkeypatch.setattr(play, f"{name}_oracle", spy)
    history = random_history(np.random.default_rng(6), 2, rounds=1)
    jax.eval_shape(
        lambda: verify_trading_solution(game_of(2, 1.0), solver, completed(history))
    )
    assert taken[-1] == expected
