"""Feedback strategies and hidden targets, from spec to rows."""

import json
from pathlib import Path

import numpy as np
import pytest

from gtrade import cli
from tests.references import feedback_positions as reference

FEEDBACK = """
model = "feedback-position"
[problem]
targets = [1, 3]
permanent_impact = 5
[solver]
name = "backward-induction"
num_steps = 3
[run]
arrays = ["schedules"]
[sweep]
"problem.targets.1" = [3.0, -1.0]
"""
HIDDEN = """
model = "hidden-target"
[problem]
target_mean = 1
target_std = 1
noise_std = 1
permanent_impact = 5
[solver]
name = "bayes-filter"
num_steps = 4
[sweep]
"problem.target" = [0.0, 1.0]
"problem.noise_std" = [0.3, 3.0]
"""


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    # jax is imported here already, so that the command leaves the environment alone.
    import jax  # noqa: F401

    monkeypatch.chdir(tmp_path)
    Path("feedback.toml").write_text(FEEDBACK)
    Path("hidden.toml").write_text(HIDDEN)


def run(*argv):
    assert cli.main(["run", *argv, "--json", "rows.json"]) == 0
    return json.loads(Path("rows.json").read_text(), parse_constant=pytest.fail)["rows"]


def test_feedback_rows():
    rows = run("feedback.toml")
    assert [row["status"] for row in rows] == ["converged"] * 2
    for row in rows:
        targets = np.array([1.0, row["problem.targets.1"]])
        impacts = np.full(2, 5.0)
        _, costs = reference.nested_equilibrium(targets, 0.0, 0, impacts, 3)
        np.testing.assert_allclose(row["expected_costs"], costs, atol=1e-12)
        fixed = reference.costs(reference.open_loop(targets, impacts, 3), impacts)
        np.testing.assert_allclose(row["open_loop_costs"], fixed, atol=1e-12)
        assert np.shape(row["schedules"]) == (2, 4)
        assert row["exploitability"] < 1e-20


def test_open_loop_rows_and_impacts_of_each():
    Path("each.toml").write_text(
        FEEDBACK.replace("permanent_impact = 5", "permanent_impacts = [5, 2]").replace(
            "backward-induction", "open-loop"
        )
    )
    rows = run("each.toml", "--set", "sweep.problem.permanent_impacts.1=[2, 5]")
    assert len(rows) == 4
    for row in rows:
        targets = np.array([1.0, row["problem.targets.1"]])
        impacts = np.array([5.0, row["problem.permanent_impacts.1"]])
        fixed = reference.costs(reference.open_loop(targets, impacts, 3), impacts)
        np.testing.assert_allclose(row["expected_costs"], fixed, atol=1e-12)


@pytest.mark.slow
def test_hidden_rows():
    rows = run("hidden.toml")
    assert len(rows) == 4
    for row in rows:
        assert row["status"] == "converged"
        assert row["exploitability"] < 1e-20
        assert row["belief_error"] < 1e-12
        assert len(row["belief_stds"]) == 4
    # What the arbitrageur expects to pay does not depend on what it does not know.
    assert rows[0]["expected_costs"][1] == pytest.approx(rows[2]["expected_costs"][1])


def test_both_impacts_are_refused(capsys):
    argv = ["run", "feedback.toml", "--set", "problem.permanent_impacts=[5, 2]"]
    assert cli.main(argv) == 2
    message = capsys.readouterr().err
    assert "problem.permanent_impact: must be given, or permanent_impacts" in message
