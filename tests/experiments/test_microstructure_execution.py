from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "microstructure"


@pytest.mark.slow
def test_execution_plans(run_here):
    results = run_here("almgren_chriss")
    rows = {row["risk_aversion"]: row for row in results["almgren_chriss_frontier"]}
    np.testing.assert_allclose(float(rows["1e-06"]["expected_cost"]), 911_226.99)
    for row in rows.values():
        gap = float(row["expected_cost_mc"]) - float(row["expected_cost"])
        assert abs(gap) <= 5 * float(row["expected_cost_mc_se"])
    plans = {row["plan"]: row for row in results["almgren_chriss_schedules"]}
    assert len(plans) == 5
    first = {name: float(row["first_day"]) for name, row in plans.items()}
    # A third of the 800 000 shares of a day.
    assert first["at most a third of the volume"] <= 0.8 / 3 + 1e-9
    assert first["power law, exponent 0.6"] > first["linear impact"]
