import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.repeated_positions import RepeatedPositionBuilding, line_positions
from tests.references import position_learning as reference

PRIOR = np.array([[0.40, 0.20], [0.15, 0.25]])
KAPPA = np.array([1.0, 3.0, 2.0, 15.0])
TARGETS = np.array([3.0, 5.0, 7.0, -5.0])


def game(**changes):
    numbers = {
        "permanent_impacts": KAPPA,
        "targets": TARGETS,
        "num_types": (2, 2),
        "prior": PRIOR,
    }
    return RepeatedPositionBuilding(**{**numbers, **changes})


@pytest.mark.usefixtures("in_float64")
def test_prices_are_the_gradient_of_what_a_round_costs():
    rates = TARGETS[:, None] + np.random.default_rng(0).normal(size=(4, 6))
    for _, members in reference.profiles(PRIOR.shape):
        present = np.isin(np.arange(4), members).astype(float)
        prices = np.asarray(game().prices(jnp.asarray(rates), jnp.asarray(present)))
        costs = np.asarray(game(targets=rates.mean(axis=1)).round_costs(rates, prices))
        for k in members:
            others = rates[members].sum(axis=0) - rates[k]
            exact = reference.round_cost(rates[k], others, KAPPA[k])
            np.testing.assert_allclose(costs[k], exact, rtol=1e-12)
            gradient = 2 * rates[k] + prices[k]
            slope = reference.numerical_gradient(rates[k], others, KAPPA[k])
            np.testing.assert_allclose(gradient - gradient.mean(), slope, atol=1e-7)


@pytest.mark.slow
@pytest.mark.usefixtures("in_float64")
def test_sampled_gradients_are_unbiased():
    # Enumerating the profiles, against automatic differentiation of expected costs.
    from gtrade.problems.position_costs import costs_along_lines

    rates = jnp.asarray(TARGETS[:, None] + np.random.default_rng(1).normal(size=(4, 8)))
    mean, marginals = np.zeros(rates.shape), np.zeros(4)
    for profile, members in reference.profiles(PRIOR.shape):
        present = np.isin(np.arange(4), members).astype(float)
        gradient = 2 * rates + game().prices(rates, jnp.asarray(present))
        mean += PRIOR[profile] * present[:, None] * np.asarray(gradient)
        marginals += PRIOR[profile] * present
    mean /= marginals[:, None]

    @jax.jit
    @jax.grad
    def gradient_of_costs(own):
        schedules = line_positions(own), line_positions(rates)
        return costs_along_lines(game().stage_game(), *schedules).sum()

    exact = np.asarray(gradient_of_costs(rates)) * rates.shape[1]
    centred = [x - x.mean(axis=1, keepdims=True) for x in (mean, exact)]
    np.testing.assert_allclose(*centred, atol=1e-11)


def test_types_are_drawn_from_the_prior(x64):
    prior = np.array([[0.5, 0.0], [0.2, 0.3]])  # a profile that never comes
    draws = jnp.linspace(0, 1, 1000, endpoint=False)
    present = np.asarray(jax.vmap(game(prior=prior).present_types)(draws))
    assert (present.sum(axis=1) == 2).all()
    together = present.T @ present / 1000
    np.testing.assert_allclose(together[:2, 2:], prior, atol=2e-3)
    last = game(prior=prior).present_types(jnp.nextafter(jnp.ones(()), jnp.zeros(())))
    np.testing.assert_array_equal(last, [0, 1, 0, 1])


def test_one_type_each_needs_no_prior():
    one = RepeatedPositionBuilding(np.ones(3), np.ones(3))
    np.testing.assert_array_equal(one.present_types(jnp.zeros(())), np.ones(3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prior": None}, "prior must be given where a firm has several types"),
        ({"prior": PRIOR * 2}, "prior must sum to 1"),
        ({"permanent_impacts": -KAPPA}, r"permanent_impacts\[0\] must be at least 0"),
        ({"targets": TARGETS * np.nan}, r"targets\[0\] must be a finite number"),
        ({"prior": PRIOR[0]}, "prior must have shape"),
    ],
)
def test_bad_numbers_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        game(**changes)
    with pytest.raises(ValueError, match="targets must have shape"):
        game(targets=np.ones((4, 1)))


def test_batches_are_built_from_columns():
    targets = np.stack([TARGETS, 2 * TARGETS])
    games = gtrade.make_batch(
        RepeatedPositionBuilding,
        permanent_impacts=KAPPA,
        targets=targets,
        num_types=(2, 2),
        prior=PRIOR,
    )
    np.testing.assert_allclose(games.targets, targets)
    assert games.prior.shape == (2, 4)
