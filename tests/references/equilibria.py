"""Reference equilibria of small games: enumeration, linear programs, dense algebra.

Plain NumPy and SciPy in double precision, straight from the definitions: the trading
game of Kearns and Shi, *Algorithmic Aspects of Strategic Trading* (arXiv
2502.07606v2), with whole and with fractional shares, and games given by cost tables.
Everything here is correct rather than fast; the package is tested against it.

A schedule holds the trades of one player, shape (T,). Costs are minimised. Wherever
players have trade limits, `lows` and `highs` broadcast to (players, T): a number, one
limit per step of shape (T,), one per player of shape (players, 1), or all of them.
"""

import itertools

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

from .kearns_shi import impact_matrix

# Tighter than the defaults of HiGHS, which are 1e-7.
_HIGHS_OPTIONS = {
    "primal_feasibility_tolerance": 1e-10,
    "dual_feasibility_tolerance": 1e-10,
}


def _boxes(lows, highs, players, horizon):
    """Return the trade limits of every player and step, two (players, T) arrays."""
    shape = (players, horizon)
    return np.broadcast_to(lows, shape), np.broadcast_to(highs, shape)


# --- Whole shares ---------------------------------------------------------------------


def enumerate_schedules(horizon, target, lows, highs):
    """Return every feasible schedule of whole trades in lexicographic order.

    Args:
        horizon: number of steps T.
        target: sum of the trades.
        lows: smallest trades, an integer or shape (T,).
        highs: largest trades, an integer or shape (T,).

    Returns:
        int64, shape (num, T).
    """
    lows = np.broadcast_to(np.asarray(lows, dtype=np.int64), (horizon,))
    highs = np.broadcast_to(np.asarray(highs, dtype=np.int64), (horizon,))
    if np.any(lows > highs) or not lows.sum() <= target <= highs.sum():
        raise ValueError(f"no schedule reaches target={target}")
    prefixes = np.zeros((1, 0), dtype=np.int64)
    for t in range(horizon):
        choices = np.arange(lows[t], highs[t] + 1)
        old = np.repeat(prefixes, len(choices), axis=0)
        new = np.tile(choices, len(prefixes))
        prefixes = np.column_stack([old, new])
        rest = target - prefixes.sum(axis=1)
        is_open = (lows[t + 1 :].sum() <= rest) & (rest <= highs[t + 1 :].sum())
        prefixes = prefixes[is_open]
    return prefixes


def cost(own, others, kappa, *, temporary_exponent=1.0, fixed_fee=0.0):
    """Return the cost of a schedule against the summed flow of the other players.

    sum_t a_t sign(s_t) |s_t|^exponent + kappa sum_t a_t (A_{t-1} + B_{t-1})
    + fee #{t: a_t != 0}, where s = a + b and A, B are the holdings (KS25 section 2,
    with power-law temporary impact and a fee for every step with a trade).

    Args:
        own: trades a, shape (..., T).
        others: summed trades b of all the others, shape (..., T).
        kappa: market impact coefficient, a number or shape (...).
        temporary_exponent: power of the temporary impact.
        fixed_fee: fee of a step with a trade.

    Returns:
        Costs, shape (...), the leading axes broadcast.
    """
    own, others = np.asarray(own, dtype=float), np.asarray(others, dtype=float)
    flow = own + others
    holdings_before = np.zeros_like(flow)
    holdings_before[..., 1:] = np.cumsum(flow[..., :-1], axis=-1)
    impact = np.sign(flow) * np.abs(flow) ** temporary_exponent
    temporary = np.sum(own * impact, axis=-1)
    permanent = np.sum(own * holdings_before, axis=-1)
    fees = fixed_fee * np.count_nonzero(own, axis=-1)
    return temporary + kappa * permanent + fees


