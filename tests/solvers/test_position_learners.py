import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.base import replace_fields
from gtrade.problems.repeated_positions import RepeatedPositionBuilding
from gtrade.responses.position_modes import line_equilibrium
from gtrade.solution import Status, status_names
from gtrade.solvers.position_learners import (
    DualAveraging,
    MirrorDescent,
    PerturbedLeader,
    StochasticGradientPlay,
)
from gtrade.solvers.position_rounds import recorded_rounds
from gtrade.verification.position_learning import squared_distances
from tests.references import position_building
from tests.references import position_learning as reference

PRIOR = np.array([[0.40, 0.20], [0.15, 0.25]])
TARGETS = np.array([3.0, 5.0, 7.0, 5.0])
LEARNERS = [StochasticGradientPlay, MirrorDescent, DualAveraging, PerturbedLeader]


def game(kappa=4.0, targets=TARGETS):
    impacts = np.broadcast_to(np.asarray(kappa, np.float64), (4,))
    return RepeatedPositionBuilding(impacts, targets, num_types=(2, 2), prior=PRIOR)


@jax.jit
def play(learner, problem, keys):
    return jax.vmap(lambda key: learner.solve(problem, key=key))(keys)


@jax.jit
def mean_distances(rates, exact, marginals):
    every = jax.vmap(lambda x: squared_distances(x, exact, marginals))(rates)
    return every.mean(axis=0)


best_lines = jax.jit(line_equilibrium, static_argnums=1)


def distances(problem, learner, num_seeds):
    """Return recorded rounds and mean squared distances of last rates and averages."""
    solution = play(learner, problem, jax.random.split(jax.random.key(5), num_seeds))
    assert set(status_names(solution.status)) == {"completed"}
    stage = problem.stage_game()
    exact = best_lines(stage, learner.num_points - 1)
    marginals = stage.joint_beliefs()[1]
    record = solution.value
    means = [
        mean_distances(rates, exact, marginals)
        for rates in (record.rates, record.averages)
    ]
    return np.asarray(record.rounds[0]), *map(np.asarray, means)


def slope(rounds, values):
    late = rounds >= rounds[-1] / 10
    return np.polyfit(np.log(rounds[late]), np.log(values[late]), 1)[0]


@pytest.mark.slow
@pytest.mark.usefixtures("in_float64")
def test_gradient_play_is_that_of_numpy():
    learner = StochasticGradientPlay(0.8, 1.5, num_rounds=40, num_points=6)
    problem, key = game([1.0, 3.0, 2.0, 15.0]), jax.random.key(3)
    solution = gtrade.solve(problem, learner, key=key)
    # The same types: drawn by the documented keys, present in the same rounds.
    play_key = jax.random.split(key)[1]
    meetings = []
    for number in range(40):
        type_key = jax.random.split(jax.random.fold_in(play_key, number))[0]
        draw = jax.random.uniform(type_key, ())
        meetings.append(np.flatnonzero(problem.present_types(draw)))
    kappa = np.asarray(problem.permanent_impacts)
    rates, visits = reference.gradient_play(kappa, TARGETS, meetings, 5, 0.8, 1.5)
    np.testing.assert_allclose(solution.value.rates[-1], rates, rtol=1e-10)
    np.testing.assert_array_equal(solution.value.visits, visits)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("constant", "low", "high"), [(0.25, -0.62, -0.38), (1.0, -1.15, -0.85)]
)
@pytest.mark.usefixtures("in_float64")
def test_last_iterate_converges_at_the_proved_rate(constant, low, high):
    learner = StochasticGradientPlay(constant, num_rounds=1000, num_points=9)
    rounds, last, _ = distances(game(), learner, 200)
    assert low < slope(rounds, last) < high


@pytest.mark.slow
@pytest.mark.parametrize(
    ("constant", "expected"), [(0.25, -0.50), (0.5, -0.98), (1.0, -1.0), (2.0, -1.0)]
)
@pytest.mark.usefixtures("in_float64")
def test_slopes_over_a_thousand_seeds(constant, expected):
    learner = StochasticGradientPlay(constant, num_rounds=4000, num_points=33)
    rounds, last, _ = distances(game(), learner, 1000)
    assert abs(slope(rounds, last) - expected) < 0.06


