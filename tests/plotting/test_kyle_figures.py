"""Figures of Kyle's models from made-up tables."""

import numpy as np
import pytest
from synthetic import FakeTable

from gtrade.plotting import kyle
from gtrade.plotting.style import save

STD, COUNT = "problem.value_std", "problem.num_insiders"


def plain(figure):
    return " ".join(figure.get_suptitle().split())


def one_auction(values, key=STD, *, simulated=False, failed=(), still=()):
    """Return a table with a row a value; impact is half of it."""
    size = len(values)
    x = np.asarray(values, float)
    data = {
        "point": np.arange(size),
        "status": np.array(["completed" if simulated else "converged"] * size, "U16"),
        "price_impact": x / 2,
        "insider_profit": x / 2,
        "posterior_variance": x**2 / 2,
        "exploitability": 1e-20 * x,
    }
    if simulated:
        data["insider_profit_mc"] = x / 2 + 0.03
        data["insider_profit_se"] = np.full(size, 0.02)
    for row in failed:
        data["status"][row] = "invalid_input"
        for name in list(data)[2:]:
            data[name][row] = np.nan
    for row in still:
        data["status"][row] = "degenerate"
        for name in list(data)[2:]:
            data[name][row] = 0.0
    swept = [key] if size > 1 else []
    if swept:
        data[key] = np.asarray(values)
    problem = {"value_std": float(values[0]), "noise_std": 1.0}
    spec = {"problem": problem, "solver": {"name": "closed-form"}}
    return FakeTable(data, {"spec": spec}, swept, [])


def sequence(values, key=COUNT, *, sizes=(4,), failed=(), value_std=2.0, start=None):
    """Return a table of sequences whose variance falls in a line to nothing."""
    number = len(values)
    sizes = [sizes[i % len(sizes)] for i in range(number)]
    start = [value_std] * number if start is None else start
    left = [
        s**2 * (1 - np.arange(1, n + 1) / n) for s, n in zip(start, sizes, strict=True)
    ]
    data = {
        "point": np.arange(number),
        "status": np.array(["converged"] * number, "U16"),
        "posterior_variance": left,
        "price_impact": [
            s * np.linspace(0.5, 1, n) for s, n in zip(start, sizes, strict=True)
        ],
        "total_profit": np.linspace(0.5, 0.9, number),
    }
    for row in failed:
        data["status"][row] = "invalid_input"
        for name in ("posterior_variance", "price_impact"):
            data[name][row] = np.full(sizes[row], np.nan)
        data["total_profit"][row] = np.nan
    if len(set(sizes)) == 1:
        for name in ("posterior_variance", "price_impact"):
            data[name] = np.array(data[name])
    swept = [key] if number > 1 else []
    if swept:
        data[key] = np.asarray(values)
    spec = {"problem": {"value_std": value_std}, "solver": {"name": "closed-form"}}
    return FakeTable(data, {"spec": spec}, swept, [])


def slow_among(cases, *slow):
    """Leave to the slow tests what other cases and tests draw as well."""
    return [
        pytest.param(case, marks=[pytest.mark.slow] * (case in slow)) for case in cases
    ]


ONE = {
    "one point": one_auction([1.0]),
    "sweep": one_auction([0.5, 1.0, 2.0]),
    "logarithmic": one_auction([0.1, 1.0, 10.0, 100.0]),
    "insiders": one_auction([1, 2, 5], COUNT),
    "signals": one_auction([1.0, 2.0], "problem.signal_noise_std"),
    "simulated": one_auction([0.5, 1.0, 2.0], simulated=True),
    "a failed row": one_auction([0.5, 1.0, 2.0], simulated=True, failed=[1]),
    "all failed": one_auction([0.5, 1.0], simulated=True, failed=[0, 1]),
    "certain": one_auction([0.0, 1.0], simulated=True, still=[0]),
    "all certain": one_auction([0.0, 0.0], simulated=True, still=[0, 1]),
}


