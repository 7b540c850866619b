"""Reference implementation of the discrete trading game: costs and best responses.

Plain NumPy, straight from the definitions of Kearns and Shi, *Algorithmic Aspects of
Strategic Trading* (arXiv 2502.07606v2), called KS25. Everything here is correct
rather than fast; the package is tested against it.

A schedule holds the trades of one player, shape (T,); a profile holds one schedule
for each player, shape (players, T). Costs are minimised.
"""

from fractions import Fraction

import numpy as np


def enumerate_schedules(horizon, target, min_trade, max_trade):
    """Return every feasible schedule in lexicographic order, shape (num, T), int64."""
    schedules = []

    def extend(prefix, remaining):
        steps_left = horizon - len(prefix)
        if steps_left == 0:
            schedules.append(prefix)
            return
        for trade in range(min_trade, max_trade + 1):
            rest = remaining - trade
            if (steps_left - 1) * min_trade <= rest <= (steps_left - 1) * max_trade:
                extend((*prefix, trade), rest)

    if not horizon * min_trade <= target <= horizon * max_trade:
        raise ValueError(f"no schedule reaches target={target}")
    extend((), target)
    return np.array(schedules, dtype=np.int64)


def impact_matrix(horizon, kappa):
    """Return M = I + kappa L, with L strictly lower triangular ones, shape (T, T)."""
    return np.eye(horizon) + kappa * np.tril(np.ones((horizon, horizon)), k=-1)


def temporary_cost(profile, player):
    """Return sum_t a_{i,t} sum_j a_{j,t} for player i of a profile (players, T)."""
    players, horizon = np.shape(profile)
    total = 0
    for t in range(horizon):
        for other in range(players):
            total = total + profile[player][t] * profile[other][t]
    return total


def permanent_cost(profile, player):
    """Return sum_t a_{i,t} sum_j A_{j,t-1}, without the coefficient kappa."""
    players, horizon = np.shape(profile)
    total = 0
    for t in range(horizon):
        for other in range(players):
            holdings_before = sum(profile[other][s] for s in range(t))
            total = total + profile[player][t] * holdings_before
    return total


def averaged_permanent_cost(profile, player):
    """Return sum_t a_{i,t} sum_j (A_{j,t-1} + A_{j,t}) / 2, without kappa."""
    players, horizon = np.shape(profile)
    total = 0
    for t in range(horizon):
        for other in range(players):
            before = sum(profile[other][s] for s in range(t))
            after = sum(profile[other][s] for s in range(t + 1))
            total = total + profile[player][t] * (before + after) / 2
    return total


def cost(profile, player, kappa):
    """Return the cost of one player: temporary plus kappa times permanent impact."""
    return temporary_cost(profile, player) + kappa * permanent_cost(profile, player)


def welfare(profile, kappa):
    """Return the total cost of all players (the smaller the better)."""
    return sum(cost(profile, player, kappa) for player in range(len(profile)))


def potential(profile):
    """Return the exact potential of the game at kappa = 0.

    sum_t sum_i a_{i,t} sum_{j >= i} a_{j,t}.
    """
    players, horizon = np.shape(profile)
    total = 0
    for t in range(horizon):
        for i in range(players):
            for j in range(i, players):
                total = total + profile[i][t] * profile[j][t]
    return total


def schedule_costs(schedules, others_flow, kappa):
    """Return the cost a'M(a + b) of every schedule a against one flow b.

    Args:
        schedules: integer trades, shape (num, T).
        others_flow: summed (or mean) trades of the opponents, shape (T,).
        kappa: market impact coefficient, a float, or a Fraction for exact costs.

    Returns:
        Costs, shape (num,): float64, or Fraction objects where kappa is a Fraction.
    """
    if isinstance(kappa, Fraction):
        schedules = schedules.astype(object)
        others_flow = np.array([Fraction(flow) for flow in np.asarray(others_flow)])
    flow = schedules + others_flow
    holdings_before = np.cumsum(flow, axis=1) - flow
    temporary = np.sum(schedules * flow, axis=1)
    permanent = np.sum(schedules * holdings_before, axis=1)
    return temporary + kappa * permanent


