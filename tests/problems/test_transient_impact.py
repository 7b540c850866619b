"""Kernels, costs and refusals of transient impact."""

import jax
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from tests.references import transient_impact as reference

costs_of = jax.jit(gtrade.TransientImpact.costs)

TRADES = np.array([[0.7, 0.0, 0.4, -0.1, 1.0], [0.3, 0.3, -1.2, 0.5, 0.1], np.zeros(5)])


@pytest.mark.parametrize("kernel", ["exponential", "power-law"])
def test_costs_follow_from_the_definition(x64, kernel):
    game = gtrade.TransientImpact(
        targets=[2.0, 0.0, 0.0], decay=1.7, temporary_cost=0.2, kernel=kernel
    )
    wanted = [reference.cost(TRADES, i, 1.7, 0.2, kernel) for i in range(3)]
    found = costs_of(game, TRADES.astype(game.targets.dtype))
    np.testing.assert_allclose(found, wanted, rtol=1e-12 if x64 else 1e-5, atol=1e-6)


@pytest.mark.parametrize("kernel", ["exponential", "power-law"])
@pytest.mark.parametrize("decay", [0.01, 1.0, 30.0])
def test_no_round_trip_earns_money(in_float64, kernel, decay):
    game = gtrade.TransientImpact(
        targets=[0.0], decay=decay, temporary_cost=0.0, kernel=kernel
    )
    rng = np.random.default_rng(1)
    trades = rng.normal(size=(200, 12))
    trades[::2] = np.sign(trades[::2]) * np.abs(trades[::2]) ** 8
    trades -= trades.mean(axis=1, keepdims=True)
    costs = [costs_of(game, x[None])[0] for x in trades]
    sizes = (trades**2).sum(axis=1)
    least = np.linalg.eigvalsh(reference.matrices(12, decay, 0.0, kernel)[0])[0]
    assert least > 0
    assert (np.array(costs) >= least / 2 * sizes * (1 - 1e-9)).all()


def test_critical_temporary_costs(in_float64):
    for firms, wanted in ((1, 0.0), (2, 0.25), (3, 0.5)):
        game = gtrade.TransientImpact(
            targets=[1.0] * firms, decay=1.0, temporary_cost=0.0
        )
        np.testing.assert_allclose(game.critical_temporary_costs, [wanted, 0.25])


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"targets": []}, r"targets must name at least one firm; got \[\]"),
        ({"targets": [np.inf]}, "targets must be finite"),
        ({"decay": 0.0}, "decay must be greater than 0; got 0.0"),
        ({"temporary_cost": -1.0}, "temporary_cost must be at least 0; got -1.0"),
        (
            {"kernel": "linear"},
            "kernel must be 'exponential' or 'power-law'; got 'linear'",
        ),
        (
            {"decay": np.array([1.0, -2.0])},
            r"decay must be greater than 0; got -2.0 \(row 1\)",
        ),
    ],
)
def test_refusals(numbers, message):
    numbers = {"targets": [1.0], "decay": 1.0, "temporary_cost": 0.5, **numbers}
    with pytest.raises(InadmissibleError, match=message):
        gtrade.TransientImpact.validate(**numbers)
