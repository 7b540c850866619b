"""What the experiments of this folder share."""

import functools
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

import common
from common import publish, read_arguments, run_all, write

__all__ = ["HERE", "POINTS", "at_times", "batched", "float64", "publish"]
__all__ += ["read_arguments", "run", "run_all", "solve", "spec_problem", "write"]

run = functools.partial(common.run, HERE / "specs")

# Times of schedules, in tiny runs too: all games of a shape then share a program.
POINTS = 101


def float64():
    """Return a context in which jax computes in float64."""
    from gtrade.cli.environment import prepare_environment

    prepare_environment()
    import jax

    return jax.enable_x64(True)


def spec_problem(name):
    """Return the arguments of the game of a spec, for `gtrade.PositionBuilding`."""
    from gtrade.problems.position_tables import arguments
    from gtrade.sweeps import load_spec

    return arguments(load_spec(HERE / "specs" / f"{name}.toml").problem)


def solve(game, num_points=POINTS):
    """Return the equilibrium paths of a game, or of a batch of them."""
    import gtrade
    from gtrade.problems.base import is_batch

    solver = gtrade.Spectral(num_points=num_points)
    run = gtrade.solve_batch if is_batch(game) else gtrade.solve
    solution = run(game, solver)
    gtrade.raise_unless_converged(solution)
    return solution.value


@functools.cache
def batched(function):
    """Return a function of one game for batches, compiled as one program."""
    import jax

    return jax.jit(jax.vmap(function))


def at_times(paths, values, times):
    """Return what is known at the nodes of paths, such as their rates, at any times."""
    return np.asarray(values) @ paths.rule.interpolation(np.asarray(times)).T
