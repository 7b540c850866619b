"""Uncertain impact from spec to rows, report and table of models."""

import json
from pathlib import Path

import numpy as np
import pytest

from gtrade import cli

SPEC = """
model = "uncertain-impact"
[problem]
prior = [[0.5], [0.5]]
[[problem.firms]]
types = [
    {target = 1, permanent_impact = 0, transient_impact = 5, decay = 1},
    {target = 1, permanent_impact = 0, transient_impact = 5, decay = 20},
]
[[problem.firms]]
types = [{target = 1, permanent_impact = 0, transient_impact = 5, decay = 5}]
[solver]
name = "linear-system"
num_points = 21
[run]
arrays = ["schedules", "times"]
[sweep]
"problem.firms.0.types.0.decay" = [1.0, 20.0]
"""


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    # jax is imported here already, so that the command leaves the environment alone.
    import jax  # noqa: F401

    monkeypatch.chdir(tmp_path)
    Path("spec.toml").write_text(SPEC)


def test_run_and_report():
    assert cli.main(["run", "spec.toml", "--out", "out", "--json", "rows.json"]) == 0
    document = json.loads(Path("rows.json").read_text(), parse_constant=pytest.fail)
    first, second = document["rows"]
    for row in (first, second):
        assert row["status"] == "converged"
        assert row["precision"] == "f64"
        assert row["exploitability"] < 1e-20
        assert np.array(row["schedules"]).shape == (3, 21)
        assert np.array(row["realised_costs"]).shape == (2, 1, 2)
        assert np.array(row["misjudgements"]).shape == (3, 3)
    np.testing.assert_allclose(
        first["initial_rates"], [1.70897, 0.93689, 1.35999], atol=1e-4
    )
    # Both types of firm 1 hold the same views.
    assert second["initial_rates"][0] == pytest.approx(second["initial_rates"][1])
    assert cli.main(["report", "out"]) == 0
    drawn = {path.stem for path in Path("out").rglob("*.png")}
    assert {"exploitability", "schedules", "expected_costs"} <= drawn


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "problem.firms.0.types.1.decay=-1",
            "problem.firms.0.types.1.decay: must be at least 0; got -1",
        ),
        (
            "problem.firms.1.types.0.temporary_impact=-2",
            "problem.firms.1.types.0.temporary_impact: must be at least 0; got -2",
        ),
        ("problem.firms.1.types.0.speed=3", "speed"),
        ("solver.num_points=2", "solver.num_points: must be at least 3; got 2"),
        ("problem.prior=[[0.5], [0.4]]", "problem.prior: must sum to 1"),
    ],
)
def test_bad_specs_name_the_key(setting, message, capsys):
    assert cli.main(["run", "spec.toml", "--set", setting]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_models_show_the_model(capsys):
    assert cli.main(["models", "uncertain-impact"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "misjudgements" in shown
    assert "linear-system" in shown
