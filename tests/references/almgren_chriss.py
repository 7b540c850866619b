"""Almgren and Chriss (2000): costs summed along price paths, dense linear systems.

Sales are positive. Expected cost and variance come from the cost of a schedule along
given shocks: without shocks, and per unit of each shock. `market` is (horizon,
volatility, permanent_impact, temporary_impact, fixed_cost).
"""

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import norm

PUBLISHED = (5.0, 0.95, 2.5e-7, 2.5e-6, 0.0625)  # their section 4, X = 1e6, N = 5


def shortfall(trades, market, shocks, price=50.0, exponent=1.0):
    """Value of the shares at the first price, minus what their sale brings in.

    Args:
        trades: sales of each step, shape (steps,).
        market: numbers as above.
        shocks: standard normal price shocks, shape (steps,).
        price: before the first step.
        exponent: of the temporary impact in the rate of trading.
    """
    horizon, volatility, permanent, temporary, fixed = market
    tau = horizon / len(trades)
    proceeds, mid = 0.0, price
    for trade, shock in zip(trades, shocks, strict=True):
        rate = abs(trade) / tau
        concession = fixed + temporary * rate**exponent
        proceeds += trade * (mid - np.sign(trade) * concession)
        mid += volatility * np.sqrt(tau) * shock - permanent * trade
    return price * np.sum(trades) - proceeds


def paths(trades, market, shocks, price=50.0, exponent=1.0):
    """Shortfall on each row of shocks, (paths, steps)."""
    return np.array([shortfall(trades, market, z, price, exponent) for z in shocks])


def moments(trades, market, exponent=1.0):
    """Mean and variance of the shortfall, which is affine in the shocks."""
    # From price zero, so that no digits are lost to the value of the shares.
    zero = np.zeros(len(trades))
    mean = shortfall(trades, market, zero, 0.0, exponent)
    horizon, volatility, *_ = market
    risk = (horizon, volatility, 0.0, 0.0, 0.0)
    loads = paths(trades, risk, np.eye(len(trades)), 0.0)
    return mean, np.sum(loads**2)


def trades_of(holdings, shares):
    return -np.diff(np.concatenate([[shares], holdings, [0.0]]))


def schedule(
    shares, num_periods, market, risk_aversion, temporary=None, variances=None
):
    """Least mean plus `risk_aversion` times variance, by one dense linear system.

    Args:
        shares: to sell.
        num_periods: steps N.
        market: numbers as above.
        risk_aversion: 1 / currency.
        temporary: price per share of each step (N,), in place of temporary / tau.
        variances: of the price over each step (N,), in place of volatility^2 tau.

    Returns:
        Sales of each step, shape (N,).
    """
    horizon, volatility, permanent, slope, _ = market
    tau = horizon / num_periods
    if temporary is None:
        temporary = np.full(num_periods, slope / tau)
    if variances is None:
        variances = np.full(num_periods, volatility**2 * tau)
    # Sales and holdings after each step are affine in x_1, ..., x_{N-1}.
    before = np.eye(num_periods, num_periods - 1, -1)
    after = np.eye(num_periods, num_periods - 1)
    start = np.zeros(num_periods)
    start[0] = shares
    sales = before - after
    hessian = (
        2 * sales.T * temporary @ sales
        + permanent * (sales.T @ after + after.T @ sales)
        + 2 * risk_aversion * after.T * variances @ after
    )
    gradient = 2 * sales.T * temporary @ start + permanent * after.T @ start
    return trades_of(np.linalg.solve(hessian, -gradient), shares)


def objective(trades, market, risk_aversion, exponent=1.0):
    mean, variance = moments(trades, market, exponent)
    return mean + risk_aversion * variance


def value_at_risk(trades, market, probability):
    """Quantile of the shortfall and the mean beyond it, Gaussian."""
    mean, variance = moments(trades, market)
    z, std = norm.ppf(probability), np.sqrt(variance)
    return mean + z * std, mean + norm.pdf(z) / (1 - probability) * std


