"""Quadrature rules against integrals and functions known in closed form."""

import numpy as np
import pytest

from gtrade.numerics.quadrature import SMOOTH, Rule, cells

TIMES = np.linspace(0.0, 1.0, 41)


@pytest.mark.parametrize("rate", [1e-3, 1.0, 40.0, 300.0, 4000.0])
@pytest.mark.parametrize("at_end", [False, True])
def test_layers_at_either_end_are_integrated(rate, at_end):
    distance = 1 - SMOOTH.times if at_end else SMOOTH.times
    found = SMOOTH.weights @ np.exp(-rate * distance)
    np.testing.assert_allclose(found, -np.expm1(-rate) / rate, rtol=3e-13)


@pytest.mark.parametrize("rule", [SMOOTH, Rule(16, 12), Rule(2, 40, 2.0)])
def test_smooth_functions_between_the_nodes(rule):
    values = np.cos(5 * rule.times)
    np.testing.assert_allclose(
        rule.interpolation(TIMES) @ values, np.cos(5 * TIMES), atol=1e-10
    )
    np.testing.assert_allclose(
        rule.cumulative(TIMES) @ values, np.sin(5 * TIMES) / 5, atol=1e-11
    )
    np.testing.assert_allclose(rule.weights.sum(), 1, rtol=1e-10)


def test_cells_are_exact_up_to_degree_five():
    rule = cells(7)
    for degree in range(6):
        found = rule.weights @ rule.times**degree
        np.testing.assert_allclose(found, 1 / (degree + 1), rtol=1e-14)
    # Kinks at the cells' edges do no harm.
    kinked = np.abs(rule.times - 3 / 7)
    edges = np.arange(8) / 7
    below = np.minimum(edges, 3 / 7)
    exact = 3 / 7 * below - below**2 / 2 + np.maximum(edges - 3 / 7, 0) ** 2 / 2
    np.testing.assert_allclose(rule.cumulative(edges) @ kinked, exact, atol=1e-15)


def test_rules_are_hashable_values():
    assert cells(5) == cells(5)
    assert hash(Rule(1, 64, 3.0)) == hash(SMOOTH)
    with pytest.raises(ValueError, match="read-only"):
        SMOOTH.times[0] = 1.0
