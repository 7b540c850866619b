import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from gtrade.plotting import style


def test_no_setting_outlives_the_context():
    before = dict(matplotlib.rcParams)
    with style.style():
        assert matplotlib.rcParams["axes.spines.top"] is False
    assert dict(matplotlib.rcParams) == before


def test_the_users_settings_do_not_show():
    with matplotlib.rc_context({"lines.linestyle": ":"}), style.style():
        assert matplotlib.rcParams["lines.linestyle"] == "-"


def test_drawing_needs_neither_pyplot_nor_jax():
    code = (
        "import sys; from gtrade.plotting import play, style, trading;"
        "figure, axes = style.new_figure(title='t'); axes.plot([1, 2]);"
        "figure.draw_without_rendering();"
        "assert not {'matplotlib.pyplot', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_spread_keeps_order_and_distance():
    rng = np.random.default_rng(0)
    for _ in range(50):
        places, heights = rng.uniform(0, 30, 7), rng.uniform(1, 12, 7)
        moved = style.spread(places, heights)
        order = np.argsort(places)
        needed = (heights[order][1:] + heights[order][:-1]) / 2
        assert (np.diff(moved[order]) >= needed - 1e-9).all()


def test_spread_moves_nothing_that_has_room():
    places = np.array([30.0, 0.0, 15.0])
    np.testing.assert_allclose(style.spread(places, np.full(3, 10.0)), places)


def test_spread_moves_a_pair_apart_evenly():
    moved = style.spread(np.array([0.0, 2.0]), np.full(2, 10.0))
    np.testing.assert_allclose(moved, [-4.0, 6.0])


def test_labels_of_crowded_ends_do_not_overlap():
    with style.style():
        figure, axes = style.new_figure()
        axes.plot([0, 1], [0, 1])
        ends = [(1.0, y, f"label {y}", "black") for y in (0.5, 0.51, 0.52, np.nan)]
        style.label_ends(axes, ends)
        figure.draw_without_rendering()
        boxes = sorted(
            (text.get_window_extent() for text in axes.texts), key=lambda box: box.y0
        )
    assert len(boxes) == 3
    for lower, upper in zip(boxes[:-1], boxes[1:], strict=True):
        assert lower.y1 <= upper.y0 + 0.5


@pytest.mark.parametrize("number", [1, 3, 6, 9])
def test_as_many_colours_as_asked_for(number):
    for colours in (style.colours_for(number), style.sequence(number)):
        assert len(colours) == len(set(colours)) == number


def test_equal_figures_give_equal_files(tmp_path):
    for name in ("a", "b"):
        with style.style():
            figure, axes = style.new_figure(title="a title")
            axes.fill_between([0, 1], [0, 1], [1, 2])
        assert style.save(figure, tmp_path / name, "figure").suffix == ".png"
    for suffix in ("png", "svg"):
        first, second = (
            (tmp_path / name / f"figure.{suffix}").read_bytes() for name in ("a", "b")
        )
        assert first == second
