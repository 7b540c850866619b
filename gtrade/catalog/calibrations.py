"""What `gtrade calibrate` can fit. Plain data: importing it is instant."""

import dataclasses

from gtrade.catalog.base import Parameter


@dataclasses.dataclass(frozen=True)
class CalibrationEntry:
    """One kind of fit, under its name on the command line.

    Attributes:
        name: on the command line.
        summary: one line.
        source: paper and section.
        data: kinds of files that it reads: "events", "trades", "executions", "counts"
            or "schedules"; where there are several, a file's columns decide.
        fit: "module:function" of `fit(data, *, num_draws, seed, **options)`, which
            returns a `Calibration`.
        options: further arguments of it; those in the unit `DURATION` are times.
        headline: numbers that the terminal shows; all if there are none.
        figures: "module:function" of `figures(calibration) -> dict[str, Figure]`.
    """

    name: str
    summary: str
    source: str
    data: tuple[str, ...]
    fit: str
    options: tuple[Parameter, ...]
    headline: tuple[str, ...]
    figures: str = "gtrade.plotting.calibration:figures"

    def option(self, name: str) -> Parameter | None:
        """Return the option of that name, if there is one."""
        return next((option for option in self.options if option.name == name), None)


DURATION = "s"

_EVERY = Parameter(
    "every",
    "number",
    "length of periods that are fitted too, each by itself; none if absent",
    DURATION,
    default=None,
)


def _window(default: float | None, doc: str) -> Parameter:
    return Parameter("window", "number", doc, DURATION, default=default)


def _horizon(doc: str) -> Parameter:
    return Parameter("horizon", "number", doc, DURATION, default=None)


_HORIZON = "over which a position would be built; by default the span of the data"

ENTRIES = (
    CalibrationEntry(
        "impact",
        "Permanent and temporary impact of a market's net flow, and kappa.",
        "Almgren, Thum, Hauptmann & Li 2005; Kyle 1985",
        ("events",),
        "gtrade.calibration.from_events:impact",
        (
            _window(300.0, "length of the bars in which flow meets price changes"),
            _EVERY,
            _horizon("unit of time of the estimates, " + _HORIZON),
        ),
        ("permanent_impact", "temporary_impact", "kappa", "r_squared"),
    ),
    CalibrationEntry(
        "price-impact",
        "Kyle's lambda: price changes on signed volume.",
        "Kyle 1985; Hasbrouck 1991",
        ("events", "trades"),
        "gtrade.calibration.from_events:price_impact",
        (
            _window(60.0, "length of the bars"),
            _EVERY,
            Parameter(
                "num_lags",
                "integer",
                "neighbouring bars whose noise is correlated; at least 0",
                "bars",
                default=0,
            ),
        ),
        ("price_impact", "intercept", "r_squared", "num_observations"),
    ),
    CalibrationEntry(
        "transient-impact",
        "The kernel by which a trade's impact decays, and kappa for slow trading.",
        "Bouchaud, Gefen, Potters & Wyart 2004; Obizhaeva & Wang 2013",
        ("events", "trades"),
        "gtrade.calibration.from_events:transient_impact",
        (
            _window(10.0, "length of the bars"),
            _EVERY,
            _horizon(_HORIZON),
            Parameter(
                "num_exponentials",
                "integer",
                "exponentials that decay, besides permanent impact; at least 1",
                "1",
                default=1,
            ),
        ),
        ("permanent", "weight_1", "rate_1", "kappa", "r_squared"),
    ),
    CalibrationEntry(
        "execution",
        "Almgren and Chriss's numbers from the fills of parent orders, and kappa.",
        "Almgren & Chriss 2000; Almgren, Thum, Hauptmann & Li 2005",
        ("executions",),
        "gtrade.calibration.from_records:execution",
        (
            Parameter(
                "horizon",
                "number",
                "unit of time of the estimates, and length of the game of kappa; by"
                " default the median duration of the orders",
                DURATION,
                default=None,
            ),
        ),
        ("permanent_impact", "temporary_impact", "fixed_cost", "volatility", "kappa"),
    ),
    CalibrationEntry(
        "pin",
        "Probability of informed trading from daily buys and sells, a fit a stock.",
        "Easley, Kiefer, O'Hara & Paperman 1996",
        ("counts",),
        "gtrade.calibration.from_records:pin",
        (),
        ("pin", "news_probability", "informed_rate", "num_starts", "num_agreeing"),
    ),
    CalibrationEntry(
        "schedules",
        "kappa and targets of firms from their positions in a game, a fit a day.",
        "Chriss 2024, arXiv 2409.03586",
        ("schedules",),
        "gtrade.calibration.from_records:schedules",
        (),
        (),
    ),
)

CALIBRATIONS = {entry.name: entry for entry in ENTRIES}
