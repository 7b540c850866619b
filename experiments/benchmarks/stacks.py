"""What baselines of positions share: stacks of games, types and what they believe.

Quantities per type are in (firm, type) order, profiles of types in C order.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

Numbers = dict[str, Any]
Baseline = Callable[[Numbers, Numbers], np.ndarray]


def in_stacks(largest: int) -> Callable[[Baseline], Baseline]:
    """Let a baseline take so many games at once, few enough for a core's own memory."""

    def divided(solve: Baseline) -> Baseline:
        @functools.wraps(solve)
        def solve_all(games: Numbers, numbers: Numbers) -> np.ndarray:
            columns = {k: x for k, x in games.items() if isinstance(x, np.ndarray)}
            count = len(next(iter(columns.values())))
            parts = []
            for first in range(0, count, largest):
                some = {k: x[first : first + largest] for k, x in columns.items()}
                parts.append(solve(games | some, numbers))
            return np.concatenate(parts)

        return solve_all

    return divided


def pairwise_beliefs(priors: np.ndarray) -> np.ndarray:
    """Return what each type believes of every other firm's types.

    Args:
        priors: joint probabilities, shape (games, types of firm 1, types of firm 2,
            ...).

    Returns:
        Conditional probabilities, zero between types of one firm, shape (games, types,
        types).
    """
    shape = priors.shape[1:]
    ends = np.cumsum((0, *shape))
    beliefs = np.zeros((len(priors), ends[-1], ends[-1]))
    firms = range(len(shape))
    for one, other in itertools.permutations(firms, 2):
        rest = tuple(1 + f for f in firms if f not in (one, other))
        joint = priors.sum(axis=rest)
        if one > other:
            joint = joint.transpose(0, 2, 1)
        block = joint / joint.sum(axis=2, keepdims=True)
        beliefs[:, ends[one] : ends[one + 1], ends[other] : ends[other + 1]] = block
    return beliefs


def members_of_profiles(num_types: tuple[int, ...]) -> np.ndarray:
    """Return which type every firm has in every profile, shape (profiles, firms)."""
    offsets = np.cumsum((0, *num_types[:-1]))
    profiles = np.indices(num_types).reshape(len(num_types), -1).T
    return profiles + offsets


def contracting_steps(impacts: np.ndarray, num_firms: int) -> np.ndarray:
    """Return step lengths at which gradients in rates lead to the equilibrium.

    On rates exp(2 pi i n t) the gradient acts as a + i b / n with a from 1 to the
    number of firms plus one and b at most kappa (firms - 1) / (2 pi): steps have to be
    below 2 a / (a^2 + b^2) for all of these, and half of that is taken.

    Args:
        impacts: kappas, shape (games, types).
        num_firms: number of firms.

    Returns:
        Shape (games,).
    """
    drift = impacts.max(axis=1) * (num_firms - 1) / (2 * np.pi)
    high = num_firms + 1
    return np.minimum(1 / (1 + drift**2), high / (high**2 + drift**2))
