import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.solution import status_names
from gtrade.solvers import best_response
from gtrade.verification.exploitability import exploitability
from tests.references import kearns_shi as reference

measure = jax.jit(exploitability)


def solve(numbers, key=None, **options):
    game = gtrade.TradingGame(**numbers)
    return game, gtrade.solve(game, gtrade.BestResponseDynamics(**options), key=key)


# Each start and each number of players once.
QUICK = [(2, "random"), (3, "even"), (7, "front")]


def theorem_4_5(**changes):
    numbers = {"horizon": 5, "targets": [5, 5], "permanent_impact": 1.0}
    return {**numbers, "min_trade": -20, "max_trade": 20, **changes}


def test_theorem_4_5_cycles(in_float64):
    # The paper's second player moves first: here the players are listed in that order.
    start = [[1, 1, 1, 1, 1], [2, 2, 1, 0, 0]]
    _, solution = solve(theorem_4_5(), start=start, max_rounds=50)
    assert status_names(solution.status) == "cycled"
    path = jax.tree.map(np.asarray, solution.value)
    # Six moves close the cycle, two a round; the start itself is not on it.
    assert path.cycle_length == 3
    assert path.cycle_start == 1
    expected = [
        [[3, 1, 0, 0, 1], [2, 1, 1, 1, 0]],
        [[2, 2, 1, 0, 0], [3, 1, 0, 0, 1]],
        [[2, 1, 1, 1, 0], [2, 2, 1, 0, 0]],
    ]
    np.testing.assert_array_equal(path.profiles[1:4], expected)
    np.testing.assert_array_equal(path.profiles[4], expected[0])
    rounds, verdict = reference.best_response_dynamics(
        np.array(start), 1.0, [5, 5], -4, 6, max_rounds=50
    )
    assert verdict == "cycled"
    np.testing.assert_array_equal(path.profiles[1 : len(rounds) + 1], rounds)


@pytest.mark.parametrize("compared", [2, 3])
def test_cycles_are_found_across_slices_of_the_history(
    in_float64, monkeypatch, compared
):
    monkeypatch.setattr(best_response, "_COMPARED", compared)
    starts = [[[1, 1, 1, 1, 1], [2, 2, 1, 0, 0]], [[3, 1, 0, 0, 1], [2, 1, 1, 1, 0]]]
    game = gtrade.TradingGame(**theorem_4_5())
    dynamics = gtrade.BestResponseDynamics(start=starts[0], max_rounds=7)
    paths = jax.jit(
        jax.vmap(
            lambda start: eqx.tree_at(lambda x: x.start, dynamics, start).solve(game)
        )
    )(jnp.asarray(starts, jnp.int32))
    np.testing.assert_array_equal(paths.value.cycle_start, [1, 0])
    np.testing.assert_array_equal(paths.value.cycle_length, [3, 3])
    np.testing.assert_array_equal(paths.num_steps, [4, 3])
    profiles = np.array(paths.value.profiles)
    np.testing.assert_array_equal(profiles[0, 1:5], profiles[1, :4])
    assert (profiles[1, 4:] == 0).all()


@pytest.mark.parametrize(
    ("players", "start"),
    [
        case if case in QUICK else pytest.param(*case, marks=pytest.mark.slow)
        for case in itertools.product([2, 3, 7], ["even", "front", "random"])
    ],
)
def test_converges_to_a_certified_equilibrium_without_permanent_impact(
    in_float64, start, players
):
    numbers = {"horizon": 6, "targets": [9, -4, 5, 0, 12, 3, 7][:players]}
    numbers |= {"min_trade": -5, "max_trade": 6, "permanent_impact": 0.0}
    game, solution = solve(numbers, key=jax.random.key(0), start=start)
    assert status_names(solution.status) == "converged"
    profile = np.asarray(solution.value.schedules)[0].astype(np.int64)
    assert profile.sum(axis=-1).tolist() == numbers["targets"]
    assert measure(game, profile) <= 0
    # The potential falls with every round.
    steps = int(solution.num_steps)
    potentials = np.asarray(solution.value.potentials)[: steps + 1]
    assert (np.diff(potentials) <= 0).all()