def cost_tables(kappa, targets, horizon, lows, highs, **general):
    """Return all schedules and the cost tables of a small trading game.

    Args:
        kappa: market impact coefficient.
        targets: sums of the trades, shape (players,).
        horizon: number of steps T.
        lows: smallest trades, broadcast to (players, T).
        highs: largest trades, broadcast to (players, T).
        **general: `temporary_exponent` and `fixed_fee` of `cost`.

    Returns:
        A list of the schedules of every player, shapes (num_i, T), and a list with
        the cost of every player, each of shape (num_1, ..., num_n).
    """
    players = len(targets)
    lows, highs = _boxes(lows, highs, players, horizon)
    schedules = [
        enumerate_schedules(horizon, target, low, high)
        for target, low, high in zip(targets, lows, highs, strict=True)
    ]
    spread = []  # schedules along an axis of their own: (1, .., num_i, .., 1, T)
    for i, own in enumerate(schedules):
        axes = tuple(j for j in range(players) if j != i)
        spread.append(np.expand_dims(own, axes))
    total = sum(spread)
    return schedules, [cost(own, total - own, kappa, **general) for own in spread]


def _check_mixture(schedules, weights, target, low, high):
    """Raise where a mixed strategy is not one: weights, targets and trade limits."""
    if not (np.all(weights >= 0) and abs(weights.sum() - 1) <= 1e-9):
        raise ValueError("weights have to be nonnegative and sum to one")
    if len(weights) != len(schedules):
        raise ValueError("one weight is needed for each schedule")
    if np.any(schedules.sum(axis=1) != target):
        raise ValueError(f"a schedule misses target={target}")
    if np.any(schedules < low) or np.any(schedules > high):
        raise ValueError("a schedule exceeds the trade limits")
    if np.any(schedules != np.round(schedules)):
        raise ValueError("trades have to be whole")


def nash_gap(supports, weights, kappa, targets, lows, highs, **general):
    """Return what each player gains by its best deviation, all schedules tried.

    Players mix independently; the expectation runs over all combinations of the
    others' schedules, so costs need not be affine in the others' flow.

    Args:
        supports: schedules in use, n arrays of shape (S_i, T).
        weights: their probabilities, n arrays of shape (S_i,), each with sum one to
            1e-9.
        kappa: market impact coefficient.
        targets: sums of the trades, shape (n,).
        lows: smallest trades, broadcast to (n, T).
        highs: largest trades, broadcast to (n, T).
        **general: `temporary_exponent` and `fixed_fee` of `cost`.

    Returns:
        Expected cost minus the least expected cost, shape (n,); zero up to rounding
        at a Nash equilibrium, and not clipped.
    """
    supports = [np.asarray(support) for support in supports]
    weights = [np.asarray(weight, dtype=float) for weight in weights]
    players, horizon = len(targets), supports[0].shape[1]
    lows, highs = _boxes(lows, highs, players, horizon)
    for mixture in zip(supports, weights, targets, lows, highs, strict=True):
        _check_mixture(*mixture)

    gaps = []
    for i in range(players):
        deviations = enumerate_schedules(horizon, targets[i], lows[i], highs[i])
        paid, least = 0.0, np.zeros(len(deviations))
        others = [j for j in range(players) if j != i]
        for picks in itertools.product(*(range(len(weights[j])) for j in others)):
            chosen = list(zip(others, picks, strict=True))
            probability = np.prod([weights[j][k] for j, k in chosen])
            flow = sum((supports[j][k] for j, k in chosen), np.zeros(horizon))
            paid += probability * (
                weights[i] @ cost(supports[i], flow, kappa, **general)
            )
            least += probability * cost(deviations, flow, kappa, **general)
        gaps.append(paid - least.min())
    return np.array(gaps)


def pure_gap(profile, kappa, targets, lows, highs, **general):
    """Return what each player of a pure profile (n, T) gains by its best deviation.

    As `nash_gap`, with one schedule for each of the n players.
    """
    supports = [np.asarray(schedule)[None] for schedule in profile]
    weights = [np.ones(1)] * len(supports)
    return nash_gap(supports, weights, kappa, targets, lows, highs, **general)


