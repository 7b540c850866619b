"""Learners of positions, from a spec to rows, figures and messages."""

import json
from pathlib import Path

import numpy as np
import pytest

from gtrade import cli

SPEC = (
    Path(__file__).parents[2] / "experiments/chriss_2025/specs/learning.toml"
).read_text()
SMALL = ["run.replications=3", "solver.num_rounds=40", "solver.num_points=9"]


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    # jax is imported here already, so that the command leaves the environment alone.
    import jax  # noqa: F401

    monkeypatch.chdir(tmp_path)
    Path("spec.toml").write_text(SPEC)


@pytest.mark.slow
def test_the_experiment_runs_to_its_figure(capsys):
    argv = ["run", "spec.toml", "--out", "run", "--json", "rows.json"]
    assert cli.main([*argv, "--set", *SMALL]) == 0
    capsys.readouterr()
    rows = json.loads(Path("rows.json").read_text())["rows"]
    assert len(rows) == 12
    for row in rows:
        assert row["status"] == "completed"
        assert len(row["regret"]) == len(row["expected_costs"]) == 4
        np.testing.assert_allclose(row["modulus"], 1.0)
        assert row["equilibrium_gap"] < 1e-20
        assert len(row["distance_curve"]) == len(row["rounds"])
    first = rows[0]["distance_curve"], rows[1]["distance_curve"]
    assert first[0] != first[1]  # replications differ
    assert Path("run/report/distances.png").is_file()


@pytest.mark.parametrize("solver", ["mirror-descent", "dual-averaging"])
def test_other_learners_run(solver, capsys):
    argv = ["run", "spec.toml", "--json", "-", "--set", *SMALL]
    assert cli.main([*argv, f"solver.name={solver}", "run.arrays=[]"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 12


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("sweep.solver.step_constant=[1.0, 0.0]", "solver.step_constant"),
        ("problem.firms.1.types.0.permanent_impact=-1", "types.0.permanent_impact"),
        ("solver.start=late", "solver.start"),
    ],
)
def test_bad_numbers_are_named_by_key(setting, message, capsys):
    assert cli.main(["run", "spec.toml", "--set", *SMALL, setting]) == 2
    assert message in capsys.readouterr().err
