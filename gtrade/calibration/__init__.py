"""Parameters from data: what markets show, and what traders learn while they trade."""

from gtrade.calibration.estimators import *  # noqa: F403
from gtrade.calibration.estimators import __all__ as __all__
