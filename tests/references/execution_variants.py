"""Optimal execution with power-law impact, caps on sales, whole lots.

Optima by root and general searches, by all faces of a box, by enumeration. Arguments
as in `almgren_chriss`.
"""

import itertools

import numpy as np
from scipy.optimize import minimize, root_scalar

from .almgren_chriss import objective


def power_law_schedule(shares, num_periods, market, risk_aversion, exponent):
    """Optimum for temporary impact of rate^exponent, without permanent impact.

    The first-order conditions give every sale from the later ones; a root search over
    the last sale meets the number of shares. In logarithms, and without the last sales
    where they are below any floating point number (exponents above one).
    """
    horizon, volatility, permanent, temporary, _ = market
    assert permanent == 0
    assert shares > 0
    tau = horizon / num_periods
    weight = 2 * risk_aversion * volatility**2 * tau ** (1 + exponent)
    weight /= temporary * (1 + exponent)
    log_weight = np.log(weight) if weight > 0 else -np.inf

    def log_sales(last, steps):
        sales, held = [last], last
        while len(sales) < steps and held < goal + 1:
            marginal = np.logaddexp(exponent * sales[-1], log_weight + held)
            sales.append(marginal / exponent)
            held = np.logaddexp(held, sales[-1])
        return sales[::-1], held - goal

    goal, least, steps = np.log(shares), np.log(shares) - 700.0, num_periods
    while log_sales(least, steps)[1] > 0:
        steps -= 1  # the last sale is below exp(-700) of the shares
    root = root_scalar(
        lambda last: log_sales(last, steps)[1], bracket=(least, goal + 0.1), xtol=1e-300
    ).root
    sales = np.exp(log_sales(root, steps)[0])
    return np.pad(sales, (0, num_periods - steps))


def power_law_search(shares, num_periods, market, risk_aversion, exponent, starts=20):
    """Least objective over sales of one sign, by searches from several starts."""
    _, _, permanent, _, _ = market

    def loss(fractions):
        trades = shares * fractions
        return objective(trades, market, risk_aversion, exponent) / scale

    scale = 1.0
    even = np.full(num_periods, 1 / num_periods)
    scale = abs(loss(even))
    rng = np.random.default_rng(0)
    begin = [even, *rng.dirichlet(np.ones(num_periods), starts - 1)]
    found = [
        minimize(
            loss,
            first,
            method="SLSQP",
            bounds=[(0, 1)] * num_periods,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-15, "maxiter": 1000},
        )
        for first in begin
    ]
    best = min(found, key=lambda result: result.fun)
    return shares * best.x, best.fun * scale


def power_law_limit(times, shares, volatility, temporary, risk_aversion, exponent):
    """Holdings in continuous time without a horizon (Almgren 2003)."""
    k = exponent
    scale = k * temporary * shares ** (k - 1) / (risk_aversion * volatility**2)
    clock = np.asarray(times) / scale ** (1 / (k + 1))
    if k == 1:
        return shares * np.exp(-clock)
    base = np.maximum(1 + (1 - k) / (1 + k) * clock, 0)
    return shares * base ** (-(1 + k) / (1 - k))


def step_costs(num_periods, market, risk_aversion):
    """Weights A of squared sales and B of squared holdings in the objective."""
    horizon, volatility, permanent, temporary, _ = market
    tau = horizon / num_periods
    return temporary / tau - permanent / 2, risk_aversion * volatility**2 * tau


def quadratic_cost(trades, sale_weight, holding_weight):
    """A sum n^2 + B sum x^2, the weights scalars or one per step."""
    trades = np.asarray(trades, float)
    held = trades.sum() - np.cumsum(trades)
    return np.sum(sale_weight * trades**2) + np.sum(holding_weight * held**2)


def quadratic_matrix(num_periods, sale_weight, holding_weight):
    held = np.triu(np.ones((num_periods, num_periods)), 1)
    diagonal = np.eye(num_periods) * sale_weight
    return diagonal + held.T @ (np.eye(num_periods) * holding_weight) @ held


def capped_by_faces(shares, caps, sale_weight, holding_weight):
    """Least quadratic cost with 0 <= n <= caps: the best of all faces of the box."""
    caps, size = np.asarray(caps, float), len(caps)
    matrix = quadratic_matrix(size, sale_weight, holding_weight)
    best, least = np.full(size, np.nan), np.inf
    slack = 1e-9 * caps.max()
    for face in itertools.product((0, 1, 2), repeat=size):
        free = np.array(face) == 2
        trades = np.where(np.array(face) == 1, caps, 0.0)
        count, rest = free.sum(), shares - trades.sum()
        if count == 0 and abs(rest) > slack:
            continue
        system = np.zeros((count + 1, count + 1))
        system[:count, :count] = 2 * matrix[np.ix_(free, free)]
        system[:count, count] = system[count, :count] = 1
        right = np.append(-2 * (matrix @ trades)[free], rest)
        if count:
            trades[free] = np.linalg.solve(system, right)[:count]
        if (trades < -slack).any() or (trades > caps + slack).any():
            continue
        cost = quadratic_cost(trades, sale_weight, holding_weight)
        if cost < least:
            best, least = trades, cost
    return best, least


def capped_by_search(shares, caps, sale_weight, holding_weight):
    """The same by sequential quadratic programming, for more steps."""
    caps = np.asarray(caps, float)
    matrix = quadratic_matrix(len(caps), sale_weight, holding_weight)
    scale = matrix.max()
    first = caps * shares / caps.sum()
    result = minimize(
        lambda w: w @ matrix @ w / scale,
        first / shares,
        jac=lambda w: 2 * matrix @ w / scale,
        method="SLSQP",
        bounds=[(0, cap / shares) for cap in caps],
        constraints={
            "type": "eq",
            "fun": lambda w: w.sum() - 1,
            "jac": lambda w: np.ones(len(w)),
        },
        options={"ftol": 1e-16, "maxiter": 2000},
    )
    return shares * result.x, result.fun * scale * shares**2


def integer_by_enumeration(lots, num_periods, sale_weight, holding_weight):
    """Least quadratic cost over all ways to split the lots."""
    bars = itertools.combinations(range(lots + num_periods - 1), num_periods - 1)
    ends = lots + num_periods - 1
    splits = (np.diff([-1, *places, ends]) - 1 for places in bars)
    costs = ((quadratic_cost(n, sale_weight, holding_weight), n) for n in splits)
    return min(costs, key=lambda pair: pair[0])[::-1]


def integer_by_program(lots, num_periods, sale_weight, holding_weight):
    """The same by a dense dynamic program over the lots left."""
    left = np.arange(lots + 1)
    sold = left[:, None] - left[None]  # from `row` lots to `column` lots
    step = sale_weight * sold**2.0 + holding_weight * left[None] ** 2.0
    step[sold < 0] = np.inf
    value = np.where(left == 0, 0.0, np.inf)
    choices = []
    for _ in range(num_periods):
        total = step + value
        choices.append(total.argmin(axis=1))
        value = total.min(axis=1)
    trades, now = [], lots
    for choice in reversed(choices):
        trades.append(now - choice[now])
        now = choice[now]
    return np.array(trades), value[lots]
