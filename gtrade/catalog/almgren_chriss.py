"""Catalog entry of optimal execution after Almgren and Chriss."""

import dataclasses

from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry

_COLUMNS = (
    Column("expected_cost", "mean of the implementation shortfall", "currency"),
    Column("variance", "its variance", "currency^2"),
    Column(
        "objective",
        "what is minimised: expected_cost + risk_aversion * variance, or the value at"
        " risk",
        "currency",
    ),
    Column("holdings", "shares left, x_0 .. x_N", "shares", ("points",)),
    Column("trades", "shares sold in each period, n_1 .. n_N", "shares", ("periods",)),
    Column(
        "half_life",
        "1 / kappa, time in which a plan shrinks by e; inf without risk, NaN where"
        " impact is not linear or not the same in every period",
        "time",
    ),
    Column(
        "value_at_risk",
        "shortfall exceeded with probability 1 - confidence; it is normal",
        "currency",
    ),
    Column("conditional_value_at_risk", "mean of the shortfall beyond it", "currency"),
    Column("even_cost", "expected cost of equal trades", "currency"),
    Column("even_variance", "its variance", "currency^2"),
    Column(
        "immediate_cost", "expected cost of trading all in the first period", "currency"
    ),
    Column("immediate_variance", "its variance", "currency^2"),
    Column(
        "optimality_gap",
        "bound on how much lower the objective of any plan can be; in whole lots, of"
        " any such plan",
        "currency",
    ),
    Column(
        "first_order_residual",
        "half the spread of marginal costs over periods that trade below their caps,"
        " relative to the largest term; not meant to vanish for lots",
        "1",
    ),
    Column(
        "kkt_residual",
        "violation of the optimality conditions with caps, or of the caps, relative;"
        " not meant to vanish for lots",
        "1",
    ),
)
_ARRAYS = (
    Column("times", "when holdings are held, from 0", "time", ("points",)),
    Column(
        "period_costs",
        "what each period adds to the expected cost",
        "currency",
        ("periods",),
    ),
    Column(
        "marginal_rates",
        "what a share more costs in each period, but for a constant",
        "currency/share",
        ("periods",),
    ),
)
_HEADLINE = (
    "expected_cost",
    "variance",
    "half_life",
    "value_at_risk",
    "optimality_gap",
)
_EVIDENCE = Evidence(
    columns=_COLUMNS,
    arrays=_ARRAYS,
    headline=_HEADLINE,
    figures="gtrade.plotting.almgren_chriss:figures",
)

