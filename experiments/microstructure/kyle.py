"""Price discovery in Kyle's auctions: one insider takes its time, rivals race."""

import numpy as np
from experiment import float64, read_arguments, write

INSIDERS = (1, 2, 4)
NUM_AUCTIONS = 50
TOTALS = (1, 2, 4, 10, 20, 50, 100, 200, 500, 1000)
RIVALS = (1, 2, 3, 5, 7, 10)
NUM_SHOWN = 6


def main(argv=None):
    """Draw paths of prices, what they have still to learn, and insiders' profits."""
    arguments = read_arguments(__doc__, argv)
    totals = TOTALS[:5] if arguments.is_smoke else TOTALS
    with float64():
        import gtrade

        markets = gtrade.make_batch(
            gtrade.KyleSequential,
            value_std=1.0,
            noise_std=1.0,
            num_insiders=list(INSIDERS),
            num_auctions=NUM_AUCTIONS,
        )
        solution = gtrade.solve_batch(markets, gtrade.KyleSequentialClosedForm())
        evidence = gtrade.verify(markets, solution)
        prices = price_paths(markets, solution.value)
        profits = np.array([total_profits(number) for number in totals])
    figure = draw(evidence, prices, np.array(totals), profits)
    rows = [
        {"auctions": number}
        | {f"insiders_{m}": x for m, x in zip(RIVALS, row, strict=True)}
        for number, row in zip(totals, profits.tolist(), strict=True)
    ]
    write(
        arguments, "microstructure_kyle", rows=rows, figure=figure,
        formats={"auctions": "d"},
        note="Total expected profit of all insiders; value and noise with standard"
        " deviation 1 over the session. One insider alone in continuous time earns 1.",
    )  # fmt: skip


def total_profits(num_auctions):
    """Return the expected total profit for each number of rivals."""
    import gtrade

    markets = gtrade.make_batch(
        gtrade.KyleSequential,
        value_std=1.0,
        noise_std=1.0,
        num_insiders=list(RIVALS),
        num_auctions=num_auctions,
    )
    solution = gtrade.solve_batch(markets, gtrade.KyleSequentialClosedForm())
    gtrade.raise_unless_converged(solution)
    return np.asarray(gtrade.verify(markets, solution)["total_profit"])


def price_paths(markets, value):
    """Return simulated prices in auction after auction, each a few paths.

    The same values and noise for every number of insiders: shape (insiders, paths,
    auctions + 1). Values are one standard deviation up or down.
    """
    import jax
    import jax.numpy as jnp

    from gtrade.numerics.counter_random import normals
    from gtrade.solvers.kyle_sequential import auctions_of

    paths = jnp.arange(NUM_SHOWN, dtype=jnp.uint32)
    shocks = normals(jax.random.key(3), paths, NUM_AUCTIONS + 1, jnp.float64)
    signs = np.where(np.arange(NUM_SHOWN) % 2, -1.0, 1.0)
    shocks = shocks.at[0].set(signs)

    def play(market, answer):
        sampler = auctions_of(market, answer)
        moves = sampler.outcomes(shocks)["move"].T
        return jnp.pad(jnp.cumsum(moves, axis=1), ((0, 0), (1, 0)))

    return np.asarray(jax.vmap(play)(markets, value))


def draw(evidence, prices, totals, profits):
    """Draw the three panels."""
    from gtrade.plotting import style

    times = np.linspace(0, 1, NUM_AUCTIONS + 1)
    left = np.asarray(evidence["posterior_variance"])
    colours = style.sequence(len(INSIDERS))
    early = 1 - left[:, NUM_AUCTIONS // 10 - 1]
    title = (
        f"After a tenth of the session the price knows {early[0]:.0%} of the variance"
        f" if one insider trades, {early[1]:.0%} if two do"
    )
    with style.style():
        figure, axes = style.new_figure(
            1, 3, width=11.0, height=3.8, title=title, width_ratios=(1, 1, 1.1)
        )
        axes[0].axhline(1, color=style.GREY, linewidth=0.8, linestyle="--")
        axes[0].axhline(-1, color=style.GREY, linewidth=0.8, linestyle="--")
        for which, colour in ((0, colours[0]), (1, colours[1])):
            for path in prices[which]:
                axes[0].plot(times, path, color=colour, linewidth=0.9)
        axes[0].set(xlabel="time", ylabel="price (value: dashed)", xlim=(0, 1))
        places = (0.62, 0.45), (0.14, 0.13), (0.14, 0.05)
        for row, number, colour, place in zip(
            left, INSIDERS, colours, places, strict=True
        ):
            axes[1].plot(times, np.concatenate([[1], row]), color=colour)
            word = "insider" if number == 1 else "insiders"
            axes[1].text(*place, f"{number} {word}", color=colour, fontsize=8)
        axes[1].plot([0, 1], [1, 0], color=style.GREY, linestyle="--", linewidth=0.8)
        axes[1].set(xlabel="time", ylabel="variance left to learn", xlim=(0, 1))
        axes[1].set_ylim(0, 1)
        lines = style.sequence(len(RIVALS))
        labels = []
        for number, series, colour in zip(RIVALS, profits.T, lines, strict=True):
            axes[2].plot(totals, series, color=colour, marker="o", markersize=3)
            text = f"{number} insider" + "s" * (number > 1)
            labels.append((float(totals[-1]), float(series[-1]), text, colour))
        axes[2].set_xscale("log")
        axes[2].set(xlabel="auctions in a session", ylabel="insiders' total profit")
        axes[2].set_ylim(bottom=-0.06)
        style.label_ends(axes[2], labels)
    return figure


if __name__ == "__main__":
    main()
