"""NumPy baselines of the trading game: its learners, dynamics and equilibria.

What a careful NumPy user would write for one core: all games of a batch advance
together wherever their states have one shape, and a game that has finished leaves the
batch. Nothing of the package is used. Functions take the arguments of `TradingGame` and
of a solver, as `Case.games` and `Case.solver_numbers` give them.
"""

from collections.abc import Callable

import numpy as np
from bimatrix_baselines import (
    BIMATRIX_BASELINES,
    BIMATRIX_PEERS,
    extreme_total_costs,
)
from double_oracle_baseline import DOUBLE_ORACLE_PEERS, cost_table, double_oracle
from numpy_baseline import ResponseTables, all_schedules, published_ftpl_batch
from trading_responses import cheapest_schedules, price_pressure

# Games whose learners advance together (measured: fewer or more take longer).
_BLOCK = 1024


def best_response_dynamics(games: dict, numbers: dict) -> np.ndarray:
    """Let players in turn respond, from even schedules, until none gains or all recurs.

    Profiles are told apart by a random 64-bit code: two different ones of a game share
    theirs with a chance below 10^-15. Units that cost the same up to rounding count as
    tied, as they are for every kappa.

    Returns:
        The last profiles, shape (games, 1, players, horizon).
    """
    kappa, targets = np.asarray(games["permanent_impact"]), games["targets"]
    horizon, limits = games["horizon"], (games["min_trade"], games["max_trade"])
    count, players = len(kappa), len(targets)
    start = np.empty((players, horizon), np.int64)
    for player, target in enumerate(targets):
        start[player] = target // horizon
        start[player, horizon - target % horizon :] += 1  # odd lots come late
    words = np.random.default_rng(0).integers(2**63, size=(players, horizon))
    answer = np.empty((count, 1, players, horizon), np.int64)
    profile = np.tile(start, (count, 1, 1))
    place = np.arange(count)
    codes = (profile * words).sum(axis=(1, 2))[None]
    for _ in range(numbers["max_rounds"]):
        gains = _respond_in_turn(profile, kappa, targets, limits)
        code = (profile * words).sum(axis=(1, 2))
        is_over = (gains <= 0) | (codes == code).any(axis=0)
        answer[place[is_over], 0] = profile[is_over]
        goes_on = ~is_over
        if not goes_on.any():
            return answer
        place, kappa, profile = place[goes_on], kappa[goes_on], profile[goes_on]
        codes = np.concatenate([codes[:, goes_on], code[None, goes_on]])
    answer[place, 0] = profile
    return answer


def _respond_in_turn(profile, kappa, targets, limits):
    """Let every player of every game move once, in place; return the largest gains."""
    weights = 1 - kappa / 2
    flow = profile.sum(axis=1)
    largest = np.full(len(kappa), -np.inf)
    for player, target in enumerate(targets):
        own = profile[:, player]
        prices = price_pressure(flow - own, kappa)
        best = cheapest_schedules(prices, weights, target, *limits, decimals=9)
        less = own - best
        terms = np.stack([prices * less, weights[:, None] * less * (own + best)])
        gain = terms.sum(axis=(0, 2))
        # Equal costs differ by rounding: such a gain would never settle.
        rounding = 4 * np.finfo(float).eps * np.abs(terms).sum(axis=(0, 2))
        gain = np.where(gain > rounding, gain, 0.0)
        largest = np.maximum(largest, gain)
        new = np.where((gain > 0)[:, None], best, own)
        flow += new - own
        profile[:, player] = new
    return largest


def _by_blocks(play, games: dict, numbers: dict) -> np.ndarray:
    """Return mean total costs of play, shape (games,), some games at a time.

    Args:
        play: from a block of kappa, targets, horizon, limits, numbers and a generator,
            flows of shape (block, rounds, players, horizon).
        games: arguments of the games.
        numbers: arguments of the solver.
    """
    kappas = np.asarray(games["permanent_impact"])
    shape = games["horizon"], (games["min_trade"], games["max_trade"])
    rng = np.random.default_rng(0)
    means = []
    for first in range(0, len(kappas), _BLOCK):
        kappa = kappas[first : first + _BLOCK]
        history = play(kappa, games["targets"], *shape, numbers, rng)
        flow = history.sum(axis=2, dtype=np.float64)
        means.append((flow * price_pressure(flow, kappa)).sum(axis=2).mean(axis=1))
    return np.concatenate(means)