ENTRY = ModelEntry(
    name="almgren-chriss",
    summary="A block of shares is traded over time: impact now against risk later.",
    source="Almgren & Chriss 2001, J. Risk 3(2); Almgren 2003 for power laws",
    problem="gtrade.problems.almgren_chriss:AlmgrenChriss",
    parameters=(
        Parameter("shares", "number", "X, shares to sell; negative: to buy", "shares"),
        Parameter("horizon", "number", "T; greater than 0", "time"),
        Parameter(
            "num_periods",
            "integer",
            "N, equal periods; at least 1",
            "periods",
            is_static=True,
        ),
        Parameter(
            "volatility",
            "number",
            "sigma of the price (not of returns); at least 0",
            "currency/share/time^(1/2)",
        ),
        Parameter(
            "permanent_impact",
            "number",
            "gamma, price move per share traded; at least 0",
            "currency/share^2",
        ),
        Parameter(
            "temporary_impact",
            "number",
            "eta, price concession per share at a rate of one share a unit of time;"
            " greater than permanent_impact * horizon / num_periods / 2",
            "currency*time/share^2",
        ),
        Parameter(
            "fixed_cost",
            "number",
            "epsilon, half the spread and fees; at least 0",
            "currency/share",
            default=0.0,
        ),
        Parameter(
            "risk_aversion",
            "number",
            "lambda, weight of the variance; at least 0",
            "1/currency",
            default=0.0,
        ),
        Parameter(
            "impact_exponent",
            "number",
            "p: the concession goes as the trading rate to this power; greater than 0;"
            " without it 1, and the unit of temporary_impact is currency*time^p/share^"
            "(1+p)",
            default=None,
        ),
        Parameter(
            "max_participation",
            "number",
            "most of a period's volume that may be traded; greater than 0",
            default=None,
        ),
        Parameter(
            "volumes",
            "number",
            "what the market trades in each period, one number a period; without"
            " max_participation temporary impact is inversely proportional to it",
            "shares",
            default=None,
            ndim=1,
        ),
        Parameter(
            "lot_size",
            "number",
            "shares of a lot, of which whole numbers are traded; shares must be a"
            " multiple",
            "shares",
            default=None,
        ),
        Parameter(
            "scales_with_volume",
            "boolean",
            "whether temporary impact is inversely proportional to the period's volume,"
            " relative to the mean; without it, where volumes come without"
            " max_participation",
            default=None,
            is_static=True,
        ),
        Parameter(
            "confidence",
            "number",
            "of value at risk; between 0 and 1",
            default=0.95,
        ),
    ),
    solvers=(
        SolverEntry(
            "closed-form",
            "gtrade.solvers.almgren_chriss:AlmgrenChrissClosedForm",
            "The optimum, by the formula that the keys given call for.",
            "Almgren & Chriss 2001, section 2",
            (),
            precision="f64",
            calls_lapack=False,
        ),
        SolverEntry(
            "dynamic-program",
            "gtrade.solvers.execution_program:ExecutionProgram",
            "The optimum in whole lots, from tables over the lots that are left.",
            "min-plus products; no convexity needed",
            (
                Parameter(
                    "max_lots",
                    "integer",
                    "size of the tables; without it as many lots as there are",
                    "lots",
                    default=None,
                    is_static=True,
                ),
            ),
            precision="f64",
            calls_lapack=False,
        ),
        SolverEntry(
            "value-at-risk",
            "gtrade.solvers.execution_value_at_risk:ValueAtRisk",
            "The plan of least value at risk, by a search along the frontier.",
            "Almgren & Chriss 2001, section 3.3",
            (
                Parameter(
                    "confidence",
                    "number",
                    "of the value at risk, at least 0.5 and below 1; without it that of"
                    " the problem",
                    default=None,
                ),
                Parameter(
                    "z_score",
                    "number",
                    "z of expected_cost + z * sqrt(variance), in its place; at least 0",
                    default=None,
                ),
            ),
            precision="f64",
            evidence=dataclasses.replace(
                _EVIDENCE,
                columns=(
                    Column(
                        "implied_risk_aversion",
                        "lambda of the point of the frontier, z / (2 sqrt(variance));"
                        " inf where all shares trade at once",
                        "1/currency",
                    ),
                    *_COLUMNS,
                ),
                headline=("implied_risk_aversion", *_HEADLINE),
            ),
            calls_lapack=False,
        ),
        SolverEntry(
            "monte-carlo",
            "gtrade.solvers.execution_monte_carlo:AlmgrenChrissMonteCarlo",
            "The optimum, executed on random price paths.",
            "the definition of the model",
            (
                Parameter(
                    "num_paths",
                    "integer",
                    "price paths; at least 2",
                    "paths",
                    default=100_000,
                ),
                Parameter(
                    "has_quantiles",
                    "boolean",
                    "whether value at risk is estimated, too: a dozen passes over the"
                    " paths instead of one",
                    default=True,
                    is_static=True,
                ),
            ),
            evidence=_EVIDENCE.with_simulation(
                "expected_cost",
                "variance",
                "value_at_risk",
                "conditional_value_at_risk",
                headline=("expected_cost", "value_at_risk"),
            ),
            calls_lapack=False,
        ),
    ),
    verify="gtrade.verification.almgren_chriss:verify_almgren_chriss",
    evidence=_EVIDENCE,
)
