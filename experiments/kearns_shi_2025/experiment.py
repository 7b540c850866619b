"""What the experiments of this folder share."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

import common
from common import publish, read_arguments, run_all, summary, write

__all__ = ["HERE", "SMOKE_GAME", "SMOKE_PLAY", "publish", "read_arguments"]
__all__ += ["run", "run_all", "summary", "write"]

# Programs of a small game take the least time to compile.
SMOKE_GAME = {"horizon": 3, "targets": [4, 4], "min_trade": -2, "max_trade": 2}
# Tiny runs of a learner differ in numbers only, and so share their programs. Figure 6
# needs more than 100 rounds.
SMOKE_PLAY = ("solver.num_rounds=200", 'run.arrays=["regret_curve", "schedules"]')


def run(arguments, spec, *, smoke=(), **settings):
    """Run a spec of this folder; tiny, a smaller game."""
    game = [f"problem.{name}={value}" for name, value in SMOKE_GAME.items()]
    smoke = [*game, *smoke]
    return common.run(HERE / "specs", arguments, spec, smoke=smoke, **settings)
