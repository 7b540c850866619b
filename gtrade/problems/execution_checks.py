"""What numbers an execution problem must have besides signs: lots, room, convexity."""

from typing import Any

import numpy as np

from gtrade._checks import check

# How far from a whole number of lots counts as whole: decimal numbers are rounded.
LOT_TOLERANCE = 1e-6


def lot_slack(lots: Any) -> Any:
    """Return how far numbers of lots of this size may be from whole ones."""
    return LOT_TOLERANCE + 4 * np.finfo(lots.dtype).eps * lots


def check_lots(shares: Any, lot_size: Any) -> None:
    """Require shares that make whole lots."""
    lots = np.abs(np.true_divide(shares, lot_size))
    is_whole = np.abs(lots - np.round(lots)) <= lot_slack(lots)
    check(
        "be a whole number of lots",
        lambda x: is_whole,
        shares=np.broadcast_to(shares, is_whole.shape),
    )


def check_room(shares: Any, bounds: np.ndarray, num_periods: int) -> None:
    """Require that all shares can trade within the bounds of the periods.

    Args:
        shares: scalar or column.
        bounds: most shares of each period, with the periods on the last axis.
        num_periods: of them.
    """
    if np.isinf(bounds).all():
        return
    room = bounds.sum(axis=-1)
    # As forgiving as rounding in the narrowest float.
    has_room = room >= np.abs(np.asarray(shares, float)) * (1 - 1e-6)
    check(
        "be at most what the participation caps let trade"
        f" in {num_periods} periods, {room.min():.6g}",
        lambda x: has_room,
        shares=np.broadcast_to(shares, has_room.shape),
    )


def check_convex(
    shares: Any,
    tau: Any,
    permanent_impact: Any,
    temporary_impact: Any,
    impact_exponent: Any,
    weights: np.ndarray,
    bounds: np.ndarray,
) -> None:
    """Require that no period's cost is concave in what it trades, up to all shares.

    Args:
        shares: scalar or column, as are those that follow.
        tau: length of a period.
        permanent_impact: gamma.
        temporary_impact: eta, the subject of the rule.
        impact_exponent: p, None for 1; above 1 anything passes, because it depends on
            the plan.
        weights: relative volumes, with the periods on the last axis.
        bounds: most shares of each period, likewise.
    """
    p = np.asarray(1.0 if impact_exponent is None else impact_exponent, float)[
        ..., None
    ]
    size = np.abs(np.asarray(shares, float))[..., None]
    most = np.minimum(np.where(size > 0, size, 1), bounds)
    most = np.where(most > 0, most, 1)
    scale = np.asarray(tau, float)[..., None] * weights
    # The least temporary impact with which no period's cost bends down.
    least = np.asarray(permanent_impact, float)[..., None] * scale**p
    least = (least / (p * (p + 1) * most ** (p - 1))).max(axis=-1)
    given = np.asarray(temporary_impact, float)
    is_convex = (given > least) | (p[..., 0] > 1)
    if impact_exponent is not None:
        is_convex = is_convex | (size[..., 0] == 0)
    rule = "be greater than permanent_impact * horizon / num_periods / 2"
    if impact_exponent is not None or (weights != 1).any():
        short = np.broadcast_to(least, is_convex.shape)[~is_convex]
        least_given = short.min(initial=np.inf)
        rule = f"be so large that trading has convex costs, above {least_given:.6g}"
    check(
        rule,
        lambda x: is_convex,
        temporary_impact=np.broadcast_to(given, is_convex.shape),
    )
