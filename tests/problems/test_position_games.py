import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade import FeedbackPositionGame, HiddenTargetGame
from tests.references import feedback_positions as reference

HIDDEN = {
    "target_mean": 1.0,
    "target_std": 0.5,
    "noise_std": 1.0,
    "permanent_impact": 2.0,
}


def test_costs_follow_the_definition(x64):
    trades = np.random.default_rng(0).normal(size=(3, 5))
    impacts = np.array([0.0, 2.0, 7.0])
    game = FeedbackPositionGame(
        targets=trades.sum(axis=1), permanent_impacts=jnp.array(impacts)
    )
    expected = reference.costs(trades, impacts)
    rtol = 1e-13 if x64 else 1e-4
    np.testing.assert_allclose(game.costs(jnp.array(trades)), expected, rtol=rtol)


def test_steps_charge_what_linear_paths_cost_in_continuous_time():
    # The integral of x_i' (X' + kappa X), by a fine trapezoid within steps.
    trades, kappa, steps = np.array([[0.5, 0.2, 0.3], [-1.0, 2.0, 0.7]]), 3.0, 3
    held, total = np.zeros(2), np.zeros(2)
    for t in range(steps):
        rates = trades[:, t] * steps
        path = held.sum() + rates.sum() * np.linspace(0, 1 / steps, 2)
        total += rates * (rates.sum() + kappa * path.mean()) / steps
        held = held + trades[:, t]
    np.testing.assert_allclose(reference.costs(trades, np.full(2, kappa)), total)


def test_one_impact_stands_for_all():
    both = [
        FeedbackPositionGame(targets=[1.0, 3.0], permanent_impact=5.0),
        FeedbackPositionGame(targets=[1.0, 3.0], permanent_impacts=[5.0, 5.0]),
    ]
    for left, right in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_array_equal(left, right)


def test_batches_take_either_kind_of_column():
    one = gtrade.make_batch(
        FeedbackPositionGame,
        targets=np.array([1.0, 3.0]),
        permanent_impact=np.array([0.0, 2.0]),
    )
    each = gtrade.make_batch(
        FeedbackPositionGame,
        targets=np.array([[1.0, 3.0], [1.0, 3.0]]),
        permanent_impacts=np.array([[0.0, 0.0], [2.0, 2.0]]),
    )
    np.testing.assert_array_equal(one.permanent_impacts, each.permanent_impacts)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (
            {"targets": [1.0]},
            "permanent_impact must be given, or permanent_impacts in its place; got"
            " 'neither'",
        ),
        (
            {"targets": [1.0], "permanent_impact": 1, "permanent_impacts": [1]},
            "permanent_impact must be given, or permanent_impacts in its place; got"
            " 'both'",
        ),
        ({"targets": [], "permanent_impact": 1}, "targets must name at least one firm"),
        ({"targets": 2.0, "permanent_impact": 1}, "targets must name at least one"),
        (
            {"targets": [1.0, np.inf], "permanent_impact": 1},
            "targets must be finite; got",
        ),
        (
            {"targets": [1.0], "permanent_impact": -1.0},
            "permanent_impact must be at least 0; got -1.0",
        ),
        (
            {"targets": [1.0, 2.0], "permanent_impacts": [1.0]},
            "permanent_impacts must have one number for each of the 2 targets",
        ),
        (
            {"targets": [1.0, 2.0], "permanent_impacts": [1.0, -2.0]},
            "permanent_impacts must be at least 0",
        ),
    ],
)
def test_inadmissible_firms(numbers, message):
    with pytest.raises(ValueError, match="must") as error:
        FeedbackPositionGame(**numbers)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_mean": np.nan}, "target_mean must be finite; got nan"),
        ({"target_std": -1.0}, "target_std must be at least 0; got -1.0"),
        ({"noise_std": 0.0}, "noise_std must be greater than 0; got 0.0"),
        ({"permanent_impact": -2}, "permanent_impact must be at least 0; got -2"),
        ({"target": np.inf}, "target must be finite; got inf"),
        ({"arbitrageur_target": np.nan}, "arbitrageur_target must be finite; got nan"),
    ],
)
def test_inadmissible_hidden_targets(changes, message):
    with pytest.raises(ValueError, match="must") as error:
        HiddenTargetGame.validate(**HIDDEN | changes)
    assert str(error.value) == message


def test_shapes_hold_under_tracing():
    def build(mean):
        return HiddenTargetGame(**HIDDEN | {"target_mean": mean})

    with pytest.raises(ValueError, match="target_mean must have shape"):
        jax.eval_shape(build, jnp.zeros(2))


def test_the_target_is_the_mean_unless_given():
    assert float(HiddenTargetGame(**HIDDEN).realised_target) == 1.0
    assert float(HiddenTargetGame(**HIDDEN, target=3.0).realised_target) == 3.0
