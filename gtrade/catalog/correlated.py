"""The correlated linear programs, for every model with finitely many strategies."""

from gtrade.catalog.base import Column, Evidence, Parameter, SolverEntry


def correlated_entry(figures: str, *, has_schedules: bool) -> SolverEntry:
    """Return the catalog entry of `correlated-lp` for a model."""
    arrays = (
        Column("joint_best", "probabilities of the best play", "1", ("joint",)),
        Column("joint_worst", "probabilities of the worst play", "1", ("joint",)),
    )
    if has_schedules:
        schedules = Column(
            "schedules",
            "the enumerated schedules, in the order of the joint actions",
            "shares",
            ("players", "actions", "horizon"),
        )
        arrays = (*arrays, schedules)
    return SolverEntry(
        "correlated-lp",
        "gtrade.solvers.correlated:CorrelatedLP",
        "Least and largest total cost over all correlated equilibria.",
        "Aumann 1974; Moulin & Vial 1978; linear programs over the joint actions",
        (
            Parameter(
                "concept",
                "text",
                '"cce": coarse correlated equilibria; "ce": correlated ones',
                default="cce",
                is_static=True,
                choices=("cce", "ce"),
            ),
            Parameter(
                "max_joint",
                "integer",
                "most joint actions to enumerate; at least 1",
                "1",
                default=100_000,
                is_static=True,
            ),
        ),
        precision="f64",
        evidence=Evidence(
            columns=(
                Column("welfare_best", "least total cost of the concept", "cost"),
                Column("welfare_worst", "largest total cost of the concept", "cost"),
                Column(
                    "deviation_gain",
                    "largest gain from a deviation that the concept allows",
                    "cost",
                ),
                Column("bound_best", "proved: none costs less than this", "cost"),
                Column("bound_worst", "proved: none costs more than this", "cost"),
                Column("feasibility", "largest violation of a distribution", "1"),
                Column("num_actions", "strategies of each player", "1", ("players",)),
            ),
            arrays=arrays,
            headline=(
                "welfare_best",
                "welfare_worst",
                "bound_best",
                "bound_worst",
                "deviation_gain",
            ),
            figures=figures,
        ),
    )
