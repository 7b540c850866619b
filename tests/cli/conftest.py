"""The fake model under the name "roots"."""

import sys
from pathlib import Path

import pytest

from gtrade import catalog

sys.path.insert(0, str(Path(__file__).parents[1] / "sweeps"))


@pytest.fixture(autouse=True)
def _roots(monkeypatch):
    monkeypatch.setitem(catalog.MODELS, "roots", "fake_model")
