import importlib
from pathlib import Path

import numpy as np
import pytest

from gtrade.sweeps import load_spec
from gtrade.sweeps.grid import Grid

FOLDER = Path(__file__).parents[2] / "experiments" / "equilibrium_atlas"
SPECS = sorted((FOLDER / "specs").glob("*.toml"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_specs_are_admissible(path):
    Grid(load_spec(path)).validate()


@pytest.mark.slow
def test_nash_costs_more_than_play_beyond_two(run_here, tmp_path):
    rows = run_here("paper_game")["atlas_paper_game"]
    costs = {float(row["kappa"]): float(row["best_nash"]) for row in rows}
    assert costs[3.0] == pytest.approx(450)
    assert all(float(row["planner"]) <= float(row["best_nash"]) for row in rows)
    assert (tmp_path / "atlas_paper_game.svg").exists()


@pytest.mark.slow
def test_no_nash_equilibrium_leaves_the_correlated_range(run_here):
    for row in run_here("anarchy")["atlas_anarchy"]:
        row = {name: float(value) for name, value in row.items()}
        ends = [row[f"{n}_{c}"] for n in ("best", "worst") for c in ("cce", "ce")]
        assert row["planner"] <= ends[0] + 1e-9
        assert ends[0] <= ends[1] + 1e-9
        assert ends[1] <= row["best_nash"] + 1e-9
        assert row["worst_nash"] <= ends[3] + 1e-9
        assert ends[3] <= ends[2] + 1e-9


@pytest.mark.slow
def test_maps(run_here, tmp_path):
    tables = run_here("maps")
    assert set(tables) == {"atlas_map_horizon", "atlas_map_limits", "atlas_map_targets"}
    for rows in tables.values():
        assert all(0 <= float(row["loss_best"]) <= 1 for row in rows)
    assert (tmp_path / "atlas_maps.png").exists()


@pytest.mark.slow
def test_schedules_reach_their_targets(run_here):
    for row in run_here("schedules")["atlas_schedules"]:
        total = sum(float(v) for n, v in row.items() if n.startswith("step"))
        assert total == pytest.approx(float(row["target"]), abs=1e-5)


@pytest.mark.slow
def test_scale(run_here):
    for row in run_here("scale")["atlas_scale"]:
        assert row["status"] == "converged"
        assert float(row["exploitability"]) < 1e-12


def test_mixtures_of_pure_equilibria_are_equilibria(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    anarchy = importlib.import_module("anarchy")
    own, other = np.array([[3, 1, 0]]), np.array([[0, 1, 3]])
    both = anarchy.cost(own, other, 1.0) + anarchy.cost(other, own, 1.0)
    # The welfare identity: (1 - kappa/2) |S|^2 + kappa/2 (sum V)^2.
    assert both[0, 0] == 0.5 * (9 + 4 + 9) + 0.5 * 64
