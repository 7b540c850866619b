"""Prices, costs and refusals of power-law position building."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.problems.power_law_position import cells
from tests.references import power_law as reference

RATES = np.array([-3.0, -0.2, 0.0, 0.4, 2.0])
PATHS = np.array([[0.0, 0.7, 0.9, 2.0], [0.0, -0.5, 0.4, 1.0], [0.0, 0.1, -0.3, -0.5]])


costs_of = jax.jit(gtrade.PowerLawPosition.costs)


def make(**numbers):
    numbers = {"targets": [2.0, 1.0, -0.5], "permanent_impact": 3.0, **numbers}
    return gtrade.PowerLawPosition(**{"exponent": 0.6, **numbers})


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_pressure_and_its_derivatives(in_float64, exponent, smoothing):
    game = make(exponent=exponent, smoothing=smoothing)
    rates = jnp.asarray(RATES)
    wanted = reference.impact(RATES, exponent, smoothing)
    np.testing.assert_allclose(game.pressure(rates), wanted, rtol=1e-13)
    inside = rates[jnp.array([0, 1, 3, 4])]
    slopes = jax.vmap(jax.grad(game.pressure))(inside)
    np.testing.assert_allclose(game.slope(inside), slopes, rtol=1e-12)
    bends = jax.vmap(jax.grad(jax.grad(game.pressure)))(inside)
    for own in (-1.0, 0.0, 0.8):
        ratio = 1 + own * bends / (2 * slopes)
        found = game.curvature_ratio(inside, jnp.asarray(own))
        np.testing.assert_allclose(found, ratio, rtol=1e-11)


def test_at_a_total_rate_of_zero(in_float64):
    zero = jnp.zeros(())
    for exponent, slope in ((0.5, np.inf), (1.0, 1.0), (2.0, 0.0)):
        game = make(exponent=exponent)
        assert game.pressure(zero) == 0
        assert game.slope(zero) == slope
        assert game.curvature_ratio(zero, zero) == 1
    assert make(exponent=0.5).curvature_ratio(zero, jnp.ones(())) == -np.inf
    smooth = make(exponent=0.5, smoothing=0.04)
    np.testing.assert_allclose(smooth.slope(zero), 0.04**-0.5)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_costs_follow_from_the_definition(x64, smoothing):
    game = make(smoothing=smoothing)
    wanted = [reference.cost(PATHS, i, 3.0, 0.6, smoothing) for i in range(3)]
    found = costs_of(game, jnp.asarray(PATHS, game.targets.dtype))
    np.testing.assert_allclose(found, wanted, rtol=1e-12 if x64 else 1e-5, atol=1e-6)


@pytest.mark.slow
def test_marginal_costs_are_the_gradient(in_float64):
    """Where rates follow the gradient's level set nothing is to be gained."""
    game = make(exponent=1.4)
    paths = jnp.asarray(PATHS)
    rates, middles = cells(paths)

    @jax.jit
    @jax.grad
    def gradient(own, firm):
        moved = paths.at[firm, 1:].set(jnp.cumsum(own) / 3)
        return game.costs(moved)[firm]

    gradients = [gradient(rates[i], i) * 3 for i in range(3)]
    spread = max(float(g.max() - g.min()) for g in gradients)
    total, others = rates.sum(axis=0)[None], middles.sum(axis=0)[None] - middles
    terms = [game.pressure(total), game.slope(total) * rates, 3.0 * others]
    largest = max(float(jnp.abs(term).max()) for term in terms)
    found = game.marginal_spread(middles, rates)
    np.testing.assert_allclose(found, spread / largest, rtol=1e-12)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"targets": []}, r"targets must name at least one firm; got \[\]"),
        ({"targets": 1.0}, r"targets must name at least one firm; got 1.0"),
        ({"targets": [1.0, np.nan]}, "targets must be finite"),
        ({"permanent_impact": -1.0}, "permanent_impact must be at least 0; got -1.0"),
        ({"exponent": 0.0}, "exponent must be greater than 0; got 0.0"),
        ({"exponent": "p"}, "exponent must be a number; got 'p'"),
        ({"smoothing": -0.1}, "smoothing must be at least 0; got -0.1"),
        (
            {"exponent": 0.05, "smoothing": 0.1},
            "exponent must be at least 1/17 where smoothing is greater than 0; got 0",
        ),
    ],
)
def test_refusals(numbers, message):
    numbers = {"targets": [1.0], "permanent_impact": 1.0, "exponent": 0.5, **numbers}
    with pytest.raises(InadmissibleError, match=message):
        gtrade.PowerLawPosition.validate(**numbers)


def test_refusals_name_the_row():
    with pytest.raises(InadmissibleError, match=r"got 0.01 \(row 1\)"):
        gtrade.PowerLawPosition.validate(
            targets=[1.0],
            permanent_impact=1.0,
            exponent=0.01,
            smoothing=np.array([0.0, 0.2]),
        )
    with pytest.raises(ValueError, match="permanent_impact must have shape"):
        make(permanent_impact=[1.0, 2.0])
