"""Reference equilibria of games given by tables of costs, which are minimised.

Plain NumPy and SciPy in double precision, straight from the definitions; correct rather
than fast. The package is tested against it.
"""

import itertools

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

# Tighter than the defaults of HiGHS, which are 1e-7.
_HIGHS_OPTIONS = {
    "primal_feasibility_tolerance": 1e-10,
    "dual_feasibility_tolerance": 1e-10,
}


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
