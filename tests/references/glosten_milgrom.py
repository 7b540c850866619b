"""Glosten and Milgrom (1985): Bayes' rule on probabilities, in fractions.

All numbers may be `Fraction`s, and then all answers are exact. `flow` is the fraction
of informed traders with the buy and sell probabilities of the others.
"""

import itertools
from decimal import Decimal, localcontext
from fractions import Fraction
from math import comb, factorial

ORDERS = ("buy", "sell", "pass")


def likelihood(order, is_high, flow):
    """Probability of an order for one of two values."""
    informed, buy, sell = flow
    wanted = "buy" if is_high else "sell"
    noise = {"buy": buy, "sell": sell, "pass": 1 - buy - sell}[order]
    return (1 - informed) * noise + (informed if order == wanted else 0)


def update(belief, order, flow):
    """Probability of the high value after an order; None where it cannot happen."""
    high = belief * likelihood(order, True, flow)
    low = (1 - belief) * likelihood(order, False, flow)
    return high / (high + low) if high + low else None


def quotes(low, high, belief, flow):
    """Bid and ask: the value expected after a sale and after a purchase.

    A quote nobody trades at is the value expected before.
    """
    after = [update(belief, order, flow) for order in ("sell", "buy")]
    beliefs = [belief if x is None else x for x in after]
    return tuple(low + (high - low) * x for x in beliefs)


def given_orders(low, high, prior, flow, orders):
    """Bids and asks before each order; beliefs before each order and after the last."""
    bids, asks, beliefs = [], [], [prior]
    for order in orders:
        bid, ask = quotes(low, high, beliefs[-1], flow)
        after = update(beliefs[-1], order, flow)
        if after is None:
            raise ValueError(f"this {order} has probability zero")
        bids.append(bid)
        asks.append(ask)
        beliefs.append(after)
    return bids, asks, beliefs


def sequences(num_orders, prior, flow, given=None):
    """All order sequences that can happen: orders, probability, belief after them.

    `given` is None for a random value, or whether the value is high.
    """
    weights = {None: (prior, 1 - prior), True: (1, 0), False: (0, 1)}[given]
    for orders in itertools.product(ORDERS, repeat=num_orders):
        high, low = prior, 1 - prior
        chance = list(weights)
        for order in orders:
            on_high, on_low = (likelihood(order, x, flow) for x in (True, False))
            high, low = high * on_high, low * on_low
            chance = [chance[0] * on_high, chance[1] * on_low]
        if sum(chance):
            yield orders, sum(chance), high / (high + low)


def expectation_by_sequences(function, num_orders, prior, flow, given=None):
    """Mean of a function of the belief after so many orders."""
    each = sequences(num_orders, prior, flow, given)
    return sum(chance * function(belief) for _, chance, belief in each)


def expectation_by_counts(function, num_orders, prior, flow, given=None):
    """The same by a trinomial sum over the numbers of purchases and sales."""
    total = 0
    weights = {None: (prior, 1 - prior), True: (1, 0), False: (0, 1)}[given]
    chances = [[likelihood(order, x, flow) for order in ORDERS] for x in (True, False)]
    for buys in range(num_orders + 1):
        for sells in range(num_orders + 1 - buys):
            passes = num_orders - buys - sells
            ways = comb(num_orders, buys) * comb(num_orders - buys, sells)
            on_high, on_low = (
                p[0] ** buys * p[1] ** sells * p[2] ** passes for p in chances
            )
            chance = ways * (weights[0] * on_high + weights[1] * on_low)
            if chance:
                high, low = prior * on_high, (1 - prior) * on_low
                total += chance * function(high / (high + low))
    return total


def dealer_profit(low, high, prior, flow, num_orders, given=None):
    """Mean result of the dealer in the order after so many, by all sequences."""
    weights = {None: (prior, 1 - prior), True: (1, 0), False: (0, 1)}[given]
    total = 0
    for orders in itertools.product(ORDERS, repeat=num_orders):
        chance = list(weights)
        try:
            *_, beliefs = given_orders(low, high, prior, flow, orders)
        except ValueError:
            continue
        for order in orders:
            for i, is_high in enumerate((True, False)):
                chance[i] *= likelihood(order, is_high, flow)
        bid, ask = quotes(low, high, beliefs[-1], flow)
        for weight, value, is_high in zip(
            chance, (high, low), (True, False), strict=True
        ):
            total += weight * likelihood("buy", is_high, flow) * (ask - value)
            total += weight * likelihood("sell", is_high, flow) * (value - bid)
    return total


