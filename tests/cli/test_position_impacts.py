"""Power-law and transient impact from spec to rows and report."""

import json
from pathlib import Path

import numpy as np
import pytest

from gtrade import cli
from tests.references import power_law, transient_impact

POWER_LAW = """
model = "power-law-position"
[problem]
targets = [1.0, 1.0]
permanent_impact = 4.0
exponent = 0.5
[solver]
name = "newton"
num_points = 9
[run]
arrays = ["schedules", "times"]
[sweep]
"problem.targets" = [[1.0, 1.0], [1.0, 2.0]]
"problem.exponent" = [0.5, 1.0, 1.5]
"""

TRANSIENT = """
model = "transient-impact"
[problem]
targets = [1.0, 2.0]
decay = 1.0
temporary_cost = 0.3
[solver]
name = "linear-system"
num_points = 9
[run]
arrays = ["schedules"]
[sweep]
"problem.kernel" = ["exponential", "power-law"]
"problem.decay" = [0.5, 2.0]
"""


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    # jax is imported here already, so that the command leaves the environment alone.
    import jax  # noqa: F401

    monkeypatch.chdir(tmp_path)
    Path("power.toml").write_text(POWER_LAW)
    Path("transient.toml").write_text(TRANSIENT)


def rows_of(capsys, *argv, code=0):
    assert cli.main(["run", *argv, "--json", "-"]) == code
    return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["rows"]


@pytest.mark.slow
def test_a_sweep_over_targets_and_exponents(capsys):
    rows = rows_of(capsys, "power.toml", code=3)
    statuses = [row["status"] for row in rows]
    # One candidate is no equilibrium: its row says so, and so does the exit code.
    assert statuses == ["converged"] * 3 + ["stalled"] + ["converged"] * 2
    for row in rows:
        assert row["precision"] == "f64"
        if row["status"] == "stalled":
            assert 0.01 < row["gain_found"] <= row["exploitability"] + 1e-12
        else:
            assert abs(row["exploitability"]) < 1e-12
        costs = [
            power_law.cost(row["schedules"], i, 4.0, row["problem.exponent"])
            for i in range(2)
        ]
        np.testing.assert_allclose(row["expected_costs"], costs, rtol=1e-10)
        np.testing.assert_allclose(row["times"], np.linspace(0, 1, 9))


def test_the_closed_form(capsys):
    settings = (
        "--set",
        'solver={name="closed-form"}',
        "sweep.problem.targets=[[1, 1]]",
    )
    rows = rows_of(capsys, "power.toml", *settings)
    rates = [row["initial_rates"][0] for row in rows]
    np.testing.assert_allclose(rates, [6.976665, 1.810603, 1.280652], atol=5e-7)
    assert {row["num_steps"] for row in rows} == {0}


@pytest.mark.slow
def test_a_sweep_over_kernels_and_a_report(capsys):
    argv = ["run", "transient.toml", "--out", "results", "--json", "rows.json"]
    assert cli.main(argv) == 0
    assert "4/4 rows: 4 done" in capsys.readouterr().err
    assert Path("results/report/report.html").is_file()
    rows = json.loads(Path("rows.json").read_text(), parse_constant=pytest.fail)["rows"]
    for row in rows:
        numbers = row["problem.decay"], 0.3, row["problem.kernel"]
        wanted = transient_impact.equilibrium([1.0, 2.0], 9, *numbers)
        np.testing.assert_allclose(row["schedules"], wanted.cumsum(axis=1), atol=1e-12)
        costs = [transient_impact.cost(wanted, i, *numbers) for i in range(2)]
        np.testing.assert_allclose(row["expected_costs"], costs, rtol=1e-11)
        assert row["critical_temporary_cost"] == [0.25, 0.25]
        assert row["is_alternating"] == [False, False]
        assert 0 <= row["exploitability"] < 1e-20


@pytest.mark.parametrize(
    ("spec", "settings", "message"),
    [
        (
            "power.toml",
            ["problem.smoothing=0.1", 'solver={name="closed-form"}'],
            "problem.smoothing: must be 0 for closed-form, which knows no smoothed"
            " impact; use newton; got 0.1 (all 6 points)",
        ),
        (
            "power.toml",
            ["sweep.problem.targets=[[1.0, -1.0]]"],
            "problem.targets: must not cancel in total for newton where exponent is not"
            " 1 and smoothing is 0: nobody can trade against a total rate of zero; got"
            " [1.0, -1.0] (points 0, 2 of 3)",
        ),
        (
            "power.toml",
            ["sweep.problem.exponent=[1.0, 0.0]"],
            "problem.exponent: must be greater than 0; got 0.0 (points 1, 3 of 4)",
        ),
        (
            "transient.toml",
            ["problem.temporary_cost=-1.0"],
            "problem.temporary_cost: must be at least 0; got -1.0 (all 4 points)",
        ),
        (
            "transient.toml",
            ['sweep.problem.kernel=["linear"]'],
            'sweep."problem.kernel": value 0 must be one of "exponential", "power-law";'
            ' got "linear"',
        ),
    ],
)
def test_messages(capsys, spec, settings, message):
    assert cli.main(["run", spec, "--set", *settings]) == 2
    error = capsys.readouterr().err.strip()
    assert error.removeprefix(f"{spec}: ") == message


@pytest.mark.parametrize("model", ["power-law-position", "transient-impact"])
def test_the_model_pages(capsys, model):
    assert cli.main(["models", model]) == 0
    output = capsys.readouterr().out
    assert "exploitability" in output
    assert "schedules" in output
