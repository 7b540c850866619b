"""Estimators of market microstructure: pure functions of arrays.

Each takes one series (NumPy or JAX, one dimension) and runs under `jax.jit`, `jax.vmap`
and, where it makes sense, `jax.grad`; keyword arguments that are whole numbers or
options are static. Results are as wide as the input: use float64 (`jax.enable_x64`)
for days of data, above all for times in seconds. See docs/estimators.md.
"""

from gtrade.calibration.detection import (
    InformedFlow,
    informed_flow,
    sequential_belief,
    toxicity,
)
from gtrade.calibration.impact import (
    ImbalanceSensitivity,
    PriceImpact,
    amihud_illiquidity,
    imbalance_sensitivity,
    price_impact,
)
from gtrade.calibration.risk import (
    ExecutionRisk,
    SampledRisk,
    execution_risk,
    position_limit,
    quantile_error,
    sampled_execution_risk,
)
from gtrade.calibration.spreads import (
    SpreadComponents,
    SpreadHorizons,
    SpreadShares,
    roll_spread,
    spread_by_horizon,
    spread_components,
    spread_shares,
)
from gtrade.calibration.trades import (
    Bars,
    bar_index,
    bars,
    last_in_bar,
    lee_ready,
    prevailing,
    quote_rule,
    tick_rule,
)
from gtrade.calibration.volume_clock import VPIN, bulk_signed_volume, on_bars, vpin
from gtrade.calibration.windows import (
    rolling_mean,
    trailing_percentile,
    trailing_score,
)

__all__ = [
    "VPIN",
    "Bars",
    "ExecutionRisk",
    "ImbalanceSensitivity",
    "InformedFlow",
    "PriceImpact",
    "SampledRisk",
    "SpreadComponents",
    "SpreadHorizons",
    "SpreadShares",
    "amihud_illiquidity",
    "bar_index",
    "bars",
    "bulk_signed_volume",
    "execution_risk",
    "imbalance_sensitivity",
    "informed_flow",
    "last_in_bar",
    "lee_ready",
    "on_bars",
    "position_limit",
    "prevailing",
    "price_impact",
    "quantile_error",
    "quote_rule",
    "roll_spread",
    "rolling_mean",
    "sampled_execution_risk",
    "sequential_belief",
    "spread_by_horizon",
    "spread_components",
    "spread_shares",
    "tick_rule",
    "toxicity",
    "trailing_percentile",
    "trailing_score",
    "vpin",
]
