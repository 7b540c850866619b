"""Position building along straight lines between times, in NumPy and SciPy.

A type with kappa whose path x is straight between equally spaced times pays, against
what it expects the others' path y to be,

    int (x' + y') x' + kappa (x + y) x' dt.

Its gradient in the rates v of the cells is 2 v + w + kappa y, with w and y the others'
rate and mean position there, up to a constant; in an inner position x_j it is
T (2 z_j - z_{j-1} - z_{j+1}) + kappa (y_{j-1} - y_{j+1}) / 2 with z = 2 x + y and T
the number of cells.
"""

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded, solve_banded
from stacks import contracting_steps, in_stacks, pairwise_beliefs

_MOST_ROUNDS = 20_000
# Pivots at once that may fail to help before there is one at a time.
_PATIENCE = 10
_GAMES_AT_ONCE = 256


@in_stacks(_GAMES_AT_ONCE)
def gradient_play(games: dict, numbers: dict) -> np.ndarray:
    """Let all types of all games descend their own costs until no gradient is left.

    Args:
        games: `permanent_impacts` and `targets`, shape (games, types), `prior` and
            `num_types`.
        numbers: `num_points`; `tol` of the largest gradient, 1e-10 of the largest
            target times one plus the largest impact.

    Returns:
        Positions at equally spaced times, shape (games, types, points).
    """
    targets, impacts = games["targets"], games["permanent_impacts"]
    num_cells, tol = numbers["num_points"] - 1, numbers.get("tol", 1e-10)
    scales = np.abs(targets).max(axis=1) * (1 + impacts.max(axis=1))
    steps = contracting_steps(impacts, len(games["num_types"]))[:, None, None]
    beliefs, kappa = pairwise_beliefs(games["prior"]), impacts[:, :, None]

    rates = np.repeat(targets[:, :, None], num_cells, axis=2)
    playing = np.arange(len(targets))
    now = rates.copy()
    for _ in range(_MOST_ROUNDS):
        others = beliefs @ now
        held = (np.cumsum(others, axis=2) - others / 2) / num_cells
        gradient = 2 * now + others + kappa * held
        gradient -= gradient.mean(axis=2, keepdims=True)
        now -= steps * gradient
        goes_on = np.abs(gradient).max(axis=(1, 2)) > tol * scales
        if goes_on.all():
            continue
        rates[playing[~goes_on]] = now[~goes_on]
        playing, now, scales = playing[goes_on], now[goes_on], scales[goes_on]
        steps, beliefs, kappa = steps[goes_on], beliefs[goes_on], kappa[goes_on]
        if not len(playing):
            break
    rates[playing] = now
    positions = np.cumsum(rates, axis=2) / num_cells
    return np.pad(positions, [(0, 0), (0, 0), (1, 0)])


@in_stacks(_GAMES_AT_ONCE)
def best_responses(games: dict, numbers: dict) -> np.ndarray:
    """Let all types of all games move towards their best responses, damped.

    A best response solves a tridiagonal system, the same for every type of every game,
    and so do all of a round at once.

    Args:
        games: as for `gradient_play`.
        numbers: `num_points`; `tol` of the largest move to a best response, 1e-11 of
            the largest target.

    Returns:
        Positions at equally spaced times, shape (games, types, points).
    """
    targets, impacts = games["targets"], games["permanent_impacts"]
    num_points, tol = numbers["num_points"], numbers.get("tol", 1e-11)
    num_cells = num_points - 1
    scales = np.abs(targets).max(axis=1)
    steps = contracting_steps(impacts, len(games["num_types"]))
    damping = np.minimum(2 * steps, 1)[:, None, None]
    beliefs, kappa = pairwise_beliefs(games["prior"]), impacts[:, :, None]
    tridiagonal = np.full((2, num_points - 2), 4.0 * num_cells)
    tridiagonal[0] = -2.0 * num_cells
    factor = cholesky_banded(tridiagonal), False

    schedules = targets[:, :, None] * np.linspace(0.0, 1.0, num_points)
    playing = np.arange(len(targets))
    now = schedules.copy()
    for _ in range(_MOST_ROUNDS):
        others = beliefs @ now
        bend = 2 * now + others
        gradient = 2 * bend[..., 1:-1] - bend[..., :-2] - bend[..., 2:]
        gradient *= num_cells
        gradient += kappa / 2 * (others[..., :-2] - others[..., 2:])
        flat = gradient.reshape(-1, num_points - 2).T
        move = cho_solve_banded(factor, flat, check_finite=False).T
        move = move.reshape(gradient.shape)
        now[..., 1:-1] -= damping * move
        goes_on = np.abs(move).max(axis=(1, 2)) > tol * scales
        if goes_on.all():
            continue
        schedules[playing[~goes_on]] = now[~goes_on]
        playing, now, scales = playing[goes_on], now[goes_on], scales[goes_on]
        damping, beliefs, kappa = damping[goes_on], beliefs[goes_on], kappa[goes_on]
        if not len(playing):
            break
    schedules[playing] = now
    return schedules


