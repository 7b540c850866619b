"""Run all of it: `python experiments/microstructure/run_all.py --out results`."""

from experiment import run_all

EXPERIMENTS = (
    "kyle",
    "glosten_milgrom",
    "almgren_chriss",
    "portfolio",
    "replanning",
    "estimators",
)


if __name__ == "__main__":
    run_all(EXPERIMENTS, __doc__)
