"""Quotes, beliefs and averages against exact fractions."""

from fractions import Fraction
from math import comb, sqrt

import numpy as np
import pytest

import gtrade
from gtrade import GlostenMilgrom, GlostenMilgromClosedForm
from gtrade.problems.glosten_milgrom import encode_orders
from gtrade.solution import status_names
from tests.references import glosten_milgrom as reference

MARKETS = [
    ("90", "110", "0.5", ("0.3", "0.5", "0.5")),
    ("-3", "11", "0.2", ("0.4", "0.2", "0.5")),
    ("0", "1", "0.9", ("0.75", "0", "0.25")),
    ("5", "5", "0.3", ("0.1", "0.6", "0.1")),
    ("1", "2", "1", ("0.5", "0.3", "0.3")),
    ("1", "2", "0.4", ("0", "0.3", "0.3")),
    ("1", "2", "0.4", ("1", "0.3", "0.3")),
]
PATHS = [
    ("buy", "buy", "sell"),
    ("pass", "sell", "sell", "sell", "buy"),
    ("buy",) * 30 + ("sell",) * 20,
]


def make(low, high, prior, flow, orders=()):
    informed, buy, sell = map(float, flow)
    return GlostenMilgrom(
        low=float(low),
        high=float(high),
        prior_high=float(prior),
        informed_fraction=informed,
        buy_probability=buy,
        sell_probability=sell,
        orders=list(orders),
    )


def exactly(low, high, prior, flow):
    return *reference.fractions(low, high, prior), reference.fractions(*flow)


@pytest.mark.parametrize("orders", PATHS)
@pytest.mark.parametrize("market", MARKETS)
def test_paths(in_float64, market, orders):
    solution = gtrade.solve(make(*market, orders), GlostenMilgromClosedForm())
    status, value = str(status_names(solution.status)), solution.value
    numbers = exactly(*market)
    try:
        bids, asks, beliefs = reference.given_orders(*numbers, orders)
    except ValueError as error:
        # A pass that nobody sends is let through, as no news.
        if "pass" in str(error):
            assert status in ("degenerate", "invalid_input")
        else:
            assert status == "invalid_input"
        return
    assert status == "converged"
    np.testing.assert_allclose(value.bids[:-1], np.array(bids, float), rtol=1e-12)
    np.testing.assert_allclose(value.asks[:-1], np.array(asks, float), rtol=1e-12)
    np.testing.assert_allclose(value.beliefs, np.array(beliefs, float), rtol=1e-12)
    spreads = [float(ask - bid) for ask, bid in zip(asks, bids, strict=True)]
    np.testing.assert_allclose(value.spreads[:-1], spreads, rtol=1e-11)


@pytest.mark.parametrize("market", MARKETS[:3])
def test_averages_of_a_hundred_trades(in_float64, market):
    """Binomial sums in fractions: every trade alone, passes left out."""
    low, high, prior, flow = exactly(*market)
    trades = 100
    game = make(*market)
    solver = GlostenMilgromClosedForm(num_trades=trades)
    curves = gtrade.solve(game, solver).value.curves
    chance = []
    for is_high in (False, True):
        buy, sell = (reference.likelihood(x, is_high, flow) for x in ("buy", "sell"))
        chance.append(buy / (buy + sell))
    for count in (1, 40, trades):
        spread = of_low = of_high = Fraction(0)
        doubt = 0.0
        for buys in range(count + 1):
            ways = comb(count, buys)
            given = [ways * p**buys * (1 - p) ** (count - buys) for p in chance]
            joint = (1 - prior) * given[0] + prior * given[1]
            if not joint:
                continue
            belief = prior * given[1] / joint
            bid, ask = reference.quotes(low, high, belief, flow)
            spread += joint * (ask - bid)
            of_low += given[0] * belief
            of_high += given[1] * belief
            doubt += float(joint) * sqrt(belief * (1 - belief))
        wanted = float(spread), float(of_low), float(of_high), doubt
        found = (
            curves.spreads[count],
            curves.beliefs_low[count],
            curves.beliefs_high[count],
            curves.uncertainties[count],
        )
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-300)


VALUES = ("90", "96", "99", "105", "112")
PRIOR = ("0.1", "0.3", "0.25", "0.2", "0.15")


@pytest.mark.parametrize(
    "flow",
    [
        ("0.4", "0.3", "0.45"),
        ("0.8", "0.1", "0.1"),
        ("0.05", "0.5", "0.4"),
        ("0", "0.3", "0.3"),
        ("0.4", "0", "0.5"),
        ("0.4", "0.5", "0"),
        ("1", "0.3", "0.3"),
    ],
)
def test_many_values(in_float64, flow):
    """Every threshold is tried, and where none fits the market fails."""
    informed, buy, sell = map(float, flow)
    values, prior = reference.fractions(*VALUES), reference.fractions(*PRIOR)
    numbers = reference.fractions(*flow)
    for orders in (("buy", "buy", "pass", "sell"), ("pass", "sell", "pass", "pass")):
        game = GlostenMilgrom(
            informed_fraction=informed,
            buy_probability=buy,
            sell_probability=sell,
            values=[float(x) for x in VALUES],
            prior=[float(x) for x in PRIOR],
            orders=orders,
        )
        solution = gtrade.solve(game, GlostenMilgromClosedForm())
        status, value = str(status_names(solution.status)), solution.value
        try:
            path = reference.values_given_orders(values, prior, numbers, orders)
        except ValueError:
            assert status == "invalid_input"
            continue
        fails = informed > 0 and (1 - informed) * min(buy, sell) == 0
        assert status == ("degenerate" if fails else "converged")
        bids, asks, beliefs = (np.array(x, float) for x in path)
        np.testing.assert_allclose(value.bids[:-1], bids, rtol=1e-12)
        np.testing.assert_allclose(value.asks[:-1], asks, rtol=1e-12)
        np.testing.assert_allclose(value.beliefs, beliefs, rtol=1e-11)


def test_a_long_random_path_of_many_values(in_float64):
    rng = np.random.default_rng(0)
    orders = rng.choice(["buy", "sell", "pass"], 60).tolist()
    values, prior = reference.fractions(*VALUES), reference.fractions(*PRIOR)
    flow = reference.fractions("0.35", "0.4", "0.3")
    *_, beliefs = reference.values_given_orders(
        [float(x) for x in values],
        [float(x) for x in prior],
        [float(x) for x in flow],
        orders,
    )
    game = GlostenMilgrom(
        informed_fraction=0.35,
        buy_probability=0.4,
        sell_probability=0.3,
        values=np.array(values, float),
        prior=np.array(prior, float),
        orders=encode_orders(orders),
    )
    value = gtrade.solve(game, GlostenMilgromClosedForm()).value
    np.testing.assert_allclose(value.beliefs, beliefs, rtol=1e-9, atol=1e-300)