@pytest.mark.usefixtures("in_float64")
def test_different_impacts_within_rosens_condition_converge_too():
    problem = game([1.0, 3.0, 2.0, 15.0])
    learner = StochasticGradientPlay(1.5, 5.0, num_rounds=1000, num_points=9)
    rounds, last, _ = distances(problem, learner, 200)
    assert -1.25 < slope(rounds, last) < -0.75


@pytest.mark.slow
@pytest.mark.usefixtures("in_float64")
def test_without_noise_play_becomes_the_complete_information_equilibrium():
    problem = RepeatedPositionBuilding([4.0, 4.0], [1.0, 3.0])
    learner = StochasticGradientPlay(2.0, 8.0, num_rounds=2000, num_points=65)
    solution = gtrade.solve(problem, learner, key=jax.random.key(0))
    rates = np.asarray(solution.value.rates[-1])
    exact = best_lines(problem.stage_game(), 64)
    np.testing.assert_allclose(rates, exact, atol=2e-4)
    schedules = np.cumsum(rates, axis=1) / 64
    times = np.arange(1, 65) / 64
    path, _ = position_building.complete_information_path(4.0, [1.0, 3.0], times)
    np.testing.assert_allclose(schedules, path, atol=5e-4)  # O(T^-2) of the lines


@pytest.mark.slow
@pytest.mark.usefixtures("in_float64")
def test_beyond_rosens_condition_gradient_play_may_diverge():
    def end(kappa):
        problem = RepeatedPositionBuilding(kappa, [1.0, 1.0])
        learner = StochasticGradientPlay(2.0, 40.0, num_rounds=1000, num_points=33)
        _, last, _ = distances(problem, learner, 1)
        return last[-1] / last[0]

    # Outside the condition all three (ratio 20), unstable only where impact is large.
    assert end([100.0, 5.0]) > 1 > end([60.0, 3.0]) > end([10.0, 0.5])


@pytest.mark.slow
@pytest.mark.usefixtures("in_float64")
def test_other_learners_converge():
    fast = {"num_rounds": 1000, "num_points": 9}
    rounds, last, _ = distances(game(), PerturbedLeader(noise=3.0, **fast), 100)
    assert -1.2 < slope(rounds, last) < -0.75
    rounds, last, average = distances(game(), DualAveraging(1.0, **fast), 100)
    assert -0.75 < slope(rounds, last) < -0.3
    assert slope(rounds, average) < -0.75
    assert average[-1] < last[-1]
    # Nobody trades against its target in the equilibrium of this game.
    rounds, last, _ = distances(game(1.0), MirrorDescent(2.0, **fast), 100)
    assert -1.2 < slope(rounds, last) < -0.7


@pytest.mark.slow
@pytest.mark.usefixtures("in_float64")
def test_the_leader_without_noise_is_gradient_play_with_half_steps():
    key, fast = jax.random.key(1), {"num_rounds": 50, "num_points": 6}
    for start in ("even", "random"):
        leader = gtrade.solve(
            game(), PerturbedLeader(0.0, start=start, **fast), key=key
        )
        gradient = StochasticGradientPlay(0.5, 1.0, start=start, **fast)
        played = gtrade.solve(game(), gradient, key=key)
        np.testing.assert_allclose(
            leader.value.rates, played.value.rates, rtol=1e-9, atol=1e-9
        )


