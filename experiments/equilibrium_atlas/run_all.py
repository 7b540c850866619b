"""Run the whole atlas: `python .../equilibrium_atlas/run_all.py --out results`."""

import importlib
import time

from atlas import read_arguments

EXPERIMENTS = ("paper_game", "anarchy", "maps", "schedules", "scale")


def main(argv=None):
    """Run all, in one process, so that jax starts once."""
    arguments = read_arguments(__doc__, argv)
    passed_on = ["--out", str(arguments.out)] + ["--smoke"] * arguments.is_smoke
    from gtrade.cli.environment import prepare_environment

    prepare_environment()  # before any experiment imports jax
    seconds = {}
    for name in EXPERIMENTS:
        started = time.monotonic()
        importlib.import_module(name).main(passed_on)
        seconds[name] = time.monotonic() - started
    print("\n".join(f"{name:12s} {value:6.1f} s" for name, value in seconds.items()))


if __name__ == "__main__":
    main()
