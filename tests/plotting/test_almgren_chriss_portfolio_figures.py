import numpy as np
import pytest
from synthetic import FakeTable

from gtrade.plotting import almgren_chriss_portfolio as portfolio


def make_table(paths, aversions):
    size = len(paths)
    data = {
        "point": np.arange(size),
        "status": np.array(["converged"] * size),
        "problem.risk_aversion": np.array(aversions),
        "holdings": np.asarray(paths, float),
    }
    swept = ["problem.risk_aversion"] if size > 1 else []
    return FakeTable(data, {"spec": {}}, swept, [])


PLAIN = [[100.0, 10.0], [50.0, 5.0], [0.0, 0.0]]
HEDGED = [[100.0, 10.0], [50.0, -20.0], [0.0, 0.0]]


def title(figure):
    return figure._suptitle.get_text().replace("\n", " ").replace("\xa0", " ")


def test_the_title_names_the_hedge():
    figure = portfolio.holdings(make_table([PLAIN, HEDGED], [0.0, 2.0]))
    assert "Asset 2 hedges: 20 shares" in title(figure)
    assert "risk aversion = 2" in title(figure)
    assert len(figure.axes) == 2
    drawn = figure.axes[1].lines[1].get_ydata()
    assert list(drawn) == [10, -20, 0]


def test_one_direction_is_said_to_be_one():
    figure = portfolio.holdings(make_table([PLAIN], [0.0]))
    assert title(figure) == "Every asset is traded in one direction only"


def test_round_trips():
    assert portfolio.round_trips(np.array(HEDGED)).tolist() == [0, 20]
    assert portfolio.round_trips(np.array(PLAIN)).tolist() == [0, 0]


def test_what_is_not_there_is_not_drawn():
    table = make_table([np.full((3, 2), np.nan)], [0.0])
    assert portfolio.holdings(table) is None
    assert portfolio.figures(table) == {}


@pytest.mark.parametrize("assets", [1, 9])
def test_any_number_of_assets(assets):
    path = np.linspace(1, 0, 4)[:, None] * np.ones(assets)
    figure = portfolio.holdings(make_table([path] * 8, np.arange(8.0)))
    assert len(figure.axes) == 6
    assert len(figure.axes[0].lines) == assets + 1
