"""`gtrade calibrate`: from a file to estimates, draws and a report."""

import gzip
import json

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest

import gtrade
from gtrade import cli
from gtrade.calibration.synthetic import Market, simulate_events
from gtrade.calibration.synthetic_records import (
    OrderFlow,
    simulate_counts,
    simulate_executions,
    simulate_schedules,
)
from gtrade.calibration.writers import (
    write_counts,
    write_events,
    write_executions,
    write_schedules,
)
from gtrade.sweeps.calibrations import load_calibration

SPEC = """
model = "position-building"
[[problem.firms]]
types = [{ permanent_impact = 1.0, target = 1.0 }]
[[problem.firms]]
types = [{ permanent_impact = 1.0, target = 2.0 }]
[solver]
name = "spectral"
num_points = 9
"""
OPTIONS = ["--model", "impact", "--window", "1min", "--horizon", "30min"]


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "day.csv.gz"
    market = Market(transient_impact=4e-4, decay_rate=0.1, volatility=0.005)
    write_events(simulate_events(market, 20_000, seed=3), path)
    return str(path)


def test_from_a_file_to_schedules(day, tmp_path, capsys):
    folder = tmp_path / "fit"
    arguments = ["calibrate", day, *OPTIONS, "--every", "2h", "--out", str(folder)]
    assert cli.main([*arguments, "--draws", "50"]) == 0
    shown = capsys.readouterr().out
    assert "permanent_impact (price/share)" in shown
    assert "report: " in shown
    for name in ("report.html", "fit.png", "periods.png"):
        assert (folder / "report" / name).stat().st_size > 1000
    found = load_calibration(folder)
    assert list(found.rows["period"]) == ["all", "09:30", "11:30", "13:30", "15:30"]
    low, high = (found.rows[f"permanent_impact_{x}"][0] for x in ("low", "high"))
    assert low < 1.6e-4
    assert high > 8e-5
    draws = pq.read_table(folder / "draws.parquet")
    assert draws.num_rows == 50
    assert (draws["kappa"].to_numpy() > 0).all()

    spec = tmp_path / "spec.toml"
    spec.write_text(SPEC)
    out = tmp_path / "games.json"
    arguments = ["run", str(spec), "--set-from", str(folder), "--json", str(out)]
    assert cli.main(arguments) == 0
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == 50
    kappas = [row["problem.firms.0.types.0.permanent_impact"] for row in rows]
    np.testing.assert_allclose(kappas, draws["kappa"].to_numpy())
    assert cli.main(["report", str(folder)]) == 0


@pytest.fixture(scope="module")
def files(tmp_path_factory, day):
    folder = tmp_path_factory.mktemp("records")
    with jax.enable_x64(True):
        game = gtrade.PositionBuilding(
            permanent_impacts=np.full(2, 5.0), targets=np.array([1.0, 3.0])
        )
        seen = simulate_schedules(
            game, num_times=17, num_days=2, noise_std=0.01, seed=1
        )
    days = simulate_counts(
        news_probability=[0.3, 0.5],
        bad_probability=[0.4, 0.5],
        buy_rate=[2000.0, 50.0],
        sell_rate=[2100.0, 60.0],
        informed_rate=[600.0, 30.0],
        num_days=90,
        seed=2,
    )
    orders = simulate_executions(OrderFlow(fill_noise=0.02), 150, seed=3)
    write_schedules(seen, folder / "schedules.csv")
    write_counts(days, folder / "pin.parquet")
    write_executions(orders, folder / "execution.csv.gz")
    paths = {path.name.split(".")[0]: str(path) for path in folder.iterdir()}
    return paths | {"price-impact": day, "transient-impact": day}