@pytest.mark.parametrize("kappa", [0.5, 1.5, 2.0, 2.5])
def test_follows_the_reference(in_float64, kappa):
    box = {"horizon": 4, "targets": [6, 3], "min_trade": -2, "max_trade": 4}
    start = np.array([[4, 2, 0, 0], [0, 0, 1, 2]])
    numbers = {**box, "permanent_impact": kappa}
    _, solution = solve(numbers, start=start, max_rounds=40)
    rounds, verdict = reference.best_response_dynamics(
        start, kappa, [6, 3], -2, 4, max_rounds=40
    )
    name = {"max_rounds": "max_steps_reached"}.get(verdict, verdict)
    assert status_names(solution.status) == name
    played = np.asarray(solution.value.profiles)[1 : len(rounds) + 1]
    np.testing.assert_array_equal(played, rounds[: len(played)])


def test_runs_out_of_rounds(in_float64):
    start = [[1, 1, 1, 1, 1], [2, 2, 1, 0, 0]]
    _, solution = solve(theorem_4_5(), start=start, max_rounds=2)
    assert status_names(solution.status) == "max_steps_reached"
    assert solution.residual > 0


def test_epsilon_stops_small_improvements(in_float64):
    start = [[1, 1, 1, 1, 1], [2, 2, 1, 0, 0]]
    game, solution = solve(theorem_4_5(), start=start, epsilon=10.0, max_rounds=50)
    assert status_names(solution.status) == "converged"
    np.testing.assert_array_equal(np.asarray(solution.value.schedules)[0], start)
    assert 0 < measure(game, np.array(start)) <= 10


@pytest.mark.parametrize(
    "start", [[[5, 0, 0, 0, 1], [1, 1, 1, 1, 1]], [[25, -20, 0, 0, 0], [1] * 5]]
)
def test_an_infeasible_start_is_reported(in_float64, start):
    _, solution = solve(theorem_4_5(), start=start, max_rounds=50)
    assert status_names(solution.status) == "invalid_input"


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="start must be one of even, front, random"):
        gtrade.BestResponseDynamics(start="middle")
    with pytest.raises(ValueError, match="start must be a whole number"):
        gtrade.BestResponseDynamics(start=[[0.5, 0.5]])
    with pytest.raises(ValueError, match="epsilon must be at least 0"):
        gtrade.BestResponseDynamics(epsilon=-1)
    with pytest.raises(ValueError, match="max_rounds must be at least 1"):
        gtrade.BestResponseDynamics(max_rounds=0)
    game = gtrade.TradingGame(**theorem_4_5())
    with pytest.raises(ValueError, match="start must have shape"):
        gtrade.BestResponseDynamics(start=[[1, 4], [2, 3]]).solve(game)
    with pytest.raises(ValueError, match='start = "random" needs a `key`'):
        gtrade.BestResponseDynamics(start="random").solve(game)


def test_starts_are_checked_against_the_game_beforehand():
    check = gtrade.BestResponseDynamics.validate_for
    game = theorem_4_5(min_trade=-2, max_trade=3)
    good = [[1, 1, 1, 1, 1], [3, 3, -1, 0, 0]]
    check(game, start=good)
    check(game, start="even")
    with pytest.raises(ValueError, match=r"start must have shape \(2, 5\)"):
        check(game, start=[[1, 4], [2, 3]])
    with pytest.raises(ValueError, match=r"every trade in \[-2, 3\]"):
        check(game, start=[[1, 1, 1, 1, 1], [4, 1, 0, 0, 0]])
    with pytest.raises(ValueError, match="meet the targets.*row 1"):
        check(game, start=[good, [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]])


def test_positions_beyond_32_bits_are_exact_or_refused():
    numbers = {"horizon": 10, "targets": [10**9] * 3, "permanent_impact": 1.0}
    numbers |= {"min_trade": 0, "max_trade": 2 * 10**8}
    game = gtrade.TradingGame(**numbers)
    with pytest.raises(ValueError, match="net position can reach.*beyond 32-bit"):
        gtrade.solve(game, gtrade.BestResponseDynamics(max_rounds=3))
    with jax.enable_x64(True):
        game, solution = solve(numbers, max_rounds=30)
        profile = np.asarray(solution.value.schedules)[0]
        gap = measure(game, profile)
        converged = status_names(solution.status) == "converged"
        costs = jax.jit(lambda game, profile: game.costs(profile))(game, profile)
        scale = np.abs(np.asarray(costs)).max()
        assert converged == bool(gap <= 1e-12 * scale)
