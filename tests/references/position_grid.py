"""Reference position-building games on a grid: lots in T steps, limits on positions.

`discrete_equilibrium` plays the T-step game in real lots, c = sum_t a_t A_t +
kd sum_t a_t X_{t-1} with A the summed trades and X the summed holdings; for
piecewise-linear paths on T equal cells the continuous cost is (T + kappa / 2) c with
kd = 2 kappa / (2 T + kappa). `constrained_equilibrium` plays the continuous game with
limits on the positions, restricted to such paths. Types and conditionals P are as in
`position_building`.
"""

import numpy as np
from scipy.linalg import solveh_banded

from .kearns_shi import impact_matrix


def discrete_impact(kappa, num_steps):
    """Return kd, with which the T-step game is the piecewise-linear one."""
    return 2 * np.asarray(kappa) / (2 * num_steps + np.asarray(kappa))


def continuous_impact(kd, num_steps):
    """Return kappa for kd < 2, the inverse of `discrete_impact`."""
    return 2 * num_steps * np.asarray(kd) / (2 - np.asarray(kd))


def discrete_equilibrium(P, kd, targets, num_steps):
    """Return the trades of the T-step equilibrium in real lots, shape (S, T).

    Every type k with M_k = I + kd_k L solves (M_k + M_k') a_k + M_k E[y | k] = mu_k 1
    and 1'a_k = V_k: one dense linear system.
    """
    P = np.asarray(P, dtype=float)
    size, ones = len(P), np.ones((num_steps, 1))
    system = np.zeros((size, num_steps + 1, size, num_steps + 1))
    for k, impact in enumerate(np.broadcast_to(kd, (size,))):
        matrix = impact_matrix(num_steps, impact)
        for j in range(size):
            system[k, :num_steps, j, :num_steps] = P[k, j] * matrix
        system[k, :num_steps, k, :num_steps] += matrix + matrix.T
        system[k, :num_steps, k, num_steps:] = -ones
        system[k, num_steps:, k, :num_steps] = ones.T
    right = np.zeros((size, num_steps + 1))
    right[:, -1] = targets
    order = size * (num_steps + 1)
    solution = np.linalg.solve(system.reshape(order, order), right.ravel())
    return solution.reshape(size, num_steps + 1)[:, :-1]


def discrete_gains(P, kd, trades):
    """Return what each type saves by its best response in real lots, in units of c.

    Against a flow b the cost is a'Sa + a'Mb with S = (M + M') / 2; at fixed sum of the
    trades the saving is g'Qg / 4 with g the gradient and Q the inverse of S on the
    vectors that sum to zero.
    """
    trades = np.asarray(trades, dtype=float)
    size, num_steps = trades.shape
    basis = np.linalg.svd(np.ones((1, num_steps)))[2][1:].T
    gains = np.empty(size)
    for k, impact in enumerate(np.broadcast_to(kd, (size,))):
        matrix = impact_matrix(num_steps, impact)
        gradient = (matrix + matrix.T) @ trades[k] + matrix @ (P[k] @ trades)
        reduced = basis.T @ gradient
        hessian = basis.T @ (matrix + matrix.T) @ basis
        gains[k] = reduced @ np.linalg.solve(hessian, reduced) / 2
    return gains


def piecewise_linear_cost(nodes, kappa, player):
    """Return int (X' + kappa X) x_i' of piecewise-linear paths, cell by cell.

    Args:
        nodes: positions at T + 1 equally spaced times, shape (N, T + 1).
        kappa: permanent impact of the player.
        player: i.
    """
    num_steps = len(nodes[0]) - 1
    offset = 0.5 / np.sqrt(3.0)  # two Gauss points a cell: exact for cubics
    cost = 0.0
    for cell in range(num_steps):
        slopes = [(x[cell + 1] - x[cell]) * num_steps for x in nodes]
        for place in (0.5 - offset, 0.5 + offset):
            level = sum((1 - place) * x[cell] + place * x[cell + 1] for x in nodes)
            cost += (sum(slopes) + kappa * level) * slopes[player] / (2 * num_steps)
    return cost


def own_slopes(P, kappa, nodes):
    """Return the gradient of each type's expected cost in its inner nodes, (S, T - 1).

    The Bayesian counterpart of `piecewise_linear_cost`; `nodes` has shape (S, T + 1).
    """
    num_steps = nodes.shape[1] - 1
    y = P @ nodes
    bend = 2 * (2 * nodes + y)
    curvature = (bend[:, 1:-1] - (bend[:, :-2] + bend[:, 2:]) / 2) * num_steps
    return curvature + np.reshape(kappa, (-1, 1)) * (y[:, :-2] - y[:, 2:]) / 2


