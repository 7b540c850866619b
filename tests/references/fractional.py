"""Reference equilibria of the trading game in fractional shares, by dense algebra.

Plain NumPy and SciPy in double precision, straight from the definitions; correct rather
than fast. The package is tested against it.
Trades, limits and costs are as in `equilibria`.
"""

import numpy as np

from .equilibria import boxes, cost
from .kearns_shi import impact_matrix


def own_gradient(trades, kappa):
    """Return the gradient of each player's cost in its own trades, shape (n, T).

    Of c_i = a_i'M S it is M S + M'a_i, with M = I + kappa L and S = sum_j a_j.
    """
    matrix = impact_matrix(trades.shape[1], kappa)
    return matrix @ trades.sum(axis=0) + trades @ matrix


def project(point, target, low, high):
    """Return the point of {low <= a <= high, sum a = target} nearest to `point`.

    It is clip(point - shift, low, high); its sum falls with the shift and is linear
    between the breakpoints, where a coordinate meets a limit.

    Args:
        point: shape (T,).
        target: required sum, within the sums of the limits.
        low: finite lower limits, shape (T,).
        high: finite upper limits, shape (T,).
    """
    shifts = np.sort(np.concatenate([point - high, point - low]))
    sums = np.clip(point - shifts[:, None], low, high).sum(axis=1)
    left = np.clip(np.count_nonzero(sums >= target) - 1, 0, len(shifts) - 2)
    middle = (shifts[left] + shifts[left + 1]) / 2
    clipped = np.clip(point - middle, low, high)
    is_free = (low < point - middle) & (point - middle < high)
    if not is_free.any():  # constant in between: any of these shifts will do
        return clipped
    surplus = point[is_free].sum() + clipped[~is_free].sum() - target
    return np.clip(point - surplus / is_free.sum(), low, high)


def _fractional_boxes(kappa, targets, lows, highs, horizon):
    """Return the trade limits as floats after checking that the game makes sense."""
    if not kappa < 2:
        raise ValueError(f"the own cost is strictly convex for kappa < 2, not {kappa}")
    lows, highs = boxes(lows, highs, len(targets), horizon)
    if not np.all(np.isfinite(lows)) or not np.all(np.isfinite(highs)):
        raise ValueError("trade limits have to be finite")
    if np.any(lows > highs):
        raise ValueError("a lower limit exceeds the upper one")
    if np.any(lows.sum(axis=1) > targets) or np.any(highs.sum(axis=1) < targets):
        raise ValueError(f"no schedules reach targets={targets}")
    return lows.astype(float), highs.astype(float)


def _project_all(points, targets, lows, highs):
    """Return `project` of every player, shape (n, T)."""
    rows = zip(points, targets, lows, highs, strict=True)
    return np.array([project(*row) for row in rows])


def natural_residual(trades, kappa, targets, lows, highs):
    """Return the largest entry of |a - P(a - F(a))|: zero exactly at an equilibrium.

    F are the players' own gradients and P the projections on their schedules; trades
    have shape (n, T), the other arguments are those of `fractional_equilibrium`.
    """
    trades = np.asarray(trades, dtype=float)
    lows, highs = _fractional_boxes(kappa, targets, lows, highs, trades.shape[1])
    moved = _project_all(trades - own_gradient(trades, kappa), targets, lows, highs)
    return float(np.max(np.abs(trades - moved)))


def fractional_equilibrium(
    kappa, targets, horizon, lows, highs, tol=1e-12, max_iterations=200_000
):
    """Return the equilibrium in fractional shares with trade limits, for kappa < 2.

    Projected extragradient (Korpelevich 1976) on the strictly monotone variational
    inequality of the players' own gradients, with a constant step below 1/L.

    Args:
        kappa: market impact coefficient, less than 2.
        targets: sums of the trades, shape (n,).
        horizon: number of steps T.
        lows: smallest trades, finite, broadcast to (n, T).
        highs: largest trades, finite, broadcast to (n, T).
        tol: largest natural residual, relative to the larger of one and the largest
            trade or gradient. The trades are within about (1 + L)/(1 - kappa/2) of it.
        max_iterations: RuntimeError after these.

    Returns:
        Trades, shape (n, T).
    """
    players = len(targets)
    lows, highs = _fractional_boxes(kappa, targets, lows, highs, horizon)
    # Differences of schedules sum to zero, so L is the norm of the centred operator,
    # which maps the players' sum by n M + M' and what is off their mean by M'.
    centre = np.eye(horizon) - 1 / horizon
    matrix = centre @ impact_matrix(horizon, kappa) @ centre
    lipschitz = max(
        np.linalg.norm(players * matrix + matrix.T, 2), np.linalg.norm(matrix, 2), 1e-9
    )
    step = 0.9 / lipschitz

    trades = _project_all(np.zeros((players, horizon)), targets, lows, highs)
    for iteration in range(max_iterations):
        gradient = own_gradient(trades, kappa)
        if iteration % 10 == 0:
            scale = max(1.0, np.max(np.abs(trades)), np.max(np.abs(gradient)))
            moved = _project_all(trades - gradient, targets, lows, highs)
            if np.max(np.abs(trades - moved)) <= tol * scale:
                return trades
        ahead = _project_all(trades - step * gradient, targets, lows, highs)
        correction = step * own_gradient(ahead, kappa)
        trades = _project_all(trades - correction, targets, lows, highs)
    raise RuntimeError(f"no equilibrium within {max_iterations} iterations")


