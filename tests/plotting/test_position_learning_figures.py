import numpy as np
import pytest
from synthetic import FakeTable

from gtrade.plotting import position_learning


def make_table(values, rounds, arrays=("distance_curve", "rounds")):
    size = len(values)
    data = {
        "point": np.arange(size),
        "status": np.array(["completed"] * size),
        "solver.step_constant": np.linspace(0.5, 1, size),
        "distance_curve": np.asarray(values),
        "rounds": np.tile(rounds, (size, 1)),
    }
    return FakeTable(data, {"spec": {}}, ["solver.step_constant"], list(arrays))


def test_the_title_states_the_power():
    rounds = np.array([1, 10, 30, 100, 300, 1000])
    curves = [5 * rounds**-0.5, 2 / rounds]
    figure = position_learning.distances(make_table(curves, rounds))
    title = figure._suptitle.get_text().replace("\n", " ")
    assert "-0.50" in title
    assert "-1.00" in title
    assert [line.get_ydata()[0] for line in figure.axes[0].lines] == [5, 2]


def test_nothing_is_drawn_without_curves():
    table = make_table([np.ones(2)], np.array([1, 2]), arrays=())
    assert position_learning.distances(table) is None


def test_slopes_of_what_cannot_be_fitted():
    assert np.isnan(position_learning.fitted_slope(np.array([1]), np.array([2.0])))
    assert np.isnan(position_learning.fitted_slope(np.array([5, 9]), np.zeros(2)))
    fitted = position_learning.fitted_slope(np.array([5, 9]), np.array([9.0, 5.0]))
    assert fitted == pytest.approx(-1.0)
