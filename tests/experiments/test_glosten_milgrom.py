from pathlib import Path

import pytest

from gtrade.sweeps import load_spec
from gtrade.sweeps.grid import Grid

FOLDER = Path(__file__).parents[2] / "experiments" / "microstructure"


@pytest.mark.parametrize("name", ["glosten_milgrom", "glosten_milgrom_paths"])
def test_specs_are_admissible(name):
    grid = Grid(load_spec(FOLDER / "specs" / f"{name}.toml"))
    grid.validate()
    assert len(grid.groups) == 1


@pytest.mark.slow
def test_mean_spreads(run_here, tmp_path):
    rows = run_here("glosten_milgrom")["glosten_milgrom"]
    assert [float(row["informed"]) for row in rows] == [0.1, 0.2, 0.3, 0.4]
    assert float(rows[2]["spread_11"]) == pytest.approx(2.8644382274, abs=1e-9)
    assert float(rows[2]["decay_factor"]) == pytest.approx(0.9539392014, abs=1e-9)
    for row in rows:
        gap = float(row["simulated_11"]) - float(row["spread_11"])
        assert abs(gap) <= 5 * float(row["simulated_11_se"])
        assert float(row["slope"]) < float(row["decay_factor"])
    assert (tmp_path / "glosten_milgrom.png").exists()