def planner_optimum(kappa, targets, horizon, lows, highs):
    """Return the least total cost of all players, every profile tried.

    The total cost sum_i a_i'M S = S'M S depends on the summed flow S alone, so every
    sum of the players' schedules is formed, and its cost computed once. Arguments as
    in `cost_tables`, without general costs.
    """
    players = len(targets)
    lows, highs = _boxes(lows, highs, players, horizon)
    base = int(np.max(highs.sum(axis=0) - lows.sum(axis=0))) + 1
    if horizon * np.log2(base) > 62:
        raise ValueError("the game is too large")
    # Flows above the lower limits are the digits of a number: numbers add as flows do.
    place_values = base ** np.arange(horizon, dtype=np.int64)
    sums = np.zeros(1, dtype=np.int64)
    for target, low, high in zip(targets, lows, highs, strict=True):
        schedules = enumerate_schedules(horizon, target, low, high)
        codes = (schedules - low) @ place_values
        blocks = [
            np.unique(sums[first : first + 500, None] + codes)
            for first in range(0, len(sums), 500)
        ]
        sums = np.unique(np.concatenate(blocks))
    flows = sums[:, None] // place_values % base + lows.sum(axis=0)
    return float(np.min(cost(flows, np.zeros(horizon), kappa)))


# --- Cost tables ----------------------------------------------------------------------


def bimatrix_gap(costs_row, costs_col, x, y):
    """Return what the row and the column player gain by a best deviation, shape (2,).

    Args:
        costs_row: costs of the row player, shape (rows, columns).
        costs_col: costs of the column player, shape (rows, columns).
        x: mixed strategy of the row player, shape (rows,).
        y: mixed strategy of the column player, shape (columns,).
    """
    row_costs, col_costs = costs_row @ y, x @ costs_col
    return np.array([x @ row_costs - row_costs.min(), col_costs @ y - col_costs.min()])


def _scaled(costs):
    """Return costs moved and stretched onto [0, 1]; constant costs become zeros."""
    costs = np.asarray(costs, dtype=float)
    spread = np.ptp(costs)
    return (costs - costs.min()) / (spread if spread > 0 else 1.0)


def _indifference_points(costs, tol):
    """Return mixtures of the rows that are vertices for the opponent's least cost.

    The vertices of {(x, v): x in the simplex, x'C >= v}, found by solving for every
    pair of a support and as many opponent's answers of equal cost.

    Args:
        costs: the opponent's costs, shape (rows, columns).
        tol: largest violation that counts as none.

    Returns:
        List of x, shape (rows,), no two within `tol`.
    """
    rows, columns = costs.shape
    points = []
    for size in range(1, min(rows, columns) + 1):
        for support in itertools.combinations(range(rows), size):
            for answers in itertools.combinations(range(columns), size):
                system = np.zeros((size + 1, size + 1))
                system[:size, :size] = costs[np.ix_(support, answers)].T
                system[:size, size] = -1
                system[size, :size] = 1
                if np.linalg.matrix_rank(system) <= size:
                    continue
                solution = np.linalg.solve(system, np.eye(size + 1)[size])
                x = np.zeros(rows)
                x[list(support)] = solution[:size]
                if x.min() < -tol or np.min(x @ costs) < solution[size] - tol:
                    continue
                x = np.maximum(x, 0) / np.maximum(x, 0).sum()
                if all(np.max(np.abs(x - point)) > tol for point in points):
                    points.append(x)
    return points


