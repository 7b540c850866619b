"""What the experiments of this folder share."""

import functools
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

import common
from common import publish, read_arguments, run_all, write

__all__ = ["HERE", "float64", "publish", "read_arguments", "run", "run_all", "write"]

run = functools.partial(common.run, HERE / "specs")


def float64():
    """Return a context in which jax computes in float64."""
    from gtrade.cli.environment import prepare_environment

    prepare_environment()
    import jax

    return jax.enable_x64(True)
