"""Positions under other laws of impact, in NumPy: power-law, transient, uncertain."""

import numpy as np
from stacks import in_stacks, pairwise_beliefs

_MOST_STEPS = 200
_GAMES_AT_ONCE = 256
_MATRICES_AT_ONCE = 16


# --- Power law ------------------------------------------------------------------------


def power_law_formula(games: dict, numbers: dict) -> np.ndarray:
    """Evaluate the closed form for all games at once; for exponents below 1.

    With N firms the mean rate v obeys v^(p-2) v' = -c, so that v0^p - v(1)^p is p c
    times the mean target: a convex equation for v0^p, whose Newton steps from above do
    not overshoot. What a firm wants beyond the mean follows (v0 / v)^((N+p)/(N-1)).

    Args:
        games: `targets`, shape (games, firms), of one sign in total;
            `permanent_impact` > 0 and `exponent` < 1, shape (games,).
        numbers: `num_points`.

    Returns:
        Positions at equally spaced times, shape (games, firms, points).
    """
    targets, p = games["targets"], games["exponent"]
    num_firms = targets.shape[1]
    mean = targets.mean(axis=1)
    size = np.abs(mean)
    decline = games["permanent_impact"] * (num_firms - 1)
    decline /= p * num_firms ** (p - 1) * (num_firms + p)
    q = p - 1

    powers = size**p + p * decline * size  # at least v0^p
    for _ in range(_MOST_STEPS):
        first = powers ** (1 / p)
        last = (first**q - q * decline) ** (1 / q)
        move = (powers - last**p - p * decline * size) / (1 - last / first)
        powers = powers - move
        if (np.abs(move) <= 1e-10 * powers).all():
            break
    first = powers ** (1 / p)

    times = np.linspace(0.0, 1.0, numbers["num_points"])
    column = first[:, None], q[:, None], decline[:, None], p[:, None]
    first, q, decline, p = column
    rates = (first**q - q * decline * times) ** (1 / q)
    position = (first**p - rates**p) / (p * decline)
    grown = (first / rates) ** ((num_firms + p) / (num_firms - 1)) - 1
    share = grown / grown[:, -1:]
    beyond = targets - mean[:, None]
    schedules = np.sign(mean)[:, None, None] * position[:, None]
    return schedules + beyond[:, :, None] * share[:, None]


@in_stacks(_GAMES_AT_ONCE)
def power_law_grid(games: dict, numbers: dict) -> np.ndarray:
    """Solve the first-order conditions of paths along lines, all games at once.

    Summed over N firms they hold the total rates Y alone: in every cell k, with h the
    power, X_k the total position at its middle and b = (N - 1) kappa / cells,

        (N + p) h(Y_k) + (N - 1) kappa X_k = price,   mean of Y = total target.

    Where cells are too long for the impact Y changes its sign, at which h is steep; so
    Newton's method, with steps that are halved until they help, is for r_k = (N + p)
    h(Y_k) + b Y_k / 2 and the price. What firms want beyond the mean obeys h'(Y) w +
    kappa times what is still to come = const, from the last cell back.

    Args:
        games: as for `power_law_formula`.
        numbers: `num_points`; `tol`, 1e-10, of conditions relative to the largest term.

    Returns:
        Positions at equally spaced times, shape (games, firms, points).
    """
    targets, p = games["targets"], games["exponent"][:, None]
    num_firms, num_cells = targets.shape[1], numbers["num_points"] - 1
    mean = targets.mean(axis=1)
    target = num_firms * np.abs(mean)[:, None]
    build_up = (num_firms - 1) * games["permanent_impact"][:, None] / num_cells

    level = (num_firms + p) * target**p + build_up / 2 * target
    pushed = np.repeat(level, num_cells, axis=1)
    price = level + build_up * (num_cells - 1) / 2 * target
    scale = level + build_up * (num_cells - 1) * target
    moves, raised = np.zeros_like(pushed), np.zeros_like(price)
    length = np.ones_like(price)
    best = np.full_like(price, np.inf)
    rates = misses = np.zeros_like(pushed)
    for _ in range(_MOST_STEPS):
        tried = pushed + length * moves
        tried_price = price + length * raised
        tried_rates = _rates_of(tried, p, num_firms, build_up)
        before = np.cumsum(tried_rates, axis=1) - tried_rates
        tried_misses = tried + build_up * before - tried_price
        short = tried_rates.mean(axis=1, keepdims=True) - target
        merit = np.abs(tried_misses).max(axis=1, keepdims=True)
        merit = np.maximum(merit, scale / target * np.abs(short))
        is_better = merit < best
        best = np.where(is_better, merit, best)
        pushed = np.where(is_better, tried, pushed)
        price = np.where(is_better, tried_price, price)
        rates = np.where(is_better, tried_rates, rates)
        misses = np.where(is_better, tried_misses, misses)
        length = np.where(is_better, 1.0, length / 2)
        if ((best <= numbers.get("tol", 1e-10) * scale) | (length < 1e-6)).all():
            break
        with np.errstate(divide="ignore"):
            slopes = (num_firms + p) * p * np.abs(rates) ** (p - 1) + build_up / 2
        along = _forward(slopes, build_up, np.ones_like(rates))
        back = _forward(slopes, build_up, misses)
        short = rates.mean(axis=1, keepdims=True) - target
        raised = back.mean(axis=1, keepdims=True) - short
        raised /= along.mean(axis=1, keepdims=True)
        change = raised * along - back
        moves = raised - misses - build_up * (np.cumsum(change, axis=1) - change)

    impact = games["permanent_impact"][:, None] / num_cells
    with np.errstate(divide="ignore"):
        slopes = p * np.abs(rates[:, ::-1]) ** (p - 1) + impact / 2
    share = _forward(slopes, impact, np.ones_like(rates))[:, ::-1]
    share = share / share.mean(axis=1, keepdims=True)
    beyond = targets - mean[:, None]
    common = np.sign(mean)[:, None] * rates / num_firms
    all_rates = common[:, None] + beyond[:, :, None] * share[:, None]
    positions = np.cumsum(all_rates, axis=2) / num_cells
    return np.pad(positions, [(0, 0), (0, 0), (1, 0)])


