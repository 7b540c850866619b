"""Catalog entry of two-player finite games."""

from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry
from gtrade.catalog.correlated import correlated_entry

_FIGURES = "gtrade.plotting.equilibria:figures"
_NASH_COLUMNS = (
    Column("exploitability", "largest gain from a unilateral deviation", "cost"),
    Column("welfare", "total cost; lower is better", "cost"),
    Column("is_pure", "whether both players play one strategy"),
    Column("values", "expected cost of each player", "cost", ("players",)),
    Column("support_size", "strategies in use", "1", ("players",)),
    Column("row_strategy", "probabilities of the row player", "1", ("rows",)),
    Column("col_strategy", "probabilities of the column player", "1", ("cols",)),
)


def _matrix(name: str, doc: str) -> Parameter:
    return Parameter(name, "number", doc, "cost", default=None, ndim=2)


ENTRY = ModelEntry(
    name="bimatrix",
    summary="Two players choose from finite lists of strategies.",
    source="von Stengel 2002, Handbook of Game Theory 3, chapter 45",
    problem="gtrade.problems.bimatrix:BimatrixGame",
    parameters=(
        _matrix("costs_row", "costs of the row player, rows x cols"),
        _matrix("costs_col", "costs of the column player, rows x cols"),
        _matrix("payoffs_row", "in place of costs: payoffs of the row player"),
        _matrix("payoffs_col", "in place of costs: payoffs of the column player"),
    ),
    solvers=(
        SolverEntry(
            "lemke-howson",
            "gtrade.solvers.lemke_howson:LemkeHowson",
            "One equilibrium by complementary pivoting; never cycles.",
            "Lemke & Howson 1964",
            (
                Parameter(
                    "tol",
                    "number",
                    "gain that counts as none, relative to the range of a player's"
                    " costs; greater than 0",
                    default=1e-10,
                ),
                Parameter(
                    "initial_label",
                    "integer",
                    "label dropped first, from 0, modulo rows + cols: other labels may"
                    " lead to other equilibria",
                    default=0,
                ),
                Parameter(
                    "max_pivots",
                    "integer",
                    "pivots before the next label is tried; at least 1",
                    "pivots",
                    default=2000,
                    is_static=True,
                ),
                Parameter(
                    "num_starts",
                    "integer",
                    "labels tried before giving up; at least 1",
                    default=10,
                    is_static=True,
                ),
            ),
            precision="f64",
        ),
        SolverEntry(
            "support-enumeration",
            "gtrade.solvers.support_enumeration:SupportEnumeration",
            "All equilibria with supports of one size, of games up to about 8 x 8.",
            "von Stengel 2002, algorithm 3.4",
            (
                Parameter(
                    "tol",
                    "number",
                    "rounding allowed, relative to the range of a player's costs;"
                    " greater than 0",
                    default=1e-9,
                ),
            ),
            precision="f64",
            evidence=Evidence(
                columns=(
                    *_NASH_COLUMNS,
                    Column("num_equilibria", "equilibria found", "1"),
                    Column("welfare_worst", "largest total cost among them", "cost"),
                ),
                arrays=(
                    Column(
                        "row_strategies",
                        "the row player in every equilibrium, padded with zeros",
                        "1",
                        ("pairs", "rows"),
                    ),
                    Column(
                        "col_strategies",
                        "the column player in every equilibrium, padded with zeros",
                        "1",
                        ("pairs", "cols"),
                    ),
                ),
                headline=(
                    "num_equilibria",
                    "exploitability",
                    "welfare",
                    "welfare_worst",
                ),
                figures=_FIGURES,
            ),
        ),
        correlated_entry(_FIGURES, has_schedules=False),
    ),
    verify="gtrade.verification.bimatrix:verify_bimatrix_solution",
    evidence=Evidence(
        columns=_NASH_COLUMNS,
        arrays=(),
        headline=("exploitability", "welfare", "is_pure", "support_size"),
        figures=_FIGURES,
    ),
)
