"""Reference no-regret learners of the discrete trading game, in self-play.

Every function moves the players simultaneously, lets their histories start at zero
and returns the history of play, integers of shape (num_rounds, players, T). Noise can
be given beforehand, so that another program can be replayed round by round.
"""

import numpy as np

from .kearns_shi import dynamic_program


def _perturbed_response(linear, weights, kappa, horizon, target, min_trade, max_trade):
    """Minimise sum_t a_t linear_t + weights_t a_t (a_t + kappa A_{t-1})."""

    def one_step_cost(t, holdings, trade):
        own = trade * (trade + kappa * holdings)
        return float(linear[t] * trade + weights[t] * own)

    schedule, _ = dynamic_program(one_step_cost, horizon, target, min_trade, max_trade)
    return schedule


def _impact_of(flow, kappa):
    """Return M b = b + kappa * (strict prefix sums of b), shape (T,)."""
    return flow + kappa * (np.cumsum(flow) - flow)


def _draw(noise, rng, eta, num_rounds, players, width):
    """Return the noise given, or draw U[0, eta] by round, then player, then entry."""
    shape = (num_rounds, players, width)
    if noise is None:
        return rng.uniform(0.0, eta, shape)
    noise = np.asarray(noise, dtype=np.float64)
    if noise.shape != shape:
        raise ValueError(f"noise must have shape {shape}, got {noise.shape}")
    return noise


def published_ftpl(
    horizon,
    targets,
    min_trade,
    max_trade,
    kappa,
    eta,
    num_rounds,
    *,
    noise=None,
    rng=None,
):
    """Play follow-the-perturbed-leader as published: noise on all 2T coordinates.

    In round r = 1, 2, ... player i minimises

        sum_t a_t (H + N)_t + a_t (a_t + kappa A_{t-1}) (r - 1 + N_{T+t}),

    with H the sum over past rounds of M times the flow of the others and N fresh
    noise. Ties go to the smallest trade at the earliest step.

    Args:
        horizon: number of steps T.
        targets: one target for each player.
        min_trade: smallest trade of a step.
        max_trade: largest trade of a step.
        kappa: market impact coefficient.
        eta: noise is uniform on [0, eta].
        num_rounds: number of rounds R.
        noise: shape (R, players, 2T), replaces the draws.
        rng: NumPy generator, needed without `noise`.

    Returns:
        The history, int64, shape (R, players, T).
    """
    players = len(targets)
    noise = _draw(noise, rng, eta, num_rounds, players, 2 * horizon)
    history = np.zeros((num_rounds, players, horizon), dtype=np.int64)
    others_flow = np.zeros((players, horizon), dtype=np.int64)  # summed over rounds
    for r in range(num_rounds):
        for i, target in enumerate(targets):
            linear = _impact_of(others_flow[i], kappa) + noise[r, i, :horizon]
            weights = r + noise[r, i, horizon:]
            history[r, i] = _perturbed_response(
                linear, weights, kappa, horizon, target, min_trade, max_trade
            )
        others_flow += history[r].sum(axis=0) - history[r]
    return history


def composite_ftpl(
    horizon,
    targets,
    min_trade,
    max_trade,
    kappa,
    eta,
    num_rounds,
    *,
    noise=None,
    rng=None,
):
    """Play composite follow-the-perturbed-leader: noise on the T linear coordinates.

    In round r = 1, 2, ... player i minimises <a, H_{r-1} + N> + r a'Ma, where the own
    cost of the coming round is counted. Arguments and result are those of
    `published_ftpl`, with noise of shape (R, players, T).
    """
    players = len(targets)
    noise = _draw(noise, rng, eta, num_rounds, players, horizon)
    history = np.zeros((num_rounds, players, horizon), dtype=np.int64)
    others_flow = np.zeros((players, horizon), dtype=np.int64)
    for r in range(num_rounds):
        for i, target in enumerate(targets):
            linear = _impact_of(others_flow[i], kappa) + noise[r, i]
            weights = np.full(horizon, r + 1.0)
            history[r, i] = _perturbed_response(
                linear, weights, kappa, horizon, target, min_trade, max_trade
            )
        others_flow += history[r].sum(axis=0) - history[r]
    return history


def swap_ftpl(
    horizon,
    targets,
    min_trade,
    max_trade,
    kappa,
    branching,
    depth,
    *,
    noise,
    levels,
):
    """Play TreeSwap (Dagan et al. 2024) with published FTPL as the inner learner.

    There are R = branching**depth rounds; round t = 0..R-1 has the base-`branching`
    digits sigma_1 (most significant) .. sigma_depth. A player keeps one inner learner
    for each level h = 1..depth, whose mixed strategy stays fixed over a period of
    branching**(depth - h) rounds. When a period of level h starts (the digits behind
    sigma_h are zero), its learner is reset where sigma_h = 0, and otherwise first takes
    in the *average* over the period just finished of the others' flow, as one more
    meta-round.

    In round t the player draws from the mixed strategy of level `levels[t, player]`:
    with `count` meta-rounds seen since the reset, H the sum of M times those average
    flows and fresh noise N, it minimises
    sum_t a_t (H + N)_t + a_t (a_t + kappa A_{t-1}) (count + N_{T+t}).

    Args:
        horizon: number of steps T.
        targets: one target for each player.
        min_trade: smallest trade of a step.
        max_trade: largest trade of a step.
        kappa: market impact coefficient.
        branching: meta-rounds of a learner between resets.
        depth: number of levels.
        noise: shape (R, players, 2T).
        levels: integers in 0..depth-1, shape (R, players); uniform in TreeSwap.

    Returns:
        The history, int64, shape (R, players, T).
    """
    players = len(targets)
    num_rounds = branching**depth
    history = np.zeros((num_rounds, players, horizon), dtype=np.int64)
    counts = np.zeros(depth, dtype=np.int64)
    mean_flow_sums = np.zeros((depth, players, horizon))
    for t in range(num_rounds):
        for h in range(1, depth + 1):
            period = branching ** (depth - h)
            if t % period != 0:
                continue
            level = h - 1
            digit = (t // period) % branching
            if digit == 0:
                counts[level] = 0
                mean_flow_sums[level] = 0.0
            else:
                past = history[t - period : t].sum(axis=0)  # (players, T)
                mean_flow_sums[level] += (past.sum(axis=0) - past) / period
                counts[level] += 1
        for i, target in enumerate(targets):
            level, draw = levels[t, i], noise[t, i]
            linear = _impact_of(mean_flow_sums[level, i], kappa) + draw[:horizon]
            weights = counts[level] + draw[horizon:]
            history[t, i] = _perturbed_response(
                linear, weights, kappa, horizon, target, min_trade, max_trade
            )
    return history
