"""A seller misjudges impact, sees its fills, and plans again after every period."""

import numpy as np
from experiment import read_arguments, write

PROBLEM = {
    "shares": 1e6,
    "horizon": 5.0,
    "num_periods": 20,
    "volatility": 0.95,
    "permanent_impact": 2.5e-7,
    "temporary_impact": 2.5e-6,
    "fixed_cost": 0.0625,
    "risk_aversion": 1e-6,
}
FILL_NOISE = 0.25  # standard deviation of an average fill, currency
FACTORS = (
    1 / 8,
    1 / 4,
    1 / 2,
    1,
    2,
    4,
    8,
)  # impact believed at first over the true one
SHOWN = (1 / 4, 4)
NUM_PATHS = 20_000


def main(argv=None):
    """Measure what learning saves, and draw beliefs and schedules over time."""
    arguments = read_arguments(__doc__, argv)
    from gtrade.cli.environment import prepare_environment

    prepare_environment()
    import jax

    with jax.enable_x64(True):
        paths, exact = simulate(200 if arguments.is_smoke else NUM_PATHS)
    rows = []
    for factor in FACTORS:
        never, learner = (paths[factor, kind] for kind in ("never", "learner"))
        row = {"believed": factor}
        for name, gap in (
            ("never_learning", never["objective"] - exact["objective"]),
            ("learning", learner["objective"] - exact["objective"]),
            ("saved", never["objective"] - learner["objective"]),
        ):
            row[name] = gap.mean() / 1e3
            error = gap.std(ddof=1) / np.sqrt(len(gap)) / 1e3
            row[f"{name}_se"] = error if error > 1e-9 else 0.0  # nothing is random
        rows.append(row)
    write(
        arguments, "almgren_chriss_replanning", rows=rows,
        figure=draw(rows, paths, exact), formats={"believed": ".3f"},
        note=(
            "What the first belief costs beyond knowing impact from the start, in"
            f" thousands of currency, where knowing costs"
            f" {exact['objective'][0] / 1e3:.0f}. The same {len(exact['objective'])}"
            " paths for all. `believed`: mean of the first belief over the true"
            " temporary impact; its standard deviation is as large, and it is cut off"
            " at 0."
        ),
    )  # fmt: skip


def simulate(num_paths):
    """Return what happens by factor and kind of seller, and to one who knows."""
    import jax
    import jax.numpy as jnp

    from gtrade.calibration.impact_filter import init_impact
    from gtrade.calibration.replanning import trade_and_learn
    from gtrade.problems.almgren_chriss import AlmgrenChriss

    problem = AlmgrenChriss(**PROBLEM)
    eta, gamma = problem.temporary_impact, problem.permanent_impact
    shape = (num_paths, problem.num_periods, 2)
    shocks = jax.random.normal(jax.random.key(0), shape, eta.dtype)

    @jax.jit
    def run(mean, std, learns):
        belief = init_impact(mean, std, gamma, gamma * 1e-6)
        trade = jax.vmap(
            lambda shock: trade_and_learn(
                problem, belief, shock, learns=learns,
                fill_noise_std=jnp.full_like(eta, FILL_NOISE),
            )
        )  # fmt: skip
        return trade(shocks)

    def outcome(mean, std, learns):
        path = run(mean, std, jnp.asarray(learns))
        names = ("holdings", "objective", "temporary_means", "temporary_stds")
        return {name: np.asarray(getattr(path, name)) for name in names}

    paths = {}
    for factor in FACTORS:
        mean = factor * eta
        paths[factor, "never"] = outcome(mean, mean, False)
        paths[factor, "learner"] = outcome(mean, mean, True)
    return paths, outcome(eta, eta * 1e-6, False)


def draw(rows, paths, exact):
    """Draw beliefs and schedules of two sellers, and the costs of all."""
    from gtrade.plotting import style

    colours = {SHOWN[0]: style.ORANGE, SHOWN[1]: style.BLUE}
    true = PROBLEM["temporary_impact"]
    days = np.linspace(0, PROBLEM["horizon"], PROBLEM["num_periods"] + 1)
    by_factor = {row["believed"]: row for row in rows}
    low, high = (by_factor[factor] for factor in SHOWN)
    saved = [row["saved"] / row["never_learning"] for row in (high, low)]
    with style.style():
        figure, (left, middle, right) = style.new_figure(
            1, 3, width=11.6, height=3.9,
            title=(
                f"Learning from fills saves {saved[0]:.0%} of what it costs to believe"
                f" in four times the impact, {saved[1]:.0%} with a quarter of it: a"
                " seller who was too fast cannot go back"
            ),
        )  # fmt: skip
        for factor, colour in colours.items():
            learner, never = paths[factor, "learner"], paths[factor, "never"]
            means = learner["temporary_means"][0] / true
            stds = learner["temporary_stds"][0] / true
            left.plot(days, means, color=colour)
            band = (np.maximum(means - 2 * stds, 0), means + 2 * stds)
            left.fill_between(days, *band, color=colour, alpha=0.17, linewidth=0)
            middle.plot(days, learner["holdings"][0] / 1e3, "o-", color=colour)
            dashes = {"linestyle": (0, (3, 2)), "linewidth": 1.1}
            middle.plot(days, never["holdings"][0] / 1e3, color=colour, **dashes)
        for factor, place in ((SHOWN[1], 0.95), (SHOWN[0], 0.87)):
            text = f"believes {'four times' if factor > 1 else 'a quarter'} at first"
            left.annotate(
                text, (0.97, place), xycoords="axes fraction", ha="right", va="top",
                color=colours[factor], fontsize=8,
            )  # fmt: skip
        left.axhline(1, color=style.GREY, linewidth=1)
        left.set_ylabel("temporary impact over the true one")
        left.set_title("belief on one path, ± 2 standard deviations")
        left.set_ylim(0, 4.5)
        middle.plot(days, exact["holdings"][0] / 1e3, color=style.GREY)
        middle.set_ylabel("held (thousand shares)")
        middle.set_title("schedules; dashed: never learning; grey: knowing")
        for axes in (left, middle):
            axes.set_xlim(0, days[-1])
            axes.set_xlabel("time (days)")
        names = {"never_learning": "never learning", "learning": "learning"}
        for (name, label), colour in zip(
            names.items(), (style.GREY, style.GREEN), strict=True
        ):
            x = np.array([row["believed"] for row in rows])
            mean, error = (
                np.array([row[f"{name}{end}"] for row in rows]) for end in ("", "_se")
            )
            style.draw_mean(right, x, mean, error, colour=colour, marker="o")
            right.annotate(
                label, (x[-1], mean[-1]), xytext=(-2, 7), ha="right",
                textcoords="offset points", color=colour, fontsize=8,
            )  # fmt: skip
        right.set_xscale("log", base=2)
        right.set_xticks(FACTORS, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
        right.set_ylim(bottom=0)
        right.set_xlabel("impact believed at first over the true one")
        right.set_ylabel("cost beyond knowing (thousands)")
        right.set_title("what the first belief costs")
    return figure


if __name__ == "__main__":
    main()
