"""The numbers on the page of errata, each beside the page's own text."""

import math
import re
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest

import gtrade

PAGE = re.sub(r"\s+", " ", (Path(__file__).parents[1] / "docs/errata.md").read_text())
PAPER = {
    "shares": 1e6,
    "horizon": 5.0,
    "volatility": 0.95,
    "permanent_impact": 2.5e-7,
    "temporary_impact": 2.5e-6,
    "fixed_cost": 0.0625,
    "risk_aversion": 1e-6,
}


@pytest.fixture(autouse=True)
def _wide():
    with jax.enable_x64(True):
        yield


def says(text):
    """Notice when the page no longer says what is tested here."""
    assert re.sub(r"\s+", " ", text) in PAGE, text


def evidence(problem, solver):
    solution = gtrade.solve(problem, solver)
    gtrade.raise_unless_converged(solution)
    return gtrade.verify(problem, solution)


def test_intensity_and_who_pays():
    says("earns 0 where one with $\\beta = 1$ earns 0.5")
    market = evidence(gtrade.Kyle(value_std=1, noise_std=1), gtrade.KyleClosedForm())
    impact = float(market["price_impact"])
    profits = [beta * (1 - impact * beta) for beta in (1 / impact, 1 / (2 * impact))]
    assert profits == [0.0, 0.5]
    assert market["intensity"] == 1 / (2 * impact)
    says("report a loss of 0.5 for a dealer who breaks even")
    assert market["insider_profit"] == 0.5
    assert abs(market["dealer_profit"]) < 1e-15
    assert market["noise_profit"] == -0.5


def test_depth_and_the_tautology():
    says("$\\lambda = 1/3$ and it takes 3 shares")
    market = evidence(gtrade.Kyle(value_std=2, noise_std=3), gtrade.KyleClosedForm())
    assert market["depth"] == pytest.approx(3, rel=1e-14)
    says("the former returns 0.5 as if all were well, the latter 0.4")
    rng = np.random.default_rng(0)
    value, noise = rng.normal(size=(2, 1_000_000))
    flow = 2 * value + noise
    assert np.polyfit(flow, 0.5 * flow, 1)[0] == pytest.approx(0.5)
    assert np.polyfit(flow, value, 1)[0] == pytest.approx(0.4, abs=1e-3)


def test_no_shooting():
    says("$\\log_{10}\\Sigma_N \\approx -525$")
    day = gtrade.KyleSequential(
        value_std=1, noise_std=1, num_insiders=20, num_auctions=400
    )
    solution = gtrade.solve(day, gtrade.KyleSequentialClosedForm())
    columns = gtrade.verify(day, solution, arrays=("log_posterior_variance",))
    decimal = columns["log_posterior_variance"][-1] / math.log(10)
    assert decimal == pytest.approx(-525, abs=0.5)
    assert columns["posterior_variance"][-1] == 0
    assert columns["pricing_residual"] < 1e-10


def test_dealers_break_even_over_values_only():
    says("but 0.66 if the value is high and -1.55 if it is low")
    prior, informed, low, high = 0.7, 0.3, 90.0, 110.0
    market = gtrade.GlostenMilgrom(
        low=low,
        high=high,
        prior_high=prior,
        informed_fraction=informed,
        orders=["buy"],
    )
    columns = evidence(market, gtrade.GlostenMilgromClosedForm())
    ask, bid = float(columns["asks"][0]), float(columns["bids"][0])
    often, rarely = informed + (1 - informed) / 2, (1 - informed) / 2
    if_high = often * (ask - high) + rarely * (high - bid)
    if_low = rarely * (ask - low) + often * (low - bid)
    assert if_high == pytest.approx(0.66, abs=0.005)
    assert if_low == pytest.approx(-1.55, abs=0.005)
    assert prior * if_high + (1 - prior) * if_low == pytest.approx(0, abs=1e-12)


def test_everybody_informed():
    says("Beliefs are then exactly 1 or 0")
    market = gtrade.GlostenMilgrom(
        low=90.0, high=110.0, prior_high=0.5, informed_fraction=1.0, orders=["buy"]
    )
    columns = evidence(market, gtrade.GlostenMilgromClosedForm())
    assert columns["asks"][0] == 110.0
    assert columns["bids"][0] == 90.0
    assert columns["beliefs"][-1] == 1.0


