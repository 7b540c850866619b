"""Liquidation of several assets as one dense quadratic program. NumPy, float64."""

import numpy as np


def cost(trades, problem, with_fixed=True):
    """Sum what fills miss of the first prices, period by period, and the variance.

    Args:
        trades: shape (periods, assets).
        problem: dict of the model's numbers.

    Returns:
        Mean and variance of the shortfall.
    """
    p = {k: np.asarray(v, float) for k, v in problem.items()}
    tau = p["horizon"] / len(trades)
    fixed = p.get("fixed_cost", np.zeros(trades.shape[1]))
    moved = np.zeros(trades.shape[1])  # how far prices are below the first ones
    held, mean, variance = trades.sum(axis=0), 0.0, 0.0
    for sold in trades:
        missed = moved + p["temporary_impact"] @ sold / tau
        mean += sold @ missed
        if with_fixed:
            mean += np.abs(sold) @ fixed
        moved = moved + p["permanent_impact"] @ sold
        held = held - sold
        variance += tau * held @ p["covariance"] @ held
    return mean, variance


def optimum(problem, num_periods):
    """Return the trades that make E + lambda V, without the fixed cost, least."""
    shares = np.asarray(problem["shares"], float)
    size = len(shares)
    if num_periods == 1:
        return shares[None]

    def objective(inner):
        points = np.concatenate(
            [shares[None], inner.reshape(num_periods - 1, size), np.zeros((1, size))]
        )
        mean, variance = cost(-np.diff(points, axis=0), problem, with_fixed=False)
        return mean + problem.get("risk_aversion", 0.0) * variance

    # A quadratic function is known from its values at a few points.
    count = (num_periods - 1) * size
    scale = np.abs(shares).max() or 1.0
    units = np.eye(count) * scale
    base = objective(np.zeros(count))
    single = np.array([objective(u) for u in units])
    back = np.array([objective(-u) for u in units])
    slope = (single - back) / 2
    hessian = np.array(
        [
            [
                objective(u + v) - single[i] - single[j] + base
                for j, v in enumerate(units)
            ]
            for i, u in enumerate(units)
        ]
    )
    inner = np.linalg.solve(hessian, -slope) * scale
    points = np.concatenate(
        [shares[None], inner.reshape(-1, size), np.zeros((1, size))]
    )
    return -np.diff(points, axis=0)
