"""Reference equilibria under uncertain impact, in plain NumPy.

A type's model is (temporary, permanent, transient, decay); it pays a' G (a + y), with
a and y its own and the others' trades in T equal steps of [0, 1] and

    G_ts = permanent + transient e^{-decay (t - s) / T} for t > s,
    G_tt = temporary T + (permanent + transient) / 2,  0 above.

Types are listed firm after firm. Written from that alone; equilibria are found among
trades b + E_j e_j, where E_j moves one share from the last step to step j, by least
squares, without multipliers.
"""

import numpy as np

from .position_building import conditionals


def impact_matrix(model, num_trades):
    """Return G, entry by entry."""
    temporary, permanent, transient, decay = model
    G = np.zeros((num_trades, num_trades))
    for t in range(num_trades):
        G[t, t] = temporary * num_trades + (permanent + transient) / 2
        for s in range(t):
            lag = (t - s) / num_trades
            G[t, s] = permanent + transient * np.exp(-decay * lag)
    return G


def moves(num_trades):
    """Return the moves E_j in columns, shape (T, T - 1)."""
    return np.vstack([np.eye(num_trades - 1), -np.ones(num_trades - 1)])


def equilibrium(models, targets, prior, num_trades):
    """Return trades of every type, shape (S, T), for models of shape (S, 4)."""
    P = conditionals(prior)
    size, T = len(P), num_trades
    E = moves(T)
    G = [impact_matrix(model, T) for model in models]
    start = np.zeros((size, T))
    start[:, -1] = targets
    rows, right = [], []
    for k in range(size):
        row = [P[k, j] * E.T @ G[k] for j in range(size)]
        row[k] = E.T @ (G[k] + G[k].T)
        rows.append(np.hstack(row))
        right.append(-rows[-1] @ start.ravel())
    system = np.vstack(rows) @ np.kron(np.eye(size), E)
    moved = np.linalg.lstsq(system, np.concatenate(right), rcond=None)[0]
    return start + moved.reshape(size, T - 1) @ E.T


def best_response(model, target, others):
    """Return the cheapest trades against the others', and their cost."""
    T = len(others)
    G, E = impact_matrix(model, T), moves(T)
    start = np.append(np.zeros(T - 1), target)
    gradient = E.T @ ((G + G.T) @ start + G @ others)
    trades = start - E @ np.linalg.solve(E.T @ (G + G.T) @ E, gradient)
    return trades, trades @ G @ (trades + others)


def shared_model(model, targets, num_trades):
    """Return the equilibrium of firms with one type each and one model for all.

    The mean solves (G + G' + (N - 1) G) v = const, deviations G' w = const, both
    summing to 1 (as Schied and Zhang, arXiv 1305.4013, whose temporary impact falls on
    one's own trades only).
    """
    targets = np.asarray(targets, float)
    G, one = impact_matrix(model, num_trades), np.ones(num_trades)
    v = np.linalg.solve(G + G.T + (len(targets) - 1) * G, one)
    w = np.linalg.solve(G.T, one)
    mean = targets.mean()
    return mean * v / v.sum() + (targets - mean)[:, None] * w / w.sum()
