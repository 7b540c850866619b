"""The reference agrees with costs summed trade by trade, and with known answers."""

import numpy as np
import pytest

from .position_building import conditionals
from .uncertain_impact import (
    best_response,
    equilibrium,
    impact_matrix,
    shared_model,
)

MODELS = np.array([[1.0, 2.0, 0.0, 1.0], [0.5, 1.0, 6.0, 3.0], [0.8, 0.0, 9.0, 20.0]])


def test_costs_trade_by_trade():
    rng = np.random.default_rng(0)
    own, flow = rng.normal(size=(2, 6))
    temporary, permanent, transient, decay = MODELS[1]
    paid = 0.0
    for t in range(6):
        price = temporary * 6 * flow[t] + (permanent + transient) * flow[t] / 2
        for s in range(t):
            price += flow[s] * (permanent + transient * np.exp(-decay * (t - s) / 6))
        paid += own[t] * price
    assert own @ impact_matrix(MODELS[1], 6) @ flow == pytest.approx(paid)


def test_types_answer_each_other():
    prior, targets = np.array([[0.3], [0.7]]), np.array([1.0, 2.0, -3.0])
    trades = equilibrium(MODELS, targets, prior, 7)
    others = conditionals(prior) @ trades
    for model, target, own, other in zip(MODELS, targets, trades, others, strict=True):
        best, _ = best_response(model, target, other)
        np.testing.assert_allclose(own, best, atol=1e-12)


def test_one_model_for_all():
    targets = np.array([1.0, 4.0, -2.0])
    trades = equilibrium(MODELS[[1, 1, 1]], targets, np.ones((1, 1, 1)), 8)
    np.testing.assert_allclose(shared_model(MODELS[1], targets, 8), trades, atol=1e-12)


def test_one_firm_and_decaying_impact_alone():
    # Obizhaeva and Wang (2013): blocks at both ends, 1 / (2 + decay) of the shares as
    # steps become many, and a constant rate between.
    (trades,) = equilibrium([[0.0, 0.0, 1.0, 3.0]], [1.0], np.ones(1), 400)
    np.testing.assert_allclose(trades[[0, -1]], 1 / 5, rtol=1e-2)
    np.testing.assert_allclose(trades[1:-1], trades[1], rtol=1e-6)
