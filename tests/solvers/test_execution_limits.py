"""Execution as the one-player limit of the package's position games."""

import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.solution import status_names
from tests.references import execution_variants as variants
from tests.solvers.test_almgren_chriss import CLOSED_FORM, measured

KAPPA, TARGET = 1.7, 3.0


def execute(**numbers):
    numbers = {
        "shares": TARGET,
        "horizon": 1.0,
        "volatility": 1.0,
        "permanent_impact": KAPPA,
        **numbers,
    }
    problem = gtrade.AlmgrenChriss(**numbers)
    solution = gtrade.solve(problem, CLOSED_FORM)
    assert str(status_names(solution.status)) == "converged"
    return problem, np.asarray(solution.value.trades)


@pytest.mark.parametrize("num_steps", [pytest.param(1, marks=pytest.mark.slow), 8])
def test_one_firm_in_steps(in_float64, num_steps):
    """The game charges `n ((T + kappa / 2) n + kappa X)` for n bought after X.

    That is temporary impact `1 + kappa / (2 T)` per unit of time, and a purchase, whose
    permanent impact is paid by what is bought later.
    """
    game = gtrade.FeedbackPositionGame(targets=[TARGET], permanent_impact=KAPPA)
    played = gtrade.solve(game, gtrade.BackwardInduction(num_steps=num_steps))
    problem, trades = execute(
        shares=-TARGET,
        num_periods=num_steps,
        temporary_impact=1 + KAPPA / (2 * num_steps),
    )
    np.testing.assert_allclose(-trades, played.value.trades[0], rtol=1e-11)
    cost = game.costs(played.value.trades)[0]
    found = measured(problem, jnp.asarray(trades))[0]
    np.testing.assert_allclose(found, cost, rtol=1e-12)


@pytest.mark.parametrize("p", [0.5, 1.0, 1.6])
def test_one_firm_under_a_power_law(in_float64, p):
    """With paths that are linear in a period, a firm saves half a period's impact."""
    kappa = 0.6
    game = gtrade.PowerLawPosition(targets=[TARGET], permanent_impact=kappa, exponent=p)
    played = gtrade.solve(game, gtrade.PowerLawClosedForm(num_points=9))
    assert str(status_names(played.status)) == "converged"
    problem, trades = execute(
        num_periods=8, temporary_impact=1.0, impact_exponent=p, permanent_impact=kappa
    )
    path = np.asarray(played.value.schedules)
    np.testing.assert_allclose(trades, np.diff(path[0]), rtol=1e-7)
    charged = measured(problem, jnp.asarray(trades))[0] + kappa / 2 * trades @ trades
    np.testing.assert_allclose(charged, game.costs(jnp.asarray(path))[0], rtol=1e-7)


@pytest.mark.parametrize("risk", [0.0, 0.5, 40.0])
def test_one_firm_averse_to_risk(in_float64, risk):
    """A position is built as another is sold, backwards in time.

    In continuous time both shrink by `sqrt(risk)`; in N periods the same happens where
    the risk aversion is `4 N^2 sinh(sqrt(risk) / (2 N))^2`.
    """
    num, impact = 8, 1 + KAPPA / 16
    game = gtrade.PositionBuilding([KAPPA], [TARGET], risk_aversions=[risk])
    played = gtrade.solve(game, gtrade.MatrixExponential(num_points=num + 1))
    assert str(status_names(played.status)) == "converged"
    rate = np.sqrt(risk)
    problem, trades = execute(
        num_periods=num,
        temporary_impact=impact,
        risk_aversion=4 * num**2 * np.sinh(rate / (2 * num)) ** 2,
    )
    built = np.asarray(played.value.schedules)[0]
    left = np.append(np.cumsum(trades[::-1])[::-1], 0.0)
    np.testing.assert_allclose(left[::-1], built, rtol=0, atol=1e-9)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0])
def test_power_laws_agree_with_the_reference(in_float64, p):
    market = (5.0, 0.95, 0.0, 3e-3 * 1e5 ** (0.5 - p) * 10, 0.0625)
    for lam in (0.0, 1e-7, 1e-6, 1e-4):
        _, trades = execute(
            shares=1e5,
            horizon=5.0,
            num_periods=8,
            volatility=0.95,
            permanent_impact=0.0,
            temporary_impact=market[3],
            fixed_cost=0.0625,
            impact_exponent=p,
            risk_aversion=lam,
        )
        wanted = variants.power_law_schedule(1e5, 8, market, lam, p)
        np.testing.assert_allclose(trades, wanted, rtol=1e-8, atol=1e-8)
