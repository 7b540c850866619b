"""Reference play of position building in steps, straight from what a step costs.

Plain NumPy in double precision, correct rather than fast. Firm i pays
`a_i ((T + kappa_i / 2) A + kappa_i X)` in a step, with A the net flow and X the net
position before it, and buys what is left in the last step.
"""

import numpy as np


def costs(trades, impacts):
    """Return every firm's cost of trades of shape (firms, steps)."""
    firms, steps = trades.shape
    total, held = np.zeros(firms), 0.0
    for t in range(steps):
        flow = trades[:, t].sum()
        price = (steps + impacts / 2) * flow + impacts * held
        total += trades[:, t] * price
        held += flow
    return total


def open_loop(targets, impacts, steps):
    """Return the open-loop equilibrium by one dense linear system, (firms, steps)."""
    targets, impacts = np.asarray(targets, float), np.asarray(impacts, float)
    firms = len(targets)
    size = firms * steps
    matrix, right = np.zeros((size + firms, size + firms)), np.zeros(size + firms)
    later = np.triu(np.ones((steps, steps)), 1)
    for i in range(firms):
        rows = slice(i * steps, (i + 1) * steps)
        weight = steps + impacts[i] / 2
        for j in range(firms):
            block = weight * np.eye(steps) + impacts[i] * later.T
            if i == j:
                block = block + block.T
            matrix[rows, j * steps : (j + 1) * steps] = block
        matrix[rows, size + i] = -1
        matrix[size + i, rows] = 1
        right[size + i] = targets[i]
    return np.linalg.solve(matrix, right)[:size].reshape(firms, steps)


def nested_equilibrium(remaining, held, step, impacts, steps):
    """Return the firms' trades and costs to come in subgame perfect equilibrium.

    Every step solves the equilibrium of all later steps anew for every trade tried:
    costs are quadratic, so that central differences give exact slopes and N + 1 tries
    the affine map from trades to slopes. Work grows like (2 N (N + 1))^steps.

    Args:
        remaining: shares left to buy, shape (firms,).
        held: net position.
        step: number of steps already made.
        impacts: kappa of every firm.
        steps: T.
    """
    firms = len(remaining)

    def to_come(trades):
        flow = trades.sum()
        now = trades * ((steps + impacts / 2) * flow + impacts * held)
        if step == steps - 1:
            return now
        rest = remaining - trades, held + flow, step + 1
        return now + nested_equilibrium(*rest, impacts, steps)[1]

    if step == steps - 1:
        return remaining, to_come(remaining)

    def slopes(trades):
        own = np.eye(firms)
        return np.array(
            [
                (to_come(trades + own[i])[i] - to_come(trades - own[i])[i]) / 2
                for i in range(firms)
            ]
        )

    at_zero = slopes(np.zeros(firms))
    moves = np.array([slopes(e) - at_zero for e in np.eye(firms)]).T
    trades = np.linalg.solve(moves, -at_zero)
    return trades, to_come(trades)


def best_reply_cost(gains, targets, impacts, firm, start=0, state=None):
    """Return the least cost of one firm against the others' rules, by least squares.

    The firm's trades from a step on are free, the last is what is left. Its cost is
    sampled, since it is quadratic, and minimised.

    Args:
        gains: rules of all firms, shape (steps, firms, firms).
        targets: shares to buy at step `start`, shape (firms,).
        impacts: kappa of every firm.
        firm: the one that may deviate.
        start: first free step.
        state: net position before it.
    """
    steps = len(gains)
    free = steps - 1 - start

    def cost(own):
        left, held, total = np.array(targets, float), float(state or 0), 0.0
        for t in range(start, steps):
            trade = gains[t] @ left
            trade[firm] = left[firm] if t == steps - 1 else own[t - start]
            flow = trade.sum()
            price = (steps + impacts[firm] / 2) * flow + impacts[firm] * held
            total += trade[firm] * price
            left, held = left - trade, held + flow
        return total

    return least_quadratic(cost, free)


def least_quadratic(cost, size):
    """Return the least value of a strictly convex quadratic function of `size` numbers.

    Raises:
        ValueError: if it is not convex.
    """
    basis, constant = np.eye(size), cost(np.zeros(size))
    if size == 0:
        return constant
    plus = np.array([cost(e) for e in basis])
    minus = np.array([cost(-e) for e in basis])
    slope = (plus - minus) / 2
    hessian = np.diag(plus + minus - 2 * constant)
    for i in range(size):
        for j in range(i):
            mixed = cost(basis[i] + basis[j]) - plus[i] - plus[j] + constant
            hessian[i, j] = hessian[j, i] = mixed
    if np.linalg.eigvalsh(hessian).min() <= 0:
        raise ValueError("the cost is not convex")
    return constant - slope @ np.linalg.solve(hessian, slope) / 2
