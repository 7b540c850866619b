"""Learning to build positions, in plain NumPy, one type and one round after another.

Rates are per cell, shape (S, T), types in (firm, type) order. A type's cost in a round
is the mean over cells of v (v + w + kappa (y + x)), with x its own mean position in the
cell and w, y the others' rate and mean position.
"""

import itertools

import numpy as np


def profiles(shape):
    """Yield the types of every profile, as positions in (firm, type) order."""
    offsets = np.concatenate([[0], np.cumsum(shape)[:-1]])
    for profile in itertools.product(*(range(n) for n in shape)):
        yield profile, [int(o + k) for o, k in zip(offsets, profile, strict=True)]


def mean_positions(rates):
    """Return mean positions in the cells, shape of `rates`."""
    ends = np.cumsum(rates, axis=-1) / rates.shape[-1]
    return ends - rates / (2 * rates.shape[-1])


def round_cost(own, others, kappa):
    """Return what one firm pays in a round."""
    price = own + others + kappa * mean_positions(own + others)
    return float(np.mean(price * own))


def numerical_gradient(own, others, kappa, step=1e-5):
    """Return the gradient in the rates of one firm, cells weighing 1, mean removed."""
    gradient = np.zeros_like(own)
    for cell in range(len(own)):
        change = np.zeros_like(own)
        change[cell] = step
        high = round_cost(own + change, others, kappa)
        gradient[cell] = (high - round_cost(own - change, others, kappa)) / (2 * step)
    gradient *= len(own)
    return gradient - gradient.mean()


def gradient_play(kappa, targets, meetings, num_cells, constant, offset=0.0):
    """Return rates after rounds in which the listed types met, from an even start."""
    rates = np.repeat(np.asarray(targets, float)[:, None], num_cells, axis=1)
    visits = np.zeros(len(targets))
    for members in meetings:
        total = rates[members].sum(axis=0)
        new = rates.copy()
        for k in members:
            others = total - rates[k]
            visits[k] += 1
            gradient = 2 * rates[k] + others + kappa[k] * mean_positions(others)
            step = constant / (visits[k] + offset)
            new[k] = rates[k] - step * (gradient - gradient.mean())
        rates = new
    return rates, visits
