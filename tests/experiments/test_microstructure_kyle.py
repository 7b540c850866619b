from pathlib import Path

import numpy as np
import pytest

from gtrade.sweeps import load_spec
from gtrade.sweeps.grid import Grid

FOLDER = Path(__file__).parents[2] / "experiments" / "microstructure"
SPECS = sorted((FOLDER / "specs").glob("kyle*.toml"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_specs_are_admissible(path):
    Grid(load_spec(path)).validate()


@pytest.mark.slow
def test_total_profits(run_here, tmp_path):
    rows = run_here("kyle")["microstructure_kyle"]
    assert [int(row["auctions"]) for row in rows] == [1, 2, 4, 10, 20]
    published = {
        "insiders_1": [0.5, 0.6205546171, 0.7307408642, 0.8438884750, 0.9024355701],
        "insiders_2": [0.471405, 0.570841, 0.624343, 0.548491, 0.409637],
        "insiders_3": [0.433013, 0.494688, 0.480239, 0.345483, 0.245396],
    }
    for name, values in published.items():
        np.testing.assert_allclose(
            [float(row[name]) for row in rows], values, atol=1e-6
        )
    assert (tmp_path / "microstructure_kyle.png").exists()