def brute_force_response(linear, weight, target, min_trade, max_trade):
    """Minimise sum_t linear_t a_t + weight a_t^2 over all schedules.

    Args:
        linear: coefficients, shape (T,).
        weight: scalar, or shape (T,).
        target: sum of the trades.
        min_trade: smallest trade of a step.
        max_trade: largest trade of a step.

    Returns:
        The lexicographically smallest minimiser, shape (T,), and its value. Ties are
        those of float64 sums: use `exact_response` where they decide.
    """
    linear = np.asarray(linear, dtype=np.float64)
    schedules = enumerate_schedules(len(linear), target, min_trade, max_trade)
    values = np.sum(linear * schedules + weight * schedules**2, axis=1)
    best = int(np.argmin(values))
    return schedules[best], float(values[best])


def exact_response(linear, weight, target, min_trade, max_trade):
    """Do as `brute_force_response` in rational arithmetic.

    Floats are taken at their exact binary value; pass Fractions for decimal numbers.
    Returns the schedule and its value as a Fraction. `weight` is a scalar.
    """
    linear = [Fraction(x) for x in linear]
    weight = Fraction(weight)
    best_schedule, best_value = None, None
    for row in enumerate_schedules(len(linear), target, min_trade, max_trade):
        trades = [int(a) for a in row]
        value = sum(g * a + weight * a * a for g, a in zip(linear, trades, strict=True))
        if best_value is None or value < best_value:
            best_schedule, best_value = row, value
    return best_schedule, best_value


def brute_force_best_response(others_flow, kappa, target, min_trade, max_trade):
    """Minimise the full cost a'M(a + b) over all schedules against the flow b.

    Args:
        others_flow: summed (or mean) trades of the opponents, shape (T,).
        kappa: market impact coefficient; a Fraction makes the comparison exact.
        target: sum of the trades.
        min_trade: smallest trade of a step.
        max_trade: largest trade of a step.

    Returns:
        The lexicographically smallest best response, shape (T,), and its cost.
    """
    schedules = enumerate_schedules(len(others_flow), target, min_trade, max_trade)
    costs = schedule_costs(schedules, np.asarray(others_flow), kappa)
    best = int(np.argmin(costs))
    return schedules[best], costs[best]


def dynamic_program(one_step_cost, horizon, target, min_trade, max_trade):
    """Minimise a sum of one-step costs by backward induction (KS25 Algorithm 1).

    Args:
        one_step_cost: `(t, holdings_before, trade) -> float`, t = 0..T-1.
        horizon: number of steps T.
        target: holdings after the last step.
        min_trade: smallest trade of a step.
        max_trade: largest trade of a step.

    Returns:
        The minimiser, shape (T,), with ties to the smallest trade at the earliest
        step, and its value.
    """
    if not horizon * min_trade <= target <= horizon * max_trade:
        raise ValueError(f"no schedule reaches target={target}")
    value = {target: 0.0}  # holdings after step t -> cost from there on
    policies = []
    for t in reversed(range(horizon)):
        new_value, policy = {}, {}
        for holdings in range(t * min_trade, t * max_trade + 1):
            for trade in range(min_trade, max_trade + 1):
                if holdings + trade not in value:
                    continue
                total = one_step_cost(t, holdings, trade) + value[holdings + trade]
                if holdings not in new_value or total < new_value[holdings]:
                    new_value[holdings], policy[holdings] = total, trade
        value = new_value
        policies.insert(0, policy)
    schedule, holdings = [], 0
    for policy in policies:
        schedule.append(policy[holdings])
        holdings += policy[holdings]
    return np.array(schedule, dtype=np.int64), value[0]


def best_response_dynamics(
    profile, kappa, targets, min_trade, max_trade, epsilon=0.0, max_rounds=100
):
    """Let the players respond in turn (KS25 Algorithm 2).

    In a round every player, in the order 0..n-1, moves to its lexicographically
    smallest best response if that improves its cost by more than `epsilon`.

    Returns:
        The profiles after each round, a list of (players, T) without the start, and
        "converged" (a round without a move), "cycled" (the last profile occurred
        before, the start included) or "max_rounds".
    """
    profile = np.array(profile, dtype=np.int64)
    seen = {profile.tobytes()}
    rounds = []
    for _ in range(max_rounds):
        is_moved = False
        for player, target in enumerate(targets):
            others_flow = profile.sum(axis=0) - profile[player]
            best, best_cost = brute_force_best_response(
                others_flow, kappa, target, min_trade, max_trade
            )
            if cost(profile, player, kappa) - best_cost > epsilon:
                profile[player] = best
                is_moved = True
        rounds.append(profile.copy())
        if not is_moved:
            return rounds, "converged"
        if profile.tobytes() in seen:
            return rounds, "cycled"
        seen.add(profile.tobytes())
    return rounds, "max_rounds"
