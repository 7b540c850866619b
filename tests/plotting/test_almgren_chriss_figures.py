"""Figures of execution plans from tables of results."""

import numpy as np
import pytest
from synthetic import FakeTable

from gtrade.plotting import almgren_chriss


def make_table(lams, sigmas=(1.0,), num=4, fails=()):
    """Return plans that trade `1 / (1 + lam)` of what is left in each period."""
    grid = [(lam, sigma) for lam in lams for sigma in sigmas]
    rows = []
    for lam, sigma in grid:
        left = 5e5 * np.append((1 / (1 + lam)) ** np.arange(num), 0.0)
        rows.append((left, 1e6 * (1 + lam), (sigma * left[1:].sum()) ** 2))
    size = len(grid)
    data = {
        "point": np.arange(size),
        "status": np.array(["converged"] * size),
        "problem.risk_aversion": np.array([x[0] for x in grid]),
        "problem.volatility": np.array([x[1] for x in grid]),
        "holdings": np.array([x[0] for x in rows]),
        "expected_cost": np.array([x[1] for x in rows]),
        "variance": np.array([x[2] for x in rows]),
        "even_cost": np.full(size, 1e6),
        "even_variance": np.array([(x[1] * 5e5 * (num - 1)) ** 2 for x in grid]),
    }
    for row in fails:
        data["status"][row] = "invalid_input"
        for name in ("holdings", "expected_cost", "variance"):
            data[name][row] = np.nan
    swept = ["problem.risk_aversion", "problem.volatility"]
    return FakeTable(data, {"spec": {"problem": {}}}, swept, [])


def title_of(figure):
    return figure._suptitle.get_text().replace("\n", " ")


def test_the_frontier_says_what_less_risk_costs():
    figure = almgren_chriss.frontier(make_table([0.0, 0.5, 1.0, 4.0]))
    kept = (1 / 1.5 + 1 / 1.5**2 + 1 / 1.5**3) / 3  # of the risk, at 0.5
    assert title_of(figure) == (
        f"A plan with {1 - kept:.0%} less risk than equal trades costs 50% more"
    )
    axes = figure.axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [1, 1.5, 2, 5])
    assert "million" in axes.get_xlabel()


def test_each_volatility_has_its_frontier():
    figure = almgren_chriss.frontier(make_table([0.0, 0.5, 1.0], (1.0, 2.0)))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "volatility = 1" in texts
    assert "volatility = 2" in texts


def test_schedules_say_when_half_is_traded():
    table = make_table([0.0, 1.0])
    figure = almgren_chriss.schedules(table)
    assert title_of(figure).startswith("Half of the shares are traded by 25% of the")
    np.testing.assert_allclose(
        figure.axes[0].lines[1].get_ydata(), 5e5 * np.array([1, 0.5, 0.25, 0.125, 0])
    )


@pytest.mark.parametrize("fails", [(1,), (0, 1, 2)])
def test_failed_points_are_left_out(fails):
    drawn = almgren_chriss.figures(make_table([0.0, 0.5, 1.0], fails=fails))
    assert "outcomes" in drawn
    assert ("frontier" in drawn) == (len(fails) < 3)
    assert ("schedules" in drawn) == (len(fails) < 3)


def test_too_few_points_make_no_frontier():
    assert almgren_chriss.frontier(make_table([0.0, 1.0])) is None
