"""Copy finished figures to `docs/figures/` and tables to `results/`."""

from experiment import HERE, publish

if __name__ == "__main__":
    publish(HERE / "results", __doc__)
