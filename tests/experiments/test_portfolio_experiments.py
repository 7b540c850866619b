from pathlib import Path

import pytest

from gtrade.sweeps import load_spec
from gtrade.sweeps.grid import Grid

FOLDER = Path(__file__).parents[2] / "experiments" / "microstructure"


def test_the_spec_is_admissible():
    Grid(load_spec(FOLDER / "specs" / "portfolio.toml")).validate()


@pytest.mark.slow
def test_a_hedge_takes_risk_off_at_the_same_cost(run_here, tmp_path):
    rows = run_here("portfolio")["almgren_chriss_portfolio"]
    assert len(rows) == 3
    for row in rows:
        row = {name: float(value) for name, value in row.items()}
        assert row["risk_hedged"] < row["risk_alone"]
        assert 0 <= row["gap_hedged"] < 1e-15
        assert row["round_trips"] > 0
    assert (tmp_path / "almgren_chriss_portfolio.png").exists()


@pytest.mark.slow
def test_learning_saves_more_of_what_slowness_costs(run_here, tmp_path):
    rows = run_here("replanning")["almgren_chriss_replanning"]
    rows = [{name: float(value) for name, value in row.items()} for row in rows]
    for row in rows:
        assert row["never_learning"] > 0
        assert row["learning"] > 0
        if row["believed"] != 1:
            assert row["saved"] > 5 * row["saved_se"]
    share = {row["believed"]: row["saved"] / row["never_learning"] for row in rows}
    assert share[4] > share[0.25] > 0
    assert (tmp_path / "almgren_chriss_replanning.svg").exists()
