"""Costs under complete information and one kappa, in closed form.

With g = kappa (N - 1) / (N + 1), mean target m and total target S, firm i's path is
m (1 - e^{-gt}) / (1 - e^{-g}) + (V_i - m) (e^{kappa t} - 1) / (e^kappa - 1) and it pays

    S [m (a + kappa / 2) + (V_i - m) (b + kappa j)],

a, b, j being integrals of products of these two shapes. (Carlin, Lobo & Viswanathan
2007 have the same exponents.)
"""

import numpy as np


def costs(kappa, targets):
    """Return what every firm pays, shape (firms,); kappa > 0."""
    targets = np.asarray(targets, float)
    even, own = shares(kappa, len(targets))
    total, mean = targets.sum(), targets.mean()
    return total * (mean * even + (targets - mean) * own)


def shares(kappa, num_firms):
    """Return the costs of a mean share and of one beyond the mean, over the total.

    `num_firms` may be any real number of at least 1.
    """
    k, n = float(kappa), float(num_firms)
    g = k * (n - 1) / (n + 1)
    rise = -np.expm1(-g) / g if g > 0 else 1.0  # (1 - e^{-g}) / g
    even = g / 2 / np.tanh(g / 2) if g > 0 else 1.0
    growth = -np.expm1(-k) / k  # (e^k - 1) / k, times e^{-k}
    # Integral of e^{(k - g) t}, times e^{-k}.
    mixed = np.exp(-g) * -np.expm1(-(k - g)) / (k - g)
    own = mixed / (rise * growth)
    # int (1 - e^{-gt}) k e^{kt} dt / ((1 - e^{-g}) (e^k - 1)); g -> 0: int t k e^{kt}.
    if g > 1e-6:
        joint = (growth - mixed) / (g * rise * growth)
    else:
        joint = (1 - growth) / (k * growth)
    return even + k / 2, own + k * joint


def price_of_anarchy(kappa, num_firms):
    """Return total cost over the planner's: the same for every split of the target."""
    return shares(kappa, num_firms)[0] / (1 + float(kappa) / 2)
