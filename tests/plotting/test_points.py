import numpy as np
import pytest
from synthetic import make_table

from gtrade.plotting.points import axis_label, lay_out, mean_and_error, show, symbol

KAPPA, NOISE, TARGETS = (
    "problem.permanent_impact",
    "solver.noise",
    "problem.targets",
)


def names(layout):
    return [layout.name(i) for i in range(len(layout.points))]


def test_kappa_is_the_axis_and_other_keys_make_lines():
    table = make_table({NOISE: [1.0, 2.0, 3.0], KAPPA: [0.0, 1.0]}, replications=2)
    layout = lay_out(table)
    assert layout.key == KAPPA
    assert [line.label for line in layout.lines] == ["η = 1", "η = 2", "η = 3"]
    for line in layout.lines:
        np.testing.assert_array_equal(layout.x[line.members], [0.0, 1.0])
    np.testing.assert_array_equal(np.bincount(layout.member), [2] * 6)


def test_lines_are_sorted_along_the_axis():
    layout = lay_out(make_table({KAPPA: [3.0, 0.0, 1.0]}))
    (line,) = layout.lines
    np.testing.assert_array_equal(line.members, [1, 2, 0])
    assert not line.label


def test_keys_that_move_with_the_axis_make_no_lines():
    layout = lay_out(make_table({(KAPPA, NOISE): [(0.0, 5.0), (1.0, 9.0)]}))
    assert [line.label for line in layout.lines] == [""]
    assert names(layout) == ["κ = 0, η = 5", "κ = 1, η = 9"]


def test_lists_and_texts_are_categories():
    layout = lay_out(make_table({TARGETS: [[10, 10], [5, 20, 1]]}))
    assert layout.key is None
    np.testing.assert_array_equal(layout.x, [0, 1])
    assert names(layout) == ["targets = (10, 10)", "targets = (5, 20, 1)"]
    assert lay_out(make_table({NOISE: ["theory", "50"]})).key is None


def test_without_a_sweep_there_is_one_point():
    layout = lay_out(make_table({}, replications=3))
    assert names(layout) == [""]
    np.testing.assert_array_equal(layout.member, [0, 0, 0])


def test_at_most_six_of_many_lines_are_shown():
    layout = lay_out(make_table({NOISE: list(range(1, 11)), KAPPA: [0.0, 1.0] * 6}))
    assert (len(layout.lines), layout.num_lines) == (6, 10)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, 10.0, 100.0], True), ([0.0, 10.0, 100.0], False), ([1.0, 2.0, 3.0], False)],
)
def test_axes_that_span_factors_are_logarithmic(values, expected):
    assert lay_out(make_table({NOISE: values})).is_logarithmic is expected


def test_mean_and_error_leave_out_what_is_not_finite():
    values = np.array([1.0, 3.0, np.nan, 5.0, np.nan])
    mean, error, count = mean_and_error(values, np.array([0, 0, 0, 1, 2]), 3)
    np.testing.assert_allclose(mean, [2.0, 5.0, np.nan])
    np.testing.assert_allclose(error, [1.0, np.nan, np.nan])
    np.testing.assert_array_equal(count, [2, 1, 0])


def test_mean_and_error_agree_with_numpy_for_vectors():
    rng = np.random.default_rng(0)
    values, member = rng.normal(size=(40, 2, 3)), rng.integers(0, 4, 40)
    mean, error, count = mean_and_error(values, member, 4)
    for i in range(4):
        own = values[member == i]
        np.testing.assert_allclose(mean[i], own.mean(axis=0))
        np.testing.assert_allclose(error[i], own.std(axis=0, ddof=1) / len(own) ** 0.5)
        assert count[i] == len(own)


def test_labels():
    assert axis_label(NOISE) == "noise η (cost per share)"
    assert axis_label("problem.targets.1") == "target (shares), position 1"
    assert axis_label("problem.new_number") == "new number"
    assert symbol("problem.targets.1") == "targets[1]"
    aversion = "problem.risk_aversion"
    assert axis_label(aversion) == "risk aversion (cost per share²)"
    assert axis_label(aversion, "almgren-chriss") == "risk aversion λ (1/currency)"
    assert symbol("problem.permanent_impact") == "κ"
    assert symbol("problem.permanent_impact", "almgren-chriss") == "γ"
    assert show([10.0, 0.125, 3]) == "(10, 0.125, 3)"


def test_columns_are_read_once_however_many_points():
    table = make_table({NOISE: [1.0, 2.0, 3.0], KAPPA: np.arange(50.0).tolist()})
    read = []

    class Counting:
        manifest, swept, columns = table.manifest, table.swept, table.columns

        def __getitem__(self, name):
            read.append(name)
            return table[name]

    layout = lay_out(Counting())
    assert layout.num_lines == 3
    assert sorted(read) == sorted(["point", NOISE, KAPPA])
