"""Fees, prices that are not linear and limits of single steps, from spec to rows."""

import json
from pathlib import Path

import numpy as np
import pytest

from gtrade import cli
from tests.references import general_costs as reference

SPEC = """
model = "trading-game"
[problem]
horizon = 4
targets = [6, -3]
min_trade = -3
max_trade = [3, 2, 4, 1]
permanent_impact = 0.4
fixed_fee = 0.5
[solver]
name = "best-response-dynamics"
max_rounds = 50
[sweep]
"problem.temporary_exponent" = [0.5, 1.0, 2.0]
"""


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    # jax is imported here already, so that the command leaves the environment alone.
    import jax  # noqa: F401

    monkeypatch.chdir(tmp_path)
    Path("spec.toml").write_text(SPEC)


def fails(capsys, *settings):
    assert cli.main(["run", "spec.toml", "--set", *settings]) == 2
    return capsys.readouterr().err.strip().removeprefix("spec.toml: ")


def test_a_sweep_over_exponents_and_limits(capsys):
    lists = "sweep.problem.max_trade=[4, [3, 2, 4, 1]]"
    argv = ["run", "spec.toml", "--out", "runs", "--set", lists]
    assert cli.main([*argv, "--json", "rows.json"]) in (0, 3)
    assert "6/6 rows: 6 done, 0 reused" in capsys.readouterr().err
    document = json.loads(Path("rows.json").read_text(), parse_constant=pytest.fail)
    assert document["problem"]["fixed_fee"] == 0.5
    manifest = json.loads(Path("runs/manifest.json").read_text())
    labels = [group["label"]["problem.max_trade"] for group in manifest["groups"]]
    assert labels == [4, [3, 2, 4, 1]]
    for row in document["rows"]:
        highs = json.loads(row["problem.max_trade"])  # numbers beside lists: texts
        highs = highs if isinstance(highs, list) else [highs] * 4
        numbers = [-3] * 4, highs, 0.4, row["problem.temporary_exponent"], 0.5
        profile = np.array(row["mean_trades"], int)
        gaps = [reference.gap(profile, player, *numbers) for player in range(2)]
        costs = [reference.cost(profile, player, *numbers[2:]) for player in range(2)]
        np.testing.assert_allclose(row["costs"], costs, atol=1e-12)
        for kind in ("nash", "ce", "cce"):
            np.testing.assert_allclose(
                row[f"distance_to_{kind}"], max(gaps), atol=1e-12
            )
        assert (row["status"] == "converged") == (max(gaps) < 1e-12)
    assert Path("runs/report/welfare.png").is_file()
    assert cli.main(argv) in (0, 3)
    assert "0 done, 6 reused" in capsys.readouterr().err
    assert cli.main([*argv, "problem.fixed_fee=1"]) == 2
    assert "problem.fixed_fee: 0.5 -> 1.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["problem.max_trade=[3, 2]"],
            "problem.max_trade: must be a whole number, or a list of one for each of 4"
            " steps; got [3, 2] (all 3 points)",
        ),
        (
            ['problem.max_trade=[3, 2, 4, "1"]'],
            "problem.max_trade: must be a whole number, or a list of whole numbers;"
            ' got [3, 2, 4, "1"]',
        ),
        (
            ["problem.min_trade=[0, 0, 5, 0]", "problem.targets=[6, 2]"],
            "problem.max_trade: must be at least min_trade in every step;"
            " got [3, 2, 4, 1] (all 3 points)",
        ),
        (
            ["problem.targets=[11, 2]"],
            "problem.targets: must lie in [-12, 10], what 4 trades within the limits"
            " can reach; got [11, 2] (all 3 points)",
        ),
        (
            ["sweep.problem.temporary_exponent=[1, 0, -1]"],
            "problem.temporary_exponent: must be greater than 0; got 0.0"
            " (points 1, 2 of 3)",
        ),
        (
            ["problem.fixed_fee=-1"],
            "problem.fixed_fee: must be at least 0; got -1.0 (all 3 points)",
        ),
        (
            ["sweep.problem.max_trade.4=[1]"],
            "problem.max_trade.4: problem.max_trade has positions 0 to 3; got 4",
        ),
        (
            ["sweep.problem.max_trade.0=[1]", "problem.max_trade=4"],
            "problem.max_trade.0: needs problem.max_trade as a list to put the swept"
            " values in",
        ),
        (
            ['solver={name="ftpl"}', "sweep.problem.max_trade.0=[1, 2]"],
            "problem.temporary_exponent: must be left out with FTPL, which plays linear"
            " prices without fees; got 0.5 (all 6 points)",
        ),
        (
            ['solver={name="swap-ftpl"}', "sweep={}", "problem.horizon=4"],
            "problem.fixed_fee: must be left out with SwapFTPL, which plays linear"
            " prices without fees; got 0.5",
        ),
    ],
)
def test_messages(capsys, settings, message):
    assert fails(capsys, *settings) == message


def test_the_model_page_lists_the_new_keys(capsys):
    assert cli.main(["models", "trading-game"]) == 0
    output = " ".join(capsys.readouterr().out.split())
    for text in ("temporary_exponent", "fixed_fee", "or a list of whole numbers"):
        assert text in output
