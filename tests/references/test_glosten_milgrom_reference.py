"""The reference reproduces published numbers and the identities, mostly exactly."""

import itertools
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import poisson

from .glosten_milgrom import (
    ORDERS,
    all_thresholds,
    arrival_log_likelihood,
    dealer_profit,
    expectation_by_counts,
    expectation_by_sequences,
    fractions,
    given_orders,
    likelihood,
    path,
    quotes,
    sequences,
    threshold_quote,
    update,
    value_quotes,
    value_update,
    values_given_orders,
)

HALF = Fraction(1, 2)
LOW, HIGH = Fraction(90), Fraction(110)
FLOW = fractions(0.3, 0.5, 0.5)
OTHER = fractions(0.4, 0.3, 0.5)  # more noise sales than purchases, and passes


def spread_at(flow):
    def spread(belief):
        bid, ask = quotes(LOW, HIGH, belief, flow)
        return ask - bid

    return spread


def test_published_path():
    bids, asks, beliefs = given_orders(
        LOW, HIGH, HALF, FLOW, ["buy", "buy", "sell", "buy"]
    )
    assert (bids[0], asks[0]) == (97, 103)
    assert beliefs[1] == beliefs[3] == fractions(0.65)[0]
    assert abs(float(beliefs[2]) - 0.7752293578) < 5.01e-11
    printed = [103, 105.5045871560, 107.2992125984, 105.5045871560]
    for ask, number in zip(asks, printed, strict=True):
        assert abs(float(ask) - number) < 5.01e-11


@pytest.mark.parametrize(
    ("before", "printed"),
    [(2, 5.5045871560), (11, 2.8644382274), (101, 0.0203977792)],
)
def test_published_spreads(before, printed):
    count = before - 1
    for given in (None, True, False):
        mean = expectation_by_counts(spread_at(FLOW), count, HALF, FLOW, given)
        assert abs(float(mean) - printed) < 5.01e-11
    # Binomial law of the log-odds given the high value, in floating point.
    buys = np.arange(count + 1)
    odds = (1.3 / 0.7) ** (2.0 * buys - count)
    belief = odds / (1 + odds)
    spread = 20 * 4 * 0.3 * belief * (1 - belief) / (1 - 0.09 * (2 * belief - 1) ** 2)
    ways = np.array([comb(count, int(b)) for b in buys], float)
    chance = ways * 0.65**buys * 0.35 ** (count - buys)
    assert abs(chance @ spread - printed) < 5.01e-11


def test_published_rates():
    a = 0.3
    rate = a * np.log((1 + a) / (1 - a))
    assert abs(rate - 0.1857117625) < 5.01e-11
    assert abs(np.sqrt(1 - a**2) - 0.9539392014) < 5.01e-11
    chances = [[float(likelihood(y, x, FLOW)) for y in ORDERS[:2]] for x in (1, 0)]
    high, low = np.array(chances)
    assert high @ np.log(high / low) == pytest.approx(rate, rel=1e-14)
    assert np.sqrt(high * low).sum() == pytest.approx(np.sqrt(1 - a**2), rel=1e-14)


@pytest.mark.parametrize("flow", [FLOW, OTHER])
def test_symmetric_spread_and_zero_profit(flow):
    for belief in (Fraction(1, 7), HALF, Fraction(9, 10)):
        bid, ask = quotes(LOW, HIGH, belief, flow)
        for order, quote in (("buy", ask), ("sell", bid)):
            high = belief * likelihood(order, True, flow)
            low = (1 - belief) * likelihood(order, False, flow)
            assert high * (quote - HIGH) + low * (quote - LOW) == 0
        assert bid <= LOW + (HIGH - LOW) * belief <= ask
        if flow is FLOW:
            a = flow[0]
            spread = (HIGH - LOW) * 4 * a * belief * (1 - belief)
            assert ask - bid == spread / (1 - a**2 * (2 * belief - 1) ** 2)
    assert quotes(LOW, HIGH, HALF, FLOW)[1] - quotes(LOW, HIGH, HALF, FLOW)[0] == 6


@pytest.mark.parametrize("flow", [FLOW, OTHER])
@pytest.mark.parametrize("prior", [HALF, Fraction(1, 5)])
def test_sequences_and_counts_agree(flow, prior):
    for given in (None, True, False):
        for function in (lambda x: x, spread_at(flow), lambda x: x * x):
            listed = expectation_by_sequences(function, 4, prior, flow, given)
            assert listed == expectation_by_counts(function, 4, prior, flow, given)
        each = sequences(4, prior, flow, given)
        assert sum(chance for _, chance, _ in each) == 1
    assert expectation_by_counts(lambda x: x, 7, prior, flow) == prior


