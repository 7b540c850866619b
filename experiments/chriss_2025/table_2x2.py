"""The tables of section 5 of Chriss (2025): two firms, two types each."""

import numpy as np
from experiment import (
    at_times,
    float64,
    read_arguments,
    run,
    solve,
    spec_problem,
    write,
)

# Normalised realised costs as published (cost / own target), by types (rows: 11, 12,
# 21, 22), firm and evaluation impact.
PUBLISHED = np.array(
    [
        [[15.81, 21.73, 27.65, 98.68], [14.68, 19.28, 23.89, 79.16]],
        [[12.49, 19.12, 25.76, 105.37], [22.64, 25.05, 27.47, 56.49]],
        [[18.62, 25.02, 31.42, 108.22], [17.85, 23.56, 29.28, 97.85]],
        [[16.98, 24.14, 31.29, 117.14], [25.98, 28.83, 31.67, 65.80]],
    ]
)
PUBLISHED_EXPECTED = np.array([14.71, 31.34, 21.88, 57.10])
NUM_POINTS = 100  # of the paper's trapezoid


def main(argv=None):
    """Tabulate realised and expected costs, exact and by the paper's quadrature."""
    arguments = read_arguments(__doc__, argv)
    table = run(arguments, "two_by_two")
    exact = np.array(table["realised_costs"][0])  # (evaluations, types, types, firms)
    with float64():
        import gtrade

        game = gtrade.PositionBuilding(**spec_problem("two_by_two"))
        paths = solve(game)
        prior = np.asarray(game.prior).reshape(2, 2)
        targets, own = np.asarray(game.targets), np.asarray(game.permanent_impacts)
        evaluations = np.asarray(game.evaluation_impacts)
        rule = trapezoid(paths, evaluations)
    rows = []
    for place, (k, r) in enumerate(np.ndindex(2, 2)):
        for firm, target in enumerate((targets[k], targets[2 + r])):
            for e, kappa in enumerate(evaluations):
                rows.append(
                    {
                        "types": f"({k + 1}, {r + 1})",
                        "firm": firm + 1,
                        "kappa": kappa,
                        "paper": PUBLISHED[place, firm, e],
                        "trapezoid": rule[e, k, r, firm] / target,
                        "exact": exact[e, k, r, firm] / target,
                    }
                )
    digits = sum(f"{row['trapezoid']:.2f}" == f"{row['paper']:.2f}" for row in rows)
    off = max(abs(row["exact"] - row["paper"]) for row in rows)
    note = (
        "Realised cost over the firm's own target, evaluated at κ. `trapezoid`:"
        f" {NUM_POINTS} equally spaced points of the exact paths; it agrees with the"
        f" paper in {digits} of {len(rows)} numbers to the printed digit. The paper is"
        f" at most {off:.3f} off the exact integrals. Exploitability of the paths:"
        f" {table['exploitability'][0]:.0e}."
    )
    formats = {"firm": "d", "kappa": "g", "paper": ".2f"}
    formats |= {"trapezoid": ".2f", "exact": ".6f"}
    write(arguments, "chriss_costs", rows=rows, formats=formats, note=note)

    right = weighted(rule, prior, own, evaluations) / targets
    wrong = weighted(rule, prior, own, evaluations, is_wrong=True) / targets
    true = np.asarray(table["expected_costs"][0]) / targets
    rows = [
        {
            "firm": 1 + (s >= 2),
            "type": 1 + s % 2,
            "kappa": own[s],
            "target": targets[s],
            "paper": PUBLISHED_EXPECTED[s],
            "papers_weights": wrong[s],
            "trapezoid": right[s],
            "exact": true[s],
        }
        for s in range(4)
    ]
    note = (
        "Expected cost of every type at its own κ over its own target. `trapezoid` and"
        " `exact` weigh the rival's types by p[k, r] / (marginal of the own type)."
        " **Erratum**: the paper weighs firm 2's by p[k, r] / (column sum k) in place"
        " of p[k, r] / (column sum r) (`papers_weights`, by the same trapezoid; for"
        " firm 1 it weighs correctly). Those weights sum to"
        f" {wrong_weights(prior)[:, 0].sum():.3f} and"
        f" {wrong_weights(prior)[:, 1].sum():.3f}, not to 1."
    )
    formats = dict.fromkeys(("firm", "type"), "d")
    formats |= dict.fromkeys(("kappa", "target"), "g") | {"paper": ".2f"}
    formats |= {"papers_weights": ".2f", "trapezoid": ".2f", "exact": ".6f"}
    write(arguments, "chriss_erratum", rows=rows, formats=formats, note=note)


def trapezoid(paths, evaluations):
    """Return realised costs by the paper's rule, shape (evaluations, 2, 2, 2)."""
    times = np.linspace(0.0, 1.0, NUM_POINTS)
    positions = at_times(paths, paths.positions, times)
    rates = at_times(paths, paths.rates, times)
    result = np.empty((len(evaluations), 2, 2, 2))
    for k, r in np.ndindex(2, 2):
        for firm, own in enumerate((k, 2 + r)):
            flow, total = rates[k] + rates[2 + r], positions[k] + positions[2 + r]
            for e, kappa in enumerate(evaluations):
                density = (flow + kappa * total) * rates[own]
                result[e, k, r, firm] = np.trapezoid(density, times)
    return result


def weighted(costs, prior, own_impacts, evaluations, *, is_wrong=False):
    """Return expected costs of all types at their own impacts, shape (4,)."""
    at = [int(np.flatnonzero(evaluations == kappa)[0]) for kappa in own_impacts]
    given_first = prior / prior.sum(axis=1, keepdims=True)
    given_second = wrong_weights(prior) if is_wrong else prior / prior.sum(axis=0)
    first = [given_first[k] @ costs[at[k], k, :, 0] for k in range(2)]
    second = [given_second[:, r] @ costs[at[2 + r], :, r, 1] for r in range(2)]
    return np.array(first + second)


def wrong_weights(prior):
    """Return the paper's weights of firm 1's type k (rows) given firm 2's (columns)."""
    return prior / prior.sum(axis=0)[:, None]


if __name__ == "__main__":
    main()
