"""Position building under power-law impact: definitions, slowly, in NumPy and SciPy."""

import numpy as np
from scipy import integrate, optimize


def impact(rate, p, smoothing=0.0):
    rate = np.asarray(rate, float)
    if smoothing:
        return rate * (rate**2 + smoothing**2) ** ((p - 1) / 2)
    return np.sign(rate) * np.abs(rate) ** p


def cost(schedules, firm, kappa, p, smoothing=0.0):
    """Cost of a firm, cell after cell, of piecewise-linear paths."""
    schedules = np.asarray(schedules, float)
    total = schedules.sum(axis=0)
    num_cells = schedules.shape[1] - 1
    result = 0.0
    for k in range(num_cells):
        traded = schedules[firm, k + 1] - schedules[firm, k]
        rate = (total[k + 1] - total[k]) * num_cells
        price = impact(rate, p, smoothing) + kappa * (total[k] + total[k + 1]) / 2
        result += price * traded
    return result


def profile(rates):
    """Positions that follow from rates on equal cells."""
    rates = np.asarray(rates, float)
    start = np.zeros((rates.shape[0], 1))
    return np.concatenate([start, np.cumsum(rates, axis=1) / rates.shape[1]], axis=1)


def decline(num_firms, kappa, p):
    """The constant c of v^(p-2) v' = -c."""
    n = num_firms
    return kappa * (n - 1) / (p * n ** (p - 1) * (n + p))


def mean_path(num_firms, target, kappa, p, times):
    """Position and rate of one of several firms with the same target > 0."""
    c = decline(num_firms, kappa, p)

    def rate(t, first):
        if p == 1:
            return first * np.exp(-c * t)
        rest = np.maximum(first ** (p - 1) - (p - 1) * c * np.asarray(t), 0)
        return rest ** (1 / (p - 1))

    def position(t, first):
        points = None
        if p > 1 and c > 0:
            stop = first ** (p - 1) / ((p - 1) * c)
            points = [stop] if 0 < stop < t else None
        value, _ = integrate.quad(
            rate, 0, t, args=(first,), epsabs=1e-13, epsrel=1e-12, limit=400,
            points=points,
        )  # fmt: skip
        return value

    high = (p * c * target + target**p) ** (1 / p) * 1.0001
    first = optimize.brentq(
        lambda x: position(1.0, x) - target, target * 0.999, high, xtol=1e-14
    )
    times = np.asarray(times, float)
    return np.array([position(t, first) for t in times]), rate(times, first)


def stationary_profile(targets, kappa, p, num_cells, smoothing=0.0):
    """Rates that meet every firm's first-order conditions, by a general root finder.

    Gradients are finite differences of the definition of cost, so this shares no
    algebra with anybody.
    """
    targets = np.asarray(targets, float)
    n = len(targets)

    def miss(flat):
        rates = flat.reshape(n, num_cells)
        result = []
        for i in range(n):
            gradient = np.empty(num_cells)
            for k in range(num_cells):
                step = 1e-5
                values = []
                for s in (step, -step):
                    moved = rates.copy()
                    moved[i, k] += s
                    values.append(cost(profile(moved), i, kappa, p, smoothing))
                # Beyond the sum, what an own trade does to own permanent cost is
                # the same at every time.
                gradient[k] = (values[0] - values[1]) / (2 * step) * num_cells
            result += list(np.diff(gradient)) + [rates[i].mean() - targets[i]]
        return np.array(result)

    start = np.repeat(targets[:, None], num_cells, axis=1).ravel()
    found = optimize.root(miss, start, method="hybr", options={"xtol": 1e-12})
    return found.x.reshape(n, num_cells)


def least_cost(schedules, firm, kappa, p, smoothing=0.0, num_starts=30, seed=0):
    """Least cost of a firm against the others, by local searches from many starts."""
    rng = np.random.default_rng(seed)
    schedules = np.asarray(schedules, float)
    num_cells = schedules.shape[1] - 1
    target = schedules[firm, -1]

    def value(free):
        rates = np.append(free, num_cells * target - free.sum())
        moved = schedules.copy()
        moved[firm] = np.append(0, np.cumsum(rates) / num_cells)
        return cost(moved, firm, kappa, p, smoothing)

    now = np.diff(schedules[firm]) * num_cells
    others = np.diff(schedules.sum(axis=0) - schedules[firm]) * num_cells
    spread = 2 * np.abs(now).max() + np.abs(others).max() + 1
    best = np.inf
    for i in range(num_starts):
        start = (
            now[:-1] if i == 0 else now[:-1] + spread * rng.normal(size=now.size - 1)
        )
        found = optimize.minimize(
            value, start, method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000, "maxfev": 8000},
        )  # fmt: skip
        best = min(best, found.fun)
    return best
