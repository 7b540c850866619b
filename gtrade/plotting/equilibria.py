"""Figures of runs that computed equilibria, from their tables of results alone."""

from matplotlib.figure import Figure

from gtrade.plotting.points import Results


def figures(table: Results) -> dict[str, Figure]:
    """Return all figures that a run of an equilibrium solver has something to show in.

    Args:
        table: of a finished or unfinished run, from `gtrade.load`.
    """
    del table
    return {}
