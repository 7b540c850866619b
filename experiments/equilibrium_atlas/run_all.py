"""Run the whole atlas: `python .../equilibrium_atlas/run_all.py --out results`."""

from atlas import run_all

EXPERIMENTS = ("paper_game", "anarchy", "maps", "schedules", "scale")


if __name__ == "__main__":
    run_all(EXPERIMENTS, __doc__)
