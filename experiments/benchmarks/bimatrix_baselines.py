"""NumPy and SciPy baselines of two-player finite games, and packages that do the same.

What a careful user would write for one core, with nothing of the package: pivoting goes
game by game, supports are tried in all games at once, linear programs go to HiGHS.
Functions take the arguments of `BimatrixGame` and of a solver.
"""

import importlib.util
import itertools
from collections.abc import Callable

import numpy as np
import scipy.optimize

# Numbers of the linear systems that are solved at once in support enumeration.
_MOST_NUMBERS = 2**22
# Entries of a tableau, and differences of ratios, that are rounding.
_ROUNDING = 1e-11


def lemke_howson(payoffs_row, payoffs_col, label, max_pivots=2000):
    """Follow the path of one label from the empty pair to an equilibrium.

    Tableaux hold every variable of both polytopes, a column each, then the right-hand
    side and a generic second one that decides ties as a symbolic perturbation would.

    Args:
        payoffs_row: of the row player, shape (rows, cols).
        payoffs_col: of the column player, same shape.
        label: the strategy whose label is dropped first; the columns' follow the rows'.
        max_pivots: pivots after which to give up.

    Returns:
        Both mixtures, or None if the path was given up.
    """
    rows, cols = payoffs_row.shape
    scaled = [
        1 + (x - x.min()) / (np.ptp(x) or 1.0) for x in (payoffs_row, payoffs_col)
    ]
    generic = np.random.default_rng(0).uniform(1, 2, rows + cols)
    tableaux = [
        np.column_stack([scaled[1].T, np.eye(cols), np.ones(cols), generic[:cols]]),
        np.column_stack([np.eye(rows), scaled[0], np.ones(rows), generic[cols:]]),
    ]
    bases = [np.arange(rows, rows + cols), np.arange(rows)]
    side, entering = (0 if label < rows else 1), label
    for _ in range(max_pivots):
        tableau, basis = tableaux[side], bases[side]
        column = tableau[:, entering]
        (open_rows,) = np.nonzero(column > _ROUNDING)
        if not len(open_rows):
            return None
        ratios = tableau[open_rows, -2:] / column[open_rows, None]
        least = ratios[:, 0].min()
        is_least = ratios[:, 0] <= least + _ROUNDING * max(least, 1.0)
        ties = open_rows[is_least]
        row = ties[np.argmin(ratios[is_least, 1])]
        pivot = tableau[row] / column[row]
        tableau -= np.outer(column, pivot)
        tableau[row] = pivot
        entering, basis[row] = basis[row], entering
        if entering == label:
            break
        side = 1 - side
    else:
        return None
    mixtures = []
    for tableau, basis, first, size in zip(
        tableaux, bases, (0, rows), (rows, cols), strict=True
    ):
        mixture = np.zeros(size)
        is_used = (first <= basis) & (basis < first + size)
        mixture[basis[is_used] - first] = np.maximum(tableau[is_used, -2], 0)
        if not mixture.any():
            return None
        mixtures.append(mixture / mixture.sum())
    return mixtures


def largest_gains(payoffs_row, payoffs_col, row, col):
    """Return the largest gain from a deviation in every game, shape (games,).

    Args:
        payoffs_row: shape (games, rows, cols).
        payoffs_col: same shape.
        row: mixtures of the row players, shape (games, rows).
        col: mixtures of the column players, shape (games, cols).
    """
    ahead = np.einsum("gij,gj->gi", payoffs_row, col)
    behind = np.einsum("gi,gij->gj", row, payoffs_col)
    gains = [
        x.max(axis=1) - (mix * x).sum(axis=1)
        for x, mix in ((ahead, row), (behind, col))
    ]
    return np.maximum(*gains)


