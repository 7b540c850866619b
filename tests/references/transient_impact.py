"""Transient impact: dense systems of all firms at once, and limits on fine grids."""

import numpy as np


def kernel(lag, decay, kind="exponential"):
    lag = np.abs(np.asarray(lag, float))
    return np.exp(-decay * lag) if kind == "exponential" else (1 + lag) ** -decay


def cost(trades, firm, decay, theta, kind="exponential"):
    """Cost of a firm, trade after trade."""
    trades = np.asarray(trades, float)
    times = np.linspace(0, 1, trades.shape[1])
    own, result = trades[firm], 0.0
    for k, t in enumerate(times):
        for j in range(len(trades)):
            before = sum(
                kernel(t - times[m], decay, kind) * trades[j, m] for m in range(k)
            )
            result += own[k] * (before + trades[j, k] / 2)
        result += theta * own[k] ** 2
    return result


def matrices(num_points, decay, theta, kind="exponential"):
    times = np.linspace(0, 1, num_points)
    gamma = kernel(times[:, None] - times[None], decay, kind)
    lower = np.tril(gamma, -1) + np.eye(num_points) / 2
    return gamma + 2 * theta * np.eye(num_points), lower


def equilibrium(targets, num_points, decay, theta, kind="exponential"):
    """Trades of all firms from one linear system with a price for every target."""
    own, lower = matrices(num_points, decay, theta, kind)
    n, size = len(targets), num_points
    system = np.zeros((n * (size + 1), n * (size + 1)))
    right = np.zeros(n * (size + 1))
    for i in range(n):
        rows = slice(i * size, (i + 1) * size)
        for j in range(n):
            system[rows, j * size : (j + 1) * size] = own if i == j else lower
        system[rows, n * size + i] = -1
        system[n * size + i, rows] = 1
        right[n * size + i] = targets[i]
    return np.linalg.solve(system, right)[: n * size].reshape(n, size)


def best_cost(trades, firm, decay, theta, kind="exponential"):
    """Least cost of a firm against the others' trades, by its own linear system."""
    trades = np.asarray(trades, float)
    size = trades.shape[1]
    own, lower = matrices(size, decay, theta, kind)
    pressure = lower @ (trades.sum(axis=0) - trades[firm])
    system = np.block(
        [[own, -np.ones((size, 1))], [np.ones((1, size)), np.zeros((1, 1))]]
    )
    right = np.append(-pressure, trades[firm].sum())
    best = trades.copy()
    best[firm] = np.linalg.solve(system, right)[:size]
    return cost(best, firm, decay, theta, kind)


def common_limit(num_firms, rho):
    """First block and position in (0, 1) of the common profile on an infinite grid."""
    n = num_firms
    speed = rho * (n + 1) / (n - 1)
    early = np.exp(-speed)
    constant = 1 / (
        (n + early) / (n * (n + 1)) + (rho + 2 * (1 - early) / (n + 1)) / (n + 1)
    )
    block = constant * (n + early) / (n * (n + 1))

    def position(t):
        grown = (np.exp(-speed * (1 - t)) - early) / speed
        return block + constant * rho / (n + 1) * (t + 2 * grown / (n - 1))

    return block, position


def difference_limit(rho):
    """Last block and position in [0, 1) of the difference profile on that grid."""
    return 1 / (1 + rho), lambda t: rho / (1 + rho) * t