def _full_play(kappa, targets, horizon, limits, numbers, rng):
    noise, rounds = numbers["noise"], numbers["num_rounds"]
    return published_ftpl_batch(
        horizon, targets, *limits, kappa, noise, rounds, len(kappa), rng
    )


def ftpl_full(games: dict, numbers: dict) -> np.ndarray:
    """Play the published FTPL; return each game's mean total cost, shape (games,)."""
    return _by_blocks(_full_play, games, numbers)


def _linear_play(kappa, targets, horizon, limits, numbers, rng):
    players, rounds = len(targets), numbers["num_rounds"]
    lanes_kappa = np.repeat(kappa, players)
    lanes_target = np.tile(targets, len(kappa))
    shape = (len(kappa), players, horizon)
    history = np.empty((len(kappa), rounds, players, horizon), np.int16)
    others_flow = np.zeros(shape, np.int64)
    for r in range(rounds):
        prices = price_pressure(others_flow, kappa)
        prices += rng.uniform(0.0, numbers["noise"], shape)
        profile = cheapest_schedules(
            prices.reshape(-1, horizon),
            (r + 1) * (1 - lanes_kappa / 2),
            lanes_target,
            *limits,
        ).reshape(shape)
        others_flow += profile.sum(axis=1, keepdims=True) - profile
        history[:, r] = profile
    return history


def ftpl_linear(games: dict, numbers: dict) -> np.ndarray:
    """Play composite FTPL; return each game's mean total cost, shape (games,)."""
    return _by_blocks(_linear_play, games, numbers)


def _swap_play(kappa, targets, horizon, limits, numbers, rng):
    """Play trees of FTPL learners: each round a level at random, with fresh noise."""
    branching, depth = numbers["branching"], numbers["depth"]
    count, players, rounds = len(kappa), len(targets), branching**depth
    periods = branching ** np.arange(depth - 1, -1, -1)
    tables = {
        target: ResponseTables(horizon, target, *limits, np.tile(kappa, number))
        for target, number in zip(*np.unique(targets, return_counts=True), strict=True)
    }
    members = {target: np.flatnonzero(targets == target) for target in tables}
    learned = np.zeros((depth, players, count, horizon), np.int64)
    running = np.zeros_like(learned)
    history = np.empty((rounds, players, count, horizon), np.int16)
    lane = np.arange(players)[:, None], np.arange(count)[None]
    for r in range(rounds):
        level = rng.integers(depth, size=(players, count))
        noise = rng.uniform(0.0, numbers["noise"], (players, count, 2 * horizon))
        period = periods[level][..., None]
        prices = price_pressure(learned[level, *lane], kappa[None]) / period
        prices += noise[..., :horizon]
        weights = r // period % branching + noise[..., horizon:]
        profile = history[r]
        for target, rows in members.items():
            schedules = tables[target].solve(
                prices[rows].reshape(-1, horizon).T,
                weights[rows].reshape(-1, horizon).T,
            )
            profile[rows] = schedules.T.reshape(len(rows), count, horizon)
        running += profile.sum(axis=0, dtype=np.int64) - profile
        for h in np.flatnonzero((r + 1) % periods == 0):
            is_new = (r + 1) // periods[h] % branching == 0
            learned[h] = 0 if is_new else learned[h] + running[h]
            running[h] = 0
    return history.transpose(2, 0, 1, 3)


def swap_ftpl(games: dict, numbers: dict) -> np.ndarray:
    """Play TreeSwap over FTPL; return each game's mean total cost, shape (games,)."""
    return _by_blocks(_swap_play, games, numbers)


