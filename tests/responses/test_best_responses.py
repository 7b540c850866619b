"""Closed form, dynamic programs and brute force answer alike, ties included."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.numerics.backward_induction import cheapest_split
from gtrade.responses import dynamic_programming, separable
from gtrade.responses.dynamic_programming import (
    quadratic_response,
    shortest_schedule,
)
from gtrade.responses.separable import separable_response
from gtrade.solving import supported_options
from tests.references import kearns_shi as reference

# Dyadic weights of all regimes: costs are exact in both float widths, ties included.
WEIGHTS = np.array([1.0, 0.75, 0.5, 0.25, 0.0625, 0.0, -0.25, -1.0, -4.0])
BOXES = [
    (5, -5, 5),  # the paper's
    (4, -2, 3),
    (5, 0, 4),  # buying only
    (3, 1, 6),  # everybody must buy
    (4, -5, -1),
    (1, 0, 3),
    (2, -1, 1),
    (6, -1, 1),
    (3, 2, 2),  # a single schedule
]
# A kind each: both signs, everybody must buy, selling only, many steps with ties.
# The others compile for seconds more and are slow.
QUICK_BOXES = [(4, -2, 3), (3, 1, 6), (4, -5, -1), (6, -1, 1), (3, 2, 2)]
# The same for the threshold search, the paper's among them.
SEARCHED_BOXES = [(5, -5, 5), (4, -5, -1), (6, -1, 1)]


def boxes_in_both_widths(quick, quick_in_float64):
    """Return every box as a parameter, in both float widths; most are slow."""
    return [
        pytest.param(
            x64,
            *box,
            marks=[pytest.mark.slow] * (box not in in_time),
            id=f"{'f64' if x64 else 'f32'}-{box}",
        )
        for x64, in_time in ((False, quick), (True, quick_in_float64))
        for box in BOXES
    ]


def targets_of(horizon, low, high):
    """Return a spread of targets with both ends: short, tight and slack."""
    all_targets = range(horizon * low, horizon * high + 1)
    return sorted({*all_targets[:: max(1, len(all_targets) // 5)], all_targets[-1]})


def random_cases(rng, horizon, count=40):
    """Return linear terms on half units (many ties) and weights."""
    linear = rng.integers(-8, 8, (count, horizon)) / 2
    return linear, rng.choice(WEIGHTS, count)


@pytest.mark.parametrize(
    ("x64", "horizon", "low", "high"),
    boxes_in_both_widths(QUICK_BOXES, [(4, -2, 3), (3, 2, 2)]),
    indirect=["x64"],
)
def test_closed_form_equals_dynamic_program_equals_brute_force(x64, horizon, low, high):
    rng = np.random.default_rng(4)
    dtype = np.float64 if x64 else np.float32
    box = {"min_trade": low, "max_trade": high}

    def respond(linear, weight, target):
        zeros, zero = jnp.zeros_like(linear), jnp.zeros_like(weight)
        closed = separable_response(linear, weight, target, **box)
        unrolled = quadratic_response(linear, weight, zeros, zero, target, **box)
        scanned, _ = shortest_schedule(
            lambda t, held, a: (
                (linear[t] * a.astype(dtype) + weight * (a * a).astype(dtype))
                + 0 * held.astype(dtype)
            ),
            target,
            horizon=horizon,
            dtype=dtype,
            **box,
        )
        return closed, unrolled, scanned

    each = jax.jit(
        jax.vmap(respond, in_axes=(0, 0, None)),
        compiler_options=supported_options({"xla_cpu_use_fusion_emitters": False}),
    )
    for target in targets_of(horizon, low, high):
        schedules = reference.enumerate_schedules(horizon, target, low, high)
        linear, weight = random_cases(rng, horizon)
        costs = linear @ schedules.T + weight[:, None] * (schedules**2).sum(axis=1)
        expected = schedules[costs.argmin(axis=1)]
        answers = each(jnp.asarray(linear, dtype), jnp.asarray(weight, dtype), target)
        for answer in answers:
            np.testing.assert_array_equal(answer, expected)


@pytest.mark.parametrize(
    ("x64", "horizon", "low", "high"),
    boxes_in_both_widths(SEARCHED_BOXES, [(6, -1, 1)]),
    indirect=["x64"],
)
def test_threshold_search_equals_counting(monkeypatch, x64, horizon, low, high):
    rng = np.random.default_rng(5)
    linear, weight = random_cases(rng, horizon, count=50)
    dtype = np.float64 if x64 else np.float32
    targets = targets_of(horizon, low, high)
    lanes = (
        np.tile(linear.astype(dtype), (len(targets), 1)),
        np.tile(weight.astype(dtype), len(targets)),
        np.repeat(targets, len(linear)),
    )
    box = {"min_trade": low, "max_trade": high}
    each = jax.vmap(functools.partial(separable_response, **box))
    counted = jax.jit(each)(*lanes)
    monkeypatch.setattr(separable, "_MAX_COUNTED_STEPS", 0)
    searched = jax.jit(lambda *lanes: each(*lanes))(*lanes)
    np.testing.assert_array_equal(searched, counted)


@pytest.mark.parametrize("player", [0, 1])
def test_best_response_is_optimal_for_any_kappa(in_float64, player):
    rng = np.random.default_rng(6)
    target = [10, 6][player]
    respond = jax.jit(
        jax.vmap(
            lambda game, b: gtrade.best_response(game, b, player=player),
            in_axes=(None, 0),
        )
    )
    for kappa in (0.0, 0.3, 1.0, 1.9, 2.0, 2.1, 5.0, 10.0):
        game = gtrade.TradingGame(
            horizon=5,
            targets=[10, 6],
            min_trade=-5,
            max_trade=5,
            permanent_impact=kappa,
        )
        flows = rng.integers(-15, 16, (40, 5))
        answers = np.asarray(respond(game, jnp.asarray(flows)))
        assert (answers.sum(axis=1) == target).all()
        schedules = reference.enumerate_schedules(5, target, -5, 5)
        for flow, answer in zip(flows, answers, strict=True):
            least = reference.schedule_costs(schedules, flow, kappa).min()
            cost = reference.schedule_costs(answer[None], flow, kappa)[0]
            np.testing.assert_allclose(cost, least, rtol=1e-12, atol=1e-12)


def test_best_response_takes_fractional_flow(in_float64):
    game = gtrade.TradingGame(
        horizon=5, targets=[10, 6], min_trade=-5, max_trade=5, permanent_impact=1.0
    )
    flow = np.array([2.5, 0.25, -1.0, 3.0, 1.25])
    answer = gtrade.best_response(game, flow, player=1)
    expected, _ = reference.brute_force_best_response(flow, 1.0, 6, -5, 5)
    np.testing.assert_array_equal(answer, expected)


@pytest.mark.parametrize("max_unrolled", [0, 10**6])
@pytest.mark.parametrize(
    "target_range", [None, pytest.param((-2, 7), marks=pytest.mark.slow), (4, 4)]
)
def test_perturbed_costs_in_both_forms(
    monkeypatch, in_float64, max_unrolled, target_range
):
    # KS25's oracle: noise on the own cost makes the order of trades matter.
    monkeypatch.setattr(dynamic_programming, "MAX_UNROLLED_ARCS", max_unrolled)
    rng = np.random.default_rng(7)
    horizon, low, high, target = 4, -2, 3, 4
    options = {"min_trade": low, "max_trade": high, "target_range": target_range}
    respond = jax.jit(functools.partial(quadratic_response, **options))
    for kappa in (0.0, 1.0, 3.5):
        linear = rng.uniform(0, 20, horizon)
        noise = rng.uniform(0, 5, horizon)
        weight = rng.normal()

        def cost(t, held, a, linear=linear, noise=noise, weight=weight, kappa=kappa):
            path = noise[t] * a * (a + kappa * held)
            return linear[t] * a + weight * a * a + path

        expected, value = reference.dynamic_program(cost, horizon, target, low, high)
        answer = np.asarray(respond(linear, weight, noise, kappa, target))
        np.testing.assert_array_equal(answer, expected)
        assert value == pytest.approx(
            sum(cost(t, answer[:t].sum(), answer[t]) for t in range(horizon))
        )


def test_long_schedules_fill_several_words(monkeypatch, in_float64):
    monkeypatch.setattr(dynamic_programming, "_WORD_BITS", 5)
    rng = np.random.default_rng(8)
    linear, noise = rng.uniform(0, 9, (2, 6, 5))

    def respond(g, n, target):
        box = {"min_trade": -1, "max_trade": 2}  # 2 bits a step, 2 a word
        return quadratic_response(
            g,
            jnp.float64(0.5),
            n,
            jnp.float64(1.5),
            target,
            target_range=(-2, 5),
            **box,
        )

    # For each linear term and noise, at both ends of the range.
    lanes = np.tile(linear, (2, 1)), np.tile(noise, (2, 1)), np.repeat([-2, 5], 6)
    unrolled = jax.jit(jax.vmap(respond))(*lanes)
    monkeypatch.setattr(dynamic_programming, "MAX_UNROLLED_ARCS", 0)
    scanned = jax.jit(jax.vmap(lambda *lane: respond(*lane)))(*lanes)
    np.testing.assert_array_equal(unrolled, scanned)


def test_any_one_step_cost(x64):
    # Power-law impact, a fixed fee and a cap on the third step.
    dtype = np.float64 if x64 else np.float32

    def cost(t, held, a, np=np):
        power = np.abs(a * 1.0) ** 1.5 + 0.25 * np.abs(a * 1.0) * (held + 0.0)
        fee = np.where(a != 0, 2.0, 0.0)
        forbidden = (t == 2) & (a > 1)
        return np.where(forbidden, np.inf, power + fee)

    def traced(t, held, a):
        def real(x):
            return x.astype(dtype)

        power = jnp.abs(real(a)) ** 1.5 + 0.25 * jnp.abs(real(a)) * real(held)
        fee = jnp.where(a != 0, jnp.asarray(2.0, dtype), 0)
        return jnp.where((t == 2) & (a > 1), jnp.inf, power + fee)

    expected, value = reference.dynamic_program(cost, 5, 8, 0, 5)
    answer, least = shortest_schedule(
        traced, jnp.int32(8), horizon=5, min_trade=0, max_trade=5, dtype=dtype
    )
    np.testing.assert_array_equal(answer, expected)
    np.testing.assert_allclose(least, value, rtol=1e-5)


def test_an_impossible_one_step_cost_has_infinite_value():
    _, value = shortest_schedule(
        lambda t, held, a: jnp.where(held < 0, 0.0, jnp.inf),
        jnp.int32(2),
        horizon=3,
        min_trade=0,
        max_trade=2,
    )
    assert np.isinf(value)


def test_split_is_the_lexicographically_smallest(x64):
    dtype = np.float64 if x64 else np.float32
    schedule, cost = cheapest_split(
        lambda t, left, placed: jnp.zeros(left.shape, dtype),
        jnp.int32(5),
        horizon=3,
        max_units=4,
        dtype=dtype,
    )
    np.testing.assert_array_equal(schedule, [0, 1, 4])
    assert cost == 0


def optimality_violation(linear, weight, schedule, high, low):
    """Return the largest gain from moving one unit: zero for a convex optimum."""
    up = np.where(schedule < high, linear + weight * (2 * schedule + 1), np.inf)
    down = np.where(schedule > low, linear + weight * (2 * schedule - 1), -np.inf)
    return (down.max(axis=-1) - up.min(axis=-1)).max()


@pytest.mark.slow
@pytest.mark.parametrize("kappa", [0.2, 1.0, 1.9, 2.0, 5.0])
def test_a_trading_session_of_ten_thousand_responses(in_float64, kappa):
    horizon, limit, target, lanes = 390, 1000, 10_000, 10_000
    rng = np.random.default_rng(9)
    flows = rng.integers(-limit, limit + 1, (lanes, horizon))
    game = gtrade.TradingGame(
        horizon=horizon,
        targets=[target, target],
        min_trade=-limit,
        max_trade=limit,
        permanent_impact=kappa,
    )
    respond = jax.jit(jax.vmap(lambda b: gtrade.best_response(game, b)))
    answers = np.asarray(respond(jnp.asarray(flows, jnp.int32))).astype(np.int64)
    assert (answers.sum(axis=1) == target).all()
    assert np.abs(answers).max() <= limit
    linear = flows + kappa * (np.cumsum(flows, axis=1) - flows)
    weight = 1 - kappa / 2
    if weight > 0:
        gap = optimality_violation(linear, weight, answers, limit, -limit)
        assert gap <= 1e-9 * np.abs(linear).max()
        return
    # Concave or linear: fill the cheapest steps, one remainder; compare the cost.
    units = target + horizon * limit
    full, rest = divmod(units, 2 * limit)
    vertex = np.full(horizon, -limit)
    vertex[:full] = limit
    vertex[full] += rest
    best = (np.sort(linear, axis=1) * vertex).sum(axis=1) + weight * (vertex**2).sum()
    cost = (linear * answers).sum(axis=1) + weight * (answers**2).sum(axis=1)
    np.testing.assert_allclose(cost, best, rtol=1e-12)


def test_the_same_response_alone_in_a_batch_and_in_blocks(monkeypatch, in_float64):
    rng = np.random.default_rng(10)
    linear = rng.normal(size=(67, 3, 20)) * 50
    weight = rng.choice(WEIGHTS, (67, 3))

    def respond(g, w):
        return separable_response(g, w, jnp.int32(13), min_trade=-9, max_trade=8)

    batch = np.asarray(jax.jit(jax.vmap(jax.vmap(respond)))(linear, weight))
    single = jax.jit(respond)
    for i, j in np.ndindex(67, 3):
        np.testing.assert_array_equal(batch[i, j], single(linear[i, j], weight[i, j]))
    monkeypatch.setattr(separable, "_BLOCK_SIZE", 20)  # blocks of 64 lanes
    blocks = jax.jit(jax.vmap(jax.vmap(lambda g, w: respond(g, w))))(linear, weight)
    np.testing.assert_array_equal(blocks, batch)


def test_scaling_costs_leaves_the_response(x64):
    rng = np.random.default_rng(12)
    dtype = np.float64 if x64 else np.float32
    linear = rng.normal(size=(30, 6)).astype(dtype)

    @jax.jit
    def respond(scale):
        return jax.vmap(
            lambda g: separable_response(
                g * scale, 0.25 * scale, jnp.int32(5), min_trade=-4, max_trade=4
            )
        )(jnp.asarray(linear))

    np.testing.assert_array_equal(respond(dtype(1)), respond(dtype(1024)))


@pytest.mark.parametrize("max_counted", [16, 0], ids=["counting", "threshold"])
def test_units_that_cost_the_same_for_every_kappa_tie(x64, max_counted, monkeypatch):
    # Flows of whole numbers: b + 2k + 1 and B - (2k + 1)/2 can be equal at two steps.
    monkeypatch.setattr(separable, "_MAX_COUNTED_STEPS", max_counted)
    rng = np.random.default_rng(9)
    horizon, low, high, target = 4, -3, 4, 3
    flows = rng.integers(-3, 5, (300, horizon))
    # Kappas with few digits: costs below are exact, and nothing else ties.
    kappas = rng.integers(1, 2**12, 300).astype(np.float32) / 2**11 * (1 - 2**-12)
    schedules = reference.enumerate_schedules(horizon, target, low, high)
    held = np.cumsum(flows, axis=1) - flows
    whole = flows @ schedules.T + (schedules**2).sum(axis=1)
    doubled = 2 * held @ schedules.T - (schedules**2).sum(axis=1)
    costs = whole + kappas.astype(np.float64)[:, None] * doubled / 2
    expected = schedules[costs.argmin(axis=1)]
    games = gtrade.make_batch(
        gtrade.TradingGame,
        targets=[target] * 2,
        permanent_impact=kappas,
        horizon=horizon,
        min_trade=low,
        max_trade=high,
    )
    answers = jax.jit(jax.vmap(gtrade.best_response))(games, flows.astype(np.int32))
    np.testing.assert_array_equal(answers, expected)
    ties = (costs == costs.min(axis=1, keepdims=True)).sum(axis=1) > 1
    assert ties.sum() > 20
