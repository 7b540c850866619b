"""The way one solves every model of position building with NumPy and SciPy alone.

`BASELINES` has, for every case of `cases.py` that is about positions, a function of its
games and of its solver's numbers, which returns the answer for all games, first axis.
Everything that has the same steps in all games acts on stacks of them; what does not is
a loop. They are written from the mathematics of docs/models and import nothing of the
package, so that a difference to its answers is evidence, and they take the better of
the obvious ways: a slow baseline would prove nothing.
"""

import numpy as np
from impact_baselines import (
    power_law_formula,
    power_law_grid,
    transient_trades,
    uncertain_trades,
)
from learning_baselines import (
    averaged_gradients,
    mirror_descent,
    perturbed_leader,
    stochastic_gradients,
)
from line_baselines import best_responses, bounded_lines, gradient_play
from scipy.linalg import expm
from stacks import Baseline, Numbers, in_stacks, pairwise_beliefs
from stage_baselines import feedback_trades, hidden_trades, open_loop_trades

_GAMES_AT_ONCE = 256


@in_stacks(_GAMES_AT_ONCE)
def exponential_schedules(games: Numbers, numbers: Numbers) -> np.ndarray:
    """Solve the Euler-Lagrange equations of games without risk aversion or flows.

    With P the beliefs and K the impacts, z'' = -(2 I + P)^-1 K P z' is a linear system
    in positions and rates. One exponential over the time between two points gives, by
    its powers, the rates at time 0 that lead to the targets, and then all positions.
    Digits are lost like exp(kappa); up to 15 ten of them are left.

    Args:
        games: `permanent_impacts` and `targets`, shape (games, types), `prior` and
            `num_types`.
        numbers: `num_points`.

    Returns:
        Positions at equally spaced times, shape (games, types, points).
    """
    impacts, targets = games["permanent_impacts"], games["targets"]
    num_points = numbers["num_points"]
    count, size = targets.shape
    beliefs = pairwise_beliefs(games["prior"])
    drag = np.linalg.solve(2 * np.eye(size) + beliefs, impacts[:, :, None] * beliefs)
    generators = np.zeros((count, 2 * size, 2 * size))
    generators[:, :size, size:] = np.eye(size)
    generators[:, size:, size:] = -drag
    flows = np.stack([expm(g / (num_points - 1)) for g in generators])
    whole = np.linalg.matrix_power(flows, num_points - 1)
    state = np.zeros((count, 2 * size, 1))
    state[:, size:] = np.linalg.solve(whole[:, :size, size:], targets[:, :, None])
    schedules = np.empty((count, size, num_points))
    for point in range(num_points):
        schedules[:, :, point] = state[:, :size, 0]
        state = flows @ state
    return schedules


BASELINES: dict[str, Baseline] = {
    "position-building/spectral": exponential_schedules,
    "position-building/matrix-exponential": exponential_schedules,
    "position-building/gradient": gradient_play,
    "position-building/best-response": best_responses,
    "position-building/constrained": bounded_lines,
    "power-law-position/closed-form": power_law_formula,
    "power-law-position/newton": power_law_grid,
    "transient-impact/linear-system": transient_trades,
    "uncertain-impact/linear-system": uncertain_trades,
    "feedback-position/backward-induction": feedback_trades,
    "feedback-position/open-loop": open_loop_trades,
    "hidden-target/bayes-filter": hidden_trades,
    "position-learning/gradient-play": stochastic_gradients,
    "position-learning/mirror-descent": mirror_descent,
    "position-learning/dual-averaging": averaged_gradients,
    "position-learning/perturbed-leader": perturbed_leader,
}
