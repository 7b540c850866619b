"""Copy finished figures to `docs/figures/` and tables to `results/`."""

import re

from experiment import HERE, publish


def described(name):
    """Return a figure's name without its number: by what it shows."""
    return re.sub(r"^fig\d+_", "", name)


if __name__ == "__main__":
    publish(HERE / "results", __doc__, rename=described)
