"""Position building in steps, backwards, on stacks of games in NumPy.

A firm that has r_i shares left to buy pays in a step, apart from kappa_i r_i X, which
is lost already (X is what was bought before), A ((T - kappa_i / 2) a_i + kappa_i r_i):
a_i are its trades, A those of all. The state is what is left, r.
"""

import numpy as np
from stacks import in_stacks

_MOST_SWEEPS = 100
_HALVINGS, _NEWTON_STEPS = 5, 5
_GAMES_AT_ONCE = 1024


# --- A public target ------------------------------------------------------------------


@in_stacks(_GAMES_AT_ONCE)
def feedback_trades(games: dict, numbers: dict) -> np.ndarray:
    """Find linear rules of the Markov perfect equilibrium and follow them.

    Costs to come are r' P_i r for every firm. Its first-order condition in a step is
    linear in all trades: one small system a step and game.

    Args:
        games: `targets`, shape (games, firms), and `permanent_impact`, shape (games,).
        numbers: `num_steps`.

    Returns:
        Trades, shape (games, firms, steps).
    """
    targets, num_steps = games["targets"], numbers["num_steps"]
    count, num_firms = targets.shape
    one = np.eye(num_firms)
    impact = games["permanent_impact"][:, None, None]
    weight = num_steps - impact / 2
    firms = np.arange(num_firms)

    def paid(gains: np.ndarray) -> np.ndarray:
        """Return every firm's cost of a step as forms (games, firms, r, r)."""
        price = weight * gains + impact * one
        form = gains.sum(axis=1)[:, None, :, None] * price[:, :, None, :]
        return (form + form.swapaxes(2, 3)) / 2

    gains = np.empty((num_steps, count, num_firms, num_firms))
    gains[-1] = one
    values = paid(gains[-1])
    for step in range(num_steps - 2, -1, -1):
        slopes = 2 * values[:, firms, firms, :]  # of firm i's costs in its own r
        gain = np.linalg.solve(weight * (1 + one) + slopes, slopes - impact * one)
        gains[step] = gain
        keep = (one - gain)[:, None]
        values = paid(gain) + keep.swapaxes(2, 3) @ values @ keep
    return _follow(gains, targets)


@in_stacks(_GAMES_AT_ONCE)
def open_loop_trades(games: dict, numbers: dict) -> np.ndarray:
    """Find schedules that are fixed in advance, as shares of what is left.

    Differences of the first-order conditions of neighbouring steps are a recursion of
    the trades; for a_t = G_t r_t, solved from the last step back, it does not grow.

    Args:
        games: as for `feedback_trades`.
        numbers: `num_steps`.

    Returns:
        Trades, shape (games, firms, steps).
    """
    targets, num_steps = games["targets"], numbers["num_steps"]
    count, num_firms = targets.shape
    one = np.eye(num_firms)
    impact = games["permanent_impact"][:, None, None]
    own = (num_steps + impact / 2) * (1 + one)
    ahead, here = own - impact * one, own - impact
    gains = np.empty((num_steps, count, num_firms, num_firms))
    gains[-1] = one
    for step in range(num_steps - 2, -1, -1):
        moved = ahead @ gains[step + 1]
        gains[step] = np.linalg.solve(here + moved, moved)
    return _follow(gains, targets)


def _follow(gains: np.ndarray, targets: np.ndarray) -> np.ndarray:
    left, trades = targets[:, :, None], []
    for gain in gains:
        trades.append(gain @ left)
        left = left - trades[-1]
    return np.concatenate(trades, axis=2)


# --- A hidden target ------------------------------------------------------------------