@pytest.mark.parametrize("flow", [FLOW, OTHER])
def test_belief_depends_on_counts_only(flow):
    orders = ["buy", "buy", "sell", "pass", "buy"]
    if flow is FLOW:
        orders.remove("pass")
    ends = {
        given_orders(LOW, HIGH, Fraction(1, 3), flow, x)[2][-1]
        for x in itertools.permutations(orders)
    }
    assert len(ends) == 1


@pytest.mark.parametrize("flow", [FLOW, OTHER])
def test_transaction_prices_are_a_martingale(flow):
    prior = Fraction(1, 3)
    bid, ask = quotes(LOW, HIGH, prior, flow)
    for order, price in (("buy", ask), ("sell", bid)):
        belief = update(prior, order, flow)
        assert belief is not None
        chance = [
            belief * likelihood(x, True, flow)
            + (1 - belief) * likelihood(x, False, flow)
            for x in ("sell", "buy")
        ]
        following = quotes(LOW, HIGH, belief, flow)
        total = sum(p * x for p, x in zip(chance, following, strict=True))
        assert total / sum(chance) == price


def test_dealer_breaks_even():
    for count in (0, 1, 3):
        for prior in (HALF, Fraction(1, 5)):
            assert dealer_profit(LOW, HIGH, prior, OTHER, count) == 0
        assert dealer_profit(LOW, HIGH, HALF, FLOW, count, given=True) == 0
        assert dealer_profit(LOW, HIGH, Fraction(1, 5), FLOW, count, given=True) != 0
        assert dealer_profit(LOW, HIGH, HALF, OTHER, count, given=False) != 0


@pytest.mark.parametrize("flow", [FLOW, OTHER])
def test_affinity_decays_exactly(flow):
    prior = Fraction(1, 5)
    rho = sum(
        np.sqrt(float(likelihood(y, True, flow) * likelihood(y, False, flow)))
        for y in ORDERS
    )

    def affinity(belief):
        return np.sqrt(float(belief * (1 - belief)))

    for count in (1, 5, 30):
        mean = expectation_by_counts(affinity, count, prior, flow)
        assert mean == pytest.approx(affinity(prior) * rho**count, rel=1e-12)


def test_mean_spread_decays_at_the_same_rate():
    spreads = [
        float(expectation_by_counts(spread_at(FLOW), n, HALF, FLOW)) for n in (80, 160)
    ]
    rate = (spreads[1] / spreads[0]) ** (1 / 80)
    assert rate == pytest.approx(np.sqrt(1 - 0.09) * 0.5 ** (0.5 / 80), rel=1e-3)


def test_learning_rate():
    def log_odds(belief):
        return np.log(float(belief / (1 - belief)))

    mean = expectation_by_counts(log_odds, 40, HALF, FLOW, True)
    assert mean / 40 == pytest.approx(0.3 * np.log(1.3 / 0.7), rel=1e-12)


def test_edges_of_two_values():
    nobody, everybody = fractions(0, 0.5, 0.5), fractions(1, 0.5, 0.5)
    assert quotes(LOW, HIGH, Fraction(1, 4), nobody) == (95, 95)
    assert quotes(LOW, HIGH, Fraction(1, 4), everybody) == (LOW, HIGH)
    bids, asks, beliefs = given_orders(LOW, HIGH, HALF, everybody, ["buy", "buy"])
    assert beliefs == [HALF, 1, 1]
    assert (bids[1], asks[1]) == (HIGH, HIGH)
    with pytest.raises(ValueError, match="zero"):
        given_orders(LOW, HIGH, HALF, everybody, ["buy", "sell"])
    for belief in (Fraction(0), Fraction(1)):
        bid, ask = quotes(LOW, HIGH, belief, FLOW)
        assert bid == ask == LOW + 20 * belief


def random_market(rng, size):
    values = sorted(rng.choice(60, size, replace=False))
    prior = rng.integers(0, 6, size)
    prior[rng.integers(size)] += 1
    prior = [Fraction(int(p), int(prior.sum())) for p in prior]
    informed = Fraction(int(rng.integers(0, 10)), 10)
    buy, sell = (Fraction(int(x), 11) for x in rng.integers(1, 6, 2))
    return [Fraction(int(v)) for v in values], prior, (informed, buy, sell)


def test_the_ask_is_the_greatest_of_all_thresholds():
    rng = np.random.default_rng(0)
    for _ in range(300):
        values, prior, flow = random_market(rng, int(rng.integers(1, 7)))
        informed, buy, sell = flow
        bid, ask, _ = value_quotes(values, prior, flow)
        asks = all_thresholds(values, prior, informed, buy, True)
        bids = all_thresholds(values, prior, informed, sell, False)
        assert ask == max(asks)
        assert bid == min(bids)
        assert bid <= sum(p * v for p, v in zip(prior, values, strict=True)) <= ask
        rises = [y > x for x, y in itertools.pairwise(asks) if x != y]
        assert rises == sorted(rises, reverse=True)  # up, then down


