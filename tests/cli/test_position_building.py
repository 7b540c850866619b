"""Position building from spec to rows, report and table of models."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gtrade import cli
from tests.references import position_costs as published

SPEC = """
model = "position-building"
[problem]
prior = [[0.40, 0.20], [0.15, 0.25]]
evaluation_impacts = [1, 2, 3, 15]
[[problem.firms]]
types = [{permanent_impact = 1, target = 3}, {permanent_impact = 3, target = 5}]
[[problem.firms]]
types = [{permanent_impact = 2, target = 7}, {permanent_impact = 15, target = 5}]
[solver]
name = "spectral"
num_points = 65
[run]
arrays = ["schedules"]
"""


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    # jax is imported here already, so that the command leaves the environment alone.
    import jax  # noqa: F401

    monkeypatch.chdir(tmp_path)
    Path("spec.toml").write_text(SPEC)


def run(*argv):
    code = cli.main(["run", "spec.toml", *argv, "--json", "rows.json"])
    return code, json.loads(Path("rows.json").read_text(), parse_constant=pytest.fail)


def test_the_published_example(capsys):
    code, document = run()
    assert code == 0
    (row,) = document["rows"]
    assert row["status"] == "converged"
    assert row["precision"] == "f64"
    np.testing.assert_allclose(row["initial_rates"], published.INITIAL_RATES, atol=5e-9)
    per_share = np.array(row["expected_costs"]) / published.TARGETS
    np.testing.assert_allclose(per_share, [14.705, 31.336, 20.452, 61.684], atol=5e-4)
    realised = np.array(row["realised_costs"])
    assert realised.shape == (4, 2, 2, 2)
    np.testing.assert_allclose(realised[0, 0, 0, 0] / 3, 15.81, atol=0.03)
    assert np.array(row["schedules"]).shape == (4, 65)
    assert row["exploitability"] <= 1e-9
    assert row["discretised_gap"] <= 1e-5
    assert row["violation"] <= 1e-9


def test_a_sweep_with_report(capsys):
    sweep = "sweep.problem.firms.0.types.1.permanent_impact=[1.0, 4.0]"
    code, document = run("--out", "runs", "--set", sweep)
    assert code == 0
    key = "problem.firms.0.types.1.permanent_impact"
    assert [row[key] for row in document["rows"]] == [1.0, 4.0]
    assert cli.main(["report", "runs"]) == 0
    report = Path("runs/report/report.html").read_text()
    assert "κ of firm 1, type 2" in report
    names = {path.stem for path in Path("runs/report").glob("*.png")}
    assert names == {
        "schedules",
        "expected_costs",
        "price_of_anarchy",
        "exploitability",
    }
    assert cli.main(["export", "runs", "--to", "csv"]) == 0
    assert key in Path("runs/results.csv").read_text().splitlines()[0]


def test_a_model_with_tables_is_described(capsys):
    assert cli.main(["models", "position-building"]) == 0
    out = capsys.readouterr().out
    for word in ("firms.N.types.N.permanent_impact", "matrix-exponential", "shares"):
        assert word in out


def test_wrong_numbers_are_named_by_their_place(capsys):
    assert cli.main(["run", "spec.toml", "--set", "problem.firms.1.types.0.target=nan"])
    message = capsys.readouterr().err
    assert "problem.firms.1.types.0.target: must be a finite number; got nan" in message


@pytest.mark.slow
def test_many_games_on_many_devices_do_not_wait_for_each_other():
    # Calls of LAPACK on batches share XLA's threads with everything else.
    sweep = 'sweep."problem.firms.0.types.0.target"={linspace=[1.0, 2.0, 3000]}'
    command = [sys.executable, "-m", "gtrade", "run", "spec.toml", "--out", "many"]
    names = ("XLA_FLAGS", "PJRT_NPROC")
    environment = {k: v for k, v in os.environ.items() if k not in names}
    found = subprocess.run(
        [*command, "--set", sweep], env=environment, timeout=240, capture_output=True
    )
    assert found.returncode == 0, found.stderr
    assert b"3000/3000 rows" in found.stderr
