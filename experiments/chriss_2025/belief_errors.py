"""Which error in its beliefs costs a firm most?

One type of one firm plays its part of the equilibrium of a wrong game, which it takes
for common knowledge; all others play the true one. As its true part is a best response,
the first order vanishes, and as its cost is quadratic in its own rate, what the error
costs it is exactly

    regret(e) = int (x_wrong' - x_true')^2 dt = e^2 int (dx' / de)^2 dt + O(e^3).

The derivative comes from jax, through the eigendecomposition of the solver.
"""

import functools

import drawing
import numpy as np
from experiment import float64, read_arguments, spec_problem, write

STEP = 0.1  # errors: 10 %, or ten points of probability
SCALES = (0.1, 0.3, 1.0, 3.0, 10.0)  # of all kappas of the example
ERRORS = (
    "own κ",
    "rival's κ",
    "rival's targets",
    "probability of rival's type 1",
    "non-strategic flow",
)


def main(argv=None):
    """Tabulate and draw what every error costs every type, and over kappa."""
    arguments = read_arguments(__doc__, argv)
    scales = (1.0,) if arguments.is_smoke else SCALES
    with float64():
        import gtrade

        problem = spec_problem("two_by_two")
        rows, curves = [], {name: [] for name in ERRORS}
        for scale in scales:
            kappas = scale * np.asarray(problem["permanent_impacts"])
            game = gtrade.PositionBuilding(**{**problem, "permanent_impacts": kappas})
            found = [
                dict(measured, scale=scale, firm=1 + s // 2, type=1 + s % 2)
                for s in range(4)
                for measured in measure(game, s)
            ]
            rows += [row for row in found if row["scale"] == 1.0]
            weights = np.asarray(game.joint_beliefs()[1]) / 2  # over both firms
            for name in ERRORS:
                own = [row["per_cent"] for row in found if row["error"] == name]
                curves[name].append(float(weights @ own))
    names = ("firm", "type", "error", "slope", "curvature", "regret", "minus", "plus")
    rows = [{name: row[name] for name in (*names, "per_cent")} for row in rows]
    note = (
        "The two-by-two example. Errors are relative (`own κ`, `rival's κ` and"
        " `rival's targets`, both types' at once), of probability (of the rival's type"
        " 1, given the own type), or a belief in a flow of that share of the rival's"
        " expected target. `slope`, `curvature`: first derivative of the own true"
        " expected cost with respect to the error (0: the truth is optimal) and second"
        f" one. `regret`: half the curvature times {STEP:g}². `minus`, `plus`: exact"
        f" regrets of errors of −{STEP:g} and {STEP:g}; `per_cent`: the larger of the"
        " two in per cent of the expected cost."
    )
    formats = dict.fromkeys(("firm", "type"), "d") | {"slope": ".0e"}
    figure = draw(rows, scales, curves)
    write(
        arguments, "chriss_belief_errors", rows=rows, figure=figure, formats=formats,
        note=note,
    )  # fmt: skip
    rows = [
        {"scale": x, **{name: own[i] for name, own in curves.items()}}
        for i, x in enumerate(scales)
    ]
    note = (
        f"Regret of an error of ±{STEP:g} in per cent of the expected cost, mean over"
        " types and firms, when all κ of the example are multiplied by `scale`."
    )
    write(
        arguments, "chriss_belief_errors_kappa", rows=rows, note=note,
        formats={"scale": "g"},
    )  # fmt: skip


@functools.cache
def compiled():
    """Return `quantities`, compiled once for all types and impacts."""
    import jax

    return jax.jit(quantities)


def quantities(game, s, which, size):
    """Return cost, slope, curvature and both regrets (-size, size) of an error."""
    import jax
    import jax.numpy as jnp

    from gtrade.problems.position_costs import expected_costs
    from gtrade.solvers.spectral import spectral_paths

    true = spectral_paths(game, 2)
    cost = expected_costs(game, true)[s]
    is_own = jnp.arange(game.size) == s

    def rates(size):
        return spectral_paths(mistaken(game, s, which, size), 2).rates[s]

    def true_cost(size):
        wrong = spectral_paths(mistaken(game, s, which, size), 2)
        played = jax.tree.map(
            lambda a, b: jnp.where(is_own.reshape(-1, *[1] * (a.ndim - 1)), a, b),
            wrong,
            true,
        )
        return expected_costs(game, played)[s]

    zero = jnp.zeros_like(size)
    _, change = jax.jvp(rates, (zero,), (jnp.ones_like(size),))
    curvature = 2 * true.integrals(change**2)
    regrets = jax.vmap(true_cost)(jnp.stack([-size, size])) - cost
    return cost, jax.grad(true_cost)(zero), curvature, regrets


def measure(game, s):
    """Return a row for every error that type s of a game may make."""
    import jax.numpy as jnp

    rows = []
    for which, name in enumerate(ERRORS):
        is_this = jnp.arange(len(ERRORS)) == which
        measured = compiled()(game, jnp.asarray(s), is_this, jnp.asarray(STEP))
        cost, slope, curvature, (minus, plus) = measured
        rows.append(
            {
                "error": name,
                "slope": float(slope),
                "curvature": float(curvature),
                "regret": float(curvature) / 2 * STEP**2,
                "minus": float(minus),
                "plus": float(plus),
                "per_cent": 100 * float(max(minus, plus) / cost),
            }
        )
    return rows


def mistaken(game, s, which, size):
    """Return the game that type s believes in.

    Args:
        game: the true one, of two firms with two types each.
        s: the type, in (firm, type) order.
        which: the error, as an indicator among `ERRORS`.
        size: of the error.
    """
    import equinox as eqx
    import jax.numpy as jnp

    dtype = game.targets.dtype
    own = jnp.asarray(jnp.arange(4) == s, dtype)
    rival = jnp.asarray(jnp.arange(4) // 2 != s // 2, dtype)
    by = [jnp.where(which[i], size, 0.0) for i in range(len(ERRORS))]
    kappas = game.permanent_impacts * (1 + by[0] * own + by[1] * rival)
    targets = game.targets * (1 + by[2] * rival)
    # Probability moves from the rival's type 2 to type 1, given the own type.
    prior = game.prior.reshape(2, 2)
    marginal = game.joint_beliefs()[1][s]
    shift = jnp.array([1, -1], dtype)
    moved = jnp.outer(own[:2], shift) + jnp.outer(shift, own[2:])
    prior = prior + by[3] * marginal * moved
    expected = game.beliefs()[s] @ game.targets
    flow = game.non_strategic.at[s, 1].add(by[4] * expected)
    return eqx.tree_at(
        lambda g: (g.permanent_impacts, g.targets, g.prior, g.non_strategic),
        game,
        (kappas, targets, prior.ravel(), flow),
    )


def draw(rows, scales, curves):
    """Draw regrets of the example by type, and means over the scale of kappa."""
    from gtrade.plotting import style

    worst = max(rows, key=lambda row: row["per_cent"])
    word = worst["error"].replace("rival's", "the rival's")
    with style.style():
        figure, (left, right) = style.new_figure(
            1, 2, width=10.2, height=3.8,
            title=(
                f"No error of {STEP:.0%} costs a type of the example more than"
                f" {worst['per_cent']:.1f} % of its cost; the dearest is a wrong {word}"
            ),
        )  # fmt: skip
        colours = style.colours_for(len(ERRORS))
        marks = {(1, 1): "o", (1, 2): "s", (2, 1): "^", (2, 2): "D"}
        for row in rows:
            place = ERRORS.index(row["error"])
            left.plot(
                row["per_cent"], -place, marks[row["firm"], row["type"]],
                color=colours[place], markersize=5, alpha=0.85,
            )  # fmt: skip
        left.set_yticks([-i for i in range(len(ERRORS))], ERRORS)
        left.set_xscale("log")
        left.set_xlabel("regret (% of the type's expected cost)")
        left.set_title("by type: ● 1.1  ■ 1.2  ▲ 2.1  ◆ 2.2 (firm.type)")
        left.grid(True, axis="x")
        drawing.lines(
            scales, curves, title="mean over types, all κ of the example times",
            x_label="factor of all κ", y_label="regret (% of expected cost)",
            log_x=True, axes=right,
        )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
