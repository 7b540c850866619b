"""Linear programs over the correlated equilibria of a game in normal form.

Total cost is linear in the distribution of joint actions, and so is what a deviation
gains (Aumann 1987; Moulin & Vial 1978 for the coarse kind): two linear programs with
one matrix give the equilibria of least and of greatest total cost.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
import scipy.sparse

# Tolerances of HiGHS are absolute: costs come to it in units of their ranges.
_OPTIONS = {
    "primal_feasibility_tolerance": 1e-10,
    "dual_feasibility_tolerance": 1e-10,
}

# The interior-point method is up to ten times faster than the simplex method (random
# 50 x 50 games: 5 s against 39 s), but with this many rows may take hours.
_MOST_ROWS = 10_000
# Up to this many joint actions the simplex method wins (28 x 28 schedules: 8 ms against
# 17 ms for both programs), and does without the presolve's milliseconds.
_MOST_SIMPLEX = 2500
# Up to this many gains, a matrix of all of them is faster to set up and to solve than
# one with marginals as variables (6 x 6: 3 ms against 5 ms; 20 x 20: 15 against 10).
_MOST_GAINS = 5000


class Extreme(NamedTuple):
    """The best or the worst equilibrium.

    Attributes:
        joint: probabilities of joint actions, shape (*actions).
        multipliers: prices of deviations, at least 0, that prove it optimal, shape
            (players, A) by deviation for "cce", (players, A, A) by action and deviation
            for "ce", where A is the largest number of actions.
        violation: largest violation of a constraint of the scaled program.
        num_steps: iterations of the interior-point or the simplex method.
    """

    joint: np.ndarray
    multipliers: np.ndarray
    violation: float
    num_steps: int


def extreme_equilibria(
    costs: np.ndarray, concept: str
) -> tuple[Extreme, Extreme] | None:
    """Find the equilibria of least and of greatest total cost.

    Args:
        costs: of every player, finite, shape (players, *actions).
        concept: "cce" or "ce".

    Returns:
        Both, or None if one of the programs could not be solved.
    """
    players = [_player(costs, i) for i in range(len(costs))]
    num_gains = costs[0].size * sum(len(x.deviations) for x in players)
    build = _equilibria
    if concept == "cce":
        is_small = num_gains <= _MOST_GAINS
        build = _few_coarse_equilibria if is_small else _coarse_equilibria
    polytope = build(players)
    welfare = costs.sum(axis=0)
    best = _minimise(welfare, polytope, players, concept)
    if best is None:
        return None
    worst = _minimise(-welfare, polytope, players, concept)
    return None if worst is None else (best, worst)


class _Player(NamedTuple):
    """What a program has to know about a player.

    Attributes:
        costs: of each own action against each combination of the others', up to what
            the others alone decide and in units of its range, shape (S, R).
        unit: that range.
        index: place of the pair among the joint actions, shape (S, R).
        deviations: actions worth deviating to, shape (D,).
    """

    costs: np.ndarray
    unit: float
    index: np.ndarray
    deviations: np.ndarray


def _player(costs: np.ndarray, player: int) -> _Player:
    num_actions, joint = costs.shape[1 + player], costs[player]
    places = np.arange(joint.size, dtype=np.int32).reshape(joint.shape)
    own, index = (
        np.moveaxis(x, player, 0).reshape(num_actions, -1) for x in (joint, places)
    )
    relative = own - own.mean(axis=0)
    unit = np.ptp(relative) or 1.0
    return _Player(relative / unit, unit, index, _undominated(own))


def _undominated(costs: np.ndarray) -> np.ndarray:
    """Return the rows that no other row undercuts weakly, the first of equal ones.

    If no deviation to them gains, none does: a dominated action costs at least as much
    as its dominator, whatever the others do. Comparisons are exact.
    """
    kept = []
    for action, own in enumerate(costs):
        (rivals,) = np.nonzero((costs <= own).all(axis=1))
        is_equal = (costs[rivals] == own).all(axis=1)
        if (is_equal & (rivals >= action)).all():
            kept.append(action)
    return np.array(kept)


class _Polytope(NamedTuple):
    """A set {x: rows x <= 0, equalities x = right, lowest <= x}.

    x begins with the joint probabilities. There is a row for each player and deviation
    ("cce"), or each player, action and deviation ("ce"), in that order.
    """

    rows: Any
    equalities: Any
    right: np.ndarray
    lowest: np.ndarray


def _equilibria(players: Sequence[_Player]) -> _Polytope:
    """Correlated equilibria: whatever action is told, no other one costs less."""
    num_joint = players[0].index.size
    blocks = []
    for player in players:
        gains = player.costs[:, None] - player.costs[player.deviations]  # (S, D, R)
        num_rows, width = gains.shape[0] * gains.shape[1], gains.shape[2]
        columns = np.repeat(player.index, gains.shape[1], axis=0).ravel()
        starts = np.arange(num_rows + 1) * width
        block = scipy.sparse.csr_array(
            (gains.ravel(), columns, starts), shape=(num_rows, num_joint)
        )
        block.eliminate_zeros()
        blocks.append(block)
    rows = scipy.sparse.vstack(blocks, format="csr")
    return _Polytope(rows, np.ones((1, num_joint)), np.ones(1), np.zeros(num_joint))


def _few_coarse_equilibria(players: Sequence[_Player]) -> _Polytope:
    """Do as `_coarse_equilibria` with the joint probabilities alone."""
    num_joint = players[0].index.size
    blocks = []
    for player in players:
        gains = player.costs[None] - player.costs[player.deviations][:, None]
        block = np.empty((len(gains), num_joint))
        block[:, player.index.ravel()] = gains.reshape(len(gains), -1)
        blocks.append(block)
    rows = np.concatenate(blocks)
    return _Polytope(rows, np.ones((1, num_joint)), np.ones(1), np.zeros(num_joint))


def _coarse_equilibria(players: Sequence[_Player]) -> _Polytope:
    """Coarse correlated equilibria: no fixed action costs less than the play.

    What a fixed action costs depends on the others' joint marginal alone. With the
    marginals, and what each player pays, as variables of their own, a joint action has
    two entries per player in the matrix instead of one for every deviation.
    """
    num_joint = players[0].index.size
    definitions, rows, lowest = [], [], [np.zeros(num_joint)]
    for player in players:
        num_actions, num_others = player.costs.shape
        others = np.tile(np.arange(num_others, dtype=np.int32), num_actions)
        place = player.index.ravel()
        marginal = scipy.sparse.csr_array(
            (np.ones(num_joint), (others, place)), shape=(num_others, num_joint)
        )
        paid = np.zeros((1, num_joint))
        paid[0, place] = player.costs.ravel()
        definitions += [marginal, scipy.sparse.csr_array(paid)]
        fixed = player.costs[player.deviations]
        rows.append(np.column_stack([-fixed, np.ones(len(fixed))]))
        # Bounds on what is defined would only keep it out of the simplex's basis.
        lowest.append(np.full(num_others + 1, -np.inf))
    defined = scipy.sparse.vstack(definitions, format="csr")
    num_defined = sum(len(x) for x in lowest) - num_joint
    equalities = scipy.sparse.block_array(
        [
            [defined, -scipy.sparse.eye_array(num_defined)],
            [np.ones((1, num_joint)), None],
        ],
        format="csr",
    )
    nothing = scipy.sparse.csr_array((sum(len(x) for x in rows), num_joint))
    gains = scipy.sparse.block_diag([scipy.sparse.coo_array(x) for x in rows])
    return _Polytope(
        scipy.sparse.hstack([nothing, gains], format="csr"),
        equalities,
        np.append(np.zeros(num_defined), 1.0),
        np.concatenate(lowest),
    )


def _minimise(
    objective: np.ndarray,
    polytope: _Polytope,
    players: Sequence[_Player],
    concept: str,
) -> Extreme | None:
    """Minimise an expectation over the equilibria.

    Args:
        objective: of every joint action, shape (*actions).
        polytope: the equilibria.
        players: the players.
        concept: of equilibrium.
    """
    unit = np.ptp(objective) or 1.0
    weights = np.zeros(len(polytope.lowest))
    weights[: objective.size] = ((objective - objective.mean()) / unit).ravel()
    num_rows = polytope.rows.shape[0]
    methods = [("highs-ds", True)]
    if num_rows <= _MOST_ROWS:
        methods.insert(0, ("highs-ipm", True))
    if objective.size <= _MOST_SIMPLEX:
        methods.insert(0, ("highs-ds", False))
    for method, has_presolve in methods:
        result = scipy.optimize.linprog(
            weights,
            A_ub=polytope.rows,
            b_ub=np.zeros(num_rows),
            A_eq=polytope.equalities,
            b_eq=polytope.right,
            bounds=np.column_stack([polytope.lowest, np.full(len(weights), np.inf)]),
            method=method,
            options={**_OPTIONS, "presolve": has_presolve},
        )
        if result.status == 0:
            break
    else:
        return None
    joint = result.x[: objective.size]
    violation = max(
        0.0,
        -joint.min(),
        -result.ineqlin.residual.min(),
        np.abs(result.eqlin.residual).max(),
    )
    joint = np.maximum(joint, 0)
    prices = np.maximum(-result.ineqlin.marginals, 0) * unit
    return Extreme(
        (joint / joint.sum()).reshape(objective.shape),
        _spread(prices, players, concept),
        float(violation),
        int(result.nit),
    )


def _spread(prices: np.ndarray, players: Sequence[_Player], concept: str) -> np.ndarray:
    """Put the prices of a polytope's rows where their deviations are."""
    most = max(len(player.costs) for player in players)
    result = np.zeros((len(players), most, most))
    for place, player in enumerate(players):
        told = len(player.costs) if concept == "ce" else 1
        cells = np.ix_(np.array([place]), np.arange(told), player.deviations)
        count = told * len(player.deviations)
        result[cells] = prices[:count].reshape(1, told, -1) / player.unit
        prices = prices[count:]
    return result if concept == "ce" else result[:, 0]