def test_two_of_many_values():
    orders = ["buy", "sell", "pass", "sell", "buy", "buy"]
    two = given_orders(LOW, HIGH, Fraction(1, 3), OTHER, orders)
    prior = [Fraction(2, 3), Fraction(1, 3)]
    many = values_given_orders([LOW, HIGH], prior, OTHER, orders)
    assert two[0] == many[0]
    assert two[1] == many[1]
    assert two[2] == [belief[1] for belief in many[2]]


def test_passes_inform_about_many_values():
    values, prior = fractions(0, 10, 20), [Fraction(1, 3)] * 3
    *_, actions = value_quotes(values, prior, OTHER)
    assert actions == ["sell", "pass", "buy"]
    after = value_update(values, prior, OTHER, "pass")
    assert after[1] > Fraction(1, 3)
    # Probabilities are a martingale.
    informed, buy, sell = OTHER
    mean = [Fraction(0)] * 3
    for order, noise in (("buy", buy), ("sell", sell), ("pass", 1 - buy - sell)):
        chance = sum(
            p * ((1 - informed) * noise + informed * (action == order))
            for p, action in zip(prior, actions, strict=True)
        )
        posterior = value_update(values, prior, OTHER, order)
        mean = [m + chance * q for m, q in zip(mean, posterior, strict=True)]
    assert mean == prior


def test_market_failure():
    values, prior = fractions(0, 10, 20, 30), [*fractions(0.3, 0.3, 0.4), Fraction(0)]
    quote, _, is_consistent = threshold_quote(values, prior, HALF, Fraction(0), True)
    assert (quote, is_consistent) == (20, False)
    quote, _, is_consistent = threshold_quote(values, prior, HALF, Fraction(0), False)
    assert (quote, is_consistent) == (0, False)
    quote, _, is_consistent = threshold_quote(values, prior, Fraction(0), HALF, True)
    assert (quote, is_consistent) == (11, True)


def test_path_is_the_path_of_its_orders():
    rng = np.random.default_rng(1)
    values, prior = fractions(0, 10, 20, 30), fractions(0.1, 0.3, 0.4, 0.2)
    informed = rng.random(12) < 0.4
    noise = [ORDERS[i] for i in rng.choice(3, 12, p=[0.3, 0.5, 0.2])]
    orders, bids, asks, beliefs, profits = path(
        values, prior, OTHER, 2, informed, noise
    )
    again = values_given_orders(values, prior, OTHER, orders)
    assert (bids, asks, beliefs) == again
    for t, order in enumerate(orders):
        if not informed[t]:
            assert order == noise[t]
        elif order != "pass":
            assert profits[t] < 0


def test_equivariance():
    rng = np.random.default_rng(2)
    for _ in range(20):
        values, prior, flow = random_market(rng, 5)
        bid, ask, _ = value_quotes(values, prior, flow)
        moved = [3 * v - 7 for v in values]
        assert value_quotes(moved, prior, flow)[:2] == (3 * bid - 7, 3 * ask - 7)


def test_arrival_likelihood():
    buys, sells = [3, 60, 812], [10, 20, 1500]
    numbers = news, bad, eb, es, mu = 0.4, 0.3, 30.0, 25.0, 800.0
    terms = [
        np.log(1 - news) + poisson.logpmf(buys, eb) + poisson.logpmf(sells, es),
        np.log(news * bad) + poisson.logpmf(buys, eb) + poisson.logpmf(sells, es + mu),
        np.log(news * (1 - bad))
        + poisson.logpmf(buys, eb + mu)
        + poisson.logpmf(sells, es),
    ]
    total = np.sum(logsumexp(terms, axis=0))
    assert arrival_log_likelihood(buys, sells, *numbers) == pytest.approx(
        total, rel=1e-11
    )
    swapped = arrival_log_likelihood(sells, buys, news, 1 - bad, es, eb, mu)
    assert swapped == pytest.approx(total, rel=1e-11)


def test_opening_spread_is_the_probability_of_informed_trading():
    news, rate, informed = fractions(0.4, 30, 80)
    chances = {LOW: news / 2, (LOW + HIGH) / 2: 1 - news, HIGH: news / 2}

    def after(rates):
        joint = {v: p * r for (v, p), r in zip(chances.items(), rates, strict=True)}
        return sum(v * p for v, p in joint.items()) / sum(joint.values())

    ask = after([rate, rate, rate + informed])
    bid = after([rate + informed, rate, rate])
    share = news * informed / (news * informed + 2 * rate)
    assert ask - bid == share * (HIGH - LOW)
