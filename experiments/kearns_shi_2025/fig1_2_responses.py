"""Figures 1 and 2: best responses to four opponents, buying only and with selling."""

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
    import gtrade

    game = gtrade.TradingGame(
        targets=[TARGET, TARGET],
        permanent_impact=kappa,
        horizon=HORIZON,
        min_trade=min_trade,
        max_trade=max_trade,
    )
    opponent = np.array(opponent)
    own = np.asarray(gtrade.best_response(game, opponent))
    even = np.full(HORIZON, TARGET // HORIZON)
    costs = [float(game.costs(np.stack([a, opponent]))[0]) for a in (own, even)]
    return own, *costs


def line(figure, name, opponent, kappa, own, cost, even):
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
    return "(" + ", ".join(str(int(x)) for x in flow) + ")"


def title_of_buying(answers):
    early = {
        kappa: np.mean([own[0] for own in by_kappa])
        for kappa, by_kappa in (
            (kappa, [answers[name][f"κ = {kappa:g}"] for name in answers])
            for kappa in KAPPAS
        )
    }
    low, high = min(KAPPAS), max(KAPPAS)
    return (
        "Best responses when selling is not allowed: permanent impact moves buying"
        f" forward (first step: {early[low]:.2g} shares on average at κ = {low:g},"
        f" {early[high]:.2g} at κ = {high:g})"
    )


def title_of_selling(selling):
    peak = max(int(np.cumsum(a).max()) for by in selling.values() for a in by.values())
    return (
        f"At κ = {SELLING_KAPPA:g} a best responder that may sell builds up to {peak}"
        f" shares to end with {TARGET}"
    )


if __name__ == "__main__":
    main()
