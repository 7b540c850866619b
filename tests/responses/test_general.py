"""Best responses to general one-step costs against enumeration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.responses.general import general_response, table_response
from gtrade.verification.general import best_schedule
from tests.references import general_costs as reference

LOWS, HIGHS = [-2, 0, -1, -3], [3, 2, 4, 1]
TARGETS = [5, -4]
KINDS = [
    {"fixed_fee": 6.0},
    {"temporary_exponent": 0.5},
    {"temporary_exponent": 1.5, "fixed_fee": 4.0},
]


def game_of(kappa=0.7, **kind):
    return gtrade.TradingGame(
        horizon=4,
        targets=TARGETS,
        min_trade=LOWS,
        max_trade=HIGHS,
        permanent_impact=kappa,
        **kind,
    )


def reference_of(kind, kappa):
    """Return limits, kappa, exponent and fee for the reference."""
    exponent, fee = kind.get("temporary_exponent", 1.0), kind.get("fixed_fee", 0.0)
    return LOWS, HIGHS, kappa, exponent, fee


def test_tables_are_minimised_with_lexicographic_ties(x64):
    rng = np.random.default_rng(0)
    schedules = reference.enumerate_schedules([-2] * 5, [3] * 5, 4)
    # Quarters: sums are exact in both float widths, ties included.
    tables = rng.integers(-6, 7, (60, 5, 6)) / 4
    tables[rng.random(tables.shape) < 0.2] = np.inf
    respond = jax.jit(jax.vmap(lambda t: table_response(t, jnp.int32(4), min_trade=-2)))
    answers, costs = respond(jnp.asarray(tables, np.float64 if x64 else np.float32))
    assert answers.dtype == np.int32
    for table, answer, cost in zip(tables, answers, costs, strict=True):
        totals = table[np.arange(5), schedules + 2].sum(axis=1)
        assert cost == totals.min()
        if np.isfinite(cost):
            np.testing.assert_array_equal(answer, schedules[totals.argmin()])


def test_a_table_without_an_admissible_schedule(in_float64):
    table = jnp.full((3, 4), jnp.inf).at[:, 0].set(0.0)
    assert np.isinf(table_response(table, jnp.int32(2), min_trade=0)[1])
    schedule, cost = table_response(table, jnp.int32(0), min_trade=0)
    assert (schedule.tolist(), cost) == ([0, 0, 0], 0)
    single = jnp.asarray([[2.0], [3.0]])  # one trade a step
    schedule, cost = table_response(single, jnp.int32(-6), min_trade=-3)
    assert (schedule.tolist(), cost) == ([-3, -3], 5)


@pytest.mark.parametrize("player", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_best_response_is_optimal(x64, kind, player):
    rng = np.random.default_rng(1)
    flows = rng.integers(-8, 9, (12, 4))
    respond = jax.jit(
        jax.vmap(
            lambda game, b: gtrade.best_response(game, b, player=player),
            in_axes=(None, 0),
        )
    )
    for kappa in (0.0, 0.7, 2.5):
        numbers = reference_of(kind, kappa)
        answers = np.asarray(respond(game_of(kappa, **kind), jnp.asarray(flows)))
        for flow, answer in zip(flows, answers, strict=True):
            _, least = reference.best_response(flow, TARGETS[player], *numbers)
            assert answer.sum() == TARGETS[player]
            assert ((answer >= LOWS) & (answer <= HIGHS)).all()
            cost = reference.cost([answer, flow], 0, *numbers[2:])
            rtol = 1e-12 if x64 else 1e-5
            np.testing.assert_allclose(cost, least, rtol=rtol, atol=20 * rtol)


@pytest.mark.parametrize("kind", KINDS[::2])
def test_least_expected_cost_against_a_mixture(in_float64, kind):
    rng = np.random.default_rng(2)
    flows, weights = rng.integers(-8, 9, (3, 4)), np.array([0.5, 0.2, 0.3])
    schedules = reference.enumerate_schedules(LOWS, HIGHS, 5)
    numbers = reference_of(kind, 0.7)
    costs = [
        weights @ [reference.cost([own, flow], 0, *numbers[2:]) for flow in flows]
        for own in schedules
    ]
    game, respond = game_of(**kind), jax.jit(general_response)
    schedule, cost = respond(game, flows, jnp.asarray(weights), target=jnp.int32(5))
    np.testing.assert_allclose(cost, min(costs), rtol=1e-12)
    np.testing.assert_array_equal(schedule, schedules[np.argmin(costs)])
    np.testing.assert_allclose(
        weights @ game.cost_matrix(schedule[None], flows)[0], cost
    )


@pytest.mark.parametrize("kind", KINDS)
def test_verification_finds_the_same_least_cost(in_float64, kind):
    @jax.jit
    def costs_of_both(kappa, flow):
        game = game_of(kappa, **kind)
        one = gtrade.best_response(game, flow).astype(jnp.int64)
        other = best_schedule(game, flow, game.targets[0])
        return game.cost_matrix(jnp.stack([one, other]), flow[None])

    for flow in np.random.default_rng(3).integers(-8, 9, (5, 4)):
        for kappa in (0.0, 0.7, 2.5):
            one, other = costs_of_both(kappa, jnp.asarray(flow))
            np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-12)


def test_the_linear_limit_answers_like_the_closed_form(x64):
    box = {"horizon": 5, "targets": [7], "min_trade": -3, "max_trade": 4}
    flows = np.random.default_rng(4).integers(-9, 10, (20, 5))
    each = jax.jit(jax.vmap(gtrade.best_response, in_axes=(None, 0)))
    for kappa in (0.0, 0.5, 1.0, 2.0, 4.0):  # dyadic: costs are exact, ties included
        linear = gtrade.TradingGame(**box, permanent_impact=kappa)
        limit = gtrade.TradingGame(
            **box, permanent_impact=kappa, temporary_exponent=1.0, fixed_fee=0.0
        )
        np.testing.assert_array_equal(
            each(linear, jnp.asarray(flows)), each(limit, jnp.asarray(flows))
        )


def test_fractional_flow_needs_linear_prices():
    flow = np.array([0.5, 1.0, -0.25, 2.0])
    answer = jax.jit(gtrade.best_response)(game_of(fixed_fee=1.0), flow)
    assert answer.sum() == TARGETS[0]
    with pytest.raises(ValueError, match="opponents_flow must hold whole numbers in a"):
        gtrade.best_response(game_of(temporary_exponent=0.5), flow)


def test_batch_equals_single(in_float64):
    exponents, fees = np.array([0.4, 1.0, 1.9]), np.array([0.0, 3.0, 9.0])
    games = gtrade.make_batch(
        gtrade.TradingGame,
        horizon=4,
        targets=TARGETS,
        min_trade=LOWS,
        max_trade=HIGHS,
        permanent_impact=0.7,
        temporary_exponent=exponents,
        fixed_fee=fees,
    )
    flow = jnp.asarray([3, -2, 0, 5])
    each = jax.jit(jax.vmap(gtrade.best_response, in_axes=(0, None)))(games, flow)
    single = jax.jit(gtrade.best_response)
    for i in range(3):
        game = game_of(temporary_exponent=exponents[i], fixed_fee=fees[i])
        np.testing.assert_array_equal(each[i], single(game, flow))
