import subprocess
import sys

import numpy as np
import pytest
from synthetic import make_table

from gtrade.plotting import equilibria
from gtrade.plotting.style import save

KAPPA, NOISE = "problem.permanent_impact", "solver.tol"
KAPPAS = [0.0, 1.0, 2.0, 10.0]
UNUSED = (
    "distance_to_cce", "distance_to_nash", "distance_to_ce", "tv_distance",
    "tv_distance_ks25", "regret_curve",
)  # fmt: skip
CASES = {
    "one game": {},
    "kappa": {KAPPA: KAPPAS},
    "two keys": {"problem.horizon": [4, 5], KAPPA: KAPPAS},
    "lists": {"problem.targets": [[10, 10], [10, -10]]},
}


def make(axes, *, without=(), status="converged", **columns):
    """Return a table of equilibria with further columns, each a function of size."""
    table = make_table(axes, replications=2, without=(*UNUSED, *without), status=status)
    for name, column in columns.items():
        table._data[name] = np.asarray(column(len(table)))
    return table


def nash(axes, **options):
    return make(
        axes,
        exploitability=lambda n: np.linspace(0, 1e-12, n),
        support_size=lambda n: np.tile([2, 3], (n, 1)),
        **options,
    )


def programs(axes):
    return make(
        axes,
        without=("welfare", "mean_trades"),
        welfare_best=lambda n: np.full(n, 10.0),
        welfare_worst=lambda n: np.linspace(12.0, 20.0, n),
        deviation_gain=np.zeros,
    )


def title(figure):
    return " ".join(figure.get_suptitle().split())


@pytest.mark.parametrize("case", CASES)
def test_figures_of_nash_equilibria(case, tmp_path):
    figures = equilibria.figures(nash(CASES[case]))
    assert set(figures) == {"welfare", "exploitability", "supports", "schedules"}
    for name, figure in figures.items():
        assert figure.get_suptitle()
        save(figure, tmp_path, name, dpi=30)


@pytest.mark.parametrize("case", CASES)
def test_figures_of_correlated_programs(case, tmp_path):
    figures = equilibria.figures(programs(CASES[case]))
    assert set(figures) == {"welfare", "exploitability"}
    for name, figure in figures.items():
        save(figure, tmp_path, name, dpi=30)
    assert "cost between 10 and 1" in title(figures["welfare"])
    assert title(figures["exploitability"]) == "No deviation gains anything"


def test_a_band_spans_best_and_worst():
    figure = equilibria.welfare(programs({KAPPA: KAPPAS}))
    low, high = (line.get_ydata() for line in figure.axes[0].lines)
    np.testing.assert_allclose(low, 10)
    assert (np.diff(high) > 0).all()


def test_titles_tell_pure_from_mixed():
    table = nash({KAPPA: KAPPAS})
    assert "up to 3 strategies" in title(equilibria.support_sizes(table))
    table._data["support_size"] = np.ones((len(table), 2), int)
    assert title(equilibria.support_sizes(table)) == "All equilibria found are pure"


def test_failed_searches_are_shown():
    assert "outcomes" in equilibria.figures(nash({KAPPA: KAPPAS}, status="stalled"))


def test_what_a_table_lacks_is_left_out():
    table = make({KAPPA: KAPPAS}, without=("welfare", "mean_trades"))
    assert equilibria.figures(table) == {}
    table = nash({KAPPA: KAPPAS})
    table._data["exploitability"][:] = np.nan
    table._data["support_size"] = np.full((len(table), 2), np.nan)
    assert set(equilibria.figures(table)) == {"welfare", "schedules"}


def test_drawing_needs_no_jax():
    code = (
        "import sys, gtrade.plotting.equilibria; sys.exit(any(name == 'jax' or"
        " name.startswith('jax.') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