@pytest.mark.slow
@pytest.mark.parametrize("learner", LEARNERS)
def test_contract(learner, x64):
    solver = learner(num_rounds=30, num_points=6, start="random")
    problem, key = game(1.0), jax.random.key(2)
    solution = gtrade.solve(problem, solver, key=key)
    assert solution.status == Status.completed
    assert int(solution.num_steps) == 30
    rates = np.asarray(solution.value.rates)
    assert rates.dtype == (np.float64 if x64 else np.float32)
    rtol = 1e-12 if x64 else 1e-5
    np.testing.assert_allclose(rates.mean(axis=-1), TARGETS[None].repeat(
        len(rates), 0), rtol=rtol)  # fmt: skip
    visits = np.asarray(solution.value.visits)
    assert visits[:2].sum() == visits[2:].sum() == 30
    np.testing.assert_array_equal(solution.value.rounds, recorded_rounds(30))
    other = gtrade.solve(problem, solver, key=jax.random.key(3))
    assert not np.allclose(other.value.rates, rates)
    if learner is MirrorDescent:
        assert (rates > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.usefixtures("in_float64")
def test_batch_equals_single_and_scales_with_targets(learner):
    scales = np.array([1.0, -2.0, 0.5])
    noise = {} if learner is not PerturbedLeader else {"noise": 0.0}
    solver = learner(num_rounds=25, num_points=6, **noise)
    batch = gtrade.make_batch(
        RepeatedPositionBuilding,
        permanent_impacts=np.full(4, 1.0),
        targets=scales[:, None] * TARGETS,
        num_types=(2, 2),
        prior=PRIOR,
    )
    key = jax.random.key(4)
    keys = jnp.stack([key] * 3)
    solutions = gtrade.solve_batch(batch, solver, keys=keys)
    for i, scale in enumerate(scales):
        single = gtrade.solve(game(1.0, scale * TARGETS), solver, key=key)
        np.testing.assert_allclose(
            solutions.value.rates[i], single.value.rates, rtol=1e-12
        )
        np.testing.assert_allclose(
            solutions.value.rates[i], scale * solutions.value.rates[0], rtol=1e-9
        )
        np.testing.assert_allclose(
            solutions.value.paid[i], scale**2 * solutions.value.paid[0], rtol=1e-9
        )


@pytest.mark.usefixtures("in_float64")
def test_relabelled_firms_permute_the_record():
    kappa, targets, order = (
        np.array([1.0, 2.0, 5.0]),
        np.array([3.0, -1.0, 2.0]),
        [2, 0, 1],
    )
    solver = StochasticGradientPlay(num_rounds=30, num_points=6)
    key = jax.random.key(0)
    one = gtrade.solve(RepeatedPositionBuilding(kappa, targets), solver, key=key)
    two = RepeatedPositionBuilding(kappa[order], targets[order])
    other = gtrade.solve(two, solver, key=key)
    np.testing.assert_allclose(
        other.value.rates, one.value.rates[:, np.array(order)], rtol=1e-9
    )


def test_bad_lanes_leave_their_neighbours_alone():
    batch = gtrade.make_batch(
        RepeatedPositionBuilding,
        permanent_impacts=np.array([[4.0, 4.0], [4.0, 4.0], [1e30, 1e30]]),
        targets=np.ones((3, 2)),
    )
    targets = batch.targets.at[1, 0].set(jnp.nan)
    solver = StochasticGradientPlay(num_rounds=30, num_points=6, start="random")
    keys = jax.random.split(jax.random.key(0), 3)
    solution = gtrade.solve_batch(
        replace_fields(batch, targets=targets), solver, keys=keys
    )
    names = list(status_names(solution.status))
    assert names == ["completed", "invalid_input", "nonfinite"]
    assert np.isfinite(solution.value.rates[0]).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: StochasticGradientPlay(0.0), "step_constant must be greater than 0"),
        (lambda: StochasticGradientPlay(1.0, -1.0), "step_offset must be at least 0"),
        (lambda: PerturbedLeader(-1.0), "noise must be at least 0; got -1.0"),
        (lambda: DualAveraging(num_rounds=0), "num_rounds must be at least 1; got 0"),
        (lambda: MirrorDescent(num_points=2), "num_points must be at least 3; got 2"),
        (lambda: MirrorDescent(start="late"), "start must be one of even, random"),
    ],
)
def test_bad_numbers_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_key_is_needed():
    with pytest.raises(ValueError, match="need a `key`"):
        StochasticGradientPlay().solve(game())