def all_equilibria(costs_row, costs_col, tol=1e-9):
    """Return all extreme Nash equilibria of a tiny bimatrix game.

    Supports of equal and of unequal size are covered: the vertices of both players'
    polytopes are enumerated, and a pair is kept where each strategy uses best answers
    to the other alone (Mangasarian 1964). A nondegenerate game has no other
    equilibria; in a degenerate one the rest are convex combinations of these.

    Args:
        costs_row: costs of the row player, shape (rows, columns), up to about 6 x 6.
        costs_col: costs of the column player, shape (rows, columns).
        tol: tolerance, relative to the range of the costs.

    Returns:
        List of (x, y), shapes (rows,) and (columns,).
    """
    row, col = _scaled(costs_row), _scaled(costs_col)
    xs = _indifference_points(col, tol)
    ys = _indifference_points(row.T, tol)
    equilibria = []
    for x, y in itertools.product(xs, ys):
        row_costs, col_costs = row @ y, x @ col
        is_row_best = np.all(row_costs[x > tol] <= row_costs.min() + tol)
        is_col_best = np.all(col_costs[y > tol] <= col_costs.min() + tol)
        if is_row_best and is_col_best:
            equilibria.append((x, y))
    return equilibria


def zero_sum_value(costs_row):
    """Return the value min_x max_j (x'C)_j of a zero-sum game, by linear programming.

    Args:
        costs_row: what the row player pays the column player, shape (rows, columns).
    """
    costs_row = np.asarray(costs_row, dtype=float)
    rows, columns = costs_row.shape
    scaled = _scaled(costs_row)
    answer = linprog(  # variables: x, then the value v
        c=np.append(np.zeros(rows), 1),
        A_ub=np.column_stack([scaled.T, -np.ones(columns)]),
        b_ub=np.zeros(columns),
        A_eq=np.append(np.ones(rows), 0)[None],
        b_eq=[1],
        bounds=[(0, None)] * rows + [(None, None)],
        method="highs",
        options=_HIGHS_OPTIONS,
    )
    if answer.status != 0:
        raise RuntimeError(answer.message)
    return float(costs_row.min() + np.ptp(costs_row) * answer.fun)


def correlated_extremes(costs, concept):
    """Return the least and the largest expected total cost over (coarse) CE.

    One linear program over all distributions of joint actions. Its rows: for "ce",
    no player gains by playing b whenever it is told a, for all a and b; for "cce", no
    player gains by always playing b.

    Args:
        costs: cost of every player, n arrays of shape (m_1, ..., m_n).
        concept: "ce" or "cce".

    Returns:
        best, worst: floats.
    """
    if concept not in ("ce", "cce"):
        raise ValueError(f"unknown concept {concept!r}")
    shape = np.shape(costs[0])
    joint_actions = np.arange(np.prod(shape)).reshape(shape)
    entries, columns, starts = [], [], [0]
    for i, own in enumerate(costs):
        own = np.moveaxis(_scaled(own), i, 0).reshape(shape[i], -1)
        index = np.moveaxis(joint_actions, i, 0).reshape(shape[i], -1)
        for b in range(shape[i]):
            excess = own - own[b]  # what is paid more than with b, (m_i, others)
            if concept == "ce":
                groups = [[a] for a in range(shape[i]) if a != b]
            else:
                groups = [list(range(shape[i]))]
            for told in groups:
                entries.append(excess[told].ravel())
                columns.append(index[told].ravel())
                starts.append(starts[-1] + entries[-1].size)
    total = np.sum(costs, axis=0, dtype=float).ravel()
    limits = {}
    if len(starts) > 1:  # a player with one action has no deviation
        rows = len(starts) - 1
        data = (np.concatenate(entries), np.concatenate(columns), starts)
        limits = {"A_ub": csr_array(data, shape=(rows, total.size))}
        limits["b_ub"] = np.zeros(rows)
    extremes = []
    for sign in (1, -1):
        answer = linprog(
            c=sign * total,
            A_eq=np.ones((1, total.size)),
            b_eq=[1],
            bounds=(0, None),
            method="highs",
            options=_HIGHS_OPTIONS,
            **limits,
        )
        if answer.status != 0:
            raise RuntimeError(answer.message)
        extremes.append(float(sign * answer.fun))
    return tuple(extremes)


# --- Fractional shares ----------------------------------------------------------------


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
    lows, highs = _boxes(lows, highs, len(targets), horizon)
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
