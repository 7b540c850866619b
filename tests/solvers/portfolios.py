"""Portfolios that several tests liquidate."""

import numpy as np

import gtrade

# Two assets that move together and one apart, of unlike sizes; buying moves prices of
# the other as well.
THREE = {
    "shares": [1000.0, -300.0, 0.0],
    "horizon": 2.0,
    "covariance": [[4.0, 1.5, 0.1], [1.5, 1.0, 0.0], [0.1, 0.0, 0.25]],
    "permanent_impact": [[2e-4, 5e-5, 0.0], [5e-5, 1e-4, 0.0], [0.0, 0.0, 3e-5]],
    "temporary_impact": [[3e-3, 4e-4, 0.0], [4e-4, 1e-3, -1e-4], [0.0, -1e-4, 5e-3]],
    "fixed_cost": [0.02, 0.01, 0.05],
    "risk_aversion": 2e-3,
}


def market(numbers):
    """Return what references take: horizon, covariance, impacts, fixed cost."""
    size = len(numbers["shares"])
    names = ("horizon", "covariance", "permanent_impact", "temporary_impact")
    fixed = numbers.get("fixed_cost")
    fixed = np.zeros(size) if fixed is None else fixed
    return *(np.asarray(numbers[n], float) for n in names), np.asarray(fixed, float)


def make(num_periods=6, **changes):
    return gtrade.AlmgrenChrissPortfolio(
        num_periods=num_periods, **{**THREE, **changes}
    )


def random(size, seed=0, **changes):
    """Return numbers of a portfolio of many assets with correlated prices."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(size, max(size // 4, 1)))
    scale = np.exp(rng.normal(size=size))
    covariance = factors @ factors.T / size + np.diag(rng.uniform(0.1, 1, size))
    mixed = rng.normal(size=(size, size)) / size
    impact = np.diag(rng.uniform(1, 3, size)) + mixed @ mixed.T
    lasting = (mixed + mixed.T) / 4
    return {
        "shares": rng.normal(size=size) / scale,
        "horizon": 1.0,
        "covariance": covariance * np.outer(scale, scale),
        "permanent_impact": lasting * np.outer(scale, scale),
        "temporary_impact": impact * np.outer(scale, scale),
        "risk_aversion": 3.0,
        **changes,
    }
