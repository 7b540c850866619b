"""Specs, grids, runs and their results.

Public names are imported on first use: reading a spec needs no jax, and reading
results needs no spec.
"""

import importlib
from typing import Any

_HOMES = {
    "Spec": "spec",
    "SpecError": "complaints",
    "Store": "store",
    "StoreError": "store",
    "Table": "table",
    "load": "store",
    "load_spec": "spec",
    "resolve_spec": "spec",
    "run_spec": "run",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name from where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
