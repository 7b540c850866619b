"""The way one solves position building with SciPy: a loop over games.

For each game the Euler-Lagrange equations become a linear system in positions and
rates; its matrix exponentials give the schedule, and a trapezoid rule the costs.
"""

import numpy as np
from scipy.linalg import expm


def solve_one(prior, impacts, targets, num_points):
    """Solve one game of two firms with two types each.

    Args:
        prior: joint probabilities, shape (2, 2).
        impacts: kappa of every type, shape (4,).
        targets: of every type, shape (4,).
        num_points: equally spaced times.

    Returns:
        Schedules (types, points), initial rates, expected costs.
    """
    rows, cols = prior.sum(axis=1), prior.sum(axis=0)
    beliefs = np.zeros((4, 4))
    beliefs[:2, 2:] = prior / rows[:, None]
    beliefs[2:, :2] = (prior / cols).T
    matrix = np.linalg.solve(2 * np.eye(4) + beliefs, impacts[:, None] * beliefs)
    companion = np.zeros((8, 8))
    companion[:4, 4:], companion[4:, 4:] = np.eye(4), -matrix
    times = np.linspace(0, 1, num_points)
    flows = np.stack([expm(t * companion) for t in times])
    start = np.linalg.solve(flows[-1, :4, 4:], targets)
    states = flows[:, :, 4:] @ start
    positions, rates = states[:, :4].T, states[:, 4:].T
    price = (
        rates + beliefs @ rates + impacts[:, None] * (positions + beliefs @ positions)
    )
    return positions, start, np.trapezoid(price * rates, times, axis=1)
