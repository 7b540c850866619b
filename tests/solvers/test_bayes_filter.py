import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade import BayesFilter, HiddenTargetGame
from gtrade.solution import Status, status_names
from gtrade.solvers.feedback_rules import feedback_rules
from gtrade.solvers.hidden_rules import sweep
from tests.references import hidden_targets as reference

STEPS = 4
SOLVER = BayesFilter(num_steps=STEPS)


def play(solver=SOLVER, **changes):
    numbers = {
        "target_mean": 1.0,
        "target_std": 1.0,
        "noise_std": 1.0,
        "permanent_impact": 5.0,
        "target": 1.5,
        "arbitrageur_target": 0.0,
    }
    game = HiddenTargetGame(**numbers | changes)
    solution = gtrade.solve(game, solver)
    assert solution.status == Status.converged
    return solution.value


@pytest.mark.slow
@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(
    ("impact", "std", "noise_std"),
    [(5.0, 1.0, 1.0), (5.0, 1.0, 0.5), (1.0, 2.0, 0.01), (12.0, 0.5, 1.0)],
)
def test_iterating_on_the_signals_agrees(impact, std, noise_std):
    found = play(target_std=std, noise_std=noise_std, permanent_impact=impact)
    trader, other, gains = reference.equilibrium(impact, std, noise_std, STEPS)
    np.testing.assert_allclose(found.trader_rules, trader, atol=1e-9)
    np.testing.assert_allclose(found.arbitrageur_rules, other, atol=1e-9)
    np.testing.assert_allclose(found.filter_gains, gains, atol=1e-9)
    variances, _ = reference.filter_path(trader[:, 0], std, noise_std)
    np.testing.assert_allclose(found.belief_stds, variances**0.5, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("impact", [1.0, 5.0, 20.0])
def test_seeing_trades_of_a_known_target_returns_the_feedback_equilibrium(impact):
    # An arbitrageur who knows the target counts down: a share bought is one less to
    # come, a filter gain of -1. Rules at m = r are then those of the feedback game.
    signals = 1 / np.arange(STEPS, 0, -1.0)
    minus = np.append(np.full(STEPS - 1, -1.0), 0)
    for _ in range(200):
        trader, other = reference.reply_rules(signals, minus, impact)
        signals = trader[:, 0]
    gains, *_ = feedback_rules(jnp.full(2, impact), STEPS)
    on_left = np.stack([trader[:, 0] + trader[:, 2], trader[:, 1]], axis=1)
    np.testing.assert_allclose(on_left, gains[:, 0], atol=1e-11)
    np.testing.assert_allclose(other, gains[:, 1, ::-1], atol=1e-11)


@pytest.mark.usefixtures("in_float64")
def test_a_vanishing_prior_does_not_return_the_feedback_equilibrium():
    # With a belief that is certain and wrong only off the path, deviations pass for
    # noise: gains are 0 and not -1, however small the prior variance.
    limit = play(target_std=0.0, target=1.0)
    for std in (1e-2, 1e-4):
        found = play(target_std=std, target=1.0)
        np.testing.assert_allclose(found.trades, limit.trades, atol=std**2)
    np.testing.assert_array_equal(limit.filter_gains, 0)
    np.testing.assert_array_equal(limit.belief_stds, 0)
    gains = np.asarray(limit.known_gains)
    first = gains[0] @ [1.0, 0.0]
    assert np.abs(np.asarray(limit.trades)[:, 0] - first).max() > 0.02
    # Nobody watches: what the arbitrageur does not know of is traded evenly.
    np.testing.assert_allclose(limit.trader_rules[:, 0], 1 / np.arange(4, 0, -1.0))


@pytest.mark.usefixtures("in_float64")
def test_without_noise_the_first_trade_tells_all_or_nothing():
    # Small impact: the trader gives itself away at once, and is never read as a known
    # one, since each surprise still means more to come. Large impact: it hides.
    open_, hiding = (
        play(permanent_impact=impact, noise_std=1e-5, target=1.0)
        for impact in (1.0, 20.0)
    )
    assert float(open_.belief_stds[1]) < 2e-5
    signal = float(open_.trader_rules[0, 0])
    np.testing.assert_allclose(open_.filter_gains[0], (1 - signal) / signal, rtol=1e-6)
    assert (np.asarray(open_.filter_gains)[:-1] > 0.1).all()
    assert float(hiding.trader_rules[0, 0]) < 1e-4
    assert float(hiding.belief_stds[1]) > 0.5


@pytest.mark.usefixtures("in_float64")
def test_no_linear_equilibrium_with_too_little_noise():
    # At the edge the trader's cost is no longer convex in some step.
    play(permanent_impact=4.4, noise_std=0.104)
    game = HiddenTargetGame(
        target_mean=1.0,
        target_std=1.0,
        noise_std=0.1,
        permanent_impact=4.4,
        target=1.5,
    )
    solution = gtrade.solve(game, SOLVER)
    assert solution.status == Status.stalled
    assert float(solution.residual) > 1e-2
    assert np.isfinite(np.asarray(solution.value.trader_rules)).all()


@pytest.mark.slow
@pytest.mark.usefixtures("in_float64")
def test_the_edge_with_more_steps():
    def row(noise_std):
        game = HiddenTargetGame(
            target_mean=1.0, target_std=1.0, noise_std=noise_std, permanent_impact=5.0
        )
        solution = gtrade.solve(game, BayesFilter(num_steps=16))
        return solution.status, gtrade.verify(game, solution)

    status, evidence = row(0.0692)
    assert status == Status.converged
    assert evidence["exploitability"] < 1e-18
    assert evidence["belief_error"] < 1e-12
    status, evidence = row(0.069)
    assert status == Status.stalled
    assert np.isnan(evidence["exploitability"])


SWEEPS = jax.jit(jax.vmap(lambda x, impact: sweep(x, impact, STEPS), (0, None)))


def first_precisions(guesses, impact):
    """Return noise over prior variance for guesses of the same at the end."""
    rules = SWEEPS(guesses, jnp.array(impact))
    return np.where(rules.is_sound, rules.precisions[:, 0], np.nan)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("impact", [1.0, 20.0])
def test_the_prior_variance_rises_with_that_at_the_end(impact):
    # What makes the sweep's equation have one root: checked, not proved.
    first = first_precisions(jnp.geomspace(1.001, 1e6, 500), impact)
    assert (np.diff(np.isnan(first).astype(int)) <= 0).all()
    assert (np.diff(first[~np.isnan(first)]) > 0).all()


@pytest.mark.slow
@pytest.mark.usefixtures("in_float64")
def test_impacts_near_twice_the_steps_have_three_equilibria_for_some_noise():
    impact, noise_std = 8.1, 0.2324
    guesses = jnp.linspace(1.02, 2.0, 500)
    excess = first_precisions(guesses, impact) - noise_std**2 / STEPS
    assert (np.diff(np.sign(excess)) != 0).sum() == 3
    # Any of them will do.
    game = HiddenTargetGame(
        target_mean=1.0,
        target_std=1.0,
        noise_std=noise_std,
        permanent_impact=impact,
        target=1.5,
    )
    row = gtrade.verify(game, gtrade.solve(game, SOLVER))
    assert row["exploitability"] < 1e-18
    assert row["belief_error"] < 1e-12


@pytest.mark.usefixtures("in_float64")
def test_scales():
    found = play(arbitrageur_target=0.5)
    scaled = play(
        target_mean=-3.0,
        target_std=3.0,
        noise_std=3.0,
        target=-4.5,
        arbitrageur_target=-1.5,
    )
    np.testing.assert_allclose(scaled.trader_rules, found.trader_rules, atol=1e-12)
    np.testing.assert_allclose(scaled.trades, -3 * found.trades, atol=1e-12)
    np.testing.assert_allclose(scaled.belief_stds, 3 * found.belief_stds, atol=1e-12)


@pytest.mark.usefixtures("in_float64")
def test_no_impact_no_reaction():
    found = play(permanent_impact=0.0)
    np.testing.assert_allclose(found.trades[0], np.full(STEPS, 1.5 / STEPS), rtol=1e-12)
    np.testing.assert_allclose(found.trades[1], 0, atol=1e-14)


@pytest.mark.slow
@pytest.mark.usefixtures("in_float64")
def test_a_batch_with_a_bad_lane():
    rng = np.random.default_rng(2)
    size = 200
    columns = {
        "target_mean": rng.normal(size=size),
        "target_std": rng.uniform(0, 1, size),
        "noise_std": rng.uniform(0.3, 2, size),
        "permanent_impact": rng.uniform(0, 5, size),
    }
    games = gtrade.make_batch(HiddenTargetGame, **columns)
    bad = games.noise_std.at[7].set(-1.0)
    games = jax.tree.map(lambda x: bad if x is games.noise_std else x, games)
    solution = gtrade.solve_batch(games, SOLVER)
    names = status_names(solution.status)
    assert names[7] == "invalid_input"
    assert (np.delete(names, 7) == "converged").all()
    assert np.isnan(np.asarray(solution.value.trades)[7]).all()
    for index in (0, 6, 8, size - 1):
        numbers = {name: column[index] for name, column in columns.items()}
        alone = play(**numbers | {"target": numbers["target_mean"]})
        found = jax.tree.map(lambda x, i=index: x[i], solution.value)
        np.testing.assert_allclose(found.trades, alone.trades, atol=1e-9)
        np.testing.assert_allclose(found.trader_rules, alone.trader_rules, atol=1e-9)


@pytest.mark.slow
def test_widths(x64):
    found = play()
    assert found.trades.dtype == (jnp.float64 if x64 else jnp.float32)
    np.testing.assert_allclose(
        found.trader_rules[:2, 0], [0.233144, 0.32868], rtol=1e-4
    )


@pytest.mark.slow
def test_a_step_limit_and_one_step():
    with jax.enable_x64(True):
        game = HiddenTargetGame(
            target_mean=1.0, target_std=1.0, noise_std=0.3, permanent_impact=5.0
        )
        solution = gtrade.solve(game, BayesFilter(num_steps=STEPS, max_steps=1))
        assert solution.status == Status.max_steps_reached
        found = play(BayesFilter(num_steps=1))
        np.testing.assert_allclose(found.trades, [[1.5], [0.0]])


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"tol": 0.0}, "tol must be greater than 0; got 0.0"),
        ({"num_steps": 0}, "num_steps must be at least 1; got 0"),
        ({"max_steps": 0}, "max_steps must be at least 1; got 0"),
    ],
)
def test_inadmissible_numbers(numbers, message):
    with pytest.raises(ValueError, match="must") as error:
        BayesFilter(**numbers)
    assert str(error.value) == message
