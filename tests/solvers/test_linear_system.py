import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade import LinearSystem, Status, UncertainImpact
from tests.references.uncertain_impact import equilibrium, shared_model

SOLVER = LinearSystem(num_points=13)
PRIOR = [[0.4, 0.2], [0.15, 0.25]]
# Chriss (2025), section 5: kappas and targets of two firms with two types each.
KAPPAS, TARGETS = [1.0, 3.0, 2.0, 15.0], [3.0, 5.0, 7.0, 5.0]
MODELS = np.array(
    [[1.0, 2.0, 0.0, 1.0], [0.5, 1.0, 6.0, 3.0], [0.8, 0.0, 9.0, 20.0], [2, 5, 1, 0.5]]
)


def game_of(models, targets=TARGETS, num_types=(2, 2), prior=PRIOR):
    temporary, permanent, transient, decays = np.asarray(models, float).T
    return UncertainImpact(
        targets,
        permanent,
        temporary_impacts=temporary,
        transient_impacts=transient,
        decays=decays,
        num_types=num_types,
        prior=prior,
    )


def trades_of(*args, solver=SOLVER, **kwargs):
    solution = gtrade.solve(game_of(*args, **kwargs), solver)
    assert solution.status == Status.converged
    return np.asarray(solution.value.trades)


def test_agrees_with_reference(x64):
    trades = trades_of(MODELS)
    expected = equilibrium(MODELS, TARGETS, PRIOR, 12)
    np.testing.assert_allclose(trades, expected, atol=1e-12 if x64 else 2e-5)


def slow(*values):
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


@pytest.mark.parametrize("shape", [(1,), (1, 1, 2), *slow((3,), (2, 3))])
def test_any_number_of_firms_and_types(shape, in_float64):
    rng = np.random.default_rng(sum(shape))
    prior = rng.dirichlet(np.ones(np.prod(shape))).reshape(shape)
    size = sum(shape)
    models = rng.uniform(0.2, 8.0, (size, 4))
    targets = rng.normal(scale=3.0, size=size)
    trades = trades_of(models, targets, shape, prior)
    expected = equilibrium(models, targets, prior, 12)
    np.testing.assert_allclose(trades, expected, atol=1e-12)


@pytest.mark.slow
def test_without_transient_impact_it_is_position_building(in_float64):
    game = gtrade.PositionBuilding(KAPPAS, TARGETS, num_types=(2, 2), prior=PRIOR)
    lines = gtrade.solve(game, gtrade.Constrained(num_points=13))
    assert lines.status == Status.converged
    solution = gtrade.solve(
        UncertainImpact(TARGETS, KAPPAS, num_types=(2, 2), prior=PRIOR), SOLVER
    )
    assert solution.status == Status.converged
    np.testing.assert_allclose(
        solution.value.schedules, lines.value.schedules, atol=1e-11
    )
    same = gtrade.verify(game, lines)
    evidence = gtrade.verify(
        UncertainImpact(TARGETS, KAPPAS, num_types=(2, 2), prior=PRIOR), solution
    )
    for name in ("expected_costs", "initial_rates"):
        np.testing.assert_allclose(evidence[name], same[name], rtol=1e-11)


@pytest.mark.slow
def test_second_order_to_continuous_time(in_float64):
    game = gtrade.PositionBuilding(KAPPAS, TARGETS, num_types=(2, 2), prior=PRIOR)
    exact = gtrade.solve(game, gtrade.Spectral(num_points=11)).value.schedules
    errors = []
    for per_interval in (2, 4, 8):
        trades = trades_of(
            np.stack([np.ones(4), KAPPAS, np.zeros(4), np.ones(4)], 1),
            solver=LinearSystem(num_points=10 * per_interval + 1),
        )
        held = np.cumsum(trades, axis=1)[:, per_interval - 1 :: per_interval]
        errors.append(np.abs(held - np.asarray(exact)[:, 1:]).max())
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 4, atol=0.3)


def test_only_the_ratio_of_linear_impacts_matters(in_float64):
    # Whoever doubts linear impact only, doubts kappa: (eta, kappa) acts as kappa / eta.
    eta = np.array([0.2, 1.0, 3.0, 7.0])
    zero, one = np.zeros(4), np.ones(4)
    both = game_of(np.stack([eta, eta * KAPPAS, zero, one], 1))
    ratio = game_of(np.stack([one, KAPPAS, zero, one], 1))
    found, plain = gtrade.solve(both, SOLVER), gtrade.solve(ratio, SOLVER)
    np.testing.assert_allclose(found.value.trades, plain.value.trades, atol=1e-12)
    costs = [
        gtrade.verify(*x)["expected_costs"] for x in ((both, found), (ratio, plain))
    ]
    np.testing.assert_allclose(costs[0], eta * costs[1], rtol=1e-12)