def first_equilibrium(
    payoffs_row, payoffs_col, tol=1e-10, first_label=0, num_labels=10
):
    """Return the first pair of a path with no gain above `tol`, or the best pair.

    Args:
        payoffs_row: of the row player, shape (rows, cols).
        payoffs_col: of the column player, same shape.
        tol: largest gain, relative to the larger range of payoffs.
        first_label: label that is dropped first in the first path.
        num_labels: labels to try.
    """
    game = payoffs_row[None], payoffs_col[None]
    unit = max(np.ptp(payoffs_row), np.ptp(payoffs_col)) or 1.0
    total = sum(payoffs_row.shape)
    best, least = None, np.inf
    for attempt in range(min(num_labels, total)):
        pair = lemke_howson(payoffs_row, payoffs_col, (first_label + attempt) % total)
        if pair is None:
            continue
        gap = largest_gains(*game, pair[0][None], pair[1][None])[0]
        if gap < least:
            best, least = pair, gap
        if gap <= tol * unit:
            break
    return best


def lemke_howson_gains(games: dict, numbers: dict) -> np.ndarray:
    """Find an equilibrium of every game; return its largest gain, shape (games,).

    NaN where no path ended.
    """
    del numbers
    payoffs = games["payoffs_row"], games["payoffs_col"]
    count, rows, cols = payoffs[0].shape
    row, col = np.full((count, rows), np.nan), np.full((count, cols), np.nan)
    for place, game in enumerate(zip(*payoffs, strict=True)):
        pair = first_equilibrium(*game)
        if pair is not None:
            row[place], col[place] = pair
    return largest_gains(*payoffs, row, col)


