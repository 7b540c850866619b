"""Learning to build positions round after round, on stacks of games in NumPy.

In a round every firm has one type. A type whose rates are v in the cells of the day
pays |v|^2 + <p, v>, with p = w + kappa y the price of a share: rate and mean position
of the other firms. Whoever was present learns from p; the others wait. Games draw their
types independently, so answers are to be compared on average over games.

Each learner returns the rates after the last round and the averages of those that were
traded, both averaged over games, shape (2, types, cells).
"""

from collections.abc import Callable

import numpy as np
from stacks import members_of_profiles

# Rates of so many games stay in a core's own memory.
_GAMES_AT_ONCE = 256

_Array = np.ndarray
# Rates from targets, what was learnt and the number of rounds so far; and what is
# learnt from targets, what was, rounds with this one, rates and prices.
_Act = Callable[[_Array, _Array, _Array], _Array]
_Learn = Callable[[_Array, _Array, _Array, _Array, _Array], _Array]


def stochastic_gradients(games: dict, numbers: dict) -> _Array:
    """Let every type step along its gradient, by c / (rounds + r).

    Args:
        games: `permanent_impacts` and `targets`, shape (games, types), `prior` and
            `num_types`.
        numbers: `num_points`, `num_rounds`; `step_constant` c, 1, and `step_offset` r,
            0.

    Returns:
        See above.
    """
    constant, offset = _steps(numbers)

    def act(targets: _Array, rates: _Array, rounds: _Array) -> _Array:
        return rates

    def learn(targets, state, rounds, rates, prices) -> _Array:
        return state - constant / (rounds + offset) * _centred(2 * rates + prices)

    return _play(games, numbers, act, learn, start=lambda targets: targets)


def mirror_descent(games: dict, numbers: dict) -> _Array:
    """Multiply shares of the target by exponentials of the gradient.

    Args:
        games: as for `stochastic_gradients`, targets other than zero.
        numbers: likewise.

    Returns:
        See above.
    """
    constant, offset = _steps(numbers)
    num_cells = numbers["num_points"] - 1

    def act(targets: _Array, scores: _Array, rounds: _Array) -> _Array:
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        return targets * num_cells * weights / weights.sum(axis=2, keepdims=True)

    def learn(targets, scores, rounds, rates, prices) -> _Array:
        step = constant / ((rounds + offset) * targets)
        return scores - step * _centred(2 * rates + prices)

    return _play(games, numbers, act, learn)


def averaged_gradients(games: dict, numbers: dict) -> _Array:
    """Follow the sum of all gradients, by c / sqrt(rounds): dual averaging.

    Args:
        games: as for `stochastic_gradients`.
        numbers: `num_points`, `num_rounds`; `step_constant` c, 1/4.

    Returns:
        See above.
    """
    constant = numbers.get("step_constant", 0.25)

    def act(targets: _Array, total: _Array, rounds: _Array) -> _Array:
        return targets - constant / np.sqrt(np.maximum(rounds, 1)) * total

    def learn(targets, total, rounds, rates, prices) -> _Array:
        return total + _centred(2 * rates + prices)

    return _play(games, numbers, act, learn)


def perturbed_leader(games: dict, numbers: dict) -> _Array:
    """Answer the sum of all past prices with noise on it, by the exact response.

    Args:
        games: as for `stochastic_gradients`.
        numbers: `num_points`, `num_rounds`; `noise`, 1, the most that is added.

    Returns:
        See above.
    """
    most = numbers.get("noise", 1.0)
    rng = np.random.default_rng(1)

    def act(targets: _Array, total: _Array, rounds: _Array) -> _Array:
        perturbed = total + most * rng.random(total.shape)
        return targets - _centred(perturbed) / (2 * (rounds + 1))

    def learn(targets, total, rounds, rates, prices) -> _Array:
        return total + _centred(prices)

    return _play(games, numbers, act, learn)


def _steps(numbers: dict) -> tuple[float, float]:
    return numbers.get("step_constant", 1.0), numbers.get("step_offset", 0.0)


def _centred(values: _Array) -> _Array:
    return values - values.mean(axis=2, keepdims=True)


def _play(
    games: dict,
    numbers: dict,
    act: _Act,
    learn: _Learn,
    start: Callable[[_Array], _Array] = np.zeros_like,
) -> _Array:
    """Play all games, some at a time.

    Args:
        games: as for the learners.
        numbers: likewise.
        act: the rule.
        learn: likewise.
        start: what is known before the first round, from targets (games, types,
            cells).
    """
    rng, count = np.random.default_rng(0), len(games["targets"])
    result = 0.0
    for first in range(0, count, _GAMES_AT_ONCE):
        chosen = slice(first, first + _GAMES_AT_ONCE)
        columns = ("permanent_impacts", "targets", "prior")
        few = games | {name: games[name][chosen] for name in columns}
        draws = rng.random((numbers["num_rounds"], len(few["targets"])))
        result = result + _play_some(few, draws, numbers, act, learn, start)
    return result / count


def _play_some(
    games: dict,
    draws: _Array,
    numbers: dict,
    act: _Act,
    learn: _Learn,
    start: Callable[[_Array], _Array],
) -> _Array:
    """Return the sum over games of last and average rates."""
    targets, num_cells = games["targets"], numbers["num_points"] - 1
    count, size = targets.shape
    targets = targets[:, :, None]
    impacts = games["permanent_impacts"][:, :, None]
    reached = np.cumsum(games["prior"].reshape(count, -1), axis=1)
    reached /= reached[:, -1:]
    members = members_of_profiles(games["num_types"])

    state = start(np.repeat(targets, num_cells, axis=2))
    averages = np.zeros((count, size, num_cells))
    visits = np.zeros((count, size, 1))
    each = np.arange(count)[:, None]
    for draw in draws:
        profiles = (reached <= draw[:, None]).sum(axis=1)
        present = each, members[profiles]
        wanted, before, rounds = targets[present], state[present], visits[present]
        rates = act(wanted, before, rounds)
        others = rates.sum(axis=1, keepdims=True) - rates
        held = (np.cumsum(others, axis=2) - others / 2) / num_cells
        prices = others + impacts[present] * held
        rounds = rounds + 1
        visits[present] = rounds
        averages[present] += (rates - averages[present]) / rounds
        state[present] = learn(wanted, before, rounds, rates, prices)
    last = act(targets, state, visits)
    return np.stack([last.sum(axis=0), averages.sum(axis=0)])
