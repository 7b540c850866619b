import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.uncertain_impact import Trades
from gtrade.responses.impact_models import (
    best_trades,
    savings,
    smallest_curvatures,
    zero_sum_basis,
)
from gtrade.solution import Solution
from gtrade.verification.uncertain_impact import (
    misjudgements,
    model_costs,
    realised_costs,
)
from tests.references.position_building import conditionals, marginals
from tests.references.uncertain_impact import best_response, impact_matrix

PRIOR = np.array([[0.3, 0.1], [0.25, 0.35]])
TARGETS = np.array([2.0, -1.0, 3.0, 0.5])
MODELS = np.array([[1, 2, 0, 1], [0.5, 1, 6, 3], [0.8, 0, 9, 20], [0, 1, 4, 2]], float)
NUM_TRADES = 8


@pytest.fixture
def game(in_float64):
    temporary, permanent, transient, decays = MODELS.T
    return gtrade.UncertainImpact(
        TARGETS,
        permanent,
        temporary_impacts=temporary,
        transient_impacts=transient,
        decays=decays,
        num_types=(2, 2),
        prior=PRIOR,
    )


@pytest.fixture
def trades():
    drawn = np.random.default_rng(0).normal(size=(4, NUM_TRADES))
    return drawn + ((TARGETS - drawn.sum(axis=1)) / NUM_TRADES)[:, None]


def solution_of(trades):
    value = Trades(jnp.asarray(trades), jnp.ones(()))
    status = gtrade.Status.converged
    return Solution(value, status, jnp.zeros(()), jnp.zeros((), jnp.int32))


@pytest.mark.parametrize("number", [2, 3, 9])
def test_basis_is_orthonormal_and_sums_to_zero(number):
    basis = zero_sum_basis(number)
    assert basis.shape == (number, number - 1)
    np.testing.assert_allclose(basis.T @ basis, np.eye(number - 1), atol=1e-14)
    np.testing.assert_allclose(basis.sum(axis=0), 0, atol=1e-14)


@pytest.mark.slow
def test_savings_are_those_of_the_best_response(game, trades):
    others = conditionals(PRIOR) @ trades
    found = savings(
        game.impact_matrices(NUM_TRADES), jnp.asarray(trades), jnp.asarray(others)
    )
    for m, model in enumerate(MODELS):
        G = impact_matrix(model, NUM_TRADES)
        for k in range(4):
            _, least = best_response(model, TARGETS[k], others[k])
            paid = trades[k] @ G @ (trades[k] + others[k])
            assert found[m, k] == pytest.approx(paid - least, rel=1e-10)


def test_best_trades(game, trades):
    others = conditionals(PRIOR) @ trades
    found = best_trades(
        game.impact_matrices(NUM_TRADES), jnp.asarray(others), game.targets
    )
    for k, model in enumerate(MODELS):
        best, _ = best_response(model, TARGETS[k], others[k])
        np.testing.assert_allclose(found[k], best, atol=1e-11)


def test_smallest_curvatures(game):
    found = smallest_curvatures(game.impact_matrices(NUM_TRADES))
    # Without transient impact every direction costs temporary T.
    assert found[0] == pytest.approx(NUM_TRADES * MODELS[0, 0])
    for value, model in zip(found, MODELS, strict=True):
        G = impact_matrix(model, NUM_TRADES)
        basis = np.linalg.qr(np.vstack([np.eye(7), -np.ones(7)]))[0]
        least = np.linalg.eigvalsh(basis.T @ (G + G.T) @ basis / 2)[0]
        assert value == pytest.approx(least, rel=1e-10)
        assert value > 0


def test_evidence_of_any_trades(game, trades):
    evidence = gtrade.verify(game, solution_of(trades), arrays=("schedules", "times"))
    P = conditionals(PRIOR)
    matrices = [impact_matrix(model, NUM_TRADES) for model in MODELS]
    expected = [
        [trades[k] @ G @ (trades[k] + P[k] @ trades) for k in range(4)]
        for G in matrices
    ]
    np.testing.assert_allclose(evidence["model_costs"], expected, rtol=1e-11)
    np.testing.assert_allclose(
        evidence["expected_costs"], np.diagonal(expected), rtol=1e-11
    )
    losses = evidence["misjudgements"]
    assert losses.shape == (4, 4)
    assert evidence["exploitability"] == pytest.approx(np.diagonal(losses).max())
    assert evidence["violation"] < 1e-14
    np.testing.assert_allclose(evidence["initial_rates"], trades[:, 0] * NUM_TRADES)
    np.testing.assert_allclose(evidence["schedules"][:, 1:], np.cumsum(trades, axis=1))
    np.testing.assert_allclose(evidence["times"], np.linspace(0, 1, NUM_TRADES + 1))
    assert evidence["realised_costs"].shape == (2, 2, 2)
    own = matrices[1]  # firm 1 of type 2 against firm 2 of type 1
    total = trades[1] + trades[2]
    assert evidence["realised_costs"][1, 0, 0] == pytest.approx(trades[1] @ own @ total)


@pytest.mark.slow
def test_realised_costs_average_to_expected_ones(game, trades):
    realised = np.asarray(realised_costs(game, jnp.asarray(trades))).reshape(2, 2, 2)
    costs = np.diagonal(model_costs(game, jnp.asarray(trades)))
    weighted = (marginals(PRIOR) * costs).reshape(2, 2)
    for firm in range(2):
        mean = (PRIOR * realised[..., firm]).sum(axis=1 - firm)
        np.testing.assert_allclose(mean, weighted[firm], rtol=1e-12)
    evidence = gtrade.verify(game, solution_of(trades))
    assert evidence["welfare"] == pytest.approx(weighted.sum())


def test_trades_off_target_are_seen(game, trades):
    trades[2, 0] += 0.25
    assert gtrade.verify(game, solution_of(trades))["violation"] == pytest.approx(0.25)


@pytest.mark.slow
def test_gains_grow_with_the_square_of_a_deviation(game):
    found = gtrade.solve(game, gtrade.LinearSystem(num_points=NUM_TRADES + 1))
    gains = []
    for size in (1e-3, 2e-3):
        moved = found.value.trades.at[1, 0].add(size).at[1, 1].add(-size)
        gains.append(float(misjudgements(game, moved)[1, 1]))
    assert gains[1] / gains[0] == pytest.approx(4, rel=1e-6)


def test_a_wrong_model_costs(game):
    found = gtrade.solve(game, gtrade.LinearSystem(num_points=NUM_TRADES + 1))
    evidence = gtrade.verify(game, found)
    off = evidence["misjudgements"] + np.diag(np.full(4, np.inf))
    assert off.min() > 1e-3
    assert evidence["exploitability"] < 1e-24


def test_verification_needs_float64():
    from gtrade.verification.uncertain_impact import verify_uncertain_impact_solution

    game = gtrade.UncertainImpact([1.0], [1.0])
    with pytest.raises(ValueError, match="float64"):
        verify_uncertain_impact_solution(game, None, solution_of(np.ones((1, 3))))
