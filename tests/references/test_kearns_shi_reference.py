"""Tests of the reference itself: theorems, identities, and two ways to one answer."""

import importlib.util
import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from . import kearns_shi as ks
from . import kearns_shi_learners as learners
from . import kearns_shi_metrics as metrics

PAPER = {"min_trade": -5, "max_trade": 5}
BASELINE = (
    Path(__file__).parents[2] / "experiments" / "benchmarks" / "numpy_baseline.py"
)


@pytest.fixture(scope="module")
def baseline():
    spec = importlib.util.spec_from_file_location("numpy_baseline", BASELINE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_profile(rng, players=3, horizon=4):
    return rng.integers(-6, 7, (players, horizon))


def random_box(rng):
    """Return horizon, target and trade limits, one-sided boxes included."""
    horizon = int(rng.integers(2, 5))
    min_trade = int(rng.integers(-4, 3))
    max_trade = min_trade + int(rng.integers(0, 6))
    target = int(rng.integers(horizon * min_trade, horizon * max_trade + 1))
    return horizon, target, min_trade, max_trade


def test_enumeration_is_complete_and_lexicographic():
    product = itertools.product(range(-2, 4), repeat=4)
    expected = [a for a in product if sum(a) == 3]
    np.testing.assert_array_equal(ks.enumerate_schedules(4, 3, -2, 3), expected)
    assert len(ks.enumerate_schedules(5, 10, **PAPER)) == 3526
    with pytest.raises(ValueError, match="target"):
        ks.enumerate_schedules(3, 10, -1, 3)


@pytest.mark.parametrize("kappa", [0.0, 0.7, 2.0, 5.0])
def test_costs_agree_with_the_matrix_form(kappa):
    rng = np.random.default_rng(1)
    for _ in range(20):
        profile = random_profile(rng)
        matrix = ks.impact_matrix(4, kappa)
        for i in range(3):
            expected = profile[i] @ matrix @ profile.sum(axis=0)
            np.testing.assert_allclose(ks.cost(profile, i, kappa), expected)
            others = profile.sum(axis=0) - profile[i]
            batch = ks.schedule_costs(profile[[i]], others, kappa)
            np.testing.assert_allclose(batch, [expected])


def test_averaged_permanent_cost_is_constant_sum():
    # Lemma 4.7; at kappa = 2 the whole game is constant-sum.
    rng = np.random.default_rng(2)
    for _ in range(50):
        profile = random_profile(rng)
        total = sum(ks.averaged_permanent_cost(profile, i) for i in range(3))
        assert total == profile.sum() ** 2 / 2
        assert ks.welfare(profile, 2) == profile.sum() ** 2


def test_cost_decomposes_as_in_theorem_4_8():
    rng = np.random.default_rng(3)
    for kappa in (0.0, 0.25, 1.0, 2.0, 7.5):
        profile = random_profile(rng)
        for i in range(3):
            temporary = (1 - kappa / 2) * ks.temporary_cost(profile, i)
            permanent = kappa * ks.averaged_permanent_cost(profile, i)
            assert ks.cost(profile, i, kappa) == temporary + permanent


def test_welfare_identity():
    rng = np.random.default_rng(4)
    for kappa in (0.0, 0.5, 1.0, 3.0, 10.0):
        profile = random_profile(rng)
        squared_norm = np.sum(profile.sum(axis=0) ** 2)
        expected = (1 - kappa / 2) * squared_norm + kappa / 2 * profile.sum() ** 2
        assert ks.welfare(profile, kappa) == expected


def test_potential_at_kappa_zero():
    rng = np.random.default_rng(5)
    for _ in range(50):
        before = random_profile(rng)
        after = before.copy()
        i = rng.integers(3)
        after[i] = rng.integers(-6, 7, 4)
        change = ks.cost(after, i, 0) - ks.cost(before, i, 0)
        assert change == ks.potential(after) - ks.potential(before)


def least_total_cost(kappa, min_trade, max_trade):
    def one_step_cost(t, holdings, trade):
        return (1 - kappa / 2) * trade**2

    _, value = ks.dynamic_program(one_step_cost, 5, 20, 2 * min_trade, 2 * max_trade)
    return value + kappa / 2 * 20**2


@pytest.mark.parametrize(
    ("kappa", "limits", "expected"),
    [
        (0, (-5, 5), 80),
        (0.5, (-5, 5), 160),
        (1, (-5, 5), 240),
        (1.5, (-5, 5), 320),
        (2, (-5, 5), 400),
        (3, (-5, 5), 400),
        (10, (-5, 5), 400),
        (10, (-10, 10), -6000),
        (10, (0, 5), 1200),
    ],
)
def test_least_total_cost(kappa, limits, expected):
    assert least_total_cost(kappa, *limits) == expected


def test_own_cost_ignores_the_order_of_trades():
    rng = np.random.default_rng(6)
    for kappa in (0.0, 1.0, 2.0, 5.0):
        trades = rng.integers(-6, 7, 5)
        own = ks.schedule_costs(trades[None], np.zeros(5), kappa)[0]
        squares = np.sum(trades**2)
        assert own == (1 - kappa / 2) * squares + kappa * trades.sum() ** 2 / 2


def test_best_response_dynamics_cycle_of_theorem_4_5():
    # Listed with the first mover first: the players of the paper in reverse order.
    start = np.array([[1, 1, 1, 1, 1], [2, 2, 1, 0, 0]])
    first, second = [3, 1, 0, 0, 1], [2, 1, 1, 1, 0]
    for limit in (3, 6, 9):  # the limits never bind
        responses = [
            (start[1], start[0], first, 36, 33),
            (first, start[1], second, 35, 34),
            (second, first, [2, 2, 1, 0, 0], 32, 31),
        ]
        for others, before, after, cost_before, cost_after in responses:
            others, before = np.array(others), np.array(before)
            assert ks.schedule_costs(before[None], others, 1)[0] == cost_before
            best, value = ks.brute_force_best_response(others, 1, 5, -limit, limit)
            np.testing.assert_array_equal(best, after)
            assert value == cost_after
    for others, num_ties in ((start[1], 5), (first, 1), (second, 5)):
        costs = ks.schedule_costs(
            ks.enumerate_schedules(5, 5, -9, 9), np.array(others), 1
        )
        assert np.sum(costs == costs.min()) == num_ties

    rounds, status = ks.best_response_dynamics(start, 1, (5, 5), -6, 6)
    assert status == "cycled"
    np.testing.assert_array_equal(rounds[0], [first, second])
    # Round 1 ends two moves in; six moves (three rounds) later it recurs.
    np.testing.assert_array_equal(rounds[3], rounds[0])
    np.testing.assert_array_equal(rounds[1], [[2, 2, 1, 0, 0], [3, 1, 0, 0, 1]])
    np.testing.assert_array_equal(rounds[2], [[2, 1, 1, 1, 0], [2, 2, 1, 0, 0]])
    assert len(rounds) == 4


def test_best_response_dynamics_statuses():
    start = np.array([[5, 5, 0], [0, 5, 5], [4, 2, 4]])
    rounds, status = ks.best_response_dynamics(start, 0, (10, 10, 10), -9, 9)
    assert status == "converged"
    values = [ks.potential(start)] + [ks.potential(profile) for profile in rounds]
    assert all(np.diff(values[:-1]) < 0)
    assert values[-1] == values[-2]
    for i in range(3):
        others = rounds[-1].sum(axis=0) - rounds[-1][i]
        best = ks.brute_force_best_response(others, 0, 10, -9, 9)[1]
        assert ks.cost(rounds[-1], i, 0) == best
    _, status = ks.best_response_dynamics(start, 0, (10, 10, 10), -9, 9, max_rounds=1)
    assert status == "max_rounds"
    _, status = ks.best_response_dynamics(start, 0, (10, 10, 10), -9, 9, epsilon=1e9)
    assert status == "converged"


def closed_form_response(linear, weight, target, min_trade, max_trade):
    """Return the separable best response, larger trades last among ties."""
    horizon = len(linear)
    trades = [min_trade] * horizon
    if weight > 0:
        for _ in range(target - horizon * min_trade):
            marginals = [
                (linear[t] + weight * (2 * trades[t] + 1), -t)
                for t in range(horizon)
                if trades[t] < max_trade
            ]
            trades[-min(marginals)[1]] += 1
        return trades
    remaining = target - horizon * min_trade
    for t in sorted(range(horizon), key=lambda t: (linear[t], -t)):
        added = min(max_trade - min_trade, remaining)
        trades[t] += added
        remaining -= added
    return trades


def test_separable_closed_form_with_ties():
    rng = np.random.default_rng(7)
    for _ in range(300):
        horizon, target, min_trade, max_trade = random_box(rng)
        linear = [Fraction(int(g), 2) for g in rng.integers(-6, 7, horizon)]
        weight = Fraction(int(rng.integers(-4, 5)), 2)
        box = (target, min_trade, max_trade)
        expected, value = ks.exact_response(linear, weight, *box)
        assert closed_form_response(linear, weight, *box) == expected.tolist()
        schedule, float_value = ks.brute_force_response(linear, float(weight), *box)
        np.testing.assert_array_equal(schedule, expected)  # halves are exact
        assert float_value == value


def test_best_response_reduces_to_the_separable_problem():
    rng = np.random.default_rng(8)
    for _ in range(100):
        horizon, target, min_trade, max_trade = random_box(rng)
        kappa = Fraction(int(rng.integers(0, 31)), 10)
        others = rng.integers(-8, 9, horizon)
        box = (target, min_trade, max_trade)
        best, value = ks.brute_force_best_response(others, kappa, *box)
        prefix = np.cumsum(others) - others
        linear = [int(b) + kappa * int(p) for b, p in zip(others, prefix, strict=True)]
        expected, separable = ks.exact_response(linear, 1 - kappa / 2, *box)
        np.testing.assert_array_equal(best, expected)
        assert value == separable + kappa * target**2 / 2
        approximate = ks.brute_force_best_response(others, float(kappa), *box)[1]
        np.testing.assert_allclose(approximate, float(value), atol=1e-9)


def test_dynamic_program_agrees_with_brute_force():
    rng = np.random.default_rng(9)
    for _ in range(150):
        horizon, target, min_trade, max_trade = random_box(rng)
        # Small integers, so that ties are common and sums exact.
        table = rng.integers(-3, 4, (horizon, 41, 21))

        def one_step_cost(t, holdings, trade, table=table):
            return float(table[t, holdings, trade])

        schedules = ks.enumerate_schedules(horizon, target, min_trade, max_trade)
        values = [
            sum(one_step_cost(t, a[:t].sum(), a[t]) for t in range(horizon))
            for a in schedules
        ]
        schedule, value = ks.dynamic_program(
            one_step_cost, horizon, target, min_trade, max_trade
        )
        assert value == min(values)
        np.testing.assert_array_equal(schedule, schedules[np.argmin(values)])


@pytest.mark.parametrize(
    ("kappa", "num_equilibria"), [(1.5, 1), (2, 1), (2.5, 0), (5, 0)]
)
def test_pure_equilibria_of_the_published_game(kappa, num_equilibria):
    schedules = ks.enumerate_schedules(5, 10, **PAPER)
    matrix = ks.impact_matrix(5, kappa)
    own = ks.schedule_costs(schedules, np.zeros(5), kappa)
    costs = own[:, None] + schedules @ matrix @ schedules.T  # halves are exact
    is_best = costs == costs.min(axis=0)
    is_equilibrium = is_best & is_best.T
    assert is_equilibrium.sum() == num_equilibria
    welfare = {1.5: 350, 2: 400}
    for i, j in zip(*np.nonzero(is_equilibrium), strict=True):
        assert ks.welfare(schedules[[i, j]], kappa) == welfare[kappa]


def test_even_schedules_are_the_equilibrium_at_kappa_zero():
    even = np.full((2, 5), 2)
    best, value = ks.brute_force_best_response(even[1], 0, 10, **PAPER)
    np.testing.assert_array_equal(best, even[0])
    assert value == 40
    assert ks.welfare(even, 0) == 80


def replay_by_enumeration(targets, box, kappa, noise, is_composite):
    """Play both learners by enumeration of schedules and summed cost vectors."""
    num_rounds, players = noise.shape[:2]
    horizon = 3
    matrix = ks.impact_matrix(horizon, kappa)
    history = np.zeros((num_rounds, players, horizon), dtype=int)
    cost_vectors = np.zeros((players, horizon))
    for r in range(num_rounds):
        for i, target in enumerate(targets):
            schedules = ks.enumerate_schedules(horizon, target, *box)
            holdings_before = np.cumsum(schedules, axis=1) - schedules
            own = schedules * (schedules + kappa * holdings_before)
            linear = cost_vectors[i] + noise[r, i, :horizon]
            weights = r + (1 if is_composite else noise[r, i, horizon:])
            values = np.sum(schedules * linear + own * weights, axis=1)
            history[r, i] = schedules[np.argmin(values)]
        for i in range(players):
            cost_vectors[i] += matrix @ (history[r].sum(axis=0) - history[r, i])
    return history


@pytest.mark.parametrize("kappa", [0.0, 1.3, 5.0])
@pytest.mark.parametrize("is_composite", [False, True])
def test_learners_agree_with_enumeration(kappa, is_composite):
    targets, box, rounds = (4, 2, -1), (-2, 3), 40
    width = 3 if is_composite else 6
    noise = np.random.default_rng(10).uniform(0, 7, (rounds, 3, width))
    learner = learners.composite_ftpl if is_composite else learners.published_ftpl
    history = learner(3, targets, *box, kappa, 7.0, rounds, noise=noise)
    expected = replay_by_enumeration(targets, box, kappa, noise, is_composite)
    np.testing.assert_array_equal(history, expected)
    rng = np.random.default_rng(10)
    drawn = learner(3, targets, *box, kappa, 7.0, rounds, rng=rng)
    np.testing.assert_array_equal(drawn, history)


def test_swap_learner_at_depth_one_is_the_published_learner():
    noise = np.random.default_rng(11).uniform(0, 9, (30, 2, 6))
    levels = np.zeros((30, 2), dtype=int)
    box = (3, (4, 2), -2, 3, 1.5)
    swap = learners.swap_ftpl(*box, 30, 1, noise=noise, levels=levels)
    plain = learners.published_ftpl(*box, 9.0, 30, noise=noise)
    np.testing.assert_array_equal(swap, plain)


def test_swap_learner_keeps_and_resets_levels():
    rng = np.random.default_rng(12)
    noise = rng.uniform(0, 9, (16, 2, 6))
    box = (3, (4, 2), -2, 3, 1.5)
    # Level 1 learns every four rounds: with noise that repeats in between, it plays
    # four rounds each against its own means, a published learner of four rounds.
    held = np.repeat(noise[::4], 4, axis=0)
    zeros = np.zeros((16, 2), dtype=int)
    top = learners.swap_ftpl(*box, 4, 2, noise=held, levels=zeros)
    blocks = top.reshape(4, 4, 2, 3)
    np.testing.assert_array_equal(blocks, np.repeat(blocks[:, :1], 4, axis=1))
    coarse = learners.published_ftpl(*box, 9.0, 4, noise=noise[::4])
    np.testing.assert_array_equal(blocks[:, 0], coarse)
    # Level 2 starts afresh every four rounds.
    bottom = learners.swap_ftpl(*box, 4, 2, noise=noise, levels=zeros + 1)
    for start in range(0, 16, 4):
        part = noise[start : start + 4]
        fresh = learners.published_ftpl(*box, 9.0, 4, noise=part)
        np.testing.assert_array_equal(bottom[start : start + 4], fresh)
    levels = rng.integers(0, 2, (16, 2))
    mixed = learners.swap_ftpl(*box, 4, 2, noise=noise, levels=levels)
    assert (mixed.sum(axis=2) == [4, 2]).all()


def random_history(rng, rounds=12, players=2):
    schedules = ks.enumerate_schedules(3, 4, -1, 3)
    return schedules[rng.integers(0, len(schedules), (rounds, players))]


@pytest.mark.parametrize("players", [2, 3])
def test_metrics_agree_with_the_payoff_table(players):
    rng = np.random.default_rng(13)
    history = random_history(rng, players=players)
    schedules = ks.enumerate_schedules(3, 4, -1, 3)
    kappa = 1.5

    def cost_against(schedule, profile, i):
        deviated = profile.copy()
        deviated[i] = schedule
        return ks.cost(deviated, i, kappa)

    box = (kappa, -1, 3)
    for i in range(players):
        # table[r, a]: cost of schedule a in round r
        table = np.array([[cost_against(a, p, i) for a in schedules] for p in history])
        paid = np.array([ks.cost(p, i, kappa) for p in history])
        expected = paid.mean() - table.mean(axis=0).min()
        np.testing.assert_allclose(metrics.regret(history, i, *box), expected)
        curve = metrics.regret_curve(history, i, *box)
        for r in (1, 5, 12):
            expected = paid[:r].mean() - table[:r].mean(axis=0).min()
            np.testing.assert_allclose(curve[r - 1], expected, atol=1e-12)
        groups = {}
        for r, profile in enumerate(history):
            groups.setdefault(tuple(profile[i]), []).append(r)
        expected = sum(
            (paid[rounds].sum() - table[rounds].sum(axis=0).min()) / len(history)
            for rounds in groups.values()
        )
        np.testing.assert_allclose(
            metrics.conditional_regret(history, i, *box), expected
        )


@pytest.mark.parametrize("players", [2, 3])
def test_product_history_is_its_own_product(players):
    # Every combination once: joint and product of marginals are the same.
    few = ks.enumerate_schedules(3, 4, -1, 3)[[0, 3, 7]]
    history = np.array(list(itertools.product(few, repeat=players)))
    np.testing.assert_allclose(metrics.tv_distance(history), 0, atol=1e-15)
    np.testing.assert_allclose(metrics.tv_distance_ks25(history), 0, atol=1e-15)
    box = (1.5, -1, 3)
    cce = metrics.distance_to_cce(history, *box)
    np.testing.assert_allclose(metrics.distance_to_nash(history, *box), cce)


def test_total_variation_of_perfect_correlation():
    # Two plays, each half the time, in step: joint 1/2, 1/2, product 1/4 four times.
    few = ks.enumerate_schedules(3, 4, -1, 3)[[0, 3]]
    history = np.stack([few, few[::-1]], axis=1)
    assert metrics.tv_distance(history) == 0.5
    assert metrics.tv_distance_ks25(history) == 0.5


def test_total_variation_off_the_support_of_the_joint():
    # Joint 1/2, 1/4, 0, 1/4; product 3/8, 3/8, 1/8, 1/8: every cell differs by 1/8.
    few = ks.enumerate_schedules(3, 4, -1, 3)[[0, 3]]
    history = few[[[0, 0], [0, 0], [0, 1], [1, 1]]]
    assert metrics.tv_distance(history) == 1 / 4
    assert metrics.tv_distance_ks25(history) == 3 / 8


def test_pure_equilibrium_has_zero_distances():
    history = np.full((4, 2, 5), 2)
    box = (0.0, -5, 5)
    assert metrics.distance_to_cce(history, *box) == 0
    assert metrics.distance_to_nash(history, *box) == 0
    assert metrics.distance_to_ce(history, *box) == 0
    assert metrics.tv_distance(history) == 0
    assert metrics.mean_welfare(history, 0.0) == 80


@pytest.mark.parametrize("targets", [(10, 10), (10, -3)])
def test_baseline_replays_the_reference(baseline, targets):
    rng = np.random.default_rng(14)
    noise = rng.uniform(0, 50, (50, 3, 2, 10))
    kappas = np.array([0.0, 1.0, 5.0])
    batch = baseline.published_ftpl_batch(
        5, targets, -5, 5, kappas, 50.0, 50, 3, noise=noise
    )
    values = baseline.metrics(batch, kappas, -5, 5, curves=True)
    for run, kappa in enumerate(kappas):
        history = learners.published_ftpl(
            5, targets, -5, 5, kappa, 50.0, 50, noise=noise[:, run]
        )
        np.testing.assert_array_equal(batch[run], history)
        box = (kappa, -5, 5)
        expected = {
            "regret": [metrics.regret(history, i, *box) for i in range(2)],
            "distance_to_cce": metrics.distance_to_cce(history, *box),
            "distance_to_nash": metrics.distance_to_nash(history, *box),
            "distance_to_ce": metrics.distance_to_ce(history, *box),
            "tv_distance": metrics.tv_distance(history),
            "tv_distance_ks25": metrics.tv_distance_ks25(history),
            "welfare": metrics.mean_welfare(history, kappa),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(values[name][run], value, atol=1e-9)
        for i in range(2):
            curve = metrics.regret_curve(history, i, *box)
            np.testing.assert_allclose(
                values["regret_curve"][run, :, i], curve, atol=1e-9
            )


def test_baseline_draws_in_the_published_order(baseline):
    one = baseline.published_ftpl_batch(
        5, (10, 10), -5, 5, 1.0, 50.0, 20, 1, np.random.default_rng(15)
    )
    rng = np.random.default_rng(15)
    history = learners.published_ftpl(5, (10, 10), -5, 5, 1.0, 50.0, 20, rng=rng)
    assert one.dtype == np.int8
    np.testing.assert_array_equal(one[0], history)
