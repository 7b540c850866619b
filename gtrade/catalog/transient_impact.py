"""Catalog entry of position building under transient impact."""

from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry

ENTRY = ModelEntry(
    name="transient-impact",
    summary="Firms build positions in block trades whose price impact decays.",
    source="Schied & Zhang 2019, arXiv 1305.4013; Luo & Schied 2018, arXiv 1807.03813",
    problem="gtrade.problems.transient_impact:TransientImpact",
    parameters=(
        Parameter(
            "targets",
            "number",
            "shares each firm ends with, one number a firm (negative: short)",
            "shares",
            ndim=1,
        ),
        Parameter(
            "kernel",
            "text",
            'how impact fades: "exponential", exp(-decay t), or "power-law",'
            " (1 + t)^-decay",
            default="exponential",
            is_static=True,
            choices=("exponential", "power-law"),
        ),
        Parameter(
            "decay",
            "number",
            "rho of exp(-rho t), or b of (1 + t)^-b; greater than 0",
            "1/horizon",
        ),
        Parameter(
            "temporary_cost",
            "number",
            "theta: a trade of x shares costs theta x^2 besides its impact; at least 0"
            " (at 0 the trades of several firms have no limit as the grid is refined)",
            "cost/share^2",
        ),
    ),
    solvers=(
        SolverEntry(
            "linear-system",
            "gtrade.solvers.transient_impact:TransientLinearSystem",
            "The unique equilibrium on a grid of trading times, by two linear systems.",
            "Schied & Zhang 2019, arXiv 1305.4013; Luo & Schied 2018, arXiv 1807.03813",
            (
                Parameter(
                    "num_points",
                    "integer",
                    "equally spaced trading times on [0, 1], ends included; at least 2",
                    "1",
                    default=65,
                    is_static=True,
                ),
            ),
            precision="f64",
        ),
    ),
    verify="gtrade.verification.transient_impact:verify_transient_impact",
    evidence=Evidence(
        columns=(
            Column(
                "exploitability", "largest gain from a unilateral deviation", "cost"
            ),
            Column("welfare", "total cost; lower is better", "cost"),
            Column("expected_costs", "cost of each firm", "cost", ("firms",)),
            Column(
                "temporary_costs",
                "the part of it that is theta times squared trades",
                "cost",
                ("firms",),
            ),
            Column(
                "initial_rates",
                "first trade over the spacing of the times; grows with their number"
                " where there is a block",
                "shares/horizon",
                ("firms",),
            ),
            Column("initial_trades", "first trade", "shares", ("firms",)),
            Column("final_trades", "last trade", "shares", ("firms",)),
            Column(
                "is_alternating",
                "whether neighbouring trades differ in sign anywhere: in what the firms"
                " have in common, in how they differ",
                "",
                ("profiles",),
            ),
            Column(
                "critical_temporary_cost",
                "temporary costs below which these alternate on a fine grid",
                "cost/share^2",
                ("profiles",),
            ),
            Column(
                "smallest_eigenvalue",
                "of a firm's own-cost matrix; above 2 temporary_cost: impact alone lets"
                " no round trip earn money",
                "cost/share^2",
            ),
        ),
        arrays=(
            Column(
                "schedules",
                "positions right after the trades",
                "shares",
                ("firms", "points"),
            ),
            Column(
                "trades", "shares bought at each time", "shares", ("firms", "points")
            ),
            Column(
                "profiles",
                "trades per share of the mean target, and per share beyond it",
                "1",
                ("profiles", "points"),
            ),
            Column("times", "trading times", "horizon", ("points",)),
        ),
        headline=(
            "exploitability",
            "welfare",
            "initial_trades",
            "final_trades",
            "is_alternating",
        ),
        figures="gtrade.plotting.positions:figures",
    ),
)
