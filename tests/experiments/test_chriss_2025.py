import importlib
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

from gtrade.sweeps import load_spec
from gtrade.sweeps.grid import Grid

FOLDER = Path(__file__).parents[2] / "experiments" / "chriss_2025"
SPECS = sorted((FOLDER / "specs").glob("*.toml"))


@pytest.fixture
def module(monkeypatch):
    """Import a module of the folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_specs_are_admissible(path):
    Grid(load_spec(path)).validate()


@pytest.mark.slow
def test_tables_of_section_5_and_their_erratum(run_here):
    files = run_here("table_2x2")
    costs = files["chriss_costs"]
    assert len(costs) == 32
    for row in costs:
        assert f"{float(row['trapezoid']):.2f}" == f"{float(row['paper']):.2f}"
        assert float(row["exact"]) == pytest.approx(float(row["paper"]), abs=0.026)
    expected = files["chriss_erratum"]
    columns = {name: [float(row[name]) for row in expected] for name in expected[0]}
    np.testing.assert_allclose(
        columns["papers_weights"], [14.71, 31.34, 21.88, 57.10], atol=0.005
    )
    np.testing.assert_allclose(columns["trapezoid"][2:], [20.45, 61.66], atol=0.005)
    np.testing.assert_allclose(columns["exact"][2:], [20.451519, 61.684236], atol=1e-6)


@pytest.mark.slow
def test_strategies_of_figures_1_to_3(run_here, tmp_path):
    files = run_here("fig1_3_strategies")
    rates = [float(row["initial_rate"]) for row in files["chriss_strategies"]]
    published = [2.24597679, 7.07612849, 8.57294733, 18.97552568]
    np.testing.assert_allclose(rates, published, atol=1e-8)
    # The example's own prior and targets come first or in between.
    first = files["chriss_inactive"][0]
    assert float(first["rate_11"]) == pytest.approx(published[0], abs=1e-8)
    likely = [float(row["rate_11"]) for row in files["chriss_priors"]]
    known = float(files["chriss_strategies"][0]["against_type_1"])
    assert all(np.diff(likely) > 0)
    assert known > likely[-1] > 0.95 * known
    for name in ("strategies", "priors", "inactive"):
        assert (tmp_path / f"chriss_{name}.png").exists()


@pytest.mark.slow
def test_costs_add_up_to_the_table(run_here, module):
    published = module("table_2x2").PUBLISHED
    rows = run_here("fig4_5_costs")["chriss_cumulative_costs"]
    own = {("1", 1): 0, ("1", 2): 2, ("2", 1): 1, ("2", 2): 3}  # evaluation impacts
    for place, row in enumerate(rows):
        kind = int(row["types"][1 if row["firm"] == "1" else 4])
        paper = published[place // 2, place % 2, own[row["firm"], kind]]
        assert float(row["cost"]) == pytest.approx(paper, abs=0.026)


@pytest.mark.slow
def test_three_types(run_here, tmp_path):
    rows = run_here("fig6_three_types")["chriss_three_types"]
    assert [float(row["target"]) for row in rows] == [1, 2, 3, 0.25, 1.5, 5]
    assert (tmp_path / "chriss_three_types.svg").exists()


@pytest.mark.slow
def test_non_strategic_flow_of_section_5_2(run_here):
    rows = run_here("fig7_8_non_strategic")["chriss_non_strategic"]
    at_half = {
        float(row["flow"]): [float(v) for n, v in row.items() if n.startswith("held")]
        for row in rows
    }
    believed = [0.411760, 0.458230, 0.910629, 0.591701]
    np.testing.assert_allclose(at_half[5.0], believed, atol=1e-6)
    np.testing.assert_allclose(at_half[0.0], 0.541570, atol=1e-6)


@pytest.mark.slow
def test_price_of_anarchy(run_here, module):
    closed = module("closed_forms")
    assert closed.price_of_anarchy(1, 2) == pytest.approx(1.006161, abs=1e-6)
    assert closed.price_of_anarchy(100, 2) == pytest.approx(1.307190, abs=1e-6)
    files = run_here("anarchy")
    last = files["chriss_anarchy"][-1]
    assert float(last["N_2"]) == pytest.approx(1.131663, abs=1e-6)
    assert float(last["N_5"]) == pytest.approx(1.390305, abs=1e-6)
    for row in files["chriss_anarchy_types"]:
        assert float(row["r_0"]) < float(row["known"]) < float(row["r_-0.9"])


@pytest.mark.parametrize("kappa", [0.3, 8.0])
def test_closed_forms_are_integrals(module, kappa):
    targets = np.array([1.0, 2.5, -0.5])
    mean, g = targets.mean(), kappa / 2

    def rates(t):
        even = mean * g * np.exp(-g * t) / (1 - np.exp(-g))
        own = (targets - mean) * kappa * np.exp(kappa * t) / (np.exp(kappa) - 1)
        return even + own

    def total(t):
        return targets.sum() * (1 - np.exp(-g * t)) / (1 - np.exp(-g))

    for firm, cost in enumerate(module("closed_forms").costs(kappa, targets)):
        exact, _ = quad(
            lambda t, i=firm: (rates(t).sum() + kappa * total(t)) * rates(t)[i], 0, 1
        )
        assert cost == pytest.approx(exact, rel=1e-9)


@pytest.mark.slow
def test_limits_hold_and_cost_the_limited_firm(run_here):
    files = run_here("constraints")
    for name, side in (("overbuying", "upper"), ("short_sales", "lower")):
        rows = files[f"chriss_{name}"]
        assert rows
        for row in rows:
            assert float(row["exploitability"]) < 1e-8 * abs(float(row["cost_2"]))
            if not np.isfinite(float(row[side])):
                assert float(row["change_1"]) == 0
        tight = [row for row in rows if float(row[side]) == float(side == "upper")]
        assert all(float(row["change_1"]) > 0 > float(row["change_2"]) for row in tight)


@pytest.mark.slow
def test_errors_in_beliefs_cost_in_second_order_only(run_here):
    rows = run_here("belief_errors")["chriss_belief_errors"]
    assert len(rows) == 20
    for row in rows:
        row = {n: float(row[n]) for n in ("slope", "curvature", "minus", "plus")}
        assert abs(row["slope"]) < 1e-10
        assert min(row["minus"], row["plus"]) >= 0
        # The third order cancels in the mean of both errors.
        mean = (row["minus"] + row["plus"]) / 2
        assert mean == pytest.approx(row["curvature"] * 0.005, rel=0.03, abs=5e-4)


@pytest.mark.slow
def test_the_best_number_of_traders_is_one_more_than_outside(run_here):
    rows = run_here("centralisation")["chriss_centralisation"]
    for row in rows:
        assert int(row["best_number"]) == int(row["M"]) + 1
        assert float(row["strategic"]) <= float(row["naive"])