def least_value_at_risk(shares, num_periods, market, z):
    """Schedule of least mean + z std, by a search over schedules as they are.

    Returns:
        Sales (N,), the least value, and the risk aversion with the same schedule.
    """

    def risk(fractions):
        trades = trades_of(shares * fractions, shares)
        mean, variance = moments(trades, market)
        return (mean + z * np.sqrt(variance)) / scale

    scale = 1.0
    even = 1 - np.arange(1, num_periods) / num_periods
    scale = abs(risk(even))
    options = {"xatol": 1e-12, "fatol": 1e-16, "maxiter": 40_000, "maxfev": 40_000}
    best = minimize(risk, even, method="Nelder-Mead", options=options)
    best = minimize(risk, best.x, method="BFGS", options={"gtol": 1e-12})
    trades = trades_of(shares * best.x, shares)
    return trades, best.fun * scale, z / (2 * np.sqrt(moments(trades, market)[1]))


def least_value_at_risk_on_frontier(shares, num_periods, market, z):
    """The same over optimal schedules only: its value and its risk aversion."""

    def risk(log_aversion):
        trades = schedule(shares, num_periods, market, np.exp(log_aversion))
        mean, variance = moments(trades, market)
        return mean + z * np.sqrt(variance)

    best = minimize_scalar(risk, bounds=(-30, 5), options={"xatol": 1e-12})
    return best.fun, np.exp(best.x)


def portfolio_shortfall(trades, market, shocks):
    """Shortfall of sales (steps, assets) from prices zero, summed along the path.

    `market` is (horizon, covariance, permanent, temporary, fixed): matrices (assets,
    assets), `fixed` (assets,). `shocks` are standard normal (steps, assets), mapped by
    the Cholesky factor of the covariance, or its symmetric root where singular.
    """
    horizon, covariance, permanent, temporary, fixed = market
    tau = horizon / len(trades)
    root = covariance_root(covariance)
    proceeds, mid = 0.0, np.zeros(len(fixed))
    for trade, shock in zip(trades, shocks, strict=True):
        fill = mid - fixed * np.sign(trade) - temporary @ trade / tau
        proceeds += trade @ fill
        mid = mid + np.sqrt(tau) * root @ shock - permanent @ trade
    return -proceeds


def covariance_root(covariance):
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def portfolio_moments(trades, market):
    trades = np.asarray(trades, float)
    mean = portfolio_shortfall(trades, market, np.zeros_like(trades))
    horizon, covariance, *rest = market
    zero = [np.zeros_like(x) for x in rest]
    risk, loads = (horizon, covariance, *zero), []
    for unit in np.eye(trades.size):
        loads.append(portfolio_shortfall(trades, risk, unit.reshape(trades.shape)))
    return mean, np.sum(np.square(loads))


def portfolio_schedule(shares, num_periods, market, risk_aversion):
    """Least mean (without fixed cost) plus risk, from one system for all sales.

    Returns:
        Sales (steps, assets), with multipliers for the shares of every asset.
    """
    horizon, covariance, permanent, temporary, _ = market
    shares = np.asarray(shares, float)
    size, tau, count = len(shares), horizon / num_periods, num_periods
    # Holdings after a step are what later steps sell.
    later = np.triu(np.ones((count, count)), 1)
    quadratic = (
        np.kron(np.eye(count), temporary / tau)
        + np.kron(later, permanent)
        + risk_aversion * tau * np.kron(later.T @ later, covariance)
    )
    total = np.kron(np.ones((1, count)), np.eye(size))
    system = np.block(
        [[quadratic + quadratic.T, total.T], [total, np.zeros((size, size))]]
    )
    right = np.append(np.zeros(count * size), shares)
    return np.linalg.solve(system, right)[: count * size].reshape(count, size)


def regression_posterior(inputs, outputs, prior_mean, prior_variance, noise_variance):
    """Mean and variance of a slope from all observations at once, no intercept."""
    inputs, outputs = np.asarray(inputs, float), np.asarray(outputs, float)
    # The slope and the observations are jointly Gaussian.
    cross = prior_variance * inputs
    joint = prior_variance * np.outer(inputs, inputs)
    joint += noise_variance * np.eye(len(inputs))
    gain = np.linalg.solve(joint, cross)
    return (
        prior_mean + gain @ (outputs - prior_mean * inputs),
        prior_variance - gain @ cross,
    )