def threshold_quote(values, prior, informed, noise, is_ask):
    """Quote at which exactly those informed traders trade who gain by it.

    All thresholds are tried. Informed traders buy strictly below their value, and sell
    strictly above it.

    Returns:
        The quote; which values trade at it; whether a threshold was consistent. If
        none is, the quote is the highest (lowest) value that can occur, and where
        nobody would ever trade, the mean.
    """
    size = len(values)
    found = []
    for cut in range(size + 1):
        traders = [(k >= cut) == is_ask for k in range(size)]
        weights = [
            p * ((1 - informed) * noise + (informed if trades else 0))
            for p, trades in zip(prior, traders, strict=True)
        ]
        if not sum(weights):
            continue
        quote = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
        gains = [v > quote if is_ask else v < quote for v in values]
        if gains == traders:
            found.append(quote)
    if found:
        assert len(set(found)) == 1
        return (
            found[0],
            [v > found[0] if is_ask else v < found[0] for v in values],
            True,
        )
    if not informed:
        mean = sum(p * v for p, v in zip(prior, values, strict=True))
        return mean, [False] * size, True
    possible = [v for p, v in zip(prior, values, strict=True) if p]
    return (max if is_ask else min)(possible), [False] * size, False


def all_thresholds(values, prior, informed, noise, is_ask):
    """Value expected after a trade for every threshold, traders gaining or not."""
    size, result = len(values), []
    for cut in range(size + 1):
        weights = [
            p * ((1 - informed) * noise + (informed if (k >= cut) == is_ask else 0))
            for k, p in enumerate(prior)
        ]
        total = sum(w * v for w, v in zip(weights, values, strict=True))
        result.append(total / sum(weights))
    return result


def value_quotes(values, prior, flow):
    """Bid and ask for any number of values, with what each of the informed does."""
    informed, buy, sell = flow
    bid, sellers, _ = threshold_quote(values, prior, informed, sell, False)
    ask, buyers, _ = threshold_quote(values, prior, informed, buy, True)
    actions = [
        "buy" if buys else "sell" if sells else "pass"
        for buys, sells in zip(buyers, sellers, strict=True)
    ]
    return bid, ask, actions


def value_update(values, prior, flow, order):
    """Probabilities of the values after an order; a pass may inform as well."""
    informed, buy, sell = flow
    *_, actions = value_quotes(values, prior, flow)
    noise = {"buy": buy, "sell": sell, "pass": 1 - buy - sell}[order]
    joint = [
        p * ((1 - informed) * noise + (informed if action == order else 0))
        for p, action in zip(prior, actions, strict=True)
    ]
    if not sum(joint):
        raise ValueError(f"this {order} has probability zero")
    return [p / sum(joint) for p in joint]


def values_given_orders(values, prior, flow, orders):
    """Bids and asks before each order; lists of probabilities, one more."""
    bids, asks, beliefs = [], [], [list(prior)]
    for order in orders:
        bid, ask, _ = value_quotes(values, beliefs[-1], flow)
        bids.append(bid)
        asks.append(ask)
        beliefs.append(value_update(values, beliefs[-1], flow, order))
    return bids, asks, beliefs


def path(values, prior, flow, value_index, is_informed, noise_orders):
    """Trade with given arrivals.

    Args:
        values: in increasing order.
        prior: their probabilities.
        flow: as above.
        value_index: of the true value.
        is_informed: for each arrival.
        noise_orders: what it does if it is not.

    Returns:
        Orders, bids, asks, beliefs (one more), and the dealer's result per order.
    """
    orders, profits, beliefs = [], [], list(prior)
    bids, asks, history = [], [], [beliefs]
    for knows, noise in zip(is_informed, noise_orders, strict=True):
        bid, ask, actions = value_quotes(values, beliefs, flow)
        order = actions[value_index] if knows else noise
        value = values[value_index]
        profits.append({"buy": ask - value, "sell": value - bid, "pass": 0}[order])
        beliefs = value_update(values, beliefs, flow, order)
        orders.append(order)
        bids.append(bid)
        asks.append(ask)
        history.append(beliefs)
    return orders, bids, asks, history, profits


def arrival_log_likelihood(buys, sells, news, bad, buy_rate, sell_rate, informed_rate):
    """Log-likelihood of daily counts (Easley and others 1996), in 60 digits.

    Args:
        buys: counts of each day.
        sells: counts of each day.
        news: probability of a day with news.
        bad: probability that news is bad.
        buy_rate: of uninformed purchases per day.
        sell_rate: of uninformed sales per day.
        informed_rate: more sales on bad news, more purchases on good news.
    """
    with localcontext(prec=60, Emin=-(10**9), Emax=10**9):
        news, bad, buy_rate, sell_rate, informed_rate = (
            Decimal(x) for x in (news, bad, buy_rate, sell_rate, informed_rate)
        )

        def poisson(count, rate):
            return (-rate).exp() * rate**count / factorial(count)

        total = Decimal(0)
        for b, s in zip(buys, sells, strict=True):
            day = (1 - news) * poisson(b, buy_rate) * poisson(s, sell_rate)
            extra = poisson(b, buy_rate) * poisson(s, sell_rate + informed_rate)
            day += news * bad * extra
            extra = poisson(b, buy_rate + informed_rate) * poisson(s, sell_rate)
            day += news * (1 - bad) * extra
            total += day.ln()
        return float(total)


def fractions(*numbers):
    """Read numbers as the decimal fractions they are printed as."""
    return tuple(Fraction(str(x)) for x in numbers)