def fractional_nash(games: dict, numbers: dict) -> np.ndarray:
    """Find equilibria in fractional shares by Douglas-Rachford splitting.

    It alternates between the trade limits, by clipping, and the linear conditions of
    first order with the targets, by one small matrix a game. The solver's answer in
    whole lots is left out.

    Returns:
        Trades, shape (games, players, horizon).
    """
    del numbers
    kappa = np.asarray(games["permanent_impact"])
    horizon, low, high = (games[x] for x in ("horizon", "min_trade", "max_trade"))
    targets = np.broadcast_to(
        games["targets"], (len(kappa), np.shape(games["targets"])[-1])
    ).astype(float)
    resolvent, point = _resolvent(kappa, targets, horizon)
    scale = np.maximum(np.abs(targets).max(axis=1) / horizon, 1)
    answer = np.clip(point, low, high)
    place = np.arange(len(kappa))
    for _ in range(20_000):
        inside = np.clip(point, low, high)
        move = _resolve(resolvent, 2 * inside - point) - inside
        is_over = np.abs(move).max(axis=(1, 2)) <= 1e-10 * scale
        answer[place] = inside
        if is_over.all():
            break
        point += move
        if is_over.any():
            goes_on = ~is_over
            place, point, scale = place[goes_on], point[goes_on], scale[goes_on]
            resolvent = [x[goes_on] for x in resolvent]
    return answer


def _resolvent(kappa, targets, horizon):
    """Return what solves the linear conditions, and their solution without limits.

    With M = I + kappa L they are u_i + M S + M'u_i - lambda_i 1 = z_i, where S is the
    sum of all u_i, and that u_i sums to its target. Players meet in S alone.
    """
    players, identity = targets.shape[1], np.eye(horizon)
    impact = identity + kappa[:, None, None] * np.tri(horizon, k=-1)
    turned = impact.swapaxes(1, 2)
    inverse = np.linalg.inv(identity + turned)
    along = inverse.sum(axis=2)
    along /= along.sum(axis=1, keepdims=True)
    inverse -= along[:, :, None] * inverse.sum(axis=1)[:, None]
    coupled = np.linalg.inv(identity + players * inverse @ impact)
    aims = targets[:, :, None] * along[:, None]  # (games, players, horizon)

    # Without limits n M S + M'S is constant over steps, and so is M S + M'u_i.
    ones = np.ones((len(kappa), horizon, 1))
    total = np.linalg.solve(players * impact + turned, ones)
    total *= targets.sum(axis=1)[:, None, None] / total.sum(axis=1, keepdims=True)
    level, shift = np.linalg.solve(
        turned, np.concatenate([ones, impact @ total], axis=2)
    ).transpose(2, 0, 1)
    price = (targets + shift.sum(axis=1)[:, None]) / level.sum(axis=1)[:, None]
    start = price[:, :, None] * level[:, None] - shift[:, None]
    return [inverse, coupled, impact, aims], start


def _resolve(resolvent, point):
    """Return the solution u of the linear conditions for z = point."""
    inverse, coupled, impact, aims = resolvent
    aim = aims.sum(axis=1)[:, :, None]
    total = inverse @ point.sum(axis=1)[:, :, None] + aim
    pressure = impact @ (coupled @ total)
    return (point - pressure.swapaxes(1, 2)) @ inverse.swapaxes(1, 2) + aims


def correlated(games: dict, numbers: dict) -> np.ndarray:
    """Solve the linear programs of coarse correlated equilibria on the full tables.

    Returns:
        The least and the greatest total cost, shape (games, 2).
    """
    del numbers
    limits = games["min_trade"], games["max_trade"]
    first, second = (
        all_schedules(games["horizon"], target, *limits) for target in games["targets"]
    )
    return np.array(
        [
            extreme_total_costs(
                cost_table(first, second, kappa), cost_table(second, first, kappa).T
            )
            for kappa in games["permanent_impact"]
        ]
    )


Answer = Callable[[dict, dict], np.ndarray | None]

BASELINES: dict[str, Answer] = {
    "trading-game/best-response-dynamics": best_response_dynamics,
    "trading-game/ftpl/full": ftpl_full,
    "trading-game/ftpl/linear": ftpl_linear,
    "trading-game/swap-ftpl": swap_ftpl,
    "trading-game/double-oracle": double_oracle,
    "trading-game/fractional-nash": fractional_nash,
    "trading-game/correlated-lp": correlated,
} | BIMATRIX_BASELINES

PEERS: dict[str, Answer] = BIMATRIX_PEERS | DOUBLE_ORACLE_PEERS
