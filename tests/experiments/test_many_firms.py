from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "chriss_2025"


@pytest.mark.slow
def test_distances_fall_as_predicted(run_here, tmp_path):
    rows = run_here("many_firms")["many_firms"]
    for row in rows:
        row = {name: float(value) for name, value in row.items()}
        ratio = row["distance"] / row["leading_term"]
        assert abs(ratio - 1) < row["kappa"] / (2 * row["firms"])
        assert row["exploitability"] < 1e-20
        assert row["drawn"] > row["distance"] / 3
    gains = [float(row["gain"]) * float(row["firms"]) for row in rows[:3]]
    np.testing.assert_allclose(gains, gains[0], rtol=1e-6)
    assert (tmp_path / "many_firms.png").exists()
