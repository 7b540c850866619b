"""Reference metrics of a history of play, by enumeration of every schedule.

A history holds integers of shape (rounds, players, T); each player's target is read
off its trades. `min_trade` and `max_trade` bound the deviations. Costs are minimised,
so a regret is the mean cost paid minus the least mean cost of a deviation; it is not
clipped at zero.
"""

import itertools
import math
from collections import Counter

import numpy as np

from .kearns_shi import cost, enumerate_schedules, schedule_costs, welfare


def _deviations(history, player, min_trade, max_trade):
    """Return all schedules with the target of the player, shape (num, T)."""
    target = int(history[0, player].sum())
    return enumerate_schedules(history.shape[2], target, min_trade, max_trade)


def _others_flow(history, player):
    """Return the summed trades of the other players, shape (rounds, T)."""
    others = np.delete(history, player, axis=1)
    return others.sum(axis=1)


def _costs_paid(history, player, kappa):
    """Return the cost of the player in every round, shape (rounds,)."""
    return np.array([cost(profile, player, kappa) for profile in history], dtype=float)


def _least_mean_cost(schedules, others_flow, kappa):
    """Return the least mean cost of one schedule against flows (rounds, T)."""
    mean_flow = others_flow.mean(axis=0)  # the cost is affine in the others' flow
    return float(np.min(schedule_costs(schedules, mean_flow, kappa)))


def regret(history, player, kappa, min_trade, max_trade):
    """Return the external regret of a player, average per round."""
    schedules = _deviations(history, player, min_trade, max_trade)
    paid = _costs_paid(history, player, kappa).mean()
    least = _least_mean_cost(schedules, _others_flow(history, player), kappa)
    return float(paid - least)


def regret_curve(history, player, kappa, min_trade, max_trade):
    """Return the average regret after each round, shape (rounds,)."""
    schedules = _deviations(history, player, min_trade, max_trade)
    paid = _costs_paid(history, player, kappa)
    others_flow = _others_flow(history, player)
    total_paid = 0.0
    total_flow = np.zeros(history.shape[2], dtype=np.int64)
    curve = []
    for r in range(len(history)):
        total_paid += paid[r]
        total_flow += others_flow[r]
        least = np.min(schedule_costs(schedules, total_flow / (r + 1), kappa))
        curve.append(total_paid / (r + 1) - least)
    return np.array(curve)


def distance_to_cce(history, kappa, min_trade, max_trade):
    """Return the largest regret of a player: distance to coarse correlated play."""
    players = range(history.shape[1])
    return max(regret(history, i, kappa, min_trade, max_trade) for i in players)


def distance_to_nash(history, kappa, min_trade, max_trade):
    """Return the largest gain from deviating when all draw from their marginals.

    The profile examined is the product of the players' empirical marginals.
    """
    gaps = []
    for player in range(history.shape[1]):
        schedules = _deviations(history, player, min_trade, max_trade)
        mean_flow = _others_flow(history, player).mean(axis=0)
        marginal = Counter(map(tuple, history[:, player].tolist()))
        own = np.array(list(marginal), dtype=np.int64)
        frequencies = np.array(list(marginal.values())) / len(history)
        expected = float(frequencies @ schedule_costs(own, mean_flow, kappa))
        least = float(np.min(schedule_costs(schedules, mean_flow, kappa)))
        gaps.append(expected - least)
    return max(gaps)


def conditional_regret(history, player, kappa, min_trade, max_trade):
    """Return the swap regret of a player, average per round.

    For every distinct action of the player, its regret over the rounds in which it
    was played, weighted with its frequency.
    """
    schedules = _deviations(history, player, min_trade, max_trade)
    paid = _costs_paid(history, player, kappa)
    others_flow = _others_flow(history, player)
    own = history[:, player]
    total = 0.0
    for action in np.unique(own, axis=0):
        is_played = np.all(own == action, axis=1)
        least = _least_mean_cost(schedules, others_flow[is_played], kappa)
        total += is_played.mean() * (paid[is_played].mean() - least)
    return float(total)


def distance_to_ce(history, kappa, min_trade, max_trade):
    """Return the largest swap regret of a player: distance to correlated play."""
    players = range(history.shape[1])
    return max(
        conditional_regret(history, i, kappa, min_trade, max_trade) for i in players
    )


def _joint_and_marginals(history):
    """Return the joint distribution and each player's marginal, as dicts."""
    rounds, players, _ = history.shape
    plays = [tuple(map(tuple, profile)) for profile in history.tolist()]
    joint = {play: n / rounds for play, n in Counter(plays).items()}
    marginals = []
    for i in range(players):
        counts = Counter(play[i] for play in plays)
        marginals.append({action: n / rounds for action, n in counts.items()})
    return joint, marginals


def _product_probability(play, marginals):
    """Return the probability of a play under independent marginals."""
    pairs = zip(play, marginals, strict=True)
    return math.prod(marginal[action] for action, marginal in pairs)


def tv_distance(history):
    """Return the total variation between the joint and the product of marginals.

    Half the l1 norm over the whole support of the product.
    """
    joint, marginals = _joint_and_marginals(history)
    total = 0.0
    for play in itertools.product(*marginals):
        total += abs(joint.get(play, 0.0) - _product_probability(play, marginals))
    return total / 2


def tv_distance_ks25(history):
    """Return the published variant: over the support of the joint, without the half."""
    joint, marginals = _joint_and_marginals(history)
    return float(
        sum(abs(p - _product_probability(play, marginals)) for play, p in joint.items())
    )


def mean_welfare(history, kappa):
    """Return the mean over rounds of the players' total cost."""
    return float(np.mean([welfare(profile, kappa) for profile in history]))