def _rates_of(
    pushed: np.ndarray, p: np.ndarray, num_firms: int, build_up: np.ndarray
) -> np.ndarray:
    """Return Y with (N + p) h(Y) + b Y / 2 = r, by Newton's method in h(Y).

    In it the left side is convex for p < 1, so that no step from above goes too far.
    """
    size = np.abs(pushed)
    powers = np.minimum(size / (num_firms + p), (2 * size / build_up) ** p)
    for _ in range(_MOST_STEPS):
        rates = powers ** (1 / p)
        with np.errstate(invalid="ignore"):
            bend = np.where(powers > 0, build_up / 2 * rates / (p * powers), 0)
        over = (num_firms + p) * powers + build_up / 2 * rates - size
        powers = np.maximum(powers - over / (num_firms + p + bend), 0)
        if (over <= 1e-14 * size).all():
            break
    return np.sign(pushed) * powers ** (1 / p)


def _forward(diagonal: np.ndarray, below: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve d_k x_k + b (x_0 + ... + x_{k-1}) = r_k for every game.

    Args:
        diagonal: d, shape (games, cells).
        below: b, shape (games, 1).
        right: r, as d.
    """
    solved = np.empty_like(diagonal.T)
    before, below = np.zeros(len(diagonal)), below[:, 0]
    columns = zip(diagonal.T.copy(), right.T.copy(), strict=True)
    for k, (own, wanted) in enumerate(columns):
        solved[k] = (wanted - below * before) / own
        before += solved[k]
    return solved.T


# --- Impact that fades ----------------------------------------------------------------


@in_stacks(_MATRICES_AT_ONCE)
def transient_trades(games: dict, numbers: dict) -> np.ndarray:
    """Solve two linear systems a game, on stacks of games.

    With A the Hessian of own costs and B the others' impact (lower triangular), the
    firms' mean trades obey (A + (N - 1) B) v = const and all differences from it
    (A - B) w = const (Luo & Schied 2018).

    Args:
        games: `targets`, shape (games, firms); `decay` and `temporary_cost`, shape
            (games,); the kernel is exponential.
        numbers: `num_points`.

    Returns:
        Trades, shape (games, firms, points).
    """
    targets, num_points = games["targets"], numbers["num_points"]
    num_firms = targets.shape[1]
    times = np.linspace(0.0, 1.0, num_points)
    kernel = np.exp(-games["decay"][:, None, None] * np.abs(times[:, None] - times))
    others = np.tril(kernel) - np.eye(num_points) / 2
    own = kernel + 2 * games["temporary_cost"][:, None, None] * np.eye(num_points)
    systems = np.stack([own + (num_firms - 1) * others, own - others])
    units = np.linalg.solve(systems, np.ones((num_points, 1)))[..., 0]
    common, deviation = units / units.sum(axis=2, keepdims=True)
    mean = targets.mean(axis=1)[:, None, None]
    beyond = targets[:, :, None] - mean
    return mean * common[:, None] + beyond * deviation[:, None]


def uncertain_trades(games: dict, numbers: dict) -> np.ndarray:
    """Solve one linear system a game: all types' conditions, with a price for each.

    (G_k + G_k') a_k + G_k E[y | k] = mu_k 1 and 1' a_k = V_k, where G_k is what type k
    thinks a trade does to the prices of its own and all later steps.

    Args:
        games: `targets`, `permanent_impacts`, `temporary_impacts`, `transient_impacts`
            and `decays`, shape (games, types), and `prior`.
        numbers: `num_points`, one more than trades.

    Returns:
        Trades, shape (games, types, trades).
    """
    targets, num_trades = games["targets"], numbers["num_points"] - 1
    count, size = targets.shape
    beliefs = pairwise_beliefs(games["prior"])
    steps = np.arange(num_trades)
    lags = np.maximum(steps[:, None] - steps, 0) / num_trades
    later = np.tri(num_trades) - np.eye(num_trades) / 2
    border = np.kron(np.eye(size), np.ones((num_trades, 1)))
    order = size * num_trades
    system = np.zeros((order + size, order + size))
    system[:order, order:], system[order:, :order] = -border, border.T
    right = np.zeros(order + size)
    trades = np.empty((count, size, num_trades))
    for game in range(count):
        impacts = games["transient_impacts"][game, :, None, None] * np.exp(
            -games["decays"][game, :, None, None] * lags
        )
        impacts = (impacts + games["permanent_impacts"][game, :, None, None]) * later
        at_once = games["temporary_impacts"][game, :, None, None] * num_trades
        impacts += at_once * np.eye(num_trades)
        coupled = beliefs[game][:, None, :, None] * impacts[:, :, None, :]
        for kind, own in enumerate(impacts):
            coupled[kind, :, kind, :] += own + own.T
        system[:order, :order] = coupled.reshape(order, order)
        right[order:] = targets[game]
        solved = np.linalg.solve(system, right)[:order]
        trades[game] = solved.reshape(size, num_trades)
    return trades
