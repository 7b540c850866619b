"""Catalog entry of position building under uncertain impact."""

from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry

_TYPE_FIELDS = (
    Parameter("target", "number", "shares held at the end", "shares"),
    Parameter(
        "permanent_impact",
        "number",
        "kappa, price per share that stays; at least 0",
        "price per share",
    ),
    Parameter(
        "temporary_impact",
        "number",
        "eta, price per share per unit time that is gone at once; at least 0, and above"
        " 0 unless transient_impact and decay are",
        "price per share per unit time",
        default=1.0,
    ),
    Parameter(
        "transient_impact",
        "number",
        "price per share that fades; at least 0",
        "price per share",
        default=0.0,
    ),
    Parameter(
        "decay",
        "number",
        "rho, rate at which it fades; at least 0",
        "1 per horizon",
        default=1.0,
    ),
)

ENTRY = ModelEntry(
    name="uncertain-impact",
    summary="Firms build positions, each type with its own model of price impact.",
    source="docs/models/uncertain-impact.md; builds on Chriss 2025, arXiv 2501.01241",
    problem="gtrade.problems.uncertain_impact:UncertainImpact",
    tables="gtrade.problems.uncertain_impact_tables",
    parameters=(
        Parameter(
            "prior",
            "number",
            "joint probabilities of the firms' types, one axis a firm; at least 0,"
            " summing to 1, every type with a positive probability; needed when a firm"
            " has several types",
            "1",
            default=None,
            ndim=None,
        ),
        Parameter(
            "firms",
            "table",
            "one table a firm",
            fields=(
                Parameter("types", "table", "one table a type", fields=_TYPE_FIELDS),
            ),
        ),
    ),
    solvers=(
        SolverEntry(
            "linear-system",
            "gtrade.solvers.linear_system:LinearSystem",
            "All types' first-order conditions as one dense linear system.",
            "docs/models/uncertain-impact.md",
            (
                Parameter(
                    "num_points",
                    "integer",
                    "equally spaced times with one trade between each two; at least 3",
                    "1",
                    default=65,
                    is_static=True,
                ),
            ),
            precision="f64",
        ),
    ),
    verify="gtrade.verification.uncertain_impact:verify_uncertain_impact_solution",
    evidence=Evidence(
        columns=(
            Column(
                "exploitability",
                "largest expected saving of a type from other trades, by its own model",
                "cost",
            ),
            Column(
                "violation", "largest difference of summed trades to targets", "shares"
            ),
            Column(
                "smallest_curvatures",
                "least own cost of trades of length 1 that sum to zero: positive where"
                " best responses exist",
                "cost per share^2",
                ("types",),
            ),
            Column(
                "condition", "condition number of the equations solved, estimated", "1"
            ),
            Column(
                "welfare", "all firms' expected cost, each by its own model", "cost"
            ),
            Column(
                "initial_rates",
                "trading rates in the first step, in (firm, type) order",
                "shares per unit time",
                ("types",),
            ),
            Column("expected_costs", "by own model and beliefs", "cost", ("types",)),
            Column(
                "realised_costs",
                "in every profile of types, by each firm's own model; beyond 12 firms"
                " profiles share one axis",
                "cost",
                ("types of firm 1", "...", "firms"),
            ),
            Column(
                "model_costs",
                "expected costs, were the model of the type in the row the true one",
                "cost",
                ("models", "types"),
            ),
            Column(
                "misjudgements",
                "expected saving from other trades, were that model the true one: what"
                " a wrong model costs",
                "cost",
                ("models", "types"),
            ),
        ),
        arrays=(
            Column(
                "schedules",
                "positions at equally spaced times",
                "shares",
                ("types", "points"),
            ),
            Column("times", "these times", "horizons", ("points",)),
        ),
        headline=("exploitability", "expected_costs", "initial_rates", "welfare"),
        figures="gtrade.plotting.positions:figures",
    ),
)
