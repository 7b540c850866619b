"""From data to the numbers of a model: estimators on arrays."""

from gtrade.calibration.estimators import *  # noqa: F403
from gtrade.calibration.estimators import __all__ as __all__
