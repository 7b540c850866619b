"""Figures 1 and 2: best responses to four opponents, buying only and with selling."""

import functools

import numpy as np
from experiment import read_arguments, write

HORIZON, TARGET = 5, 10
OPPONENTS = {
    "even opponent": [2, 2, 2, 2, 2],
    "early opponent": [10, 0, 0, 0, 0],
    "tapering opponent": [4, 3, 2, 1, 0],
    "late opponent": [0, 0, 0, 0, 10],
}
KAPPAS = (0.0, 1.0, 2.0)  # figure 1: 0 <= trade <= 10
SELLING_KAPPA, LIMIT = 2.0, 10  # figure 2: |trade| <= 10


def main(argv=None):
    """Compute the best responses to every opponent."""
    arguments = read_arguments(__doc__, argv)
    from gtrade.plotting.play import responses

    rows, answers = [], {}
    for name, flow in OPPONENTS.items():
        answers[name] = {}
        for kappa in KAPPAS:
            own, cost, even = respond(flow, kappa, 0, TARGET)
            answers[name][f"κ = {kappa:g}"] = own
            rows.append(line("1", name, flow, kappa, own, cost, even))
    opponents = {name: np.array(flow) for name, flow in OPPONENTS.items()}
    first = responses(opponents, answers, title=title_of_buying(answers))

    selling = {}
    for name, flow in OPPONENTS.items():
        own, cost, even = respond(flow, SELLING_KAPPA, -LIMIT, LIMIT)
        selling[name] = {f"κ = {SELLING_KAPPA:g}": own}
        rows.append(line("2", name, flow, SELLING_KAPPA, own, cost, even))
    second = responses(opponents, selling, title=title_of_selling(selling))
    write(arguments, "fig1_responses", rows=rows[:-4], figure=first)
    write(arguments, "fig2_responses_selling", rows=rows[-4:], figure=second)


def respond(opponent, kappa, min_trade, max_trade):
    """Return the best response, its cost and the cost of the even schedule."""
    import jax.numpy as jnp

    import gtrade

    game = gtrade.TradingGame(
        targets=[TARGET, TARGET],
        permanent_impact=kappa,
        horizon=HORIZON,
        min_trade=min_trade,
        max_trade=max_trade,
    )
    opponent = jnp.array(opponent)
    own = compiled()(game, opponent)
    even = jnp.full_like(own, TARGET // HORIZON)
    costs = [float(game.costs(jnp.stack([a, opponent]))[0]) for a in (own, even)]
    return np.asarray(own), *costs


@functools.cache
def compiled():
    """Return the best response, one program for all games with the same limits."""
    import jax

    import gtrade

    return jax.jit(gtrade.best_response)


def line(figure, name, opponent, kappa, own, cost, even):
    """Return one row of the result file."""
    return {
        "figure": figure,
        "opponent": name.removesuffix(" opponent"),
        "opponent_flow": flow_text(opponent),
        "kappa": kappa,
        "best_response": flow_text(own),
        "cost": cost,
        "cost_of_even_schedule": even,
    }


def flow_text(flow):
    """Write a flow as the paper does."""
    return "(" + ", ".join(str(int(x)) for x in flow) + ")"


def title_of_buying(answers):
    """Say how much earlier permanent impact makes best responders buy."""
    early = {
        kappa: np.mean([by_kappa[f"κ = {kappa:g}"][0] for by_kappa in answers.values()])
        for kappa in KAPPAS
    }
    low, high = min(KAPPAS), max(KAPPAS)
    return (
        "Best responses when selling is not allowed: permanent impact moves buying"
        f" forward (first step: {early[low]:.2g} shares on average at κ = {low:g},"
        f" {early[high]:.2g} at κ = {high:g})"
    )


def title_of_selling(selling):
    """Say how far best responders overshoot their target."""
    peak = max(int(np.cumsum(a).max()) for by in selling.values() for a in by.values())
    return (
        f"At κ = {SELLING_KAPPA:g} a best responder that may sell builds up to {peak}"
        f" shares to end with {TARGET}"
    )


if __name__ == "__main__":
    main()