def test_scaling_a_whole_model_changes_nothing(in_float64):
    scaled = MODELS * np.array([3.0, 0.1, 1.0, 20.0])[:, None]
    scaled[:, 3] = MODELS[:, 3]
    np.testing.assert_allclose(trades_of(scaled), trades_of(MODELS), atol=1e-12)


def test_impact_that_never_decays_is_permanent(in_float64):
    fading, lasting = MODELS.copy(), MODELS.copy()
    fading[:, 3] = 0.0
    lasting[:, 1] += lasting[:, 2]
    lasting[:, 2] = 0.0
    np.testing.assert_allclose(trades_of(fading), trades_of(lasting), atol=1e-12)
    errors = []
    for decay in (1e-2, 1e-3):
        fading[:, 3] = decay
        errors.append(np.abs(trades_of(fading) - trades_of(lasting)).max())
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.1)


def test_impact_that_decays_at_once_is_temporary(in_float64):
    fading, gone = MODELS.copy(), MODELS.copy()
    fading[:, 3] = 1e4
    gone[:, 0] += gone[:, 2] / (2 * 12)  # what halves on the diagonal leave
    gone[:, 2] = 0.0
    np.testing.assert_allclose(trades_of(fading), trades_of(gone), atol=1e-12)


def test_one_model_for_all_firms(in_float64):
    targets = np.array([1.0, 4.0, -2.0])
    # Two types of the last firm, in nothing different.
    prior, firms = np.array([[[0.3, 0.7]]]), [0, 1, 2, 2]
    trades = trades_of(MODELS[[1] * 4], targets[firms], (1, 1, 2), prior)
    expected = shared_model(MODELS[1], targets, 12)[firms]
    np.testing.assert_allclose(trades, expected, atol=1e-12)


def test_one_firm_with_decaying_impact_alone(in_float64):
    decay, number = 3.0, 12
    (trades,) = trades_of([[0.0, 0.0, 7.0, decay]], [1.0], (1,), np.ones(1))
    # The inverse of a matrix q^|i - j|: ends 1 / (1 + q), else (1 - q) / (1 + q).
    left = 1 - np.exp(-decay / number)
    shape = np.full(number, left)
    shape[[0, -1]] = 1.0
    np.testing.assert_allclose(trades, shape / (2 + (number - 2) * left), rtol=1e-10)


@pytest.mark.slow
def test_steps_converge_to_continuous_time(in_float64):
    held = []
    for number in (12, 24, 48, 96):
        trades = trades_of(MODELS, solver=LinearSystem(num_points=number + 1))
        every = number // 12
        held.append(np.cumsum(trades, axis=1)[:, every - 1 :: every])
    moves = [np.abs(b - a).max() for a, b in zip(held[:-1], held[1:], strict=True)]
    assert moves[0] / moves[1] > 3
    assert moves[1] / moves[2] > 3


def test_relabelled_firms_and_types_permute(in_float64):
    trades = trades_of(MODELS)
    order = [2, 3, 1, 0]  # firms change places, firm 1's types too
    prior = np.asarray(PRIOR).T[:, ::-1]
    other = trades_of(MODELS[order], np.asarray(TARGETS)[order], (2, 2), prior)
    np.testing.assert_allclose(other, trades[order], atol=1e-12)


def test_trades_are_linear_in_targets(in_float64):
    first, second = np.array([1.0, 0.0, -2.0, 3.0]), np.array(TARGETS)
    combined = trades_of(MODELS, 30 * first - second)
    expected = 30 * trades_of(MODELS, first) - trades_of(MODELS, second)
    np.testing.assert_allclose(combined, expected, atol=1e-10)


def test_targets_of_zero(x64):
    trades = trades_of(MODELS, np.zeros(4))
    np.testing.assert_array_equal(trades, 0)


