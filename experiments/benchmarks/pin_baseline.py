"""The way one fits PIN with SciPy: a loop over starts, the best kept.

Written from the model; imports nothing of the package.
"""

import itertools

import numpy as np
from scipy import optimize, special, stats

_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)


def log_likelihood(numbers, buys, sells):
    """Return the log-likelihood of daily counts; numbers are alpha, delta, e_b, ..."""
    alpha, delta, buy, sell, informed = numbers
    with np.errstate(divide="ignore"):
        chances = np.log([1 - alpha, alpha * delta, alpha * (1 - delta)])
    rates = [(buy, sell), (buy, sell + informed), (buy + informed, sell)]
    terms = [
        chance + stats.poisson.logpmf(buys, b) + stats.poisson.logpmf(sells, s)
        for chance, (b, s) in zip(chances, rates, strict=True)
    ]
    return special.logsumexp(terms, axis=0).sum()


def fit_by_scipy(buys, sells):
    """Return the best numbers found by L-BFGS-B from the grid, gradients differenced.

    Args:
        buys: of each day, shape (days,).
        sells: of each day, shape (days,).
    """

    def loss(free):
        alpha, delta = special.expit(free[:2])
        buy, sell, informed = np.exp(free[2:])
        terms = np.stack(
            [
                np.log1p(-alpha) + 0 * buys,
                np.log(alpha * delta) + sells * np.log1p(informed / sell) - informed,
                np.log(alpha)
                + np.log1p(-delta)
                + buys * np.log1p(informed / buy)
                - informed,
            ]
        )
        quiet = buys * free[2] - buy + sells * free[3] - sell
        return -(special.logsumexp(terms, axis=0) + quiet).sum()

    best = None
    for alpha, delta, share in itertools.product(_SHARES, repeat=3):
        buy = share * buys.mean()
        informed = (buys.mean() - buy) / (alpha * (1 - delta))
        sell = sells.mean() - alpha * delta * informed
        if sell <= 0:
            continue
        rates = np.log([buy, sell, informed])
        start = np.concatenate([special.logit([alpha, delta]), rates])
        bounds = [(-15, 15)] * 2 + [(-15, 25)] * 3
        found = optimize.minimize(loss, start, method="L-BFGS-B", bounds=bounds)
        if best is None or found.fun < best.fun:
            best = found
    return np.concatenate([special.expit(best.x[:2]), np.exp(best.x[2:])])
