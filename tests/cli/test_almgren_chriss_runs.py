"""Execution plans from spec to rows and report, with every solver."""

import json
from pathlib import Path

import numpy as np
import pytest

from gtrade import cli

SPEC = """
model = "almgren-chriss"
[problem]
shares = 1e6
horizon = 5.0
num_periods = 5
volatility = 0.95
permanent_impact = 2.5e-7
temporary_impact = 2.5e-6
fixed_cost = 0.0625
[solver]
name = "closed-form"
[run]
arrays = ["times"]
[sweep]
"problem.risk_aversion" = [0.0, 1e-6, 1e-5]
"""


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    # jax is imported here already, so that the command leaves the environment alone.
    import jax  # noqa: F401

    monkeypatch.chdir(tmp_path)
    Path("spec.toml").write_text(SPEC)


def run(*changes):
    sets = [part for change in changes for part in ("--set", change)]
    code = cli.main(["run", "spec.toml", *sets, "--json", "rows.json"])
    document = json.loads(Path("rows.json").read_text(), parse_constant=pytest.fail)
    return code, document["rows"]


def test_run_and_report():
    assert cli.main(["run", "spec.toml", "--out", "out", "--json", "rows.json"]) == 0
    rows = json.loads(Path("rows.json").read_text(), parse_constant=pytest.fail)["rows"]
    assert [row["status"] for row in rows] == ["converged"] * 3
    costs = [row["expected_cost"] for row in rows]
    np.testing.assert_allclose(costs, [662_500, 911_226.9863, 1_845_211.2616])
    np.testing.assert_allclose(
        rows[1]["holdings"], [1e6, 541_955.55, 289_854.22, 147_897.49, 62_141.80, 0]
    )
    assert rows[0]["half_life"] is None  # infinite
    assert rows[0]["times"] == [0, 1, 2, 3, 4, 5]
    assert cli.main(["report", "out"]) == 0
    drawn = {path.stem for path in Path("out").rglob("*.png")}
    assert {"frontier", "schedules"} <= drawn


def test_variants_are_keys_of_the_problem():
    code, rows = run(
        "problem.volumes=[1e6, 4e5, 3e5, 4e5, 1e6]", "problem.max_participation=0.4"
    )
    assert code == 0
    assert all(max(row["trades"]) <= 4e5 for row in rows)
    assert all(row["kkt_residual"] < 1e-12 for row in rows)


@pytest.mark.slow
def test_plans_in_lots():
    code, rows = run("problem.lot_size=50000")
    assert code == 0
    assert all(np.mod(row["trades"], 50_000).max() == 0 for row in rows)
    _, exact = run("problem.lot_size=50000", "solver.name=dynamic-program")
    for row, other in zip(rows, exact, strict=True):
        np.testing.assert_allclose(row["objective"], other["objective"])


@pytest.mark.slow
def test_simulation():
    code, rows = run("solver.name=monte-carlo", "solver.num_paths=20000")
    assert code == 0
    for row in rows:
        assert row["status"] == "completed"
        for name in ("expected_cost", "value_at_risk"):
            gap = abs(row[f"{name}_mc"] - row[name])
            assert gap <= 5 * row[f"{name}_se"]


def test_value_at_risk():
    code, rows = run("solver.name=value-at-risk", "solver.z_score=1.645")
    assert code == 0
    np.testing.assert_allclose(rows[0]["value_at_risk"], 1_877_206.7)
    np.testing.assert_allclose(rows[0]["implied_risk_aversion"], 1.694389e-6, rtol=1e-6)
    code, _ = run("solver.name=value-at-risk", "solver.z_score=6.0")
    assert code == 0  # all at once is an answer


def test_bad_numbers_name_their_key(capsys):
    code = cli.main(["run", "spec.toml", "--set", "problem.temporary_impact=1e-8"])
    assert code == 2
    assert "problem.temporary_impact" in capsys.readouterr().err
    code = cli.main(["run", "spec.toml", "--set", "solver.name=dynamic-program"])
    assert code == 2
    assert "lot_size" in capsys.readouterr().err