@pytest.mark.slow
def test_who_believes_in_slow_resilience_trades_early(in_float64):
    # Firm 1 expects impact to decay at rate 1 or 20, firm 2 at rate 5.
    models = [[1.0, 0.0, 5.0, decay] for decay in (1.0, 20.0, 5.0)]
    game = game_of(models, np.ones(3), (2, 1), [[0.5], [0.5]])
    solver = LinearSystem(num_points=21)
    solution = gtrade.solve(game, solver)
    evidence = gtrade.verify(game, solution)
    np.testing.assert_allclose(
        evidence["initial_rates"], [1.70897, 0.93689, 1.35999], atol=1e-4
    )
    assert evidence["exploitability"] < 1e-24
    # Being wrong costs 5.2 % of the bill if impact fades faster than believed, 2.5 % if
    # it stays longer.
    costs, losses = evidence["model_costs"], evidence["misjudgements"]
    shares = losses[:2, :2] / (costs - losses)[:2, :2]
    np.testing.assert_allclose(shares, [[0, 0.02497], [0.05215, 0]], atol=1e-4)


def batch_of(number):
    rng = np.random.default_rng(number)
    columns = rng.uniform(0.3, 6.0, (4, number, 4))
    return gtrade.make_batch(
        UncertainImpact,
        targets=rng.normal(size=(number, 4)),
        permanent_impacts=columns[0],
        temporary_impacts=columns[1],
        transient_impacts=columns[2],
        decays=columns[3],
        num_types=(2, 2),
        prior=rng.dirichlet(np.ones(4), number).reshape(number, 2, 2),
    )


def test_batch_equals_single(in_float64):
    games = batch_of(3)
    batch = gtrade.solve_batch(games, SOLVER)
    for i in range(3):
        single = gtrade.solve(jax.tree.map(lambda x, i=i: x[i], games), SOLVER)
        np.testing.assert_allclose(
            batch.value.trades[i], single.value.trades, atol=1e-12
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("targets", np.nan),
        ("decays", -1.0),
        ("permanent_impacts", np.inf),
        ("prior", -0.1),
    ],
)
def test_bad_lanes_keep_to_themselves(name, value, in_float64):
    games = batch_of(3)
    alone = gtrade.solve_batch(games, SOLVER).value.trades
    field = getattr(games, name).at[1, 0].set(value)
    bad = eqx.tree_at(lambda x: getattr(x, name), games, field)
    solution = gtrade.solve_batch(bad, SOLVER)
    statuses = gtrade.status_names(solution.status)
    assert list(statuses) == ["converged", "invalid_input", "converged"]
    assert np.isnan(solution.value.trades[1]).all()
    np.testing.assert_array_equal(solution.value.trades[::2], alone[::2])


def test_missing_convexity_is_invalid(in_float64):
    games = batch_of(3)
    zero = games.temporary_impacts.at[1].set(0.0)
    # Impact that hardly decays leaves costs flat to rounding.
    slow = games.decays.at[1].set(1e-15)
    bad = eqx.tree_at(lambda x: (x.temporary_impacts, x.decays), games, (zero, slow))
    solution = gtrade.solve_batch(bad, SOLVER)
    assert gtrade.status_names(solution.status)[1] == "invalid_input"


def test_nearly_singular_equations_stall(in_float64):
    # Costs that are convex by a hair, in numbers that leave few digits.
    games = batch_of(3)
    tiny = games.temporary_impacts.at[1].set(1e-11)
    flat = games.transient_impacts.at[1].set(0.0)
    bad = eqx.tree_at(
        lambda x: (x.temporary_impacts, x.transient_impacts), games, (tiny, flat)
    )
    solution = gtrade.solve_batch(bad, SOLVER)
    assert gtrade.status_names(solution.status)[1] == "stalled"
    assert solution.residual[1] > 1e-8
    assert np.isfinite(solution.value.trades[1]).all()


def test_overflow_is_nonfinite(in_float64):
    games = batch_of(3)
    huge = games.targets.at[1].set(1.7e308)
    solution = gtrade.solve_batch(eqx.tree_at(lambda x: x.targets, games, huge), SOLVER)
    assert gtrade.status_names(solution.status)[1] == "nonfinite"
    assert np.isnan(solution.value.trades[1]).all()


@pytest.mark.slow
def test_gradients_match_differences(in_float64):
    games = game_of(MODELS)

    def first_trade(decays):
        game = eqx.tree_at(lambda x: x.decays, games, decays)
        return SOLVER.solve(game).value.trades[0, 0]

    evaluate = jax.jit(jax.value_and_grad(first_trade))
    _, slope = evaluate(games.decays)
    for i, step in enumerate(1e-6 * jnp.eye(4)):
        up, down = (evaluate(games.decays + h)[0] for h in (step, -step))
        np.testing.assert_allclose(slope[i], (up - down) / 2e-6, atol=1e-7)


def test_bad_numbers_of_points():
    with pytest.raises(ValueError, match="num_points must be at least 3; got 2"):
        LinearSystem(num_points=2)
