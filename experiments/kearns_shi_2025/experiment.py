"""What the experiments of this folder share."""

import functools
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

import common
from common import publish, read_arguments, run_all, summary, write

__all__ = ["HERE", "publish", "read_arguments", "run", "run_all", "summary", "write"]

run = functools.partial(common.run, HERE / "specs")
