import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from gtrade.sweeps import load_spec
from gtrade.sweeps.grid import Grid

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
FOLDER = EXPERIMENTS / "kearns_shi_2025"
SPECS = [EXPERIMENTS / "quickstart.toml", *sorted((FOLDER / "specs").glob("*.toml"))]
RESULTS = {
    "adversary",
    "composite",
    "fig1_responses",
    "fig2_responses_selling",
    "fig3_regret",
    "fig3_single_runs",
    "fig4_distances",
    "fig5_total_variation",
    "fig6_actions",
    "fig7_concentration",
    "fig7_welfare",
    "fig8_swap_regret",
    "theorem_4_5_cycle",
}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_specs_are_admissible(path):
    Grid(load_spec(path)).validate()


def test_quickstart_is_the_papers_sweep():
    spec = load_spec(EXPERIMENTS / "quickstart.toml")
    assert spec.num_points * spec.run.replications == 900
    assert spec.solver_values["num_rounds"] == 2500
    assert spec.problem["targets"] == [10, 10]


def test_the_cycle_of_theorem_4_5(run_here, tmp_path):
    rows = run_here("theorem_4_5_cycle")["theorem_4_5_cycle"]
    moves = [(int(r["player_in_paper"]), r["to"]) for r in rows]
    costs = [(float(r["cost_before"]), float(r["cost_after"])) for r in rows]
    assert moves[:4] == [
        (2, "(3, 1, 0, 0, 1)"),
        (1, "(2, 1, 1, 1, 0)"),
        (2, "(2, 2, 1, 0, 0)"),
        (1, "(3, 1, 0, 0, 1)"),
    ]
    assert costs[:3] == [(36, 33), (35, 34), (32, 31)]
    assert len(rows) == 7
    assert (tmp_path / "theorem_4_5_cycle.svg").exists()


def test_best_responses_of_figures_1_and_2(run_here):
    files = run_here("fig1_2_responses")
    first = {
        (r["opponent"], float(r["kappa"])): r["best_response"]
        for r in files["fig1_responses"]
    }
    assert first["even", 0.0] == "(2, 2, 2, 2, 2)"
    assert first["even", 2.0] == "(10, 0, 0, 0, 0)"
    selling = {r["opponent"]: r for r in files["fig2_responses_selling"]}
    assert selling["even"]["best_response"] == "(10, 10, 10, -10, -10)"
    for row in [*files["fig1_responses"], *selling.values()]:
        assert float(row["cost"]) <= float(row["cost_of_even_schedule"])


def test_markdown_is_aligned(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    common = importlib.import_module("common")
    rows = [
        {"name": "a", "x": 123.4, "x_se": 0.01234, "n": 2},
        {"name": "long", "x": -0.5678, "x_se": 0.1, "n": 10},
    ]
    text = common.markdown(rows, {"n": "d"})
    assert text.splitlines() == [
        "| name |              x |  n |",
        "| ---- | -------------: | -: |",
        "| a    |   123 ± 0.0123 |  2 |",
        "| long | -0.568 ± 0.100 | 10 |",
    ]


@pytest.mark.slow
def test_all_experiments_run(tmp_path):
    command = [sys.executable, "-W", "error", str(FOLDER / "run_all.py"), "--smoke"]
    subprocess.run([*command, "--out", str(tmp_path)], check=True)
    for suffix in ("csv", "md", "png", "svg"):
        assert {path.stem for path in tmp_path.glob(f"*.{suffix}")} == RESULTS
