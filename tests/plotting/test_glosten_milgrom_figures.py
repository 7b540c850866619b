import numpy as np
from synthetic import FakeTable

from gtrade.plotting import glosten_milgrom

PATHS = [["buy", "sell"], ["sell", "sell"]]


def make_table(asks, curves=None, arrays=("expected_spreads",)):
    size = len(asks)
    asks = np.asarray(asks, float)
    data = {
        "point": np.arange(size),
        "status": np.array(["converged"] * size),
        "problem.prior_high": np.linspace(0.2, 0.6, size),
        "asks": asks[:, :-1],
        "bids": asks[:, :-1] - 1.0,
        "final_ask": asks[:, -1],
        "final_bid": asks[:, -1] - 0.5,
    }
    if curves is not None:
        data["expected_spreads"] = np.asarray(curves)
    return FakeTable(data, {"spec": {}}, ["problem.prior_high"], list(arrays))


def test_quotes_are_steps_that_end_after_the_last_order():
    figure = glosten_milgrom.quotes(make_table([[3.0, 4.0, 5.0], [3.0, 2.0, 1.0]]))
    assert len(figure.axes) == 2
    bid, ask = figure.axes[1].lines
    assert ask.get_ydata().tolist() == [3, 2, 1, 1]
    assert bid.get_ydata().tolist() == [2, 1, 0.5, 0.5]
    assert ask.get_xdata().tolist() == [0, 1, 2, 3]
    title = figure._suptitle.get_text().replace("\n", " ")
    assert title.startswith("The spread narrows from 1 to 0.5 over 2 orders")


def test_long_runs_show_some_of_their_points():
    asks = np.linspace(1, 9, 40)[:, None] + np.arange(3)
    assert len(glosten_milgrom.quotes(make_table(asks)).axes) == 6


def test_points_with_equal_averages_share_a_line():
    curves = [[4.0, 2.0, 1.0], [4.0, 2.0, 1.0], [5.0, 1.0, 0.5]]
    table = make_table(np.ones((3, 3)), curves)
    (axes,) = glosten_milgrom.expected_spreads(table).axes
    assert [line.get_ydata()[-1] for line in axes.lines] == [1, 0.5]
    assert axes.get_yscale() == "log"
    title = glosten_milgrom.expected_spreads(table)._suptitle.get_text()
    assert title.startswith("2 trades leave 0.25 of the mean spread")


def test_spreads_that_close_leave_a_gap():
    table = make_table(np.ones((1, 3)), [[2.0, 0.0, 0.0]])
    (axes,) = glosten_milgrom.expected_spreads(table).axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [2, np.nan, np.nan])


def test_nothing_is_drawn_without_orders_or_averages():
    empty = make_table(np.ones((2, 1)), [[2.0], [2.0]])
    assert glosten_milgrom.quotes(empty) is None
    assert glosten_milgrom.expected_spreads(empty) is None
    assert glosten_milgrom.figures(make_table(np.ones((1, 1)), arrays=())) == {}
    missing = make_table(np.ones((1, 3)), [[np.nan, np.nan]])
    assert glosten_milgrom.expected_spreads(missing) is None
