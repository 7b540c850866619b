"""Catalog entry of sequential trade with a dealer who learns from orders."""

import dataclasses

from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry

_COLUMNS = (
    Column("bids", "bid before each order", "price", ("orders",)),
    Column("asks", "ask before each order", "price", ("orders",)),
    Column(
        "beliefs",
        "probability of the high value before each order and after the last; for K"
        " values a list of their probabilities",
        "1",
        ("times",),
    ),
    Column(
        "spreads",
        "ask less bid before each order, without cancellation",
        "price",
        ("orders",),
    ),
    Column("final_bid", "bid after the last order", "price"),
    Column("final_ask", "ask after the last order", "price"),
    Column(
        "information_rate_high",
        "mean gain in the log-odds of the high value per arrival when it is true;"
        " infinite where one order can prove it; NaN for K values",
        "1",
    ),
    Column("information_rate_low", "the same of the low value", "1"),
    Column(
        "decay_factor",
        "rho: the mean of sqrt(mu (1 - mu)) shrinks by this factor an arrival;"
        " NaN for K values",
        "1",
    ),
    Column(
        "market_fails",
        "whether only informed traders would sell, would buy: that quote stands at the"
        " lowest, the highest possible value",
        "",
        ("sides",),
    ),
    Column(
        "dealer_profit",
        "expected, of an order at the first quotes; zero in equilibrium",
        "price",
    ),
    Column(
        "zero_profit_residual",
        "largest distance of a quote from the mean value given the order",
        "price",
    ),
    Column(
        "belief_residual",
        "largest violation of Bayes' rule by any step of the beliefs",
        "1",
    ),
    Column(
        "curve_residual",
        "largest error of the averages over paths, spreads over high - low; NaN for K"
        " values",
        "1",
    ),
)

_ARRAYS = (
    Column(
        "mean_values",
        "expected value before each order and after the last",
        "price",
        ("times",),
    ),
    Column(
        "expected_spreads",
        "mean spread before each of num_trades + 1 trades",
        "price",
        ("trades",),
    ),
    Column(
        "expected_beliefs_high",
        "mean belief in the high value when it is true",
        "1",
        ("trades",),
    ),
    Column(
        "expected_beliefs_low",
        "mean belief in the high value when the low is true",
        "1",
        ("trades",),
    ),
    Column("expected_uncertainties", "mean of sqrt(mu (1 - mu))", "1", ("trades",)),
)

_NUM_TRADES = Parameter(
    "num_trades",
    "integer",
    "trades that the averages over paths reach (two values only); at least 0; their"
    " exact cost grows with its square",
    "trades",
    default=0,
    is_static=True,
)

_EVIDENCE = Evidence(
    columns=_COLUMNS,
    arrays=_ARRAYS,
    headline=(
        "final_bid",
        "final_ask",
        "information_rate_high",
        "zero_profit_residual",
        "belief_residual",
    ),
    figures="gtrade.plotting.glosten_milgrom:figures",
)

# Averages over paths are columns where they are simulated too.
_SIMULATED = dataclasses.replace(
    _EVIDENCE, columns=_COLUMNS + _ARRAYS[1:], arrays=_ARRAYS[:1]
).with_simulation(
    "bids",
    "asks",
    "beliefs",
    "final_bid",
    "final_ask",
    *(column.name for column in _ARRAYS[1:]),
    "dealer_profit",
    headline=("final_bid", "final_ask"),
)

ENTRY = ModelEntry(
    name="glosten-milgrom",
    summary="A dealer quotes to traders of whom some know the value, and learns.",
    source="Glosten & Milgrom 1985; O'Hara 1995, chapter 3",
    problem="gtrade.problems.glosten_milgrom:GlostenMilgrom",
    parameters=(
        Parameter(
            "low",
            "number",
            "the lower of two values; left out with values",
            "price",
            default=None,
        ),
        Parameter("high", "number", "the higher, at least low", "price", default=None),
        Parameter(
            "prior_high",
            "number",
            "probability of the high value before the first order, in [0, 1]",
            default=None,
        ),
        Parameter(
            "informed_fraction",
            "number",
            "a, probability that an arriving trader knows the value, in [0, 1]",
        ),
        Parameter(
            "buy_probability",
            "number",
            "that an uninformed trader buys, in [0, 1]",
            default=0.5,
        ),
        Parameter(
            "sell_probability",
            "number",
            "that an uninformed trader sells; otherwise it passes; both at most 1",
            default=0.5,
        ),
        Parameter(
            "orders",
            "text",
            "orders in the sequence in which they come",
            default=(),
            ndim=1,
            choices=("sell", "pass", "buy"),
            codes=(-1, 0, 1),
        ),
        Parameter(
            "values",
            "number",
            "K values in ascending order, with prior, in place of low, high and"
            " prior_high; informed traders then look at the quotes",
            "price",
            default=None,
            ndim=1,
        ),
        Parameter(
            "prior",
            "number",
            "their probabilities before the first order; they add up to 1",
            default=None,
            ndim=1,
        ),
    ),
    solvers=(
        SolverEntry(
            "closed-form",
            "gtrade.solvers.glosten_milgrom:GlostenMilgromClosedForm",
            "Quotes and beliefs along the path; exact averages over all paths.",
            "Glosten & Milgrom 1985",
            (_NUM_TRADES,),
            precision="f64",
            calls_lapack=False,
        ),
        SolverEntry(
            "monte-carlo",
            "gtrade.solvers.glosten_milgrom_simulation:GlostenMilgromMonteCarlo",
            "The same, and what simulated traders say about it.",
            "Glosten & Milgrom 1985",
            (
                Parameter(
                    "num_paths",
                    "integer",
                    "traders at each belief, and random paths; at least 2",
                    "paths",
                    default=100_000,
                ),
                _NUM_TRADES,
            ),
            precision="f64",
            evidence=_SIMULATED,
            calls_lapack=False,
        ),
    ),
    verify="gtrade.verification.glosten_milgrom:verify_glosten_milgrom",
    evidence=_EVIDENCE,
)
