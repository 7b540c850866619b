"""The estimators of the package, each compiled as a whole.

Op by op every primitive compiles alone for every new shape, which takes seconds where
the arithmetic takes microseconds. `compiled.f(...)` is `estimators.f(...)` under jit:
Python numbers and strings among the options are static, arrays are traced (so pass
`np.asarray(x)` for a number that varies), and results are NumPy arrays.
"""

import functools
import inspect

import jax
import numpy as np

from gtrade.calibration import estimators

_STATIC = (bool, int, float, str, type(None))


def __getattr__(name):
    return functools.partial(call, getattr(estimators, name))


def call(function, *columns, **options):
    """Call a function under the jit of its static options, defaults left out."""
    static = {k: x for k, x in options.items() if type(x) in _STATIC}
    traced = {k: x for k, x in options.items() if k not in static}
    usual = inspect.signature(function).parameters
    static = {k: x for k, x in static.items() if x != usual[k].default}
    found = _jitted(function, tuple(sorted(static.items())))(*columns, **traced)
    if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(found)):
        return found
    return jax.tree.map(np.asarray, found)


@functools.cache
def _jitted(function, options):
    return jax.jit(functools.partial(function, **dict(options)))
