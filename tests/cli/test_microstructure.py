"""Kyle's models from spec to rows and report."""

import json
from pathlib import Path

import numpy as np
import pytest

from gtrade import cli
from tests.references import kyle as reference

SINGLE = """
model = "kyle"
[problem]
value_std = 2.0
noise_std = 0.5
signal_noise_std = 1.0
num_insiders = 3
signals = "private"
[solver]
name = "{solver}"
{numbers}
[sweep]
"problem.value_std" = [0.0, 1.0, 2.0]
"""
SEQUENCE = """
model = "kyle-sequential"
[problem]
value_std = 1.0
noise_std = 1.0
num_auctions = 4
[solver]
name = "{solver}"
{numbers}
[run]
{run}
[sweep]
"problem.num_insiders" = [1, 2]
"""
ARRAYS = 'arrays = ["times", "log_posterior_variance", "log_price_impact"]'


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    # jax is imported here already, so that the command leaves the environment alone.
    import jax  # noqa: F401

    monkeypatch.chdir(tmp_path)


def rows_of(text, *options):
    Path("spec.toml").write_text(text)
    command = ["run", "spec.toml", "--out", "out", "--json", "rows.json", *options]
    assert cli.main(command) == 0
    document = json.loads(Path("rows.json").read_text(), parse_constant=pytest.fail)
    return document["rows"]


def drawn():
    assert cli.main(["report", "out"]) == 0
    return {path.stem for path in Path("out").rglob("*.png")}


def test_one_auction():
    certain, *rows = rows_of(SINGLE.format(solver="closed-form", numbers=""))
    assert certain["status"] == "degenerate"
    assert certain["price_impact"] == certain["insider_profit"] == 0
    for row, s0 in zip(rows, (1.0, 4.0), strict=True):
        assert row["status"] == "converged"
        assert row["precision"] == "f64"
        phi = s0 / (s0 + 1)
        d = 2 + 2 * phi
        impact = np.sqrt(3 * s0 * phi) / (d * 0.5)
        wanted = {
            "price_impact": impact,
            "intensity": np.sqrt(0.25 / (3 * (s0 + 1))),
            "insider_profit": impact * 0.25 / 3,
            "posterior_variance": s0 * (2 - phi) / d,
            "noise_profit": -impact * 0.25,
        }
        for name, number in wanted.items():
            assert row[name] == pytest.approx(number, rel=1e-12), name
        assert 0 <= row["exploitability"] < 1e-24
        assert row["foc_residual"] < 1e-10
        assert row["pricing_residual"] < 1e-10
        assert len(row["deviation_profits"]) == 5
        assert not any(name.endswith(("_mc", "_se")) for name in row)
    assert {"market", "profits"} <= drawn()


def test_one_auction_with_defaults():
    text = 'model = "kyle"\n[problem]\nvalue_std = 2.0\nnoise_std = 0.5\n'
    (row,) = rows_of(text + '[solver]\nname = "closed-form"\n')
    assert row["price_impact"] == pytest.approx(2.0, rel=1e-12)
    assert row["intensity"] == pytest.approx(0.25, rel=1e-12)  # 1 / (2 lambda)
    assert row["insider_profit"] == pytest.approx(0.5, rel=1e-12)
    assert row["posterior_variance"] == pytest.approx(2.0, rel=1e-12)


def check_simulated(row, names):
    for name in names:
        mean, error = np.array(row[f"{name}_mc"]), np.array(row[f"{name}_se"])
        exact = np.array(row[name])
        assert mean.shape == error.shape == exact.shape
        assert (np.abs(mean - exact) <= 5 * error).all(), name
        assert (error > 0).all()


def test_one_auction_simulated():
    names = ("price_impact", "intensity", "insider_profit", "posterior_variance")
    names += ("dealer_profit", "noise_profit", "deviation_profits")
    numbers = 'num_paths = 20000\nvariance_reduction = "control"'
    text = SINGLE.format(solver="monte-carlo", numbers=numbers)
    certain, *rows = rows_of(text, "--set", "run.seed=3")
    assert certain["status"] == "degenerate"
    assert certain["price_impact_mc"] is None
    assert certain["insider_profit_mc"] == 0
    for row in rows:
        assert row["status"] == "completed"
        assert row["num_steps"] == 20_000
        check_simulated(row, names)
    assert {"market", "profits"} <= drawn()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers():
    text = SINGLE.format(solver="monte-carlo", numbers="num_paths = 500")
    rows = rows_of(text, "--set", "run.seed=3")
    Path("again").mkdir()
    command = ["run", "spec.toml", "--out", "again", "--json", "again.json"]
    assert cli.main([*command, "--set", "run.seed=3"]) == 0
    again = json.loads(Path("again.json").read_text())["rows"]
    first = [row["insider_profit_mc"] for row in rows]
    assert [row["insider_profit_mc"] for row in again] == first
    other = rows_of(text, "--set", "run.seed=4", "--out", "other")
    assert other[1]["insider_profit_mc"] != first[1]