@pytest.mark.parametrize(
    ("model", "options", "wanted"),
    [
        ("price-impact", ["--set", "num_lags=2"], {"price_impact": None}),
        pytest.param(
            "transient-impact", [], {"permanent": 8e-5}, marks=pytest.mark.slow
        ),
        pytest.param(
            "execution",
            ["--horizon", "1h"],
            {"temporary_impact": 0.06 / 3600, "volatility": 0.36, "fixed_cost": 0.02},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "pin",
            [],
            {"news_probability": 0.3, "informed_rate": 600.0},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "schedules",
            [],
            {"kappa": 5.0, "target_0": 1.0, "target_1": 3.0},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_model_finds_what_made_its_data(files, model, options, wanted, tmp_path):
    out = tmp_path / "fit"
    arguments = ["calibrate", files[model], "--model", model, *options]
    assert cli.main([*arguments, "--out", str(out)]) == 0
    assert (out / "report" / "curve.png").stat().st_size > 1000
    rows = load_calibration(out).rows
    for name, true in wanted.items():
        value, error = rows[name][0], rows[f"{name}_se"][0]
        assert 0 < error < np.inf
        assert true is None or abs(value - true) < 4 * error, name


def test_json_alone_on_stdout(day, capsys):
    assert cli.main(["calibrate", day, *OPTIONS, "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    (row,) = document["rows"]
    assert row["status"] == "converged"
    assert document["facts"]["window"] == 60
    assert document["units"]["kappa"] == ""


def test_a_folder_in_use_is_refused_before_any_work(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    code = cli.main(["calibrate", "absent.csv", *OPTIONS, "--out", str(tmp_path)])
    assert code == 2
    assert "holds other files" in capsys.readouterr().err
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["--model", "impct"], "did you mean 'impact'"),
        (["--window", "5 foo"], "--window: must be a positive number with a unit"),
        (["--window", "-5min"], "--window"),
        (["--set", "decay=3"], "impact has no option 'decay'"),
        (["--set", "window"], "must have the form key=value"),
        (["--columns", "price"], "must have the form name=column"),
        (["--draws", "0"], "--draws: must be at least 1"),
        (["--every", "90s"], "every must be a whole number of windows"),
        (["--set", "horizon=0"], "horizon: must be a finite time greater than 0"),
        (["--set", "every=nan"], "every: must be a finite"),
        (["--json", "/nowhere/at/all.json"], "cannot be written"),
        (["--columns", "price=px"], "px"),
    ],
)
def test_bad_arguments_are_named(day, changed, said, capsys):
    assert cli.main(["calibrate", day, *OPTIONS, *changed]) == 2
    assert said in capsys.readouterr().err


def write_rows(path, header, rows):
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_columns_may_have_any_name(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = [
        (34_200 + 5 * i, round(100 + rng.normal(), 2), 10 + i % 7, rng.choice([-1, 1]))
        for i in range(600)
    ]
    path = write_rows(tmp_path / "t.csv", "ts,px,qty,dir", rows)
    names = ["time=ts", "price=px", "size=qty", "side=dir"]
    mapping = [word for name in names for word in ("--columns", name)]
    assert cli.main(["calibrate", path, "--model", "price-impact", *mapping]) == 0
    assert "price_impact" in capsys.readouterr().out
    assert cli.main(["calibrate", path, "--model", "impact", *mapping]) == 2
    assert "holds trades; impact reads events" in capsys.readouterr().err


@pytest.mark.parametrize("offset", [0.0, 1.3e9])
def test_schedules_at_different_times_are_refused(tmp_path, capsys, offset):
    times = np.linspace(0, 21_600, 9)
    rows = [("1", "A", offset + t, t) for t in times]
    late = times + np.where((times > 0) & (times < 21_600), 900, 0)
    rows += [("1", "B", offset + t, t) for t in late]
    path = write_rows(tmp_path / "s.csv", "day,firm,time,position", rows)
    assert cli.main(["calibrate", path, "--model", "schedules"]) == 2
    assert "be those of the first firm and day for B" in capsys.readouterr().err


def test_fills_at_one_time_are_named(tmp_path, capsys):
    header = "parent,time,side,size,price,arrival_price,arrival_time"
    rows = [("P7", t, 1, 100, 50.1, 50, 10) for t in (20, 30, 30, 40)]
    path = write_rows(tmp_path / "e.csv", header, rows)
    assert cli.main(["calibrate", path, "--model", "execution"]) == 2
    assert "time must increase from fill to fill of P7" in capsys.readouterr().err


@pytest.mark.slow
def test_pin_is_known_where_every_day_has_news(tmp_path):
    rng = np.random.default_rng(1)
    news = rng.random(60) < 0.5
    buys = rng.poisson(np.where(news, 160, 100))
    sells = rng.poisson(np.where(news, 90, 150))
    rows = [(f"d{i}", "S", *x) for i, x in enumerate(zip(buys, sells, strict=True))]
    path = write_rows(tmp_path / "c.csv", "day,stock,buys,sells", rows)
    out = tmp_path / "fit"
    assert cli.main(["calibrate", path, "--model", "pin", "--out", str(out)]) == 0
    found = load_calibration(out).rows
    assert "news_probability" in found["at_bound"][0]
    assert abs(found["pin"][0] - 60 / 250) < 4 * found["pin_se"][0]
    assert 0 < found["pin_low"][0] < found["pin"][0] < found["pin_high"][0] < 1


@pytest.mark.slow
def test_errors_of_a_single_order_are_not_zero(tmp_path):
    path = tmp_path / "one.csv"
    orders = simulate_executions(OrderFlow(fill_noise=0.02), 1, num_slices=60, seed=3)
    write_executions(orders, path)
    out = tmp_path / "fit"
    command = ["calibrate", str(path), "--model", "execution", "--out", str(out)]
    assert cli.main(command) in (0, 3)
    found = load_calibration(out).rows
    for name in ("fixed_cost", "volatility", "fill_noise"):
        error = found[f"{name}_se"][0]
        assert np.isnan(error) or error > 1e-3 * abs(found[name][0])


def test_a_damaged_file_is_named_with_its_row(day, tmp_path, capsys):
    lines = gzip.open(day, "rt").read().splitlines()
    lines[70] = lines[70].replace(",", ",x", 1)
    path = tmp_path / "bad.csv"
    path.write_text("\n".join(lines) + "\n")
    assert (
        cli.main(["calibrate", str(path), *OPTIONS, "--out", str(tmp_path / "o")]) == 2
    )
    said = capsys.readouterr().err
    assert "bad.csv" in said
    assert "71" in said
    assert not (tmp_path / "o").exists()