@in_stacks(_GAMES_AT_ONCE)
def bounded_lines(games: dict, numbers: dict) -> np.ndarray:
    """Solve games with bounds on positions, one after another, by block pivoting.

    The first-order conditions of all types are a complementarity problem in the inner
    positions: the gradient is 0 inside the bounds, at least 0 at a lower and at most 0
    at an upper one. Given who is at which bound, it is a linear system, block
    tridiagonal in time, hence banded. (Judice & Pires 1994.)

    Args:
        games: as for `gradient_play`, and `lower` and `upper`, numbers for every firm,
            shape (games, firms, 1).
        numbers: `num_points`; `max_steps` linear systems a game, 500.

    Returns:
        Positions at equally spaced times, shape (games, types, points).
    """
    targets, impacts = games["targets"], games["permanent_impacts"]
    inner, most = numbers["num_points"] - 2, numbers.get("max_steps", 500)
    size, num_cells = targets.shape[1], inner + 1
    beliefs = pairwise_beliefs(games["prior"])
    firms = np.repeat(np.arange(len(games["num_types"])), games["num_types"])
    lower, upper = (
        np.tile(games[side][:, firms, 0], inner) for side in ("lower", "upper")
    )

    # Unknowns by time, then type. The first factor is that of the paths' bends, the
    # second that of the others' slopes.
    bends = num_cells * (2 * np.eye(size) + beliefs)
    slopes = impacts[:, :, None] * beliefs / 2
    after = -slopes - bends
    blocks = np.concatenate([slopes - bends, 2 * bends, after], axis=2)
    bands, band = _bands(blocks, inner), 2 * size - 1
    constants = np.zeros((len(targets), inner * size))
    constants[:, -size:] = (after @ targets[:, :, None])[:, :, 0]
    schedules = np.zeros((*targets.shape, inner + 2))
    schedules[:, :, -1] = targets
    for game, rows in enumerate(zip(bands, constants, lower, upper, strict=True)):
        found = _pivot(band, *rows, most)
        schedules[game, :, 1:-1] = found.reshape(inner, size).T
    return schedules


def _bands(blocks: np.ndarray, count: int) -> np.ndarray:
    """Return block tridiagonal matrices with equal rows of blocks as SciPy's bands.

    Args:
        blocks: those before, on and after the diagonal, shape (games, size, 3 size).
        count: rows of blocks.
    """
    games, size, _ = blocks.shape
    row, column = np.indices((size, 3 * size))
    pattern = np.zeros((games, 4 * size - 1, size))
    pattern[:, 3 * size - 1 + row - column, column % size] = blocks
    return np.tile(pattern, count)


def _pivot(
    band: int,
    bands: np.ndarray,
    constant: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    most: int,
) -> np.ndarray:
    """Return x within bounds at which M x + constant has the right signs."""
    size = len(constant)
    rows = np.arange(2 * band + 1)[:, None] - band + np.arange(size)
    rows = np.clip(rows, 0, size - 1)
    diagonal = bands[band]
    side = np.zeros(size, int)
    fewest, patience = size + 1, _PATIENCE
    for _ in range(most):
        is_free = side == 0
        bound = np.where(side > 0, upper, lower)
        system = np.where(is_free[rows], bands, 0.0)
        system[band] = np.where(is_free, diagonal, 1.0)
        right = np.where(is_free, -constant, bound)
        point = solve_banded((band, band), system, right, check_finite=False)
        force = _times(bands, band, point) + constant
        slack = 1e-13 * np.abs(point).max()
        beyond = (point > upper + slack).astype(int) - (point < lower - slack)
        leaves = side * force > slack * diagonal
        wanted = np.where(is_free, beyond, np.where(leaves, 0, side))
        wrong = np.flatnonzero(wanted != side)
        if not len(wrong):
            break
        patience = _PATIENCE if len(wrong) < fewest else patience - 1
        fewest = min(fewest, len(wrong))
        moved = wrong if patience > 0 else wrong[-1:]
        side[moved] = wanted[moved]
    return np.clip(point, lower, upper)


def _times(bands: np.ndarray, band: int, vector: np.ndarray) -> np.ndarray:
    """Return the product of a matrix in bands and a vector."""
    size, result = len(vector), np.zeros(len(vector))
    for place, row in enumerate(bands * vector):
        shift = place - band  # of the row below the column
        if shift >= 0:
            result[shift:] += row[: size - shift]
        else:
            result[:shift] += row[-shift:]
    return result