def support_enumeration(games: dict, numbers: dict) -> np.ndarray:
    """Try all pairs of supports of one size, all games and pairs of a size at once.

    Returns:
        The number of equilibria of every game, shape (games,).
    """
    del numbers
    payoffs_row, payoffs_col = games["payoffs_row"], games["payoffs_col"]
    count, rows, cols = payoffs_row.shape
    found = np.zeros(count, np.int64)
    for size in range(1, min(rows, cols) + 1):
        pairs = itertools.product(
            itertools.combinations(range(rows), size),
            itertools.combinations(range(cols), size),
        )
        pairs = np.array(list(pairs))  # (pairs, 2, size)
        step = max(1, _MOST_NUMBERS // (len(pairs) * (size + 1) ** 2))
        for first in range(0, count, step):
            block = slice(first, first + step)
            found[block] += _count_pairs(payoffs_row[block], payoffs_col[block], pairs)
    return found


def _count_pairs(payoffs_row, payoffs_col, pairs):
    """Return how many pairs of supports hold an equilibrium, shape (games,)."""
    in_row, in_col = pairs[:, 0], pairs[:, 1]
    # The column players' mixtures make the row players indifferent, and vice versa.
    col, value_row = _indifferent(payoffs_row, in_row, in_col)
    row, value_col = _indifferent(payoffs_col.swapaxes(1, 2), in_col, in_row)
    is_found = (col > 0).all(axis=2) & (row > 0).all(axis=2)
    game, pair = np.nonzero(is_found)
    # Only where both are mixtures need deviations be tried.
    ahead = _against(payoffs_row[game], in_col[pair], col[game, pair])
    behind = _against(payoffs_col[game].swapaxes(1, 2), in_row[pair], row[game, pair])
    is_best = (ahead.max(axis=1) <= value_row[game, pair] + 1e-9) & (
        behind.max(axis=1) <= value_col[game, pair] + 1e-9
    )
    return np.bincount(game[is_best], minlength=len(payoffs_row))


def _indifferent(payoffs, own, other):
    """Return the other's mixtures that make own supports indifferent, and the values.

    Args:
        payoffs: own strategies by the other's, shape (games, own, other).
        own: supports, shape (pairs, size).
        other: supports, shape (pairs, size).
    """
    size = own.shape[1]
    system = np.zeros((len(payoffs), len(own), size + 1, size + 1))
    system[:, :, :size, :size] = payoffs[:, own[:, :, None], other[:, None]]
    system[:, :, :size, size] = -1
    system[:, :, size, :size] = 1
    right = np.zeros((size + 1, 1))
    right[size] = 1
    right = np.broadcast_to(right, (*system.shape[:3], 1))
    try:
        solved = np.linalg.solve(system, right)[..., 0]
    except np.linalg.LinAlgError:  # a singular pair holds no isolated equilibrium
        is_regular = np.linalg.matrix_rank(system) == size + 1
        solved = np.full(system.shape[:3], np.nan)
        solved[is_regular] = np.linalg.solve(system[is_regular], right[is_regular])[
            ..., 0
        ]
    return solved[..., :size], solved[..., size]


def _against(payoffs, support, mixture):
    """Return payoffs of all own strategies, (pairs, own), against mixtures."""
    chosen = np.take_along_axis(payoffs, support[:, None], axis=2)
    return np.einsum("pik,pk->pi", chosen, mixture)


def extreme_total_costs(costs_row, costs_col):
    """Return the least and greatest total cost of coarse correlated equilibria.

    A distribution of pairs is one if neither player gains from a fixed strategy.

    Args:
        costs_row: of the row player, shape (rows, cols).
        costs_col: of the column player, same shape.
    """
    paid = costs_row.ravel(), costs_col.ravel()
    rows, cols = costs_row.shape
    unit = max(np.ptp(x) for x in paid) or 1.0
    gains = np.concatenate(
        [
            paid[0] - np.tile(costs_row, (1, rows)),
            paid[1] - np.repeat(costs_col.T, cols, axis=1),
        ]
    )
    total = paid[0] + paid[1]
    extremes = []
    for sign in (1, -1):
        result = scipy.optimize.linprog(
            sign * total / unit,
            A_ub=gains / unit,
            b_ub=np.zeros(len(gains)),
            A_eq=np.ones((1, total.size)),
            b_eq=np.ones(1),
        )
        extremes.append(total @ result.x if result.status == 0 else np.nan)
    return extremes


def correlated(games: dict, numbers: dict) -> np.ndarray:
    """Solve both linear programs of every game; return costs, shape (games, 2)."""
    del numbers
    payoffs = zip(games["payoffs_row"], games["payoffs_col"], strict=True)
    return np.array([extreme_total_costs(-row, -col) for row, col in payoffs])


# --- Packages -------------------------------------------------------------------------


def _quantecon_games(games: dict) -> list:
    from quantecon.game_theory import NormalFormGame, Player

    payoffs = zip(games["payoffs_row"], games["payoffs_col"], strict=True)
    return [
        NormalFormGame([Player(np.array(x, order="C")) for x in (row, col.T)])
        for row, col in payoffs
    ]


def quantecon_lemke_howson(games: dict, numbers: dict) -> np.ndarray:
    """Do as `lemke_howson_gains` with quantecon's compiled pivoting, game by game."""
    from quantecon.game_theory import lemke_howson

    del numbers
    pairs = [lemke_howson(game) for game in _quantecon_games(games)]
    row, col = (np.stack([pair[i] for pair in pairs]) for i in (0, 1))
    return largest_gains(games["payoffs_row"], games["payoffs_col"], row, col)


def quantecon_support_enumeration(games: dict, numbers: dict) -> np.ndarray:
    """Do as `support_enumeration` with quantecon's compiled loop, game by game."""
    from quantecon.game_theory import support_enumeration

    del numbers
    return np.array([len(support_enumeration(x)) for x in _quantecon_games(games)])


Answer = Callable[[dict, dict], np.ndarray]

BIMATRIX_BASELINES: dict[str, Answer] = {
    "bimatrix/lemke-howson": lemke_howson_gains,
    "bimatrix/support-enumeration": support_enumeration,
    "bimatrix/correlated-lp": correlated,
}

BIMATRIX_PEERS: dict[str, Answer] = {}
if importlib.util.find_spec("quantecon"):
    BIMATRIX_PEERS = {
        "bimatrix/lemke-howson": quantecon_lemke_howson,
        "bimatrix/support-enumeration": quantecon_support_enumeration,
    }