def fractional_closed_form(kappa, targets, horizon):
    """Return the equilibrium in fractional shares without trade limits.

    First-order conditions M S + M'a_i = mu_i 1 and sum_t a_{i,t} = V_i of all
    players as one dense system with n T trades and n multipliers. For kappa >= 2 a
    solution is stationary only; at kappa = 2 and even T the system is singular.

    Args:
        kappa: market impact coefficient, the same for all.
        targets: sums of the trades, shape (n,).
        horizon: number of steps T.

    Returns:
        Trades, shape (n, T).
    """
    players = len(targets)
    matrix = impact_matrix(horizon, kappa)
    size = players * horizon
    system = np.zeros((size + players, size + players))
    for i in range(players):
        own = slice(i * horizon, (i + 1) * horizon)
        for j in range(players):
            system[own, j * horizon : (j + 1) * horizon] = matrix
        system[own, own] += matrix.T
        system[own, size + i] = -1
        system[size + i, own] = 1
    right = np.concatenate([np.zeros(size), np.asarray(targets, dtype=float)])
    return np.linalg.solve(system, right)[:size].reshape(players, horizon)


def fractional_response_bound(linear, weight, target, low, high):
    """Minimise sum_t g_t a_t + w a_t^2 over {low <= a <= high, sum a = target}.

    Bisection on the multiplier of the sum.

    Args:
        linear: coefficients g, shape (T,).
        weight: coefficient w > 0.
        target: sum of the trades.
        low: lower limits, shape (T,).
        high: upper limits, shape (T,).

    Returns:
        The minimiser, shape (T,), and the value of the dual, which is the least cost
        up to rounding and never more than that.
    """

    def trades_at(multiplier):
        return np.clip((multiplier - linear) / (2 * weight), low, high)

    below = np.min(linear + 2 * weight * low)
    above = np.max(linear + 2 * weight * high)
    while below < (middle := (below + above) / 2) < above:
        if trades_at(middle).sum() < target:
            below = middle
        else:
            above = middle
    trades = trades_at(above)
    lagrangian = np.sum((linear - above) * trades + weight * trades**2)
    return trades, float(lagrangian + above * target)


def fractional_gap(trades, kappa, targets, lows, highs):
    """Return what each player gains by its best fractional deviation, shape (n,).

    The own cost a'Ma is (1 - kappa/2) |a|^2 + kappa V^2/2, so a best deviation is a
    separable convex program. The least cost comes from its dual: the gain is never
    understated, up to rounding. That the trades are feasible is not checked here:
    `natural_residual` is zero for feasible trades only.

    Args:
        trades: trades of all players, shape (n, T).
        kappa: market impact coefficient, less than 2.
        targets: sums of the trades, shape (n,).
        lows: smallest trades, finite, broadcast to (n, T).
        highs: largest trades, finite, broadcast to (n, T).
    """
    trades = np.asarray(trades, dtype=float)
    players, horizon = trades.shape
    lows, highs = _fractional_boxes(kappa, targets, lows, highs, horizon)
    matrix = impact_matrix(horizon, kappa)
    gains = []
    for i in range(players):
        others = trades.sum(axis=0) - trades[i]
        _, least = fractional_response_bound(
            matrix @ others, 1 - kappa / 2, targets[i], lows[i], highs[i]
        )
        least += kappa * targets[i] ** 2 / 2
        gains.append(cost(trades[i], others, kappa) - least)
    return np.array(gains)
