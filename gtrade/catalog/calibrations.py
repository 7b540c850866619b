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
        data: what it reads: "events", "trades", "executions", "counts" or "schedules".
        fit: "module:function" of `fit(data, *, num_draws, seed, **options)`, which
            returns a `Calibration`.
        options: further arguments of it; "duration" in the unit marks seconds.
        headline: numbers that the terminal shows.
        figures: "module:function" of `figures(calibration) -> dict[str, Figure]`.
    """

    name: str
    summary: str
    source: str
    data: str
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


ENTRIES = (
    CalibrationEntry(
        "impact",
        "Permanent and temporary impact of a market's net flow, and kappa.",
        "Almgren, Thum, Hauptmann & Li 2005; Kyle 1985",
        "events",
        "gtrade.calibration.from_events:impact",
        (
            _window(300.0, "length of the bars in which flow meets price changes"),
            _EVERY,
            _horizon(
                "unit of time, over which a position would be built; by default the"
                " span of the data"
            ),
        ),
        ("permanent_impact", "temporary_impact", "kappa", "r_squared"),
    ),
)

CALIBRATIONS = {entry.name: entry for entry in ENTRIES}
