"""The models by name: the only place that knows names."""

import importlib

from gtrade.catalog.base import ModelEntry
from gtrade.catalog.base import resolve as resolve

MODELS = {
    "trading-game": "gtrade.catalog.trading_game",
    "bimatrix": "gtrade.catalog.bimatrix",
    "position-building": "gtrade.catalog.position_building",
    "power-law-position": "gtrade.catalog.power_law_position",
    "transient-impact": "gtrade.catalog.transient_impact",
    "uncertain-impact": "gtrade.catalog.uncertain_impact",
    "feedback-position": "gtrade.catalog.feedback_position",
    "hidden-target": "gtrade.catalog.hidden_target",
    "position-learning": "gtrade.catalog.position_learning",
    "kyle": "gtrade.catalog.kyle",
    "kyle-sequential": "gtrade.catalog.kyle_sequential",
    "almgren-chriss": "gtrade.catalog.almgren_chriss",
    "almgren-chriss-portfolio": "gtrade.catalog.almgren_chriss_portfolio",
    "glosten-milgrom": "gtrade.catalog.glosten_milgrom",
}


def get_model(name: str) -> ModelEntry:
    """Return the entry of a model.

    Raises:
        ValueError: naming the models there are.
    """
    if name not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}; got {name!r}")
    return importlib.import_module(MODELS[name]).ENTRY
