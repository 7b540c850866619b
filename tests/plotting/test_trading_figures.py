import itertools

import numpy as np
import pytest
from synthetic import DISTANCES, make_table

from gtrade.plotting import learners, play, trading
from gtrade.plotting.style import save

KAPPA, NOISE = "problem.permanent_impact", "solver.noise"
KAPPAS = [0.0, 1.0, 2.0, 10.0]
EVERYTHING = {"distances", "regret", "correlation", "welfare", "schedules"}

CASES = {
    "one run": ({}, {}),
    "one point": ({}, {"replications": 30}),
    "kappa": ({KAPPA: KAPPAS}, {"replications": 3}),
    "unsorted": ({KAPPA: [3.0, 1.0]}, {}),
    "noise, logarithmic": ({NOISE: [1.0, 10.0, 100.0]}, {}),
    "two keys": ({NOISE: [1.0, 5.0], KAPPA: KAPPAS}, {"replications": 2}),
    "three keys": (
        {NOISE: [1.0, 5.0, 9.0], "problem.horizon": [4, 5, 6], KAPPA: KAPPAS},
        {},
    ),
    "lists": ({"problem.targets": [[10, 10], [5, 20]]}, {"replications": 2}),
    "ragged lists": ({"problem.targets": [[10, 10], [5, 5, 5]], KAPPA: KAPPAS}, {}),
    "positions": ({"problem.targets.1": [0, 5]}, {}),
    "texts": ({"solver.perturbation": ["full", "linear"]}, {}),
    "zipped": ({(KAPPA, NOISE): [(0.0, 1.0), (1.0, 2.0)]}, {}),
    "many categories": ({"problem.targets": [[i, 10] for i in range(24)]}, {}),
    "many players": ({KAPPA: KAPPAS}, {"num_players": 50}),
    "failed rows": (
        {KAPPA: KAPPAS},
        {"replications": 2, "is_failed": lambda row: row in (0, 1, 4)},
    ),
}
# Written in the fast run: bars, lines with gaps, panels of lines.
WRITTEN = ["one run", "failed rows", "three keys"]


def plain(figure):
    """Return the title in one line."""
    return " ".join(figure.get_suptitle().split())


@pytest.mark.parametrize("case", CASES)
def test_a_report_of_any_run_has_figures(case):
    axes, options = CASES[case]
    figures = trading.figures(make_table(axes, **options))
    is_failed = {"outcomes"} if "is_failed" in options else set()
    assert set(figures) == EVERYTHING | is_failed
    assert all(figure.get_suptitle() for figure in figures.values())


@pytest.mark.parametrize(
    "case",
    [
        case if case in WRITTEN else pytest.param(case, marks=pytest.mark.slow)
        for case in CASES
    ],
)
def test_figures_of_any_run_can_be_written(case, tmp_path):
    axes, options = CASES[case]
    for name, figure in trading.figures(make_table(axes, **options)).items():
        save(figure, tmp_path, name, dpi=30)


def test_figures_without_verification_are_left_out():
    columns = (*DISTANCES, "tv_distance", "tv_distance_ks25", "welfare")
    without = (*columns, "mean_trades", "regret_curve")
    assert not trading.figures(make_table({KAPPA: KAPPAS}, without=without))
    table = make_table({KAPPA: KAPPAS}, without=without, status="cycled")
    assert set(trading.figures(table)) == {"outcomes"}


def test_a_run_without_a_single_answer_shows_how_it_ended():
    table = make_table({KAPPA: KAPPAS}, is_failed=lambda row: True)
    figures = trading.figures(table)
    assert set(figures) == {"outcomes"}
    assert "100% nonfinite" in figures["outcomes"].get_suptitle()


def test_titles_state_what_the_numbers_say():
    table = make_table({KAPPA: [0.0, 1.0]}, replications=2)
    table["distance_to_nash"][:] = [1.0, 1.0, 7.0, 9.0]
    table["tv_distance"][:] = [0.1, 0.1, 0.6, 0.6]
    table["welfare"][:] = [80.0, 80.0, 271.0, 273.0]
    assert "8 of a Nash equilibrium" in plain(trading.distances(table))
    title = plain(trading.correlation(table))
    assert "most correlated at κ = 1 (total variation 0.6)" in title
    assert "up to 32 a round" in plain(trading.welfare(table))