@pytest.mark.parametrize(
    "case", slow_among(ONE, "sweep", "insiders", "simulated", "all certain")
)
def test_any_run_of_one_auction_has_figures(case, tmp_path):
    figures = kyle.figures(ONE[case])
    for name, figure in figures.items():
        assert figure.get_suptitle()
        assert "nan" not in plain(figure)
        save(figure, tmp_path, name, dpi=30)
    if case != "all failed":
        assert {"market", "profits"} <= set(figures)
    is_mixed = case in ("a failed row", "all failed", "certain", "all certain")
    assert ("outcomes" in figures) == is_mixed


def test_titles_of_one_auction_state_what_the_numbers_say():
    title = plain(kyle.market(ONE["sweep"]))
    assert title == "A share moves the price by 0.25 to 1"
    assert plain(kyle.market(ONE["one point"])) == "A share moves the price by 0.5"
    title = plain(kyle.profits(ONE["simulated"]))
    assert "at most 1.5 standard errors off" in title
    assert "standard errors" not in plain(kyle.profits(ONE["sweep"]))


def test_lines_of_one_auction_hold_the_numbers():
    figure = kyle.market(ONE["sweep"])
    for axes, name in zip(
        figure.axes, ("price_impact", "posterior_variance"), strict=True
    ):
        drawn = axes.lines[0].get_xydata()
        np.testing.assert_allclose(drawn[:, 0], [0.5, 1, 2])
        np.testing.assert_allclose(drawn[:, 1], ONE["sweep"][name])
        assert axes.get_ylim()[0] == 0
        assert "(price" in axes.get_ylabel()


def test_tables_without_the_columns_have_no_figures():
    table = FakeTable(
        {"point": np.arange(2), "status": np.array(["converged"] * 2)},
        {"spec": {"problem": {"value_std": 1.0}, "solver": {}}},
        [],
        [],
    )
    assert not kyle.figures(table)
    assert not kyle.sequential_figures(table)


SEQUENCES = {
    "one point": sequence([1]),
    "insiders": sequence([1, 2, 5]),
    "many points": sequence(list(range(1, 20))),
    "ragged": sequence([2, 4, 7], "problem.num_auctions", sizes=(2, 4, 7)),
    "one auction": sequence([1, 2], sizes=(1,)),
    "values": sequence([1.0, 3.0], STD, start=[1.0, 3.0]),
    "certain": sequence([0.0, 1.0], STD, start=[0.0, 1.0]),
    "all certain": sequence([1, 2], value_std=0.0),
    "a failed row": sequence([1, 2, 3], failed=[1]),
    "all failed": sequence([1, 2], failed=[0, 1]),
}


@pytest.mark.parametrize(
    "case", slow_among(SEQUENCES, "insiders", "values", "a failed row")
)
def test_any_run_of_sequences_has_figures(case, tmp_path):
    figures = kyle.sequential_figures(SEQUENCES[case])
    for name, figure in figures.items():
        assert figure.get_suptitle()
        assert "nan" not in plain(figure)
        save(figure, tmp_path, name, dpi=30)
    assert ("discovery" in figures) == (case not in ("all failed", "all certain"))
    is_swept = case not in ("one point", "all failed")
    assert ("total_profit" in figures) == is_swept


def test_discovery_shows_the_variance_left():
    figure = kyle.discovery(SEQUENCES["values"])
    learning, impact = figure.axes
    assert len(learning.lines) == 2
    for line in learning.lines:  # each in units of its own start
        np.testing.assert_allclose(line.get_xdata(), [0, 0.25, 0.5, 0.75, 1])
        np.testing.assert_allclose(line.get_ydata(), [1, 0.75, 0.5, 0.25, 0])
    assert plain(figure) == "Halfway the price has learnt 50% of the value"
    assert "share of the first" in learning.get_ylabel()
    assert impact.get_ylabel() == "price impact (price/share)"


def test_discovery_leaves_out_what_has_no_answer():
    figure = kyle.discovery(SEQUENCES["a failed row"])
    assert len(figure.axes[0].lines) == 2
    assert "50%" in plain(figure)


def test_total_profit_along_the_sweep():
    figure = kyle.total(SEQUENCES["insiders"])
    assert "0.5 to 0.9" in plain(figure)
    drawn = figure.axes[0].lines[0].get_xydata()
    np.testing.assert_allclose(drawn, [[1, 0.5], [2, 0.7], [5, 0.9]])
