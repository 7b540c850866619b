"""Best-response dynamics, and the refusals, in games with general one-step costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.solution import status_names
from gtrade.solvers.regret_bounds import regret_bound
from gtrade.solvers.self_play import RecordedFlow
from gtrade.verification.exploitability import best_response_gaps, exploitability
from gtrade.verification.regret import external_regret, regret_curve, swap_regret
from tests.references import general_costs as reference

LOWS, HIGHS = [-2, 0, -1, -3], [3, 2, 4, 1]
NUMBERS = {
    "horizon": 4,
    "targets": [5, -4],
    "min_trade": LOWS,
    "max_trade": HIGHS,
    "permanent_impact": 0.4,
}
# Linear prices, a fee, the square-root law, and prices that grow faster with a fee.
SWEPT = {
    "temporary_exponent": np.array([1.0, 1.0, 0.5, 1.5]),
    "fixed_fee": np.array([0.0, 3.0, 0.0, 2.0]),
}


def gap_of(profile, player, exponent=1.0, fee=0.0):
    return reference.gap(profile, player, LOWS, HIGHS, 0.4, exponent, fee)


def row_of(batch, i):
    return jax.tree.map(lambda x: np.asarray(x)[i, ...], batch)


def test_dynamics_end_in_a_certified_equilibrium_or_say_so(in_float64):
    games = gtrade.make_batch(gtrade.TradingGame, **NUMBERS, **SWEPT)
    solver = gtrade.BestResponseDynamics(start="random", max_rounds=60)
    keys = jax.random.split(jax.random.key(1), 4)
    solutions = gtrade.solve_batch(games, solver, keys=keys)
    num_steps = np.asarray(solutions.num_steps)
    found = gtrade.verify(games, solutions, solver=solver)["distance_to_nash"]
    for i, status in enumerate(status_names(solutions.status)):
        assert status in ("converged", "cycled")
        path = row_of(solutions.value, i)
        profiles = path.profiles[: num_steps[i] + 1]
        assert (profiles.sum(axis=-1) == NUMBERS["targets"]).all()
        assert ((profiles >= LOWS) & (profiles <= HIGHS)).all()
        np.testing.assert_array_equal(profiles[-1], path.schedules[0])
        kind = {name: column[i] for name, column in SWEPT.items()}
        gap = max(gap_of(profiles[-1], player, *kind.values()) for player in range(2))
        np.testing.assert_allclose(found[i], gap, rtol=1e-12, atol=1e-12)
        if status == "converged":
            assert gap <= 1e-12
        game = gtrade.TradingGame(**NUMBERS, **kind)
        alone = gtrade.solve(game, solver, key=keys[i])
        assert status_names(alone.status) == status
        np.testing.assert_array_equal(alone.value.profiles, path.profiles)


def test_every_column_of_a_pure_profile(in_float64):
    exponent, fee = 1.5, 2.0
    game = gtrade.TradingGame(**NUMBERS, temporary_exponent=exponent, fixed_fee=fee)
    start = [[3, 0, 1, 1], [-2, 2, -1, -3]]
    solver = gtrade.BestResponseDynamics(start=start, epsilon=1e6)
    solution = gtrade.solve(game, solver)
    row = gtrade.verify(
        game, solution, solver=solver, arrays=("regret_curve", "schedules")
    )
    profile = np.array(start)
    gaps = [gap_of(profile, i, exponent, fee) for i in range(2)]
    costs = [reference.cost(profile, i, 0.4, exponent, fee) for i in range(2)]
    expected = {
        "distance_to_cce": max(gaps),
        "distance_to_nash": max(gaps),
        "distance_to_ce": max(gaps),
        "tv_distance": 0,
        "tv_distance_ks25": 0,
        "welfare": sum(costs),
        "regret": gaps,
        "costs": costs,
        "mean_trades": profile,
        "regret_curve": [gaps],
        "schedules": [profile],
    }
    assert set(row) == set(expected)
    assert min(gaps) > 0
    for name, value in expected.items():
        np.testing.assert_allclose(row[name], value, rtol=1e-12, err_msg=name)
    found = jax.jit(best_response_gaps)(game, profile[None])
    np.testing.assert_allclose(found, gaps)
    found = jax.jit(exploitability)(game, profile)
    np.testing.assert_allclose(found, max(gaps))


def test_even_and_front_starts_respect_every_step(in_float64):
    def start(name):
        game = gtrade.TradingGame(**{**NUMBERS, "targets": [8, -4]})
        solver = gtrade.BestResponseDynamics(start=name, epsilon=1e9)
        return gtrade.solve(game, solver).value.schedules[0].tolist()

    assert start("even") == [[2, 2, 3, 1], [-2, 0, -1, -1]]
    assert start("front") == [[3, 2, 4, -1], [0, 0, -1, -3]]


@pytest.mark.parametrize(
    "x64", [False, pytest.param(True, marks=pytest.mark.slow)], indirect=True
)
def test_the_linear_limit_takes_the_same_path(x64):
    numbers = {**NUMBERS, "min_trade": -3, "max_trade": 4}
    numbers["permanent_impact"] = np.array([0.0, 0.5, 1.0, 2.0])  # costs are exact
    plain = gtrade.make_batch(gtrade.TradingGame, **numbers)
    limit = gtrade.make_batch(
        gtrade.TradingGame, **numbers, temporary_exponent=1.0, fixed_fee=0.0
    )
    solver = gtrade.BestResponseDynamics(max_rounds=20)
    one, other = gtrade.solve_batch(plain, solver), gtrade.solve_batch(limit, solver)
    np.testing.assert_array_equal(status_names(one.status), status_names(other.status))
    np.testing.assert_array_equal(one.value.profiles, other.value.profiles)


def test_inadmissible_numbers_under_tracing_are_reported(in_float64):
    def status(exponent, fee):
        numbers = {"temporary_exponent": exponent, "fixed_fee": fee}
        game = gtrade.TradingGame(**NUMBERS, **numbers)
        return gtrade.BestResponseDynamics(max_rounds=3).solve(game).status

    exponents = jnp.asarray([0.0, jnp.inf, 1.0, 1.0, 0.5])
    fees = jnp.asarray([1.0, 1.0, -1.0, jnp.nan, 1.0])
    found = status_names(jax.jit(jax.vmap(status))(exponents, fees))
    assert list(found[:4]) == ["invalid_input"] * 4
    assert found[4] != "invalid_input"


def test_starts_are_checked_against_the_steps_limits():
    check = gtrade.BestResponseDynamics.validate_for
    check(NUMBERS, start=[[1, 2, 2, 0], [0, 0, -1, -3]])
    with pytest.raises(InadmissibleError, match="every trade within the step's limits"):
        check(NUMBERS, start=[[0, 3, 2, 0], [0, 0, -1, -3]])
    start = [[0, 3, 2, 0], [0, 0, -1, -3]]
    with jax.enable_x64(True):
        game = gtrade.TradingGame(**NUMBERS)
        solution = gtrade.solve(game, gtrade.BestResponseDynamics(start=start))
    assert status_names(solution.status) == "invalid_input"


GENERAL = [
    ({"fixed_fee": 0.5}, "fixed_fee"),
    ({"temporary_exponent": 0.5}, "temporary_exponent"),
    ({"max_trade": [3, 3, 3, 2]}, "max_trade"),
]


@pytest.mark.parametrize(("kind", "name"), GENERAL)
@pytest.mark.parametrize("solver", [gtrade.FTPL, gtrade.SwapFTPL])
def test_learners_refuse_general_games(solver, kind, name):
    numbers = {**NUMBERS, "min_trade": -3, "max_trade": 4}
    solver.validate_for(numbers)
    with pytest.raises(InadmissibleError, match=f"{name} must .* {solver.__name__}"):
        solver.validate_for({**numbers, **kind})
    game = gtrade.TradingGame(**{**numbers, **kind})
    message = f"{solver.__name__} needs a game with linear prices.*has {name}"
    with pytest.raises(ValueError, match=message):
        gtrade.solve(game, solver(), key=jax.random.key(0))
    flows = RecordedFlow(jnp.zeros((10, 4), jnp.int32))
    with pytest.raises(ValueError, match=f"face needs a game.*has {name}"):
        gtrade.face(solver(), flows, game, num_rounds=10, key=jax.random.key(0))
    with pytest.raises(ValueError, match="regret_bound needs a game with linear"):
        regret_bound(game, 1.0, num_rounds=10, perturbation="full")


def test_several_rounds_of_a_general_game_are_refused(in_float64):
    game = gtrade.TradingGame(**NUMBERS, fixed_fee=1.0)
    history = jnp.zeros((2, 2, 4), jnp.int8)
    for measure in (external_regret, swap_regret, regret_curve, best_response_gaps):
        with pytest.raises(ValueError, match="a history of 1 round; got 2"):
            measure(game, history)
