"""Runs over the draws of a calibration, from the command line to rows."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gtrade
from gtrade import cli
from gtrade.calibration.decision import bands
from tests.references import position_building as reference

SPECS = Path(__file__).parents[2] / "experiments" / "calibration"
ROOTS = """
model = "roots"
[problem]
levels = [2.0, 3.5]
[solver]
name = "newton"
"""


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    # jax is imported here already, so that the command leaves the environment alone.
    import jax  # noqa: F401

    monkeypatch.chdir(tmp_path)


def write_draws(folder, **columns):
    Path(folder).mkdir(exist_ok=True)
    count = len(next(iter(columns.values())))
    table = pa.table({"draw": np.arange(count), **columns})
    pq.write_table(table, Path(folder) / "draws.parquet")
    (Path(folder) / "calibration.json").write_text("{}")


def test_another_folder_of_draws_is_no_resume(capsys):
    Path("spec.toml").write_text(ROOTS)
    write_draws("one", scale=[1.0, 4.0, np.nan])
    command = ["run", "spec.toml", "--out", "runs", "--json", "rows.json"]
    assert cli.main([*command, "--set-from", "one"]) == 0
    error = capsys.readouterr().err
    said = "2 draws of one: scale sets problem.scale (1 with missing numbers left out)"
    assert said in error
    rows = json.loads(Path("rows.json").read_text())["rows"]
    assert [row["problem.scale"] for row in rows] == [1.0, 4.0]
    np.testing.assert_allclose(rows[1]["roots"], np.sqrt([8.0, 14.0]), rtol=1e-4)
    assert cli.main([*command, "--set-from", "one"]) == 0  # resumed
    write_draws("two", scale=[1.0, 5.0])
    assert cli.main([*command, "--set-from", "two"]) == 2
    assert "problem.scale" in capsys.readouterr().err
    assert cli.main([*command, "--set-from", "nowhere"]) == 2
    assert "must be the folder of a calibration" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["from_calibration", "from_calibration_two_rivals"])
def test_from_an_estimated_kappa_to_schedules(capsys, name):
    kappa = np.exp(np.log(4) + 0.3 * np.random.default_rng(1).normal(size=12))
    write_draws("fit", kappa=kappa)
    spec = str(SPECS / f"{name}.toml")
    assert cli.main(["run", spec]) == 2
    assert "--set-from DIR" in capsys.readouterr().err
    assert cli.main(["run", spec, "--set-from", "fit", "--out", "runs"]) == 0
    table = gtrade.load("runs")
    (found,) = bands(table, "schedules", (0.25, 0.75))
    targets = [1.0, 2.0] if name == "from_calibration" else [1.0, 1.0, 1.0]
    times = np.linspace(0.0, 1.0, 65)
    paths = [reference.complete_information_path(k, targets, times)[0] for k in kappa]
    expected = np.quantile(paths, (0.25, 0.75), axis=0)
    np.testing.assert_allclose(found.quantiles, expected, atol=1e-10)
    (costs,) = bands(table, "expected_costs", (0.5,))
    by_hand = [reference.complete_information_costs(k, targets) for k in kappa]
    np.testing.assert_allclose(costs.quantiles[0], np.median(by_hand, axis=0))