@in_stacks(_GAMES_AT_ONCE)
def hidden_trades(games: dict, numbers: dict) -> np.ndarray:
    """Find the linear equilibrium in which an arbitrageur learns the target.

    A guess of noise over variance, n / v, before the last step gives the rules of all
    steps from the last one back, and n / v before the first. The guess that leads to
    the prior is found by secants of it inside a bracket, in all games at once.

    Args:
        games: `target_mean`, `target_std`, `noise_std`, `permanent_impact` and
            `arbitrageur_target`, shape (games,); the target is the mean.
        numbers: `num_steps`; `tol`, 1e-12, of n / v.

    Returns:
        Average trades of trader and arbitrageur, shape (games, 2, steps).
    """
    num_steps, tol = numbers["num_steps"], numbers.get("tol", 1e-12)
    impact = games["permanent_impact"]
    wanted = (games["noise_std"] / games["target_std"]) ** 2 / num_steps
    # Exact without impact, where every rule trades what is left evenly.
    guess = num_steps**2 * wanted + num_steps - 1
    slope = np.full_like(guess, num_steps**-2.0)
    low, high = np.zeros_like(guess), np.full_like(guess, np.inf)
    last = np.full((2, len(guess)), np.nan)  # guess and error before
    for _ in range(_MOST_SWEEPS):
        rules = _sweep(guess, impact, num_steps)
        error = rules["precision"] - wanted
        is_done = np.abs(error) <= tol * (wanted + rules["trader"][:, 0, 0] ** 2)
        if is_done.all():
            break
        is_low = ~(error > 0)  # unsound sweeps too
        low, high = np.where(is_low, guess, low), np.where(is_low, high, guess)
        with np.errstate(invalid="ignore", divide="ignore"):
            secant = (error - last[1]) / (guess - last[0])
            slope = np.where(np.isfinite(secant) & (secant > 0), secant, slope)
            next_guess = guess - error / slope
            is_inside = (next_guess > low) & (next_guess < high)
            halved = np.where(low > 0, np.sqrt(low * high), high / 4)
            halved = np.where(np.isfinite(high), halved, 4 * guess)
        last = np.stack([guess, error])
        guess = np.where(is_done, guess, np.where(is_inside, next_guess, halved))
    return _average_play(games, rules)


def _sweep(precision: np.ndarray, impact: np.ndarray, num_steps: int) -> dict:
    """Return the rules that n / v before the last step leads to, in all games.

    The trader buys alpha d + p, with d what it has left beyond the arbitrageur's
    expectation m, and q what the arbitrageur has left; p and the arbitrageur's trades
    are linear in (q, m). Costs to come are quadratic in (d, q, m) and in (q, m).

    Args:
        precision: n / v before the last step, shape (games,).
        impact: kappa, likewise.
        num_steps: T.

    Returns:
        `trader`, rules on (d, q, m), shape (games, steps, 3); `arbitrageur`, on (q, m);
        `gains` of the filter, shape (games, steps); `precision` before the first step,
        NaN where some step had no solution.
    """
    count, weight = len(precision), num_steps - impact / 2
    rules = np.zeros((count, num_steps, 3))
    replies = np.zeros((count, num_steps, 2))
    gains = np.zeros((count, num_steps))
    rules[:, -1], replies[:, -1] = [1, 0, 1], [1, 0]
    private, own = np.array([1.0, 0, 1]), np.array([1.0, 0])

    def paid(flow: np.ndarray, trade: np.ndarray, left: np.ndarray) -> np.ndarray:
        price = weight[:, None] * trade + impact[:, None] * left
        form = flow[:, :, None] * price[:, None, :]
        return (form + form.swapaxes(1, 2)) / 2

    trader = paid(np.ones((count, 3)), rules[:, -1], private)
    other = paid(np.ones((count, 2)), replies[:, -1], own)
    left, right = np.empty((count, 2, 2)), np.empty((count, 2, 2))
    keep = np.zeros((count, 3, 3))
    for step in range(num_steps - 2, -1, -1):
        unknown = 1 / precision
        alpha = _signal(trader, unknown, impact, weight)
        gain = alpha * unknown / (1 - alpha)
        # A share more is one less to buy, and moves the belief by the gain.
        slope = gain[:, None] * trader[:, 2] - (1 + gain)[:, None] * trader[:, 0]
        curvature = weight + gain * slope[:, 2] - (1 + gain) * slope[:, 0]
        left[:, 0, 0] = 2 * (weight - slope[:, 2])
        left[:, 0, 1] = weight - 2 * slope[:, 1]
        left[:, 1, 0] = weight + 2 * other[:, 0, 1]
        left[:, 1, 1] = 2 * (weight + other[:, 0, 0])
        right[:, 0], right[:, 1] = -2 * slope[:, 1:], 2 * other[:, 0]
        right[:, 0, 1] -= impact
        right[:, 1, 0] -= impact
        solved = np.linalg.solve(left, right)
        rule, reply = rules[:, step], replies[:, step]
        rule[:, 0], rule[:, 1:], reply[:] = alpha, solved[:, 0], solved[:, 1]
        gains[:, step] = gain

        keep[:, 0, 0] = 1 - (1 + gain) * alpha
        keep[:, 1, 1:] = -reply
        keep[:, 2, 0], keep[:, 2, 1:] = gain * alpha, -rule[:, 1:]
        keep[:, 1, 1] += 1
        keep[:, 2, 2] += 1
        flow = rule.copy()
        flow[:, 1:] += reply
        trader = paid(flow, rule, private) + keep.swapaxes(1, 2) @ trader @ keep
        mean = keep[:, 1:, 1:]
        other = paid(flow[:, 1:], reply, own) + mean.swapaxes(1, 2) @ other @ mean
        precision = (1 - alpha) ** 2 * precision - alpha**2
        is_sound = (curvature > 0) & (left[:, 1, 1] > 0) & (precision > 0)
        precision = np.where(is_sound, precision, np.nan)
    return {
        "trader": rules, "arbitrageur": replies, "gains": gains, "precision": precision
    }  # fmt: skip