def _bounded_response(linear, target, lower, upper):
    """Minimise sum (dx)^2 T + linear'x over inner nodes within limits.

    Active sets, changed in one go after each banded solve: the Hessian is an M-matrix,
    for which they settle soon.

    Args:
        linear: shape (T - 1,).
        target: x at the last node; the first is 0.
        lower: lower limits of the inner nodes, shape (T - 1,), -inf for none.
        upper: upper limits.

    Returns:
        Inner nodes, shape (T - 1,).
    """
    size = len(linear)
    scale = 2.0 * (size + 1)
    right = -np.asarray(linear, dtype=float)
    right[-1] += scale * target
    slack = 1e-13 * (np.max(np.abs(right)) + scale)  # of multipliers, against flipping

    active = np.zeros(size, dtype=int)  # 1 at the upper limit, -1 at the lower
    for _ in range(10 * size):
        is_free = active == 0
        fixed = np.where(active > 0, upper, np.where(active < 0, lower, 0.0))
        known = np.concatenate([[0.0], fixed, [0.0]])
        banded = np.zeros((2, size))
        banded[1] = np.where(is_free, 2 * scale, 1.0)
        banded[0, 1:] = np.where(is_free[1:] & is_free[:-1], -scale, 0.0)
        moved = right + scale * (known[:-2] + known[2:])
        x = solveh_banded(banded, np.where(is_free, moved, fixed))
        padded = np.concatenate([[0.0], x, [0.0]])
        multiplier = right - scale * (2 * x - padded[:-2] - padded[2:])
        stays = active * multiplier > -slack
        reached = np.where(x > upper, 1, np.where(x < lower, -1, 0))
        new = np.where(is_free, reached, np.where(stays, active, 0))
        if np.array_equal(new, active):
            return x
        active = new
    raise RuntimeError("the active sets did not settle")


def natural_residual(P, kappa, nodes, lower, upper):
    """Return the largest entry of |x - clip(x - F / (2 T))| over inner nodes.

    F are `own_slopes`: zero exactly at an equilibrium of the bounded game.
    """
    x = nodes[:, 1:-1]
    step = own_slopes(P, kappa, nodes) / (2 * x.shape[1] + 2)
    return np.max(np.abs(x - np.clip(x - step, lower, upper)))


def constrained_equilibrium(
    P, kappa, targets, lower, upper, num_cells, tol=1e-11, max_rounds=20_000
):
    """Return the node positions of the bounded game, shape (S, num_cells + 1).

    Simultaneous projected steps along the own gradients, F, in the energy norm int x'^2
    of each firm. A whole step is the best response; a part of it contracts, because F
    maps the rate mode e^{2 pi i n t} to 1 + p / 2 (1 + kappa / (2 pi i n)) times
    itself, p >= -1 an eigenvalue of P. With one kappa the answer is unique.

    Args:
        P: conditionals, shape (S, S).
        kappa: one permanent impact for all.
        targets: shape (S,).
        lower: lower limits of the inner nodes, broadcast to (S, num_cells - 1); -inf
            for none.
        upper: upper limits.
        num_cells: T, equal cells of the piecewise-linear paths.
        tol: on the last change of a node over the length of the step.
        max_rounds: gives up with RuntimeError.
    """
    P, targets = np.asarray(P, dtype=float), np.asarray(targets, dtype=float)
    shape = (len(P), num_cells - 1)
    lower, upper = np.broadcast_to(lower, shape), np.broadcast_to(upper, shape)
    half, spin = np.max(np.sum(P, axis=1)) / 2, kappa / (2 * np.pi)
    step = 1 / (1 + half * (1 + spin**2))
    nodes = targets[:, None] * np.linspace(0, 1, num_cells + 1)
    nodes[:, 1:-1] = np.clip(nodes[:, 1:-1], lower, upper)
    for _ in range(max_rounds):
        y = P @ nodes
        linear = (2 * y[:, 1:-1] - y[:, :-2] - y[:, 2:]) * num_cells
        linear += kappa * (y[:, :-2] - y[:, 2:]) / 2
        linear -= (1 - step) * own_slopes(P, kappa, nodes)
        rows = zip(linear, targets, lower, upper, strict=True)
        change = np.array([_bounded_response(*row) for row in rows]) - nodes[:, 1:-1]
        nodes[:, 1:-1] += change
        if np.max(np.abs(change)) <= tol * step:
            return nodes
    raise RuntimeError(f"the paths still move by {np.max(np.abs(change))}")


def sine_overlaps(a, b):
    """Return int a'b' and int b a' of t + sum_n a_n sin(n pi t) and the like of b.

    Args:
        a: coefficients of n = 1, 2, .., shape (n,).
        b: the same for the other path, shape (n,).
    """
    n = np.arange(1, len(a) + 1)
    odd = (1 - (-1.0) ** n) / (n * np.pi)
    squares = n[None, :] ** 2 - n[:, None] ** 2
    is_mixed = (n[:, None] + n[None, :]) % 2 == 1
    cross = np.where(is_mixed, 2 * np.outer(n, n) / np.where(is_mixed, squares, 1), 0)
    return 1 + np.pi**2 / 2 * np.sum(n**2 * a * b), 0.5 - a @ odd + b @ odd + (
        a @ cross @ b
    )