def test_poisson_underflow():
    says("The log of it is $-4.26$")
    rate = np.float64(800)
    with np.errstate(over="ignore", invalid="ignore"):
        naive = np.exp(-rate) * np.power(rate, 800) / np.inf
    assert np.isnan(naive)
    assert 800 * math.log(800) - 800 - math.lgamma(801) == pytest.approx(
        -4.26, abs=5e-3
    )


def test_schedules_that_miss_shares():
    says("sells 75.5% of the shares, at the beginning 130.6%, in the middle 98.5%")
    problem = gtrade.AlmgrenChriss(**PAPER, num_periods=5)
    columns = evidence(problem, gtrade.AlmgrenChrissClosedForm())
    kappa = 1 / float(columns["half_life"])
    days = np.arange(5.0)
    for shift, share in ((1, 75.5), (0, 130.6), (0.5, 98.5)):
        rates = kappa * np.cosh(kappa * (5 - days - shift)) / np.sinh(5 * kappa)
        assert 100 * rates.sum() == pytest.approx(share, abs=0.05)
    factor = 2 * np.sinh(kappa / 2)
    trades = factor * np.cosh(kappa * (4.5 - days)) / np.sinh(5 * kappa)
    np.testing.assert_allclose(1e6 * trades, columns["trades"], rtol=1e-12)


def test_noise_and_units():
    says("($1.55\\cdot 10^{11}$ instead of $6.22\\cdot 10^{11}$)")
    problem = gtrade.AlmgrenChriss(**PAPER, num_periods=20)
    columns = evidence(problem, gtrade.AlmgrenChrissClosedForm())
    assert columns["variance"] == pytest.approx(6.22e11, rel=1e-3)
    left = np.asarray(columns["holdings"])[1:]
    wrong = ((0.95 * 0.25 * left) ** 2).sum()
    assert wrong == pytest.approx(1.55e11, rel=5e-3)
    assert columns["variance"] == pytest.approx(4 * wrong)

    says("$\\sigma = 0.3 \\cdot 50/\\sqrt{252} = 0.945$")
    assert 0.3 * 50 / math.sqrt(252) == pytest.approx(0.945, abs=5e-4)
    says(
        "a half-life of 5.1 days instead of 1.6 and a plan whose true objective is 25%"
    )
    true = gtrade.AlmgrenChriss(**PAPER, num_periods=5)
    taken = gtrade.AlmgrenChriss(**{**PAPER, "volatility": 0.3}, num_periods=5)
    best = evidence(true, gtrade.AlmgrenChrissClosedForm())
    plan = evidence(taken, gtrade.AlmgrenChrissClosedForm())
    assert best["half_life"] == pytest.approx(1.6, abs=0.05)
    assert plan["half_life"] == pytest.approx(5.1, abs=0.05)
    ratio = float(eqx.filter_jit(true.objective)(plan["trades"])) / best["objective"]
    assert ratio == pytest.approx(1.25, abs=0.005)


def test_hyperbolic_cosine():
    says("gives 1.0106e-7, in float32 already at $\\kappa\\tau = 3\\cdot 10^{-4}$ zero")
    assert np.arccosh(1 + 1e-14 / 2) == pytest.approx(1.0106e-7, rel=1e-4)
    assert np.arccosh(np.float32(1) + np.float32(9e-8 / 2)) == 0
    assert 2 * np.arcsinh(1e-7 / 2) == pytest.approx(1e-7, rel=1e-14)


def test_permanent_impact_undoes_convexity():
    says(
        "an even split, where the first-order conditions hold, costs 778.125, while 750"
    )
    tau, size, eta, gamma = 0.4, 10.0, 0.3, 16.875

    def cost(trades):
        trades = np.asarray(trades)
        own = eta * tau**-2 * trades**3 - gamma / 2 * trades**2
        return gamma / 2 * size**2 + own.sum()

    assert cost(np.full(10, 1.0)) == pytest.approx(778.125)
    fewer = [cost(np.full(k, size / k)) for k in range(1, 11)]
    assert min(fewer) == pytest.approx(750.0)


def test_estimators():
    says("2% with 50 bars")
    assert 50 / 49 == pytest.approx(1.02, abs=1e-3)
    says("49.99999999999999 in float64")
    assert 1844058 / (1844058 / 50) == 49.99999999999999
    says("1.41 for $\\rho = 0$, 1.69 for $\\rho = 0.3$")
    assert math.sqrt(2) == pytest.approx(1.41, abs=5e-3)
    assert math.sqrt(2 / 0.7) == pytest.approx(1.69, abs=5e-3)