def _signal(
    trader: np.ndarray, unknown: np.ndarray, impact: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Return the trader's alpha, the first root of a cubic, NaN where there is none.

    It is the first-order condition times (1 - alpha)^2, negative at 0, and sought up to
    1 / (1 + sqrt(unknown)), where the variance before the step would be infinite.
    """
    # The effect of a share, times 1 - alpha, is (-1, 0, 0) + alpha (1 - x, 0, x).
    more = np.stack([1 - unknown, unknown], axis=1)
    corners = trader[:, ::2, ::2]
    pull = (corners @ more[:, :, None])[:, :, 0]
    level, tilt = impact / 2 - trader[:, 0, 0], pull[:, 0] - impact / 2
    linear = weight + trader[:, 0, 0] + tilt - level
    square = -2 * (weight + pull[:, 0]) - tilt
    cubic = weight + (pull * more).sum(axis=1)

    def condition(alpha: np.ndarray) -> np.ndarray:
        return ((cubic * alpha + square) * alpha + linear) * alpha + level

    with np.errstate(invalid="ignore"):
        root = np.sqrt(square**2 - 3 * cubic * linear)
        peak, top = linear / (root - square), 1 / (1 + np.sqrt(unknown))
        is_peak = (peak > 0) & (peak < top) & (condition(peak) >= 0)
        high = np.where(is_peak, peak, top)
        has_root = (level < 0) & (condition(high) >= 0)
    low = np.zeros_like(high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_low = condition(middle) < 0
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    alpha = (low + high) / 2
    for _ in range(_NEWTON_STEPS):
        rise = (3 * cubic * alpha + 2 * square) * alpha + linear
        alpha = np.clip(alpha - condition(alpha) / rise, low, high)
    return np.where(has_root, alpha, np.nan)


def _average_play(games: dict, rules: dict) -> np.ndarray:
    """Return the trades that rules lead to without noise; then d stays zero."""
    state = np.stack([games["arbitrageur_target"], games["target_mean"]], axis=1)
    trades = []
    for step in range(rules["gains"].shape[1]):
        reply = (rules["arbitrageur"][:, step] * state).sum(axis=1)
        trade = (rules["trader"][:, step, 1:] * state).sum(axis=1)
        trades.append(np.stack([trade, reply], axis=1))
        state = state - trades[-1][:, ::-1]
    return np.stack(trades, axis=2)