@pytest.mark.parametrize(
    "axes",
    [
        {"problem.fixed_fee": [0.0, 1.0]},
        {"problem.temporary_exponent": [0.5, 1.0], KAPPA: KAPPAS},
        {"problem.max_trade": [[5, 5, 5, 5, 4], [5, 5, 5, 5, 5]]},
        {"problem.max_trade": ["5", "[5, 5, 5, 5, 4]"], KAPPA: KAPPAS},
    ],
)
def test_general_costs_have_no_least_total_cost(axes, tmp_path):
    table = make_table(axes)
    table["welfare"][:] = 271.0
    table["welfare"][1] = 273.0
    figure = trading.welfare(table)
    assert plain(figure).startswith("Play costs up to 273 a round (at ")
    assert not any(line.get_linestyle() == "--" for line in figure.axes[0].lines)
    assert set(trading.figures(table)) == EVERYTHING
    save(figure, tmp_path, "welfare", dpi=30)


def test_unset_general_numbers_leave_the_least_total_cost():
    table = make_table({KAPPA: KAPPAS})
    table.manifest["spec"]["problem"] |= {"temporary_exponent": None, "fixed_fee": None}
    assert "least possible" in plain(trading.welfare(table))


def test_lines_hold_the_means():
    table = make_table({KAPPA: KAPPAS}, replications=5)
    (axes,) = trading.welfare(table).axes
    drawn = axes.lines[0].get_xydata()
    np.testing.assert_array_equal(drawn[:, 0], KAPPAS)
    means = table["welfare"].reshape(4, 5).mean(axis=1)
    np.testing.assert_allclose(drawn[:, 1], means)


@pytest.mark.parametrize("kappa", [0.0, 0.5, 1.9, 2.0, 3.0, 10.0])
@pytest.mark.parametrize(
    ("targets", "low", "high"),
    [([3, 1], -1, 2), ([4, 4], 0, 2), ([2, -1], -1, 1), ([1, 2, 3], 0, 2), ([5], 1, 3)],
)
def test_least_total_cost_by_brute_force(kappa, targets, low, high):
    horizon = 3
    box = np.array(list(itertools.product(range(low, high + 1), repeat=horizon)))
    sets = [box[box.sum(axis=1) == target] for target in targets]
    flows = np.zeros((1, horizon), int)
    for own in sets:
        flows = (flows[:, None] + own).reshape(-1, horizon)
    held = np.cumsum(flows, axis=1) - flows
    costs = (flows * flows).sum(axis=1) + kappa * (flows * held).sum(axis=1)
    least = trading.least_total_cost(
        horizon=horizon,
        targets=targets,
        min_trade=low,
        max_trade=high,
        permanent_impact=kappa,
    )
    assert least == pytest.approx(costs.min())


def test_least_total_cost_of_the_papers_game():
    numbers = {"horizon": 5, "targets": [10, 10], "min_trade": -5, "max_trade": 5}
    least = [
        trading.least_total_cost(**numbers, permanent_impact=kappa)
        for kappa in (0, 0.5, 1, 1.5, 2, 3, 10)
    ]
    assert least == [80, 160, 240, 320, 400, 400, 400]


def test_rounds_of_a_curve_keep_both_ends():
    np.testing.assert_array_equal(learners.curve_rounds(5), [1, 2, 3, 4, 5])
    rounds = learners.curve_rounds(22500)
    assert (rounds[0], rounds[-1]) == (1, 22500)
    assert len(rounds) <= 300
    assert (np.diff(rounds) > 0).all()


def test_actions_say_where_play_settles(tmp_path):
    rng = np.random.default_rng(0)
    settled = np.tile([2, 2, 2, 2, 2], (200, 2, 1))
    moving = rng.permuted(np.tile([5, 5, 0, 5, -5], (200, 2, 1)), axis=-1)
    figure = play.actions({"κ = 0": settled, "κ = 2": moving}, window=50)
    title = plain(figure)
    assert title == "Play settles on one schedule at κ = 0 and keeps moving at κ = 2"
    save(figure, tmp_path, "actions", dpi=30)