def test_auctions_in_sequence():
    text = SEQUENCE.format(solver="closed-form", numbers="", run=ARRAYS)
    rows = rows_of(text)
    for row, total in zip(rows, (0.7307408642, 0.624343), strict=True):
        assert row["status"] == "converged"
        assert row["precision"] == "f64"
        for name in (
            "price_impact",
            "intensity",
            "insider_profit",
            "posterior_variance",
            "times",
            "log_posterior_variance",
        ):
            assert len(row[name]) == 4, name
        assert row["total_profit"] == pytest.approx(total, abs=5.01e-7)
        assert row["total_profit"] == pytest.approx(
            np.mean(row["price_impact"]), rel=1e-12
        )
        assert row["times"] == [0.25, 0.5, 0.75, 1.0]
        np.testing.assert_allclose(
            np.exp(row["log_posterior_variance"]), row["posterior_variance"]
        )
        assert (np.diff(row["posterior_variance"]) < 0).all()
        assert row["second_order"] > 0
    assert {"discovery", "total_profit"} <= drawn()


def test_auctions_of_unequal_length():
    steps = [0.5, 0.1, 1.0, 0.3]
    text = SEQUENCE.format(solver="closed-form", numbers="", run="")
    text = text.replace("num_auctions = 4", f"step_lengths = {steps}")
    for count, row in enumerate(rows_of(text), start=1):
        wanted = reference.sequential(1.0, 1.0, steps, count)
        for name in ("price_impact", "intensity", "posterior_variance"):
            np.testing.assert_allclose(row[name], wanted[name], rtol=1e-9, err_msg=name)


@pytest.mark.slow
def test_auctions_in_sequence_simulated():
    names = ("price_impact", "insider_profit", "posterior_variance", "total_profit")
    names += ("dealer_profit", "noise_profit")
    text = SEQUENCE.format(solver="monte-carlo", numbers="num_paths = 5000", run="")
    for row in rows_of(text):
        assert row["status"] == "completed"
        assert row["num_steps"] == 5000
        check_simulated(row, names)
        assert len(row["price_impact_mc"]) == 4


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("problem.noise_std=-1", "problem.noise_std: must be at least 0; got -1"),
        ("problem.signals=shared", "problem.signals"),
        ("problem.num_insiders=0", "problem.num_insiders: must be at least 1; got 0"),
        ("problem.num_insiders=1.5", "problem.num_insiders"),
        ("problem.noise_std=0", "problem.noise_std: must be greater than 0 unless"),
        ("problem.depth=3", "depth"),
        ("solver.num_paths=1", "solver.num_paths: must be at least 2; got 1"),
        ("solver.variance_reduction=magic", "solver.variance_reduction"),
    ],
)
def test_bad_specs_name_the_key(setting, message, capsys):
    Path("spec.toml").write_text(SINGLE.format(solver="monte-carlo", numbers=""))
    assert cli.main(["run", "spec.toml", "--set", setting]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("problem.num_auctions=0", "problem.num_auctions: must be at least 1; got 0"),
        ("problem.step_lengths=[1.0]", "problem.num_auctions: must be left out"),
        ("solver.num_paths=0", "solver.num_paths"),
    ],
)
def test_bad_sequences_name_the_key(setting, message, capsys):
    text = SEQUENCE.format(solver="monte-carlo", numbers="", run="")
    Path("spec.toml").write_text(text)
    assert cli.main(["run", "spec.toml", "--set", setting]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("model", ["kyle", "kyle-sequential"])
def test_models_show_the_models(model, capsys):
    assert cli.main(["models", model]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for word in ("closed-form", "monte-carlo", "price_impact", "num_paths"):
        assert word in shown
