from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "microstructure"


@pytest.mark.slow
def test_a_simulated_market_shows_its_impact(run_here, tmp_path):
    tables = run_here("estimators")
    for row in tables["estimators"]:
        gap = float(row["lambda"]) - 8.0  # what was simulated, 1e-5 USD per share
        assert abs(gap) < 4 * float(row["robust error"])
    for row in tables["estimators_day"]:
        assert 0 <= float(row["signed"]) <= 1
        assert 0 <= float(row["bulk"]) <= 1
    for row in tables["estimators_spreads"]:
        paid, kept = float(row["effective"]), float(row["realised"])
        assert paid == pytest.approx(10.0)  # a half-spread of five cents
        assert 0 < kept < paid
    assert (tmp_path / "estimators_day.png").exists()
    assert (tmp_path / "estimators_spreads.svg").exists()
